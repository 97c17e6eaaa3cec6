-- Delivery: leases, what is under way, outcomes, retries. Keys (lane, person_id) are walked in order.

-- name: claim
-- lanes: none
-- Lease the slice that has waited longest. A lease that ran out is taken over, whatever became of its campaign: what was
-- under way is of unknown fate. Left alone: channels (site/channel, campaign/channel) by which nothing goes now.
WITH waiting AS (
    SELECT s.campaign_id, s.channel, s.slice, s.leased_until IS NOT NULL AS taken_over, c.state, (
               SELECT max(k.campaign_id) FROM campaign k WHERE k.corrects = s.campaign_id AND k.opened_at IS NOT NULL
           ) AS amended_by
    FROM slice s
    JOIN steered c USING (campaign_id)
    WHERE s.due_at <= :now
      AND CASE WHEN s.leased_until IS NULL
          THEN c.state IN ('sending', 'done')   -- done: a late bounce can make a slice due again
               AND NOT ARRAY[c.site || '/' || s.channel, s.campaign_id || '/' || s.channel] && :resting::text[]
               AND s.stage <= c.stage
          ELSE s.leased_until < :real
      END
    ORDER BY s.due_at, s.campaign_id, s.channel, s.slice
    LIMIT 1
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE slice s SET epoch = s.epoch + 1, worker = :worker, leased_until = :until
FROM waiting w
WHERE s.campaign_id = w.campaign_id AND s.channel = w.channel AND s.slice = w.slice
RETURNING s.campaign_id, s.channel, s.slice, s.from_lane, s.from_person, s.to_lane, s.to_person,
          s.cursor_lane, s.cursor_person, s.epoch, w.state, w.amended_by, w.taken_over

-- name: set_out
-- lanes: none
-- Write down what is about to be tried, while the slice is ours and its campaign sends; no row: one of the two is over.
-- Whoever takes the slice over waits for this, or comes before it. The whole lease is there for sending it.
WITH ours AS (
    UPDATE slice s SET leased_until = :until
    FROM steered c
    WHERE s.campaign_id = :campaign_id AND s.channel = :channel AND s.slice = :slice AND s.epoch = :epoch
      AND c.campaign_id = s.campaign_id AND c.state IN ('sending', 'done')
    RETURNING s.campaign_id, s.channel, s.slice
)
INSERT INTO under_way (campaign_id, channel, slice, at, cursor_lane, cursor_person,
                       lanes, people, attempts, addresses, digests, sheets, purposes)
SELECT campaign_id, channel, slice, :now, :cursor_lane, :cursor_person,
       :lanes, :people, :attempts, :addresses, :digests, :sheets, :purposes
FROM ours
RETURNING slice

-- name: recover
-- lanes: all
-- What a slice's last holder left under way becomes unknown, and is queued to be sent again unless it is known by now what
-- came of it. Answers where the cursor is to stand; no row: nothing was under way.
WITH lost AS (
    DELETE FROM under_way WHERE campaign_id = :campaign_id AND channel = :channel AND slice = :slice RETURNING *
), each AS MATERIALIZED (
    SELECT u.*, EXISTS (
        SELECT FROM outcome o
        WHERE o.lane = u.lane AND o.person_id = u.person_id AND o.campaign_id = :campaign_id
          AND o.channel = :channel AND o.attempt = u.attempt AND o.kind NOT IN ('deferred', 'unknown')
    ) AS told_of
    FROM (
        SELECT u.lane, u.person_id, coalesce(u.attempt, lost.attempts[1]) AS attempt, u.address, u.sha256,
               coalesce(u.sheet, lost.sheets[1]) AS sheet, coalesce(u.purpose, lost.purposes[1]) AS purpose, lost.at
        FROM lost
        CROSS JOIN unnest(lost.lanes, lost.people, lost.attempts, lost.addresses, lost.digests, lost.sheets, lost.purposes)
             AS u (lane, person_id, attempt, address, sha256, sheet, purpose)
    ) u
), said AS (    -- its last holder may be saying the same right now, in this order, without what was tried
    INSERT INTO outcome AS known (lane, person_id, campaign_id, channel, attempt, kind, at, class, reply,
                                  tried_at, sheet, address, sha256, purpose)
    SELECT lane, person_id, :campaign_id, :channel, attempt, 'unknown', :now, 'unknown',
           'the worker stopped before it recorded what came of this', at, sheet, address, sha256, nullif(purpose, 'notice')
    FROM each
    ORDER BY lane, person_id
    ON CONFLICT (lane, person_id, campaign_id, channel, attempt, kind)
    DO UPDATE SET tried_at = excluded.tried_at, sheet = excluded.sheet, address = excluded.address,
        sha256 = excluded.sha256, purpose = excluded.purpose
    WHERE known.tried_at IS NULL
    RETURNING xmax = 0 AS news
), counted AS (
    INSERT INTO progress (campaign_id, channel, kind, class, slot, count)
    SELECT :campaign_id, :channel, 'unknown', 'unknown', 0, count(*) FROM said WHERE news HAVING count(*) > 0
    ON CONFLICT (campaign_id, channel, kind, class, slot) DO UPDATE SET count = progress.count + excluded.count
), queued AS (
    INSERT INTO retry AS r (lane, person_id, campaign_id, channel, attempt, since, failures, due_at, unsure, purpose)
    SELECT lane, person_id, :campaign_id, :channel, attempt + 1, CASE purpose WHEN 'notice' THEN 1 ELSE attempt END, 0,
           :due_at::timestamptz, true, purpose
    FROM each
    WHERE NOT told_of
    ON CONFLICT (lane, person_id, campaign_id, channel)
    DO UPDATE SET attempt = excluded.attempt, due_at = excluded.due_at, unsure = true
)
SELECT cursor_lane, cursor_person FROM lost

-- name: skip_recovered
-- lanes: all
-- Move the cursor past what was recovered. Who got no letter on the way there, as they left or none could be written, was
-- not settled: they are queued.
WITH passed AS (
    INSERT INTO retry (lane, person_id, campaign_id, channel, attempt, failures, due_at)
    SELECT n.lane, n.person_id, n.campaign_id, :channel, 1, 0, :now
    FROM slice s
    JOIN notice n ON n.campaign_id = :campaign_id
        AND (n.lane, n.person_id) > (s.cursor_lane, s.cursor_person)
        AND (n.lane, n.person_id) <= (:cursor_lane::smallint, :cursor_person::uuid)
    JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan AND :channel = ANY (p.channels) AND NOT p.late
    WHERE s.campaign_id = :campaign_id AND s.channel = :channel AND s.slice = :slice AND s.epoch = :epoch
      AND n.reason = 'in_scope'
      AND NOT EXISTS (
          SELECT FROM outcome o
          WHERE o.lane = n.lane AND o.person_id = n.person_id AND o.campaign_id = n.campaign_id
            AND o.channel = :channel
      )
    ON CONFLICT DO NOTHING
)
UPDATE slice s SET cursor_lane = :cursor_lane, cursor_person = :cursor_person
WHERE s.campaign_id = :campaign_id AND s.channel = :channel AND s.slice = :slice AND s.epoch = :epoch
  AND (s.cursor_lane, s.cursor_person) < (:cursor_lane::smallint, :cursor_person::uuid)
RETURNING s.cursor_lane, s.cursor_person

-- name: lock
-- lanes: none
-- Lock a slice while it is still ours. Answers whether anybody of its campaign has a channel to fall back to.
SELECT EXISTS (SELECT FROM plan p WHERE p.campaign_id = s.campaign_id AND p.fallback <> '{}')
FROM slice s
WHERE campaign_id = :campaign_id AND channel = :channel AND slice = :slice AND epoch = :epoch
FOR UPDATE

-- name: let_go
-- lanes: none
-- Let a lease run out now.
UPDATE slice SET leased_until = :real
WHERE campaign_id = :campaign_id AND channel = :channel AND slice = :slice AND epoch = :epoch

-- name: give_back
-- lanes: all
-- End a lease. Without a time (:due) the slice is due with the first retry of its stretch, or with what is :fresh; without
-- either nothing fresh is left.
UPDATE slice SET worker = NULL, leased_until = NULL,
    cursor_lane = CASE WHEN coalesce(:due::timestamptz, :fresh::timestamptz) IS NULL THEN to_lane ELSE cursor_lane END,
    cursor_person = CASE WHEN coalesce(:due, :fresh) IS NULL THEN to_person ELSE cursor_person END,
    due_at = coalesce(:due, least(:fresh, queued.due_at)), unsure = queued.unsure
FROM (
    SELECT min(r.due_at) AS due_at, count(*) FILTER (WHERE r.unsure) AS unsure FROM retry r
    WHERE r.campaign_id = :campaign_id AND r.channel = :channel
      AND (r.lane, r.person_id) > (:from_lane::smallint, :from_person::uuid)
      AND (r.lane, r.person_id) <= (:to_lane::smallint, :to_person::uuid)
) queued
WHERE campaign_id = :campaign_id AND channel = :channel AND slice = :slice

-- name: forget_erased
-- lanes: all
-- Remove the addresses of erased people from the attempts of a stretch, and what mail servers said of them. Erased people
-- are found by an index of their own: else every attempt of the stretch is compared with its person.
WITH erased AS MATERIALIZED (
    SELECT lane, person_id
    FROM person
    WHERE status = 'erased'
      AND (lane, person_id) > (:from_lane::smallint, :from_person::uuid)
      AND (lane, person_id) <= (:to_lane::smallint, :to_person::uuid)
)
UPDATE outcome o SET reply = '', address = NULL
FROM erased e
WHERE o.lane = e.lane AND o.person_id = e.person_id AND o.campaign_id = :campaign_id AND o.channel = :channel
  AND (o.reply <> '' OR o.address IS NOT NULL)

-- name: fresh
-- lanes: all
-- The next planned notices after a cursor, with what a letter needs of each person as they are now. The notices are
-- counted off before anything is joined to them: else PostgreSQL joins and sorts the whole rest of the slice for each batch.
WITH next AS MATERIALIZED (
    SELECT n.lane, n.person_id, n.plan, n.since
    FROM notice n
    WHERE n.campaign_id = :campaign_id AND n.reason = 'in_scope'
      AND n.plan = ANY (ARRAY(
          SELECT pl.plan FROM plan pl
          WHERE pl.campaign_id = :campaign_id AND :channel = ANY (pl.channels) AND NOT pl.late
      ))
      AND (n.lane, n.person_id) > (:cursor_lane::smallint, :cursor_person::uuid)
      AND (n.lane, n.person_id) <= (:to_lane::smallint, :to_person::uuid)
    ORDER BY n.lane, n.person_id
    LIMIT :limit
)
SELECT n.lane, n.person_id, pl.locale, p.email AS address, p.time_zone, p.external_id, n.since AS knew, pl.overlays,
       p.status::text AS status, s.email_mac IS NOT NULL AS suppressed
FROM next n
JOIN plan pl ON pl.campaign_id = :campaign_id AND pl.plan = n.plan
JOIN person p ON p.lane = n.lane AND p.person_id = n.person_id
LEFT JOIN suppression s ON :channel = 'email' AND s.site = p.site AND s.email_mac = p.email_mac AND s.until > :now
ORDER BY n.lane, n.person_id

-- name: any_retry
-- lanes: all
-- Whether anybody of a stretch is to be tried again, whenever that is.
SELECT EXISTS (
    SELECT FROM retry r
    WHERE r.campaign_id = :campaign_id AND r.channel = :channel
      AND (r.lane, r.person_id) > (:from_lane::smallint, :from_person::uuid)
      AND (r.lane, r.person_id) <= (:to_lane::smallint, :to_person::uuid)
)

-- name: due
-- lanes: all
-- Retries of a stretch that are due, unless an answer came in meanwhile.
SELECT r.lane, r.person_id, pl.locale, p.email AS address, p.time_zone, p.external_id, n.since AS knew, pl.overlays,
       p.status::text AS status, s.email_mac IS NOT NULL AS suppressed, r.attempt, r.failures, (
           SELECT i.at
           FROM intent i
           WHERE i.lane = r.lane AND i.person_id = r.person_id AND i.campaign_id = r.campaign_id
             AND i.channel = r.channel AND i.attempt >= r.since
             AND NOT EXISTS (   -- what we held back was not tried
                 SELECT FROM outcome o
                 WHERE o.lane = i.lane AND o.person_id = i.person_id AND o.campaign_id = i.campaign_id
                   AND o.channel = i.channel AND o.attempt = i.attempt AND o.kind = 'deferred' AND o.class = 'held'
             )
           ORDER BY i.attempt LIMIT 1
       ) AS since, r.purpose, CASE WHEN r.unsure THEN (   -- it may have arrived
           SELECT i.sheet
           FROM intent i
           WHERE i.lane = r.lane AND i.person_id = r.person_id AND i.campaign_id = r.campaign_id
             AND i.channel = r.channel AND i.purpose = r.purpose AND i.attempt < r.attempt
           ORDER BY i.attempt DESC LIMIT 1
       ) END AS sheet
FROM retry r
JOIN notice n ON n.lane = r.lane AND n.person_id = r.person_id AND n.campaign_id = r.campaign_id
JOIN plan pl ON pl.campaign_id = n.campaign_id AND pl.plan = n.plan
JOIN person p ON p.lane = n.lane AND p.person_id = n.person_id
LEFT JOIN suppression s ON :channel = 'email' AND s.site = p.site AND s.email_mac = p.email_mac AND s.until > :now
WHERE r.campaign_id = :campaign_id AND r.channel = :channel AND r.due_at <= :now
  AND (r.lane, r.person_id) > (:from_lane::smallint, :from_person::uuid)
  AND (r.lane, r.person_id) <= (:to_lane::smallint, :to_person::uuid)
ORDER BY r.lane, r.person_id
LIMIT :limit

-- name: drop_answered
-- lanes: all
-- Retries whose answer came in after all are not sent again.
DELETE FROM retry r
WHERE r.campaign_id = :campaign_id AND r.channel = :channel
  AND (r.lane, r.person_id) > (:from_lane::smallint, :from_person::uuid)
  AND (r.lane, r.person_id) <= (:to_lane::smallint, :to_person::uuid)
  AND EXISTS (
      SELECT FROM outcome o
      WHERE o.lane = r.lane AND o.person_id = r.person_id AND o.campaign_id = r.campaign_id
        AND o.channel = r.channel AND o.attempt >= r.since
        AND o.kind NOT IN ('deferred', 'unknown')
  )

-- name: come_back
-- lanes: none
-- What was under way is about to be recorded: move the slice's cursor and renew its lease, while it is still ours. Answers
-- the campaign's state as a worker is to take it; no row: it is lost, and what is under way is left to whoever has it.
WITH moved AS (
    UPDATE slice s
    SET cursor_lane = :cursor_lane, cursor_person = :cursor_person, leased_until = :until
    FROM steered c
    WHERE s.campaign_id = :campaign_id AND s.channel = :channel AND s.slice = :slice AND s.epoch = :epoch
      AND c.campaign_id = s.campaign_id
    RETURNING c.state, s.campaign_id, s.channel, s.slice
), back AS (
    DELETE FROM under_way w USING moved m
    WHERE w.campaign_id = m.campaign_id AND w.channel = m.channel AND w.slice = m.slice
)
SELECT state FROM moved

-- name: state
-- lanes: none
-- The state of a slice's campaign, as a worker is to take it; no row: the slice is lost.
SELECT c.state
FROM slice s
JOIN steered c USING (campaign_id)
WHERE s.campaign_id = :campaign_id AND s.channel = :channel AND s.slice = :slice AND s.epoch = :epoch

-- name: gone
-- lanes: none
-- When an endpoint said that it is gone for good.
SELECT at FROM gone_endpoint WHERE site = :site AND channel = :channel AND endpoint = :endpoint

-- name: add_gone
-- lanes: none
-- Remember that an endpoint is gone for good.
INSERT INTO gone_endpoint (site, channel, endpoint, at) VALUES (:site, :channel, :endpoint, :now)
ON CONFLICT DO NOTHING

-- name: add_outcomes
-- lanes: all
-- Append what became known. The same news twice is one row; only what was news is returned. Whose news came before our
-- own record of the same gets what was tried added. In key order, so that two who report the same wait for each other
-- instead of locking each other out.
WITH written AS (
    INSERT INTO outcome AS known (lane, person_id, campaign_id, channel, attempt, kind, at, class, reply, via,
                                  tried_at, sheet, address, sha256, purpose, phase)
    SELECT DISTINCT ON (lane, person_id, attempt, kind)
           lane, person_id, :campaign_id, :channel, attempt, kind::outcome_kind, :now, class, reply, via,
           tried_at, sheet, address, sha256, purpose, phase
    FROM unnest(:lanes::smallint[], :people::uuid[], :attempts::smallint[], :kinds::text[],
                :classes::text[], :replies::text[], :vias::text[],
                :tries::timestamptz[], :sheets::integer[], :addresses::text[], :digests::bytea[], :purposes::text[],
                :phases::text[])
         AS o (lane, person_id, attempt, kind, class, reply, via, tried_at, sheet, address, sha256, purpose, phase)
    ORDER BY lane, person_id, attempt, kind, tried_at
    ON CONFLICT (lane, person_id, campaign_id, channel, attempt, kind)
    DO UPDATE SET tried_at = excluded.tried_at, sheet = excluded.sheet, address = excluded.address,
        sha256 = excluded.sha256, purpose = excluded.purpose
    WHERE known.tried_at IS NULL AND excluded.tried_at IS NOT NULL
    RETURNING lane, person_id, attempt, kind::text, xmax = 0 AS news
)
SELECT lane, person_id, attempt, kind FROM written WHERE news

-- name: add_progress
-- lanes: none
-- Count outcomes where nobody else is counting.
INSERT INTO progress (campaign_id, channel, kind, class, slot, count)
SELECT :campaign_id, :channel, kind::outcome_kind, class, :slot, count
FROM unnest(:kinds::text[], :classes::text[], :counts::integer[]) AS o (kind, class, count)
ORDER BY 3, 4
ON CONFLICT (campaign_id, channel, kind, class, slot) DO UPDATE SET count = progress.count + excluded.count

-- name: retry_later
-- lanes: all
-- Queue notices to be tried again. One that may have arrived before stays so, however often it is put off after that.
INSERT INTO retry AS r (lane, person_id, campaign_id, channel, attempt, failures, due_at, unsure)
SELECT lane, person_id, :campaign_id, :channel, attempt, failures, due_at, unsure
FROM unnest(:lanes::smallint[], :people::uuid[], :attempts::smallint[], :failures::smallint[], :dues::timestamptz[],
            :unsures::boolean[])
     AS t (lane, person_id, attempt, failures, due_at, unsure)
ON CONFLICT (lane, person_id, campaign_id, channel)
DO UPDATE SET attempt = excluded.attempt, failures = excluded.failures, due_at = excluded.due_at,
    unsure = r.unsure OR excluded.unsure

-- name: retry_no_more
-- lanes: all
-- Take notices out of the queue.
DELETE FROM retry r
USING unnest(:lanes::smallint[], :people::uuid[]) AS d (lane, person_id)
WHERE r.lane = d.lane AND r.person_id = d.person_id AND r.campaign_id = :campaign_id AND r.channel = :channel

-- name: fall_back
-- lanes: all
-- Queue the next channel of each person's plan that was not tried yet, and wake the slices that their keys lie in. Not
-- once a newer version is told.
WITH next AS (
    SELECT DISTINCT f.lane, f.person_id, tried.channel
    FROM unnest(:lanes::smallint[], :people::uuid[]) AS f (lane, person_id)
    JOIN notice n ON n.lane = f.lane AND n.person_id = f.person_id AND n.campaign_id = :campaign_id
    JOIN campaign this ON this.campaign_id = n.campaign_id AND this.superseded_by IS NULL
    JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan
    CROSS JOIN LATERAL (
        SELECT c.channel
        FROM unnest(p.fallback) WITH ORDINALITY AS c (channel, place)
        WHERE NOT EXISTS (      -- what is under way by it stands in the queue as well
            SELECT FROM outcome o
            WHERE o.lane = f.lane AND o.person_id = f.person_id AND o.campaign_id = :campaign_id
              AND o.channel = c.channel
        )
        ORDER BY c.place
        LIMIT 1
    ) tried
), queued AS (
    INSERT INTO retry (lane, person_id, campaign_id, channel, attempt, failures, due_at)
    SELECT lane, person_id, :campaign_id, channel, 1, 0, :now FROM next
    ON CONFLICT DO NOTHING
)
UPDATE slice s SET due_at = least(s.due_at, :now)
WHERE s.campaign_id = :campaign_id AND EXISTS (
    SELECT FROM next
    WHERE next.channel = s.channel AND (next.lane, next.person_id) > (s.from_lane, s.from_person)
      AND (next.lane, next.person_id) <= (s.to_lane, s.to_person)
)

-- name: lock_onward
-- lanes: none
-- Lock a slice and those in which its failed people are queued next, in one order for everybody: else two workers whose
-- people fall back to each other's channel lock each other out.
SELECT FROM slice s
WHERE s.campaign_id = :campaign_id
  AND CASE WHEN s.channel = :channel THEN s.slice = :slice ELSE EXISTS (
      SELECT FROM unnest(:lanes::smallint[], :people::uuid[]) AS f (lane, person_id)
      WHERE (f.lane, f.person_id) > (s.from_lane, s.from_person) AND (f.lane, f.person_id) <= (s.to_lane, s.to_person)
  ) END
ORDER BY s.channel, s.slice
FOR UPDATE

-- name: suppress
-- lanes: all
-- Write no more to the addresses that these people were written to, if they still have them. What holds for longer already
-- stays as it is: a complaint, or somebody's order.
WITH added AS (
    INSERT INTO suppression (site, email_mac, reason, since, until)
    SELECT DISTINCT ON (p.site, p.email_mac) p.site, p.email_mac, s.reason, :now, coalesce(s.until, 'infinity')
    FROM unnest(:lanes::smallint[], :people::uuid[], :attempts::smallint[], :reasons::text[], :untils::timestamptz[])
         AS s (lane, person_id, attempt, reason, until)
    JOIN attempt i ON i.lane = s.lane AND i.person_id = s.person_id AND i.campaign_id = :campaign_id
        AND i.channel = 'email' AND i.attempt = s.attempt
    JOIN person p ON p.lane = s.lane AND p.person_id = s.person_id AND p.email = i.address
    WHERE p.email_mac IS NOT NULL
    ON CONFLICT (site, email_mac)
    DO UPDATE SET reason = excluded.reason, since = excluded.since, until = excluded.until
    WHERE suppression.until < excluded.until
    RETURNING site, email_mac, reason, since, until
)
INSERT INTO suppression_event (site, email_mac, at, action, actor, reason, until)
SELECT site, email_mac, since, 'added', 'a report', reason, until FROM added
ON CONFLICT DO NOTHING

-- name: suppressed
-- lanes: none
-- Which of some addresses are not written to.
SELECT email_mac FROM suppression WHERE site = :site AND email_mac = ANY (:macs::bytea[]) AND until > :now

-- name: end_over
-- lanes: all
-- Nothing more is sent of campaigns that were cancelled, or ended by a newer version: what waited in their queue ends.
WITH over AS (
    SELECT s.campaign_id, s.channel, s.slice
    FROM slice s
    JOIN campaign c USING (campaign_id)
    WHERE (c.superseded_by IS NOT NULL OR c.state = 'cancelled') AND s.leased_until IS NULL
      AND (s.due_at IS NOT NULL OR s.second_at IS NOT NULL OR s.unsure > 0)
    ORDER BY s.campaign_id, s.channel, s.slice
    FOR UPDATE OF s SKIP LOCKED
), ended AS (
    UPDATE slice s SET due_at = NULL, second_at = NULL, unsure = 0
    FROM over o
    WHERE s.campaign_id = o.campaign_id AND s.channel = o.channel AND s.slice = o.slice
    RETURNING s.campaign_id, s.channel, s.from_lane, s.from_person, s.to_lane, s.to_person
)
DELETE FROM retry r USING ended e
WHERE r.campaign_id = e.campaign_id AND r.channel = e.channel
  AND (r.lane, r.person_id) > (e.from_lane, e.from_person) AND (r.lane, r.person_id) <= (e.to_lane, e.to_person)

-- Reminders before the effective date, and nudges for private messages that nobody opened.

-- People of a slice to whom its channel may bring a reminder or a nudge, with what is known of them. Whoever accepted,
-- objected or left is not among them. A reminder comes by the channel that told them, or else by the first of their plan
-- that was not tried; a nudge by the first that was not tried.
-- fragment: open_notices
SELECT s.lane, s.person_id, s.told_at, s.rule, v.effective_at,
       coalesce(tried.attempt, 0) + 1 AS attempt, tried.attempt IS NULL AS untried, unread.since AS unread_since
FROM campaign c
JOIN version v ON v.version_id = c.version_id
JOIN standing s ON s.campaign_id = c.campaign_id
    AND (s.lane, s.person_id) > (:from_lane::smallint, :from_person::uuid)
    AND (s.lane, s.person_id) <= (:to_lane::smallint, :to_person::uuid)
CROSS JOIN LATERAL (
    SELECT k.channel
    FROM unnest(s.channels || s.fallback) WITH ORDINALITY AS k (channel, place)
    CROSS JOIN LATERAL (
        SELECT s.tellings @> jsonb_build_array(jsonb_build_object('channel', k.channel)) AS told
    ) by_it
    WHERE k.channel <> 'inbox'
      AND (by_it.told OR k.channel = ANY (s.fallback) AND NOT EXISTS (
          SELECT FROM outcome o
          WHERE o.lane = s.lane AND o.person_id = s.person_id AND o.campaign_id = c.campaign_id AND o.channel = k.channel
      ))
    ORDER BY by_it.told DESC, k.place
    LIMIT 1
) next
CROSS JOIN LATERAL (
    SELECT max(i.attempt) AS attempt
    FROM intent i
    WHERE i.lane = s.lane AND i.person_id = s.person_id AND i.campaign_id = c.campaign_id AND i.channel = next.channel
) tried
CROSS JOIN LATERAL (
    -- They were told by private messages alone, and none was opened.
    SELECT CASE WHEN bool_and((t ->> 'placed')::boolean AND t ->> 'shown_at' IS NULL)
           THEN min((t ->> 'at')::timestamptz) END AS since
    FROM jsonb_array_elements(s.tellings) t
) unread
WHERE c.campaign_id = :campaign_id AND next.channel = :channel AND s.status IN ('told', 'too_little_evidence')
  AND NOT EXISTS (
      SELECT FROM accepted a WHERE a.lane = s.lane AND a.person_id = s.person_id AND a.version_id = c.version_id
  )
  AND coalesce((
      SELECT withdrawn FROM objection o
      WHERE o.lane = s.lane AND o.person_id = s.person_id AND o.version_id = c.version_id
      ORDER BY o.at DESC, o.withdrawn LIMIT 1
  ), true)
  AND NOT EXISTS (
      SELECT FROM person p
      WHERE p.lane = s.lane AND p.person_id = s.person_id AND p.status IN ('closed', 'erased', 'suspended')
  )

-- name: next_stretch
-- lanes: none
-- A slice whose people are to be reminded or nudged now.
SELECT s.campaign_id, s.channel, s.slice
FROM slice s
JOIN steered c USING (campaign_id)
WHERE s.remind_at <= :now AND c.state IN ('sending', 'done')
ORDER BY s.remind_at, s.campaign_id, s.channel, s.slice
LIMIT 1

-- name: lock
-- lanes: none
-- Hold a slice while its people are queued; no row: somebody else has looked meanwhile.
SELECT campaign_id, channel, slice, from_lane, from_person, to_lane, to_person, reminded_at
FROM slice
WHERE campaign_id = :campaign_id AND channel = :channel AND slice = :slice AND remind_at <= :now
FOR UPDATE

-- name: queue
-- lanes: all
-- Queue a reminder for everybody in a slice for whom one became due since the last look (the latest, where there are
-- several; not for who was told less than a day before it), and a nudge for whoever left their messages unopened for too
-- long. Each has its turn once.
WITH due AS MATERIALIZED (
    SELECT o.lane, o.person_id, o.attempt, coalesce('reminder-' || r.days,
        'nudge-' || CASE WHEN o.untried AND o.unread_since + make_interval(days => nudge.days) <= :now THEN nudge.days END
    ) AS purpose
    FROM (
        @open_notices
    ) o
    CROSS JOIN LATERAL (SELECT (o.rule ->> 'nudge_unread_days')::integer AS days) nudge
    LEFT JOIN LATERAL (
        SELECT n.days
        FROM jsonb_array_elements_text(o.rule -> 'remind_days_before') AS d (days)
        CROSS JOIN LATERAL (SELECT d.days::integer AS days) n
        CROSS JOIN LATERAL (SELECT o.effective_at - make_interval(days => n.days) AS at) moment
        WHERE moment.at > :reminded_at::timestamptz AND moment.at <= :now AND o.effective_at > :now
          AND o.told_at <= moment.at - interval '1 day'
        ORDER BY n.days LIMIT 1
    ) r ON true
), queued AS (
    INSERT INTO retry (lane, person_id, campaign_id, channel, attempt, since, failures, due_at, purpose)
    SELECT lane, person_id, :campaign_id, :channel, attempt, attempt, 0, :now, purpose
    FROM due
    WHERE purpose IS NOT NULL
    ORDER BY lane, person_id
    ON CONFLICT DO NOTHING
    RETURNING lane
)
UPDATE slice SET due_at = least(due_at, :now)
WHERE campaign_id = :campaign_id AND channel = :channel AND slice = :slice AND EXISTS (SELECT FROM queued)

-- name: schedule
-- lanes: all
-- When a slice is looked at next: with the next reminder of any rule, or when the next private message in it will have been
-- unread for too long. Where none lies there, somebody may still join: one more look, as long as the version is not in effect.
UPDATE slice s SET reminded_at = :now, remind_at = least(
    (
        SELECT min(r.at) FROM (
            SELECT v.effective_at - make_interval(days => days::integer) AS at
            FROM plan p
            CROSS JOIN jsonb_array_elements_text(coalesce(p.rule, c.rule) -> 'remind_days_before') days
            WHERE p.campaign_id = c.campaign_id
        ) r WHERE r.at > :now
    ),
    coalesce((
        SELECT min(o.unread_since + make_interval(days => (o.rule ->> 'nudge_unread_days')::integer))
        FROM (
            @open_notices
        ) o
        WHERE o.untried AND o.unread_since + make_interval(days => (o.rule ->> 'nudge_unread_days')::integer) > :now
    ), CASE WHEN v.effective_at > :now THEN :now::timestamptz + make_interval(days => (
        SELECT min((coalesce(p.rule, c.rule) ->> 'nudge_unread_days')::integer)
        FROM plan p
        WHERE p.campaign_id = c.campaign_id AND p.channels && '{inbox,webhook}' AND s.channel = ANY (p.fallback)
    )) END)
)
FROM campaign c
JOIN version v ON v.version_id = c.version_id
WHERE s.campaign_id = :campaign_id AND s.channel = :channel AND s.slice = :slice AND c.campaign_id = s.campaign_id

-- name: drop_settled
-- lanes: all
-- Take reminders and nudges out of the queue whose reason went away while they waited: the person accepted, objected, left
-- or opened the message, or the version took effect.
DELETE FROM retry r
USING campaign c
JOIN version v ON v.version_id = c.version_id
WHERE r.campaign_id = :campaign_id AND r.channel = :channel AND r.purpose <> 'notice' AND c.campaign_id = r.campaign_id
  AND (r.lane, r.person_id) > (:from_lane::smallint, :from_person::uuid)
  AND (r.lane, r.person_id) <= (:to_lane::smallint, :to_person::uuid)
  AND (
      r.purpose LIKE 'reminder-%' AND v.effective_at <= :now
      OR EXISTS (
          SELECT FROM accepted a WHERE a.lane = r.lane AND a.person_id = r.person_id AND a.version_id = c.version_id
      )
      OR NOT coalesce((
          SELECT withdrawn FROM objection o
          WHERE o.lane = r.lane AND o.person_id = r.person_id AND o.version_id = c.version_id
          ORDER BY o.at DESC, o.withdrawn LIMIT 1
      ), true)
      OR EXISTS (
          SELECT FROM person p
          WHERE p.lane = r.lane AND p.person_id = r.person_id AND p.status IN ('closed', 'erased', 'suspended')
      )
      OR r.purpose LIKE 'nudge-%' AND EXISTS (
          SELECT FROM outcome o
          WHERE o.lane = r.lane AND o.person_id = r.person_id AND o.campaign_id = r.campaign_id AND o.kind = 'shown'
      )
  )

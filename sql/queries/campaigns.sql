-- Campaigns: who must be told, frozen once, with a reason for everyone who is left out.

-- fragment: considered
SELECT p.lane, p.person_id, p.country, p.roles, p.registered_at, p.registration_version,
       k.plan, k.locale, k.channels, k.overlays,
       CASE
           WHEN p.status = 'erased' THEN 'erased'
           WHEN p.status = 'closed' THEN 'closed'
           WHEN p.status = 'suspended' THEN 'suspended'
           WHEN p.status = 'dormant' AND NOT :dormant::boolean THEN 'dormant'
           WHEN p.registration_version = ANY (:labels::text[]) THEN 'registered_with_it'
           WHEN a.person_id IS NOT NULL THEN 'already_accepted'
           WHEN NOT {matches: true} THEN 'outside_rule'
           WHEN k.channels <> '{}' THEN 'in_scope'
           WHEN :by_email::boolean AND s.email_mac IS NOT NULL THEN 'suppressed'
           ELSE 'unreachable'
       END::notice_reason AS reason
FROM person p
CROSS JOIN (SELECT :given::jsonb AS given) f   -- the values of the audience's conditions
LEFT JOIN suppression s ON s.site = p.site AND s.email_mac = p.email_mac AND s.until > :now
LEFT JOIN (
    SELECT DISTINCT lane, person_id FROM ever_accepted WHERE version_id = ANY (:versions::integer[])
) a ON a.lane = p.lane AND a.person_id = p.person_id
LEFT JOIN jsonb_to_recordset(:plans::jsonb) AS k (   -- everybody has one: the notice insists on it
    plan integer, requested_locale text, preference text[], email_usable boolean, overlays integer,
    locale text, channels text[]
) ON k.requested_locale = p.locale
    AND k.preference = p.channels
    AND k.email_usable = (p.email IS NOT NULL AND s.email_mac IS NULL)
    AND k.overlays = {overlays: 0}
WHERE p.site = :site

-- fragment: known
SELECT lane, person_id, max(rank) AS rank
FROM (
    SELECT o.lane, o.person_id, c.rank
    FROM outcome o
    JOIN unnest(:earlier_campaigns::integer[], :campaign_ranks::integer[]) AS c (campaign_id, rank) USING (campaign_id)
    WHERE o.kind IN ('accepted_by_relay', 'accepted_by_recipient', 'placed', 'shown', 'acknowledged', 'complained')
      AND NOT EXISTS (   -- as in the view reached: an attempt that failed told nobody
          SELECT FROM outcome f
          WHERE f.lane = o.lane AND f.person_id = o.person_id AND f.campaign_id = o.campaign_id
            AND f.channel = o.channel AND f.attempt = o.attempt
            AND f.kind IN ('refused', 'bounced', 'expired', 'withheld')
      )
    UNION ALL
    SELECT n.lane, n.person_id, c.rank
    FROM notice n
    JOIN unnest(:earlier_campaigns, :campaign_ranks) AS c (campaign_id, rank) USING (campaign_id)
    JOIN campaign i ON i.campaign_id = n.campaign_id AND i.inbox_at IS NOT NULL
    JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan AND 'inbox' = ANY (p.channels) AND NOT p.late
    WHERE n.campaign_id = ANY (:earlier_campaigns) AND n.reason = 'in_scope'
    UNION ALL
    SELECT a.lane, a.person_id, array_position(:earlier::integer[], a.version_id)
    FROM accepted a
    WHERE a.version_id = ANY (:earlier)
) told_or_accepted
GROUP BY lane, person_id

-- fragment: asked
SELECT lane, person_id, :campaign_id::integer AS campaign_id, reason, plan,
       (:earlier::integer[])[greatest(known.rank, coalesce(
           array_position(:earlier_labels::text[], registration_version),
           (:in_force::integer[])[1 + width_bucket(registered_at, :in_force_from::timestamptz[])]
       ))] AS since
FROM (
    @considered
) considered
LEFT JOIN (
    @known
) known USING (lane, person_id)

-- fragment: reached
SELECT p.lane, p.person_id, p.country, p.roles, k.plan, k.locale, k.channels, k.overlays,
       CASE
           WHEN r.person_id IS NULL THEN 'not_reached'
           WHEN p.status = 'erased' THEN 'erased'
           WHEN p.status = 'closed' THEN 'closed'
           WHEN p.status = 'suspended' THEN 'suspended'
           WHEN k.channels <> '{}' THEN 'in_scope'
           WHEN :by_email::boolean AND s.email_mac IS NOT NULL THEN 'suppressed'
           ELSE 'unreachable'
       END::notice_reason AS reason
FROM person p
CROSS JOIN (SELECT :given::jsonb AS given) f   -- the values of the audience's conditions
LEFT JOIN suppression s ON s.site = p.site AND s.email_mac = p.email_mac AND s.until > :now
LEFT JOIN (
    -- Whose letter is of unknown fate may have got the wrong one.
    SELECT s.lane, s.person_id
    FROM standing s
    WHERE s.campaign_id = :corrects AND (s.status IN ('told', 'too_little_evidence') OR EXISTS (
        SELECT FROM outcome u
        WHERE u.lane = s.lane AND u.person_id = s.person_id AND u.campaign_id = :corrects AND u.kind = 'unknown'
          AND NOT EXISTS (
              SELECT FROM outcome f
              WHERE f.lane = u.lane AND f.person_id = u.person_id AND f.campaign_id = u.campaign_id
                AND f.channel = u.channel AND f.attempt = u.attempt AND f.kind IN ('refused', 'bounced')
          )
    ))
) r ON r.lane = p.lane AND r.person_id = p.person_id
LEFT JOIN jsonb_to_recordset(:plans::jsonb) AS k (   -- as above
    plan integer, requested_locale text, preference text[], email_usable boolean, overlays integer,
    locale text, channels text[]
) ON k.requested_locale = p.locale
    AND k.preference = p.channels
    AND k.email_usable = (p.email IS NOT NULL AND s.email_mac IS NULL)
    AND k.overlays = {overlays: 0}
WHERE p.site = :site

-- fragment: counted
SELECT 'reason' AS dimension, reason::text AS value, reason::text, count(*) FROM considered GROUP BY reason
UNION ALL
SELECT 'country', country, reason::text, count(*) FROM considered GROUP BY country, reason
UNION ALL
SELECT 'role', role, reason::text, count(*)
FROM considered, unnest(CASE WHEN roles = '{}' THEN '{""}' ELSE roles END) AS role
GROUP BY role, reason
UNION ALL
SELECT 'locale', locale, reason::text, count(*) FROM considered GROUP BY locale, reason
UNION ALL
SELECT 'channel', channel, reason::text, count(*)
FROM considered, unnest(CASE WHEN channels = '{}' THEN '{""}' ELSE channels END) AS channel
WHERE reason IN ('in_scope', 'unreachable', 'suppressed')
GROUP BY channel, reason
UNION ALL
SELECT 'overlays', overlays::text, reason::text, count(*) FROM considered GROUP BY overlays, reason
ORDER BY 1, 4 DESC, 2, 3

-- name: preview
-- lanes: all
-- Counts of who would be told and why others not, by reason, country, role, locale and channel.
WITH considered AS MATERIALIZED (
    @considered
)
@counted

-- name: preview_correction
-- lanes: all
-- The same counts of a correction: whom the notice that it corrects had reached, and nobody else.
WITH considered AS MATERIALIZED (
    @reached
)
@counted

-- name: preview_frozen
-- lanes: all
-- The same counts of an audience that is frozen.
WITH considered AS MATERIALIZED (
    SELECT coalesce(person.country, '') AS country, coalesce(person.roles, '{}') AS roles,
           plan.locale, plan.channels, plan.overlays, notice.reason
    FROM notice
    JOIN plan USING (campaign_id, plan)
    LEFT JOIN person USING (lane, person_id)
    WHERE notice.campaign_id = :campaign_id
)
@counted

-- name: freeze
-- lanes: all
-- A notice for every person of the site: the promise, or the reason, and the version that they last knew. In key order:
-- so it is read when it is sent.
@asked
ORDER BY int2send(lane) || uuid_send(person_id)   -- the order of the key; one string of bytes is sorted faster

-- name: freeze_correction
-- lanes: all
-- A notice for every person of the site: the promise to correct what reached them, or the reason.
SELECT lane, person_id, :campaign_id::integer AS campaign_id, reason, plan, NULL::integer AS since
FROM (
    @reached
) considered
ORDER BY int2send(lane) || uuid_send(person_id)

-- name: kinds
-- lanes: all
-- The kinds of people there are, as far as telling them goes.
SELECT DISTINCT p.locale, p.channels, p.email IS NOT NULL AND s.email_mac IS NULL AS email_usable,
       {overlays: 0} AS overlays
FROM person p
CROSS JOIN (SELECT :given::jsonb AS given) f
LEFT JOIN suppression s ON s.site = p.site AND s.email_mac = p.email_mac AND s.until > :now
WHERE p.site = :site

-- name: text_locales
-- lanes: none
-- The locales that a version has a text in.
SELECT locale FROM version_text WHERE version_id = :version_id ORDER BY locale

-- name: this_or_newer
-- lanes: none
-- A version and the published ones of its policy that came after it.
SELECT newer.version_id, newer.label
FROM version this
JOIN version newer ON newer.site = this.site AND newer.policy = this.policy AND newer.ordinal >= this.ordinal
WHERE this.version_id = :version_id

-- name: earlier
-- lanes: none
-- The published versions of a policy before one of them, in order, each with the campaign that told of it.
SELECT old.version_id, old.label, old.effective_at, c.campaign_id
FROM version this
JOIN version old ON old.site = this.site AND old.policy = this.policy AND old.ordinal < this.ordinal
LEFT JOIN campaign c ON c.version_id = old.version_id AND c.corrects IS NULL AND c.opened_at IS NOT NULL
WHERE this.version_id = :version_id
ORDER BY old.ordinal

-- name: note_changed
-- lanes: none
-- For each version that some of a frozen audience last knew, the locales in which it can be compared with the new one.
INSERT INTO changed (campaign_id, since, locale)
SELECT :campaign_id, knew.since, new.locale
FROM unnest(:since::integer[]) AS knew (since)
JOIN version_text new ON new.version_id = :version_id
JOIN version_text old ON old.version_id = knew.since AND old.locale = new.locale
ON CONFLICT DO NOTHING

-- name: name_companions
-- lanes: all
-- Of the people of a frozen audience who share an address, and whose letters would say the same, the first is written to;
-- the others are told by that letter. What their plan has besides is queued for them, as nobody walks through it.
WITH sharing AS (
    SELECT n.lane, n.person_id, first_value(n.lane) OVER mailbox AS lead_lane,
           first_value(n.person_id) OVER mailbox AS lead_person, k.channels
    FROM notice n
    JOIN plan k ON k.campaign_id = n.campaign_id AND k.plan = n.plan AND 'email' = ANY (k.channels)
    JOIN person p ON p.lane = n.lane AND p.person_id = n.person_id
    WHERE n.campaign_id = :campaign_id AND n.reason = 'in_scope'
    WINDOW mailbox AS (PARTITION BY p.email_mac, p.email, n.plan, n.since, p.time_zone ORDER BY n.lane, n.person_id)
), named AS (
    INSERT INTO companion (lane, person_id, campaign_id, lead_lane, lead_person)
    SELECT lane, person_id, :campaign_id, lead_lane, lead_person FROM sharing
    WHERE (lane, person_id) <> (lead_lane, lead_person)
    ORDER BY lane, person_id
    RETURNING lane, person_id
), queued AS (
    INSERT INTO retry (lane, person_id, campaign_id, channel, attempt, failures, due_at)
    SELECT s.lane, s.person_id, :campaign_id, channel, 1, 0, :now::timestamptz
    FROM sharing s CROSS JOIN unnest(s.channels) AS channel
    WHERE (s.lane, s.person_id) <> (s.lead_lane, s.lead_person) AND channel <> 'email'
)
UPDATE notice n SET plan = n.plan + :beyond::integer
FROM named c
WHERE n.campaign_id = :campaign_id AND n.lane = c.lane AND n.person_id = c.person_id

-- name: plans_of_companions
-- lanes: none
-- The plans of a frozen audience once more, for companions: nobody walks through them.
INSERT INTO plan (campaign_id, plan, requested_locale, preference, email_usable, overlays, rule, locale, channels, fallback, late)
SELECT campaign_id, plan + :beyond::integer, requested_locale, preference, email_usable, overlays, rule, locale, channels,
       fallback, true
FROM plan
WHERE campaign_id = :campaign_id AND 'email' = ANY (channels)

-- name: wake_queued
-- lanes: none
-- Slices with somebody in their queue from the start.
UPDATE slice s SET due_at = least(s.due_at, :now::timestamptz)
WHERE s.campaign_id = :campaign_id AND EXISTS (
    SELECT FROM retry r
    WHERE r.campaign_id = s.campaign_id AND r.channel = s.channel
      AND (r.lane, r.person_id) > (s.from_lane, s.from_person) AND (r.lane, r.person_id) <= (s.to_lane, s.to_person)
)

-- name: cut_slices
-- lanes: all
-- Slices (from, to] of :size notices each for one channel; together they cover every key. Where the channel is only a
-- fallback there is nothing to walk through: these slices wait for failures elsewhere. No slice reaches over the end of a
-- stage.
WITH RECURSIVE told AS NOT MATERIALIZED (
    SELECT lane, person_id
    FROM notice
    WHERE campaign_id = :campaign_id AND reason = 'in_scope' AND plan = ANY (ARRAY(
        SELECT p.plan FROM plan p
        WHERE p.campaign_id = :campaign_id
          AND :channel::text = ANY (CASE WHEN :fallback::boolean THEN p.fallback ELSE p.channels END)
    ))
), stride AS (
    -- Along the key from one slice's last notice to the next one's, as long as there is another behind it.
    SELECT -1::smallint AS lane, '00000000-0000-0000-0000-000000000000'::uuid AS person_id
    UNION ALL
    SELECT last.lane, last.person_id
    FROM stride
    CROSS JOIN LATERAL (
        SELECT lane, person_id
        FROM (
            SELECT lane, person_id FROM told
            WHERE (lane, person_id) > (stride.lane, stride.person_id)
            ORDER BY lane, person_id
            OFFSET :size::integer - 1 LIMIT 2
        ) and_the_one_behind
        ORDER BY lane DESC, person_id DESC
        OFFSET 1
    ) last
), bounds AS (
    SELECT lane, person_id FROM stride
    UNION
    SELECT lane, person_id FROM unnest(:end_lanes::smallint[], :end_people::uuid[]) AS stage_end (lane, person_id)
), cut AS (
    SELECT row_number() OVER by_key AS slice, lane AS from_lane, person_id AS from_person,
           lead(lane, 1, 1024::smallint) OVER by_key AS to_lane,
           lead(person_id, 1, 'ffffffff-ffff-ffff-ffff-ffffffffffff') OVER by_key AS to_person
    FROM bounds
    WINDOW by_key AS (ORDER BY lane, person_id)
)
INSERT INTO slice (campaign_id, channel, slice, stage, from_lane, from_person, to_lane, to_person,
                   cursor_lane, cursor_person, due_at)
SELECT :campaign_id, :channel, slice, 1 + (
           SELECT count(*) FROM unnest(:end_lanes, :end_people) AS stage_end (lane, person_id)
           WHERE (stage_end.lane, stage_end.person_id) < (cut.to_lane, cut.to_person)
       ), from_lane, from_person, to_lane, to_person,
       CASE WHEN :fallback THEN to_lane ELSE from_lane END, CASE WHEN :fallback THEN to_person ELSE from_person END,
       CASE WHEN NOT :fallback THEN :now::timestamptz END
FROM cut

-- name: sent_to
-- lanes: all
-- How many people of a frozen audience something is sent to, and how many have a private message to read.
SELECT count(*) FILTER (WHERE p.sent) AS sent, count(*) FILTER (WHERE p.read) AS read
FROM notice n
JOIN (
    SELECT plan, EXISTS (SELECT FROM unnest(channels) c WHERE c <> :read) AS sent, :read = ANY (channels) AS read
    FROM plan WHERE campaign_id = :campaign_id
) p USING (plan)
WHERE n.campaign_id = :campaign_id AND n.reason = 'in_scope'

-- name: nth
-- lanes: all
-- The keys of the first, second, … (as :ends says) of the people that something is sent to, in key order.
WITH sent AS (
    SELECT n.lane, n.person_id
    FROM notice n
    JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan
    WHERE n.campaign_id = :campaign_id AND n.reason = 'in_scope'
      AND EXISTS (SELECT FROM unnest(p.channels) c WHERE c <> :read)
    ORDER BY n.lane, n.person_id
    LIMIT (SELECT max(e) FROM unnest(:ends::bigint[]) e)
)
SELECT lane, person_id
FROM (SELECT lane, person_id, row_number() OVER (ORDER BY lane, person_id) AS number FROM sent) numbered
WHERE number = ANY (:ends)
ORDER BY lane, person_id

-- name: look_for_unread
-- lanes: none
-- Who reads no private message of the plan is told by the next channel: its slices are looked at when that is due. What
-- is sent sets this itself when a lease ends; nothing is sent here.
UPDATE slice s SET
    second_at = least(s.second_at, :now::timestamptz + make_interval(hours => unread.evidence_hours))
FROM (
    SELECT f.channel, min((coalesce(p.rule, c.rule) ->> 'evidence_hours')::integer) AS evidence_hours
    FROM campaign c
    JOIN plan p USING (campaign_id)
    CROSS JOIN unnest(p.fallback) AS f (channel)
    WHERE c.campaign_id = :campaign_id AND 'inbox' = ANY (p.channels)
      AND NOT message_suffices(coalesce(p.rule, c.rule))
    GROUP BY f.channel
) unread
WHERE s.campaign_id = :campaign_id AND s.channel = unread.channel

-- name: version
-- lanes: none
-- What a published version asks for.
SELECT policy, materiality::text AS materiality, flags FROM version WHERE version_id = :version_id AND state = 'published'

-- name: create
-- lanes: none
-- A planned campaign, unless the version has one.
INSERT INTO campaign (site, version_id, rule, overlays, safety, created_at)
VALUES (:site, :version_id, :rule, :overlays, :safety, :now)
ON CONFLICT (version_id) WHERE corrects IS NULL DO NOTHING
RETURNING campaign_id

-- name: correction
-- lanes: none
-- The same correction of the same campaign, unless it was cancelled.
SELECT campaign_id FROM campaign
WHERE corrects = :corrects AND words = :words::jsonb AND state <> 'cancelled'
ORDER BY campaign_id LIMIT 1

-- name: create_correction
-- lanes: none
-- A planned correction of what a campaign said, by the same rule.
INSERT INTO campaign (site, version_id, corrects, words, rule, overlays, safety, created_at)
SELECT site, version_id, campaign_id, :words::jsonb, rule, overlays, :safety::jsonb, :now FROM campaign WHERE campaign_id = :corrects
RETURNING campaign_id

-- fragment: campaign
SELECT c.campaign_id, c.site, c.version_id, v.policy, v.label, c.state::text AS state, c.rule, c.overlays, c.safety, c.created_at,
       c.frozen_at, c.opened_at, c.stage, c.stages, c.held_at, c.inbox_at, c.closed_at, v.published_at, v.effective_at,
       c.frozen, c.superseded_by, c.corrects, c.words, (
           -- Letters name the site as it was last applied: what was approved before is approved again.
           SELECT coalesce(array_agg(e.actor ORDER BY e.at), '{}')
           FROM campaign_event e
           JOIN site ON site.site = c.site
           WHERE e.campaign_id = c.campaign_id AND e.action = 'approve'
             AND (c.state <> 'planned' OR e.at >= site.applied_at)
       ) AS approved_by, EXISTS (
           SELECT FROM campaign_event e
           JOIN site ON site.site = c.site
           WHERE e.campaign_id = c.campaign_id AND e.action = 'test_sent' AND e.at >= site.applied_at
       ) AS tested
FROM campaign c
JOIN version v USING (version_id)

-- name: one
-- lanes: none
-- One campaign with the version it tells of.
@campaign
WHERE c.campaign_id = :campaign_id

-- name: of_site
-- lanes: none
-- A site's campaigns, the newest first.
@campaign
WHERE c.site = :site
ORDER BY c.campaign_id DESC

-- name: of_version
-- lanes: none
-- The campaign that tells of a version.
SELECT campaign_id FROM campaign WHERE version_id = :version_id AND corrects IS NULL

-- name: next_approved
-- lanes: none
-- An approved campaign that nobody is freezing, of a site that may send. A correction waits while what it corrects is
-- still being sent, and until all that was under way is on record: whom it reached is settled here.
SELECT c.campaign_id
FROM campaign c
WHERE c.state = 'approved' AND NOT EXISTS (SELECT FROM stopped WHERE stopped.site = c.site)
  AND NOT EXISTS (SELECT FROM campaign sent WHERE sent.campaign_id = c.corrects AND sent.state = 'sending')
  AND NOT EXISTS (SELECT FROM slice s WHERE s.campaign_id = c.corrects AND s.leased_until IS NOT NULL)
  AND NOT EXISTS (   -- accounts of a mailbox whose letter's fate is known and not yet on their own record
      SELECT
      FROM companion m
      JOIN outcome o ON o.lane = m.lead_lane AND o.person_id = m.lead_person AND o.campaign_id = m.campaign_id
      WHERE m.campaign_id = c.corrects AND m.settled_at IS NULL
        AND o.channel = 'email' AND o.kind NOT IN ('deferred', 'unknown')
  )
ORDER BY c.campaign_id
FOR UPDATE OF c SKIP LOCKED
LIMIT 1

-- name: counted
-- lanes: all
-- How many of a frozen audience have each reason and last knew each version. Asked once, as several processes can answer.
SELECT reason, since, count(*) FROM notice WHERE campaign_id = :campaign_id GROUP BY reason, since

-- name: open
-- lanes: none
-- The audience is frozen and its counts are kept: sending begins. Who came while it was being frozen is looked for soon.
UPDATE campaign SET state = 'sending', frozen_at = :now, opened_at = :now, stages = :stages::integer,
    reconcile_at = CASE WHEN corrects IS NULL THEN :now::timestamptz + interval '1 hour' END,
    inbox_at = CASE WHEN :stages = 1 THEN :now::timestamptz END, frozen = :frozen
WHERE campaign_id = :campaign_id

-- name: hold_corrected
-- lanes: none
-- Nobody takes up a slice of what a correction corrects until it is open.
SELECT FROM slice WHERE campaign_id = :corrects ORDER BY channel, slice FOR UPDATE

-- name: amended_by
-- lanes: none
-- The correction whose words the letters of a campaign say from now on.
SELECT max(campaign_id) FROM campaign WHERE corrects = :campaign_id AND opened_at IS NOT NULL

-- name: correction_waiting
-- lanes: none
-- A correction of a campaign that is planned and not yet open.
SELECT min(campaign_id) FROM campaign WHERE corrects = :campaign_id AND state IN ('planned', 'approved')

-- name: tell_the_rest
-- lanes: none
-- What a correction that opens corrects was held for it: it goes on, and tells the rest with the right words.
WITH corrected AS (
    UPDATE campaign c SET state = 'sending', tallied = now.tallies, lately = jsonb_build_array(now.tallies, now.tallies)
    FROM (SELECT c.campaign_id, (
        @tallies
    ) AS tallies FROM campaign c JOIN campaign this ON this.corrects = c.campaign_id WHERE this.campaign_id = :campaign_id) now
    WHERE c.campaign_id = now.campaign_id AND c.state = 'paused'
    RETURNING c.campaign_id
)
INSERT INTO campaign_event (campaign_id, at, actor, action, detail)
SELECT campaign_id, :now, 'notifier', 'amended', jsonb_build_object('correction', :campaign_id::integer) FROM corrected

-- name: supersede_older
-- lanes: none
-- Campaigns about older versions of the same policy tell nobody further. One that is done stays so, and answers no late
-- bounce by another channel. Corrections end nothing and are ended by nothing: what they correct was said.
WITH older AS (
    UPDATE campaign c SET
        superseded_by = :campaign_id,
        state = CASE c.state WHEN 'done' THEN c.state ELSE 'superseded' END,
        closed_at = CASE c.state WHEN 'done' THEN c.closed_at ELSE :now END
    FROM version old, campaign this JOIN version new ON new.version_id = this.version_id
    WHERE this.campaign_id = :campaign_id AND this.corrects IS NULL
      AND c.corrects IS NULL AND old.version_id = c.version_id
      AND old.site = new.site AND old.policy = new.policy AND old.ordinal < new.ordinal
      AND c.state IN ('planned', 'approved', 'sending', 'paused', 'done') AND c.superseded_by IS NULL
    RETURNING c.campaign_id
)
INSERT INTO campaign_event (campaign_id, at, actor, action, reason)
SELECT campaign_id, :now, 'notifier', 'superseded', 'a newer version is being told' FROM older

-- name: lock
-- lanes: none
-- Hold a campaign while somebody decides about it: whoever else wants to waits, and then sees what was decided.
SELECT FROM campaign WHERE campaign_id = :campaign_id FOR NO KEY UPDATE

-- name: step
-- lanes: none
-- Move a campaign that is held to another state.
UPDATE campaign SET state = :state::campaign_state,
    closed_at = CASE WHEN :state::text = 'cancelled' THEN :now::timestamptz END
WHERE campaign_id = :campaign_id

-- name: record_event
-- lanes: none
-- Append to a campaign's history. Two steps in one instant keep their order by a microsecond.
INSERT INTO campaign_event (campaign_id, at, actor, action, reason, detail)
SELECT :campaign_id, greatest(:now, max(at) + interval '1 microsecond'), :actor, :action, :reason, :detail
FROM campaign_event WHERE campaign_id = :campaign_id

-- name: events
-- lanes: none
-- A campaign's history.
SELECT at, actor, action, reason, detail FROM campaign_event WHERE campaign_id = :campaign_id ORDER BY at

-- name: close_finished
-- lanes: none
-- Campaigns whose slices have nothing left to do and nobody left to look for are done.
WITH finished AS (
    UPDATE campaign c SET state = 'done', closed_at = :now
    WHERE c.state = 'sending' AND c.stage = c.stages
      AND NOT EXISTS (SELECT FROM stopped WHERE stopped.site = c.site)
      AND NOT EXISTS (
          SELECT FROM slice s
          WHERE s.campaign_id = c.campaign_id AND (s.due_at IS NOT NULL OR s.second_at IS NOT NULL OR s.unsure > 0)
      )
      AND NOT EXISTS (SELECT FROM companion w WHERE w.campaign_id = c.campaign_id AND w.settled_at IS NULL)
    RETURNING c.campaign_id
)
INSERT INTO campaign_event (campaign_id, at, actor, action)
SELECT campaign_id, :now, 'notifier', 'done' FROM finished

-- name: hold_stages
-- lanes: all
-- Stages that were handed over are held, with the next one waiting: every planned letter was tried, and one at least says
-- something of the list or of the content, unless nobody is left to try. Who is queued without a try (asleep, behind a
-- limit, held back as no relay took letters) is waited for; whose fate is unknown, or who fell back, was tried. Each slice
-- is looked at by its keys, as far as the first that is looked for: the tables hold other campaigns too.
WITH walked AS MATERIALIZED (
    SELECT c.campaign_id, c.stage
    FROM campaign c
    WHERE c.state = 'sending' AND c.stage < c.stages AND c.held_at IS NULL
      AND NOT EXISTS (SELECT FROM stopped WHERE stopped.site = c.site)
      AND NOT EXISTS (
          SELECT FROM slice s
          WHERE s.campaign_id = c.campaign_id AND s.stage <= c.stage
            AND (s.cursor_lane, s.cursor_person) < (s.to_lane, s.to_person)
      )
), tried AS MATERIALIZED (
    SELECT w.campaign_id, w.stage
    FROM walked w
    WHERE NOT EXISTS (
        SELECT FROM slice s
        CROSS JOIN LATERAL (
            SELECT FROM retry r
            JOIN notice n ON n.lane = r.lane AND n.person_id = r.person_id AND n.campaign_id = r.campaign_id
            JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan AND r.channel = ANY (p.channels) AND NOT p.late
            WHERE r.campaign_id = s.campaign_id AND r.channel = s.channel AND r.failures = 0
              AND (r.lane, r.person_id) > (s.from_lane, s.from_person) AND (r.lane, r.person_id) <= (s.to_lane, s.to_person)
              AND NOT EXISTS (
                  SELECT FROM outcome o
                  WHERE o.lane = r.lane AND o.person_id = r.person_id AND o.campaign_id = r.campaign_id
                    AND o.channel = r.channel AND NOT (o.kind = 'deferred' AND o.class = 'held')
              )
            ORDER BY r.lane, r.person_id LIMIT 1
        ) untried
        WHERE s.campaign_id = w.campaign_id AND s.stage <= w.stage
    )
), told AS MATERIALIZED (
    SELECT t.campaign_id, t.stage
    FROM tried t
    WHERE EXISTS (    -- what the breaker counts (notifier/campaigns/breaker.py)
        SELECT FROM slice s
        CROSS JOIN LATERAL (
            SELECT FROM outcome o
            WHERE o.campaign_id = s.campaign_id AND o.channel = s.channel
              AND (o.lane, o.person_id) > (s.from_lane, s.from_person) AND (o.lane, o.person_id) <= (s.to_lane, s.to_person)
              AND CASE o.kind WHEN 'deferred' THEN o.class IN ('greylisted', 'mailbox_full', 'content')
                  ELSE o.kind NOT IN ('unknown', 'withheld') END
            ORDER BY o.lane, o.person_id LIMIT 1
        ) answer
        WHERE s.campaign_id = t.campaign_id AND s.stage = t.stage
    ) OR NOT EXISTS (
        SELECT FROM slice s
        CROSS JOIN LATERAL (
            SELECT FROM retry r
            WHERE r.campaign_id = s.campaign_id AND r.channel = s.channel
              AND (r.lane, r.person_id) > (s.from_lane, s.from_person) AND (r.lane, r.person_id) <= (s.to_lane, s.to_person)
            ORDER BY r.lane, r.person_id LIMIT 1
        ) waiting
        WHERE s.campaign_id = t.campaign_id AND s.stage = t.stage
    )
), held AS (
    UPDATE campaign c SET held_at = :now
    FROM told t
    WHERE c.campaign_id = t.campaign_id AND c.stage = t.stage AND c.state = 'sending' AND c.held_at IS NULL
    RETURNING c.campaign_id, c.stage, c.stages
)
INSERT INTO campaign_event (campaign_id, at, actor, action, detail)
SELECT campaign_id, :now, 'notifier', 'held', jsonb_build_object('stage', stage, 'stages', stages) FROM held

-- name: held
-- lanes: none
-- Campaigns that hold a stage and go on by themselves.
SELECT c.campaign_id
FROM campaign c
WHERE c.state = 'sending' AND c.safety -> 'canary' ->> 'go_on' = 'by_itself'
  AND c.held_at + make_interval(mins => (c.safety -> 'canary' ->> 'hold')::integer) <= :now
  AND NOT EXISTS (SELECT FROM stopped WHERE stopped.site = c.site)

-- name: look_for_reminders
-- lanes: none
-- When the slices of a campaign are to be looked at for the first time: with the first reminder that is still to come under
-- any of its rules, or when the first private message may have been unread for too long. Corrections remind nobody.
UPDATE slice s SET reminded_at = :now, remind_at = least(
    (
        SELECT min(r.at) FROM (
            SELECT v.effective_at - make_interval(days => days::integer) AS at
            FROM plan p
            CROSS JOIN jsonb_array_elements_text(coalesce(p.rule, c.rule) -> 'remind_days_before') days
            WHERE p.campaign_id = c.campaign_id
        ) r WHERE r.at > :now
    ),
    :now::timestamptz + make_interval(days => (
        SELECT min((coalesce(p.rule, c.rule) ->> 'nudge_unread_days')::integer)
        FROM plan p
        WHERE p.campaign_id = c.campaign_id AND p.channels && '{inbox,webhook}' AND s.channel = ANY (p.fallback)
    ))
)
FROM campaign c
JOIN version v ON v.version_id = c.version_id
WHERE c.campaign_id = :campaign_id AND s.campaign_id = c.campaign_id AND c.corrects IS NULL AND s.channel <> 'inbox'

-- name: next_stage
-- lanes: none
-- Let the next stage of a campaign be claimed; with the last one private messages become visible.
UPDATE campaign SET stage = stage + 1, held_at = NULL,
    inbox_at = CASE WHEN stage + 1 = stages THEN :now::timestamptz END
WHERE campaign_id = :campaign_id

-- fragment: tallies
SELECT coalesce(jsonb_agg(jsonb_build_object('channel', channel, 'kind', kind, 'class_', class, 'count', total)), '[]')
FROM (
    SELECT channel, kind, class, sum(count) AS total
    FROM progress p
    WHERE p.campaign_id = c.campaign_id
    GROUP BY channel, kind, class
) counted

-- name: watched
-- lanes: none
-- Campaigns that are being sent (all, or one), with their counters now and at the last resume, and their site's limits. A
-- letter may bounce before we record that it was taken over: so those that are out are told as well.
SELECT c.campaign_id, c.site, site.settings -> 'breaker' AS limits, c.tallied, c.lately, (
    @tallies
) || (
    SELECT coalesce(jsonb_agg(jsonb_build_object('channel', channel, 'kind', 'under_way', 'class_', '', 'count', total)), '[]')
    FROM (
        SELECT channel, sum(cardinality(lanes)) AS total FROM under_way w WHERE w.campaign_id = c.campaign_id GROUP BY channel
    ) out
) AS tallies
FROM campaign c
JOIN site USING (site)
WHERE c.state = 'sending' AND (:campaign_id::integer IS NULL OR c.campaign_id = :campaign_id)
  AND NOT EXISTS (SELECT FROM stopped WHERE stopped.site = c.site)

-- name: tally_from_here
-- lanes: none
-- What is counted by now is no concern of the breaker any more.
UPDATE campaign c SET tallied = now.tallies, lately = jsonb_build_array(now.tallies, now.tallies)
FROM (SELECT (
    @tallies
) AS tallies FROM campaign c WHERE c.campaign_id = :campaign_id) now
WHERE c.campaign_id = :campaign_id

-- name: look_on
-- lanes: none
-- From here on is lately, and what was lately before is kept beside it. Of two who say so at once, one does.
UPDATE campaign SET lately = :lately WHERE campaign_id = :campaign_id AND lately = :was

-- name: arrivals
-- lanes: all
-- Some people who came, came back or have another address since somebody looked.
SELECT lane, person_id, site, mark FROM arrival ORDER BY lane, person_id LIMIT :most

-- name: joinable
-- lanes: none
-- The campaigns of a site whose audience somebody may still join: frozen, or just being frozen.
SELECT campaign_id FROM campaign
WHERE site = :site AND corrects IS NULL AND superseded_by IS NULL AND state IN ('approved', 'sending', 'paused', 'done')
ORDER BY campaign_id

-- name: kinds_of
-- lanes: all
-- The kinds of some people, as far as telling them goes.
SELECT DISTINCT p.locale, p.channels, p.email IS NOT NULL AND s.email_mac IS NULL AS email_usable,
       {overlays: 0} AS overlays
FROM unnest(:lanes::smallint[], :people::uuid[]) AS a (lane, person_id)
JOIN person p ON p.lane = a.lane AND p.person_id = a.person_id
CROSS JOIN (SELECT :given::jsonb AS given) f
LEFT JOIN suppression s ON s.site = p.site AND s.email_mac = p.email_mac AND s.until > :now

-- name: plans
-- lanes: none
-- The plans of a campaign.
SELECT plan, requested_locale, preference, email_usable, locale, channels, fallback, overlays, late FROM plan
WHERE campaign_id = :campaign_id
ORDER BY plan

-- name: join_slices
-- lanes: none
-- Slices for the channels by which somebody who joins is told and nobody was: nothing to walk through, only who is queued.
INSERT INTO slice (campaign_id, channel, slice, stage, from_lane, from_person, to_lane, to_person,
                   cursor_lane, cursor_person)
SELECT DISTINCT c.campaign_id, channel, 1, c.stages, (-1)::smallint, '00000000-0000-0000-0000-000000000000'::uuid,
       1024::smallint, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid,
       1024::smallint, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
FROM campaign c
JOIN plan p ON p.campaign_id = c.campaign_id AND p.late
CROSS JOIN unnest(p.channels || p.fallback) AS channel
WHERE c.campaign_id = :campaign_id
  AND NOT EXISTS (SELECT FROM slice s WHERE s.campaign_id = c.campaign_id AND s.channel = channel.channel)

-- name: lock_slices
-- lanes: none
-- Lock the slices that some people lie in, in the order in which everybody locks slices.
SELECT FROM slice s
WHERE s.campaign_id = :campaign_id AND EXISTS (
    SELECT FROM unnest(:lanes::smallint[], :people::uuid[]) AS a (lane, person_id)
    WHERE (a.lane, a.person_id) > (s.from_lane, s.from_person) AND (a.lane, a.person_id) <= (s.to_lane, s.to_person)
)
ORDER BY s.channel, s.slice
FOR UPDATE

-- name: join
-- lanes: all
-- What the freeze asked of everybody, asked of some people alone: what hides the tables holds only theirs (OFFSET has it
-- looked up by key, else whole tables are hashed for one person). Those join who have no notice and registered before the
-- version takes effect, who were left out for an account that is open again, and whom nothing reached and who came back or
-- have another address since. Their notices are written, what stood there before, and what is to be tried; and the slices
-- that they lie in are woken.
WITH considered AS MATERIALIZED (
    WITH person AS MATERIALIZED (
        SELECT q.*
        FROM unnest(:lanes::smallint[], :people::uuid[]) AS a (lane, person_id)
        JOIN person q ON q.lane = a.lane AND q.person_id = a.person_id
    ), outcome AS MATERIALIZED (
        SELECT x.* FROM person p CROSS JOIN LATERAL (
            SELECT * FROM outcome y WHERE y.lane = p.lane AND y.person_id = p.person_id OFFSET 0
        ) x
    ), notice AS MATERIALIZED (
        SELECT x.* FROM person p CROSS JOIN LATERAL (
            SELECT * FROM notice y WHERE y.lane = p.lane AND y.person_id = p.person_id OFFSET 0
        ) x
    ), accepted AS MATERIALIZED (
        SELECT x.* FROM person p CROSS JOIN LATERAL (
            SELECT * FROM accepted y WHERE y.lane = p.lane AND y.person_id = p.person_id OFFSET 0
        ) x
    ), ever_accepted AS MATERIALIZED (
        SELECT x.* FROM person p CROSS JOIN LATERAL (
            SELECT * FROM ever_accepted y WHERE y.lane = p.lane AND y.person_id = p.person_id OFFSET 0
        ) x
    )
    @asked
), joining AS MATERIALIZED (
    SELECT c.lane, c.person_id, n.reason AS was,
           CASE WHEN n.reason = 'in_scope' THEN n.reason ELSE c.reason END AS reason,
           CASE WHEN n.reason = 'in_scope' THEN n.plan ELSE c.plan END AS plan, c.since,
           CASE WHEN n.reason IS NULL THEN 'registered'
                WHEN n.reason IN ('suspended', 'closed', 'dormant') OR tried.withheld THEN 'restored'
                ELSE 'new_address'
           END AS why
    FROM considered c
    JOIN person p ON p.lane = c.lane AND p.person_id = c.person_id
    LEFT JOIN notice n ON n.lane = c.lane AND n.person_id = c.person_id AND n.campaign_id = :campaign_id
    LEFT JOIN LATERAL (
        SELECT status FROM standing s
        WHERE s.lane = c.lane AND s.person_id = c.person_id AND s.campaign_id = :campaign_id
    ) stands ON n.reason IN ('in_scope', 'unreachable', 'suppressed')
    LEFT JOIN LATERAL (
        SELECT bool_or(kind = 'withheld') AS withheld FROM outcome o
        WHERE o.lane = c.lane AND o.person_id = c.person_id AND o.campaign_id = :campaign_id
    ) tried ON n.reason = 'in_scope'
    WHERE CASE
        WHEN n.reason IS NULL THEN p.registered_at < :effective_at::timestamptz
        WHEN n.reason IN ('suspended', 'closed', 'dormant')
            THEN c.reason NOT IN ('suspended', 'closed', 'dormant', 'erased')
        WHEN n.reason IN ('unreachable', 'suppressed') THEN c.reason = 'in_scope' AND stands.status <> 'told'
        ELSE n.reason = 'in_scope' AND c.reason = 'in_scope' AND stands.status = 'unreachable'
    END
), queued AS MATERIALIZED (
    SELECT j.lane, j.person_id, next.channel, next.attempt
    FROM joining j
    JOIN person p ON p.lane = j.lane AND p.person_id = j.person_id
    JOIN plan k ON k.campaign_id = :campaign_id AND k.plan = j.plan
    CROSS JOIN LATERAL (
        SELECT channel, 1 AS attempt FROM unnest(k.channels) AS channel WHERE j.was IS DISTINCT FROM 'in_scope'
        UNION ALL
        -- Where it was not their turn as they were away, and by email where the address is another one now.
        SELECT last.channel, last.attempt + 1
        FROM (
            SELECT DISTINCT ON (t.channel) t.channel, t.attempt, t.withheld, t.address
            FROM (
                SELECT channel, attempt, bool_or(kind = 'withheld') AS withheld, NULL AS address FROM outcome
                WHERE lane = j.lane AND person_id = j.person_id AND campaign_id = :campaign_id
                GROUP BY channel, attempt
                UNION ALL
                SELECT channel, attempt, false, address FROM intent
                WHERE lane = j.lane AND person_id = j.person_id AND campaign_id = :campaign_id
            ) t
            ORDER BY t.channel, t.attempt DESC, t.withheld DESC, t.address NULLS LAST
        ) last
        WHERE j.was = 'in_scope' AND last.channel = ANY (k.channels || k.fallback)
          AND (last.withheld OR last.channel = 'email' AND last.address <> p.email)
    ) next
    WHERE j.reason = 'in_scope'
), written AS (
    INSERT INTO notice AS n (lane, person_id, campaign_id, reason, plan, since)
    SELECT lane, person_id, :campaign_id, reason, plan, since FROM joining
    WHERE was IS DISTINCT FROM 'in_scope'
    ORDER BY lane, person_id
    ON CONFLICT (lane, person_id, campaign_id)
    DO UPDATE SET reason = excluded.reason, plan = excluded.plan, since = excluded.since
), compared AS (
    INSERT INTO changed (campaign_id, since, locale)
    SELECT :campaign_id, knew.since, new.locale
    FROM (SELECT DISTINCT since FROM joining WHERE since IS NOT NULL) knew
    JOIN version_text new ON new.version_id = :version_id
    JOIN version_text old ON old.version_id = knew.since AND old.locale = new.locale
    ON CONFLICT DO NOTHING
), noted AS (
    INSERT INTO joined (lane, person_id, campaign_id, at, why, was, reason)
    SELECT j.lane, j.person_id, :campaign_id, greatest(:now, max(b.at) + interval '1 microsecond'), j.why, j.was, j.reason
    FROM joining j
    LEFT JOIN joined b ON b.lane = j.lane AND b.person_id = j.person_id AND b.campaign_id = :campaign_id
    WHERE j.was IS DISTINCT FROM 'in_scope'
       OR EXISTS (SELECT FROM queued q WHERE q.lane = j.lane AND q.person_id = j.person_id)
    GROUP BY j.lane, j.person_id, j.why, j.was, j.reason
    RETURNING lane
), tried AS (
    INSERT INTO retry (lane, person_id, campaign_id, channel, attempt, since, failures, due_at)
    SELECT lane, person_id, :campaign_id, channel, attempt, attempt, 0, :now FROM queued
    ORDER BY lane, person_id
    ON CONFLICT DO NOTHING
), woken AS (
    UPDATE slice s SET due_at = least(s.due_at, :now)
    WHERE s.campaign_id = :campaign_id AND EXISTS (
        SELECT FROM queued q
        WHERE q.channel = s.channel AND (q.lane, q.person_id) > (s.from_lane, s.from_person)
          AND (q.lane, q.person_id) <= (s.to_lane, s.to_person)
    )
)
SELECT DISTINCT lane FROM noted ORDER BY lane

-- name: welcomed
-- lanes: all
-- Somebody looked, unless there was more news of these people meanwhile.
DELETE FROM arrival a
USING unnest(:lanes::smallint[], :people::uuid[], :marks::bigint[]) AS w (lane, person_id, mark)
WHERE a.lane = w.lane AND a.person_id = w.person_id AND a.mark = w.mark

-- name: to_reconcile
-- lanes: none
-- A campaign whose audience is to be compared with all people now.
SELECT campaign_id FROM campaign
WHERE reconcile_at <= :now AND superseded_by IS NULL AND state IN ('sending', 'paused', 'done')
ORDER BY reconcile_at
LIMIT 1

-- name: reconcile
-- lanes: all
-- Whom an audience was frozen without, or who is back: they have arrived, whatever was left of it before.
INSERT INTO arrival (lane, person_id, site)
SELECT p.lane, p.person_id, p.site
FROM person p
LEFT JOIN notice n ON n.campaign_id = :campaign_id AND n.lane = p.lane AND n.person_id = p.person_id
WHERE p.site = :site
  AND CASE WHEN n.reason IS NULL THEN p.registered_at < :effective_at::timestamptz
           ELSE n.reason IN ('suspended', 'closed') AND p.status IN ('active', 'dormant') END
ORDER BY p.lane, p.person_id
ON CONFLICT (lane, person_id) DO NOTHING

-- name: reconciled
-- lanes: none
-- Compared: again within a day, and for the last time once the version took effect.
UPDATE campaign SET reconcile_at = CASE
    WHEN :now < :effective_at::timestamptz THEN least(:now::timestamptz + interval '1 day', :effective_at) END
WHERE campaign_id = :campaign_id

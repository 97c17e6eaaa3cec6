-- The second channel by time: who has no sufficient evidence when theirs is due is told by the next channel of their plan.

-- People of a stretch who were tried and have no evidence that suffices, while a channel of their plan was not tried, with
-- that channel and the moment from which it has its turn. Whose next channel is queued already is not among them. What
-- suffices is said once more, for tellings, by notifier/acceptance/decide.py; a test holds the two together.
-- fragment: unproved
SELECT n.lane, n.person_id, next.channel,
       tried.last_at + make_interval(hours => (asked.rule ->> 'evidence_hours')::integer) AS due_at
FROM campaign c
JOIN plan p ON p.campaign_id = c.campaign_id AND p.fallback <> '{}'
CROSS JOIN LATERAL (SELECT coalesce(p.rule, c.rule) AS rule) asked
JOIN notice n ON n.campaign_id = :campaign_id AND n.plan = p.plan AND n.reason = 'in_scope'
    AND (n.lane, n.person_id) > (:from_lane::smallint, :from_person::uuid)
    AND (n.lane, n.person_id) <= (:to_lane::smallint, :to_person::uuid)
CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(r.failed_at IS NULL AND sufficient_at(
               asked.rule, r.channel, r.told_at, r.placed, r.recipient_at, r.shown_at) IS NOT NULL), false) AS enough,
           -- They left, or were shut out, and were not tried since.
           coalesce(max(r.attempt) FILTER (WHERE r.withheld) >= max(r.attempt), false) AS gone
    FROM reached r
    WHERE r.lane = n.lane AND r.person_id = n.person_id AND r.campaign_id = :campaign_id
) known
CROSS JOIN LATERAL (
    SELECT max(first.at) AS last_at
    FROM (
        SELECT min(i.at) AS at FROM intent i
        WHERE i.lane = n.lane AND i.person_id = n.person_id AND i.campaign_id = :campaign_id
        GROUP BY i.channel
        UNION ALL
        SELECT c.inbox_at WHERE 'inbox' = ANY (p.channels) AND NOT p.late
    ) first
) tried
CROSS JOIN LATERAL (
    SELECT f.channel
    FROM unnest(p.fallback) WITH ORDINALITY AS f (channel, place)
    WHERE NOT EXISTS (
        SELECT FROM outcome o
        WHERE o.lane = n.lane AND o.person_id = n.person_id AND o.campaign_id = :campaign_id AND o.channel = f.channel
    )
    ORDER BY f.place
    LIMIT 1
) next
WHERE c.campaign_id = :campaign_id AND c.superseded_by IS NULL
  AND NOT known.enough AND NOT known.gone AND tried.last_at IS NOT NULL
  AND NOT ('inbox' = ANY (p.channels) AND message_suffices(asked.rule))
  AND NOT EXISTS (
      SELECT FROM retry r
      WHERE r.lane = n.lane AND r.person_id = n.person_id AND r.campaign_id = :campaign_id AND r.channel = next.channel
  )

-- name: next_stretch
-- lanes: none
-- A stretch that is to be looked at now.
SELECT s.campaign_id, s.channel, s.slice, s.from_lane, s.from_person, s.to_lane, s.to_person
FROM slice s
JOIN steered c USING (campaign_id)
WHERE s.second_at <= :now AND c.state IN ('sending', 'done')
ORDER BY s.second_at, s.campaign_id, s.channel, s.slice
LIMIT 1

-- name: lock
-- lanes: none
-- Lock the slices that share people with a stretch, in the order in which everybody locks slices.
SELECT FROM slice s
WHERE s.campaign_id = :campaign_id
  AND (s.from_lane, s.from_person) < (:to_lane::smallint, :to_person::uuid)
  AND (s.to_lane, s.to_person) > (:from_lane::smallint, :from_person::uuid)
ORDER BY s.channel, s.slice
FOR UPDATE

-- name: queue
-- lanes: all
-- Queue the next channel of everybody in a stretch whose time for it has come, and wake the slices that they lie in.
WITH due AS MATERIALIZED (
    SELECT lane, person_id, channel
    FROM (
        @unproved
    ) unproved
    WHERE due_at <= :now
), queued AS (
    INSERT INTO retry (lane, person_id, campaign_id, channel, attempt, failures, due_at)
    SELECT lane, person_id, :campaign_id, channel, 1, 0, :now FROM due
    ORDER BY lane, person_id
    ON CONFLICT DO NOTHING
)
UPDATE slice s SET due_at = least(s.due_at, :now)
WHERE s.campaign_id = :campaign_id AND EXISTS (
    SELECT FROM due
    WHERE due.channel = s.channel AND (due.lane, due.person_id) > (s.from_lane, s.from_person)
      AND (due.lane, due.person_id) <= (s.to_lane, s.to_person)
)

-- name: schedule
-- lanes: all
-- When a slice is to be looked at next: when the first one in it is due who has no evidence yet and has a channel left.
UPDATE slice SET second_at = (
    SELECT min(due_at)
    FROM (
        @unproved
    ) unproved
)
WHERE campaign_id = :campaign_id AND channel = :channel AND slice = :slice

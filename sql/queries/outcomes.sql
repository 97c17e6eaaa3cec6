-- What comes back after a letter was handed over.

-- name: attempted
-- lanes: all
-- Which of these attempts were really made, for people who were not erased since.
SELECT i.lane, i.person_id, i.attempt, i.purpose
FROM unnest(:lanes::smallint[], :people::uuid[], :attempts::smallint[]) AS f (lane, person_id, attempt)
JOIN attempt i ON i.lane = f.lane AND i.person_id = f.person_id AND i.campaign_id = :campaign_id
    AND i.channel = :channel AND i.attempt = f.attempt
JOIN person p ON p.lane = f.lane AND p.person_id = f.person_id AND p.status <> 'erased'

-- name: doubt
-- lanes: all
-- These tellings bounced: what was deemed on them is to be decided again.
INSERT INTO doubt (lane, person_id, campaign_id, channel, attempt)
SELECT lane, person_id, :campaign_id, :channel, attempt
FROM unnest(:lanes::smallint[], :people::uuid[], :attempts::smallint[]) AS d (lane, person_id, attempt)
ORDER BY lane, person_id, attempt
ON CONFLICT DO NOTHING

-- name: lock
-- lanes: none
-- Lock what a report will touch, in one order for everybody: slices in which people of theirs wait for it, and those of
-- other channels, in which whose letter bounced is queued next.
SELECT FROM slice s
WHERE s.campaign_id = :campaign_id
  AND CASE WHEN s.channel = :channel THEN s.unsure > 0 AND EXISTS (
      SELECT FROM unnest(:lanes::smallint[], :people::uuid[]) AS f (lane, person_id)
      WHERE (f.lane, f.person_id) > (s.from_lane, s.from_person) AND (f.lane, f.person_id) <= (s.to_lane, s.to_person)
  ) ELSE EXISTS (
      SELECT FROM unnest(:failed_lanes::smallint[], :failed_people::uuid[]) AS f (lane, person_id)
      WHERE (f.lane, f.person_id) > (s.from_lane, s.from_person) AND (f.lane, f.person_id) <= (s.to_lane, s.to_person)
  ) END
ORDER BY s.channel, s.slice
FOR UPDATE

-- name: wake
-- lanes: none
-- What was of unknown fate is known: the slices of these people look at their queue again.
UPDATE slice s SET due_at = least(s.due_at, :now)
WHERE s.campaign_id = :campaign_id AND s.channel = :channel AND s.unsure > 0 AND EXISTS (
    SELECT FROM unnest(:lanes::smallint[], :people::uuid[]) AS f (lane, person_id)
    WHERE (f.lane, f.person_id) > (s.from_lane, s.from_person) AND (f.lane, f.person_id) <= (s.to_lane, s.to_person)
)

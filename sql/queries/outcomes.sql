-- What comes back after a letter was handed over.

-- name: attempted
-- lanes: all
-- Which of these attempts were really made, for people who were not erased since.
SELECT i.lane, i.person_id, i.attempt, i.purpose
FROM unnest(:lanes::smallint[], :people::uuid[], :attempts::smallint[]) AS f (lane, person_id, attempt)
JOIN attempt i ON i.lane = f.lane AND i.person_id = f.person_id AND i.campaign_id = :campaign_id
    AND i.channel = :channel AND i.attempt = f.attempt
JOIN person p ON p.lane = f.lane AND p.person_id = f.person_id AND p.status <> 'erased'

-- name: hold_companions
-- lanes: all
-- Whoever puts these letters' fate on the record of their companions waits, or was first.
SELECT FROM companion c
WHERE c.campaign_id = :campaign_id AND (c.lead_lane, c.lead_person) IN (
    SELECT lane, person_id FROM unnest(:lanes::smallint[], :people::uuid[]) AS f (lane, person_id)
)
ORDER BY c.lane, c.person_id
FOR UPDATE

-- name: companions
-- lanes: all
-- Which other accounts some letters told as well (``place``: of which one the news is): they have tries of the same bytes.
SELECT f.place::integer AS place, c.lane, c.person_id
FROM unnest(:lanes::smallint[], :people::uuid[], :attempts::smallint[]) WITH ORDINALITY
     AS f (lane, person_id, attempt, place)
JOIN companion c ON c.lead_lane = f.lane AND c.lead_person = f.person_id AND c.campaign_id = :campaign_id
JOIN intent own ON own.lane = c.lane AND own.person_id = c.person_id AND own.campaign_id = c.campaign_id
    AND own.channel = 'email' AND own.attempt = f.attempt
JOIN intent went ON went.lane = f.lane AND went.person_id = f.person_id AND went.campaign_id = c.campaign_id
    AND went.channel = 'email' AND went.attempt = f.attempt AND went.sha256 = own.sha256

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

-- What comes back after a letter was handed over.

-- name: attempted
-- lanes: all
-- Which of these attempts were really made, for people who were not erased since.
SELECT i.lane, i.person_id, i.attempt
FROM unnest(:lanes::smallint[], :people::uuid[], :attempts::smallint[]) AS f (lane, person_id, attempt)
JOIN intent i ON i.lane = f.lane AND i.person_id = f.person_id AND i.campaign_id = :campaign_id
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

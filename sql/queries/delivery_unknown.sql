-- Letters of unknown fate that wait for somebody's word.

-- name: lock
-- lanes: none
-- Lock all slices of a campaign, in the order in which everybody locks slices.
SELECT FROM slice s WHERE s.campaign_id = :campaign_id ORDER BY s.channel, s.slice FOR UPDATE

-- fragment: held
SELECT r.lane, r.person_id, r.channel, r.attempt, r.failures
FROM retry r
WHERE r.campaign_id = :campaign_id AND r.due_at IS NULL
  AND NOT EXISTS (
      SELECT FROM outcome o
      WHERE o.lane = r.lane AND o.person_id = r.person_id AND o.campaign_id = r.campaign_id AND o.channel = r.channel
        AND o.attempt >= r.since AND o.kind NOT IN ('deferred', 'unknown')
  )

-- name: held
-- lanes: all
-- Letters of a campaign that wait for a word, unless an answer came in meanwhile.
@held
ORDER BY r.channel, r.lane, r.person_id

-- name: count
-- lanes: all
-- How many they are. Where no slice has any, the queue is not read.
SELECT count(*) FROM (
@held
) held
WHERE EXISTS (SELECT FROM slice s WHERE s.campaign_id = :campaign_id AND s.unsure > 0)

-- name: release
-- lanes: all
-- Send them again now.
UPDATE retry SET due_at = :now WHERE campaign_id = :campaign_id AND due_at IS NULL

-- name: wake
-- lanes: none
-- Slices with letters of unknown fate look at their queue again.
UPDATE slice SET due_at = least(due_at, :now) WHERE campaign_id = :campaign_id AND unsure > 0

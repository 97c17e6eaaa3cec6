-- Letters of unknown fate that wait for somebody's word.

-- name: lock
-- lanes: none
-- Lock all slices of a campaign, in the order in which everybody locks slices.
SELECT FROM slice s WHERE s.campaign_id = :campaign_id ORDER BY s.channel, s.slice FOR UPDATE

-- fragment: answer
SELECT FROM outcome o
WHERE o.lane = r.lane AND o.person_id = r.person_id AND o.campaign_id = r.campaign_id AND o.channel = r.channel
  AND o.attempt >= r.since AND o.kind NOT IN ('deferred', 'unknown')

-- fragment: held
SELECT r.lane, r.person_id, r.channel, r.attempt, r.failures
FROM retry r
WHERE r.campaign_id = :campaign_id AND r.due_at IS NULL
  AND NOT EXISTS (
      @answer
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

-- name: wake_answered
-- lanes: all
-- Slices with a letter that waits for a word and was answered, of which nobody told them: the answer came as their lease
-- ended, or from a worker that had lost it. They look at their queue again.
WITH answered AS (
    SELECT s.campaign_id, s.channel, s.slice
    FROM slice s
    JOIN campaign c USING (campaign_id)
    WHERE s.unsure > 0 AND s.due_at IS NULL AND s.leased_until IS NULL AND c.state IN ('sending', 'paused', 'done')
      AND EXISTS (
          SELECT FROM retry r
          WHERE r.campaign_id = s.campaign_id AND r.channel = s.channel AND r.due_at IS NULL
            AND (r.lane, r.person_id) > (s.from_lane, s.from_person) AND (r.lane, r.person_id) <= (s.to_lane, s.to_person)
            AND EXISTS (
                @answer
            )
      )
    ORDER BY s.campaign_id, s.channel, s.slice
    FOR UPDATE OF s SKIP LOCKED
)
UPDATE slice s SET due_at = :now
FROM answered a
WHERE s.campaign_id = a.campaign_id AND s.channel = a.channel AND s.slice = a.slice

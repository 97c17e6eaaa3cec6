-- Pace: one row per limited thing of a site. Taken in the order of names, so that nobody locks anybody out.

-- name: lock
-- lanes: none
-- Keep others from taking of some buckets until this transaction ends.
SELECT name, tokens, at, level, level_at, booked_at, day, today, used
FROM bucket
WHERE site = :site AND name = ANY (:names::text[])
ORDER BY name
FOR UPDATE

-- name: add
-- lanes: none
-- Buckets that are needed for the first time.
INSERT INTO bucket (site, name, tokens, at, level, level_at, booked_at, day, today, used)
SELECT :site, b.* FROM unnest(:names::text[], :tokens::float8[], :ats::timestamptz[], :levels::float8[],
    :levels_at::timestamptz[], :booked_ats::timestamptz[], :days::date[], :todays::bigint[], :useds::integer[]) b
ORDER BY 2
ON CONFLICT DO NOTHING

-- name: write
-- lanes: none
-- What is left in buckets that this transaction locked.
UPDATE bucket b
SET tokens = n.tokens, at = n.at, level = n.level, level_at = n.level_at, booked_at = n.booked_at, day = n.day,
    today = n.today, used = n.used
FROM unnest(:names::text[], :tokens::float8[], :ats::timestamptz[], :levels::float8[], :levels_at::timestamptz[],
    :booked_ats::timestamptz[], :days::date[], :todays::bigint[], :useds::integer[])
    AS n (name, tokens, at, level, level_at, booked_at, day, today, used)
WHERE b.site = :site AND b.name = n.name

-- name: slowed
-- lanes: none
-- What was asked to go slower and may not have its full speed again.
SELECT name, tokens, at, level, level_at, booked_at, day, today, used FROM bucket WHERE site = :site AND level < 1

-- name: forget
-- lanes: none
-- Remove what has recovered and has no limit of its own.
DELETE FROM bucket WHERE site = :site AND name = ANY (:names::text[])

-- name: next_retry
-- lanes: all
-- When the first retry of a stretch is due.
SELECT min(due_at) FROM retry
WHERE campaign_id = :campaign_id AND channel = :channel
  AND (lane, person_id) > (:from_lane::smallint, :from_person::uuid)
  AND (lane, person_id) <= (:to_lane::smallint, :to_person::uuid)

-- What letters were filled into, kept so that any of them can be written again.

-- name: keep_sheet
-- lanes: none
-- Keep a sheet, or find the same one that another worker kept.
INSERT INTO sheet (campaign_id, channel, locale, time_zone, sha256, content)
VALUES (:campaign_id, :channel, :locale, :time_zone, :sha256, :content)
ON CONFLICT (campaign_id, channel, locale, time_zone, sha256) DO UPDATE SET sha256 = excluded.sha256
RETURNING sheet

-- name: attempt
-- lanes: one
-- One attempt to reach a person, the last of those that fit, with the sheet that its letter was filled into.
SELECT i.channel, i.attempt, i.at, i.address, i.sha256, s.locale, s.time_zone, s.content
FROM intent i
LEFT JOIN sheet s ON s.sheet = i.sheet
WHERE i.lane = :lane AND i.person_id = :person_id AND i.campaign_id = :campaign_id
  AND (:channel::text IS NULL OR i.channel = :channel) AND (:attempt::integer IS NULL OR i.attempt = :attempt)
ORDER BY i.at DESC, i.attempt DESC
LIMIT 1

-- name: told_before
-- lanes: none
-- The version that people were last told of before this one: the newest whose campaign came to its end, or the first,
-- which everybody knows. Whoever was told of one in between is told again of what changed in it, rather than nobody.
SELECT old.version_id, old.label
FROM version this
JOIN version old ON old.site = this.site AND old.policy = this.policy AND old.ordinal < this.ordinal
LEFT JOIN campaign c ON c.version_id = old.version_id AND c.corrects IS NULL
WHERE this.version_id = :version_id AND (old.ordinal = 1 OR c.state = 'done')
ORDER BY old.ordinal DESC
LIMIT 1

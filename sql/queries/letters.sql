-- What letters were filled into, kept so that any of them can be written again.

-- name: keep_sheet
-- lanes: none
-- Keep a sheet, or find the same one that another worker kept.
INSERT INTO sheet (campaign_id, channel, locale, time_zone, sha256, content)
VALUES (:campaign_id, :channel, :locale, :time_zone, :sha256, :content)
ON CONFLICT (campaign_id, channel, locale, time_zone, sha256) DO UPDATE SET sha256 = excluded.sha256
RETURNING sheet

-- name: sheets
-- lanes: none
-- Sheets that were kept.
SELECT sheet, campaign_id, channel, locale, time_zone, content FROM sheet WHERE sheet = ANY (:sheets::integer[])

-- name: attempt
-- lanes: one
-- One attempt to reach a person, the last of those that fit, with the sheet that its letter was filled into, and whom it
-- was written to: a letter that tells several accounts of one mailbox is the first one's.
SELECT i.channel, i.attempt, i.at, i.address, i.sha256, s.locale, s.time_zone, s.content,
       coalesce(lead.lane, i.lane)::integer AS lane, coalesce(lead.person_id, i.person_id) AS person_id
FROM attempt i
LEFT JOIN sheet s ON s.sheet = i.sheet
LEFT JOIN companion c ON c.lane = i.lane AND c.person_id = i.person_id AND c.campaign_id = i.campaign_id
    AND i.channel = 'email'
LEFT JOIN intent lead ON lead.lane = c.lead_lane AND lead.person_id = c.lead_person AND lead.campaign_id = i.campaign_id
    AND lead.channel = i.channel AND lead.attempt = i.attempt AND lead.sha256 = i.sha256
WHERE i.lane = :lane AND i.person_id = :person_id AND i.campaign_id = :campaign_id
  AND (:channel::text IS NULL OR i.channel = :channel) AND (:attempt::integer IS NULL OR i.attempt = :attempt)
ORDER BY i.at DESC, i.attempt DESC
LIMIT 1

-- name: changed
-- lanes: none
-- What a frozen campaign's letters list as changed, by the version that people last knew and by locale. The first row's
-- version is the newest.
SELECT c.since, v.label, c.locale, c.content
FROM changed c
JOIN version v ON v.version_id = c.since
WHERE c.campaign_id = :campaign_id
ORDER BY v.ordinal DESC, c.locale

-- name: compared
-- lanes: none
-- With how many texts of earlier versions a campaign's letters compare theirs.
SELECT count(*) FROM changed WHERE campaign_id = :campaign_id

-- name: keep_changed
-- lanes: none
-- Keep what was compared, unless another process was first: what that one found is what is said.
UPDATE changed c SET content = coalesce(c.content, found.content)
FROM jsonb_to_recordset(:found::jsonb) AS found (since integer, locale text, content jsonb)
WHERE c.campaign_id = :campaign_id AND c.since = found.since AND c.locale = found.locale
RETURNING c.since, c.locale, c.content

-- name: last_told
-- lanes: none
-- The version that people were last told of: the newest whose campaign came to its end, or the first. What a draft is
-- previewed beside.
SELECT old.version_id, old.label
FROM version old
LEFT JOIN campaign c ON c.version_id = old.version_id AND c.corrects IS NULL
WHERE old.site = :site AND old.policy = :policy AND old.state = 'published' AND (old.ordinal = 1 OR c.state = 'done')
ORDER BY old.ordinal DESC
LIMIT 1

-- name: told_before
-- lanes: none
-- The version that most people last knew, as far as can be said before the freeze asks each: the newest whose campaign
-- came to its end, or the first.
SELECT old.version_id, old.label
FROM version this
JOIN version old ON old.site = this.site AND old.policy = this.policy AND old.ordinal < this.ordinal
LEFT JOIN campaign c ON c.version_id = old.version_id AND c.corrects IS NULL
WHERE this.version_id = :version_id AND (old.ordinal = 1 OR c.state = 'done')
ORDER BY old.ordinal DESC
LIMIT 1

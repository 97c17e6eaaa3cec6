-- Relays by which receivers refuse a site's letters, and which are left alone for it.

-- name: of_site
-- lanes: none
-- What is known of a site's relays that refused.
SELECT relay, since, refused, answered, paused_at, paused_until, pauses, reason FROM relay_refusal WHERE site = :site

-- name: add
-- lanes: none
-- Rows for relays that refuse for the first time.
INSERT INTO relay_refusal (site, relay, since) SELECT :site, r, :now FROM unnest(:relays::text[]) r
ORDER BY r
ON CONFLICT DO NOTHING

-- name: lock
-- lanes: none
-- Keep others from counting until this transaction ends.
SELECT relay, since, refused, answered, paused_at, paused_until, pauses, reason
FROM relay_refusal
WHERE site = :site AND relay = ANY (:relays::text[])
ORDER BY relay
FOR UPDATE

-- name: write
-- lanes: none
-- What a relay's answers come to, in a row that this transaction locked.
UPDATE relay_refusal
SET since = :since, refused = :refused, answered = :answered, paused_at = :paused_at, paused_until = :paused_until,
    pauses = :pauses, reason = :reason
WHERE site = :site AND relay = :relay

-- name: record
-- lanes: none
-- Note that a relay is paused or goes on, and who said so.
INSERT INTO relay_event (site, relay, at, action, actor, reason, until)
VALUES (:site, :relay, :now, :action, :actor, :reason, :until)
ON CONFLICT DO NOTHING

-- name: resume
-- lanes: none
-- End a pause that is not over, and forget how many there were.
UPDATE relay_refusal SET paused_until = :now, pauses = 0, refused = 0, answered = 0
WHERE site = :site AND relay = :relay AND paused_until > :now

-- name: events
-- lanes: none
-- Which relays were paused and who let them go on, the latest first.
SELECT relay, at, action, actor, reason, until FROM relay_event WHERE site = :site ORDER BY at DESC, relay LIMIT :most

-- name: paused
-- lanes: none
-- Relays that are left alone now, of one site or of all.
SELECT site, relay, paused_at, paused_until, reason FROM relay_refusal
WHERE paused_until > :now AND (:site::text IS NULL OR site = :site)
ORDER BY site, relay

-- name: elsewhere
-- lanes: all
-- Whom a relay refused that is paused now goes by another one at once, while the slice is still ours.
UPDATE retry r SET due_at = :now
FROM slice s, unnest(:lanes::smallint[], :people::uuid[]) AS e (lane, person_id)
WHERE s.campaign_id = :campaign_id AND s.channel = :channel AND s.slice = :slice AND s.epoch = :epoch
  AND r.campaign_id = s.campaign_id AND r.channel = s.channel AND r.lane = e.lane AND r.person_id = e.person_id

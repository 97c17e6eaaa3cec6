-- The stop switch: nothing leaves while it is thrown, for one site or for all of them.

-- name: add
-- lanes: none
-- Throw the switch, unless it is thrown already, and note who did.
WITH added AS (
    INSERT INTO stop (site, since, actor, reason) VALUES (:site, :now, :actor, :reason)
    ON CONFLICT (site) DO NOTHING
    RETURNING site, since, actor, reason
)
INSERT INTO stop_event (site, at, action, actor, reason)
SELECT site, since, 'stop', actor, reason FROM added

-- name: lift
-- lanes: none
-- Take the switch back, if it is thrown, and note who did.
WITH lifted AS (
    DELETE FROM stop WHERE site IS NOT DISTINCT FROM :site::text RETURNING site
)
INSERT INTO stop_event (site, at, action, actor, reason)
SELECT site, :now, 'go', :actor, :reason FROM lifted

-- name: in_force
-- lanes: none
-- What is stopped, as far as it concerns a site (or any, where none is named). That of all sites comes first.
SELECT site, since, actor, reason FROM stop
WHERE :site::text IS NULL OR site IS NULL OR site = :site
ORDER BY site NULLS FIRST

-- name: events
-- lanes: none
-- Who stopped sending and who let it go on, as far as it concerns a site (or any), the latest first.
SELECT site, at, action, actor, reason FROM stop_event
WHERE :site::text IS NULL OR site IS NULL OR site = :site
ORDER BY at DESC, site NULLS FIRST
LIMIT :most

-- Sites, their tokens and the generations of their webhook secrets.

-- name: settings
-- lanes: none
-- A site as last applied.
SELECT settings FROM site WHERE site = :site

-- name: names
-- lanes: none
-- Every site's name.
SELECT site FROM site ORDER BY site

-- name: stored
-- lanes: none
-- What is in force now, to compare a file with.
SELECT settings FROM site WHERE site = :site

-- name: lock
-- lanes: none
-- Hold whoever else applies the same site, also where there is no row yet to hold.
SELECT pg_advisory_xact_lock(hashtextextended('site ' || :site::text, 0))

-- name: upsert
-- lanes: none
-- Put a site's settings into force.
INSERT INTO site (site, settings, sha256, applied_at)
VALUES (:site, :settings, :sha256, :now)
ON CONFLICT (site) DO UPDATE
SET settings = EXCLUDED.settings, sha256 = EXCLUDED.sha256, applied_at = EXCLUDED.applied_at

-- name: upsert_policies
-- lanes: none
-- The policies of a site, as its settings have them.
INSERT INTO policy (site, policy, titles, kind)
SELECT :site, p.key, p.value -> 'titles', p.value ->> 'kind'
FROM jsonb_each(:policies) p
ON CONFLICT (site, policy) DO UPDATE SET titles = EXCLUDED.titles, kind = EXCLUDED.kind

-- name: remove_policies
-- lanes: none
-- Policies that the settings no longer have.
DELETE FROM policy WHERE site = :site AND policy <> ALL (:policies::text[])

-- name: policies_with_versions
-- lanes: none
-- Policies that the settings leave out although versions of them exist.
SELECT policy, count(*) AS versions FROM version
WHERE site = :site AND policy <> ALL (:policies::text[])
GROUP BY policy ORDER BY policy

-- Sites, their tokens and the generations of their webhook secrets.

-- name: settings
-- lanes: none
-- A site as last applied.
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

-- name: create_token
-- lanes: none
-- A new API token; only its hash is kept.
INSERT INTO api_token (sha256, site, name, scopes, created_at) VALUES (:sha256, :site, :name, :scopes, :now)

-- name: find_tokens
-- lanes: none
-- Whose tokens these are, but for the revoked ones.
SELECT sha256, name, site, scopes FROM api_token WHERE sha256 = ANY (:digests::bytea[]) AND revoked_at IS NULL

-- name: revoke_token
-- lanes: none
-- End all live tokens of a name.
UPDATE api_token SET revoked_at = :now
WHERE site IS NOT DISTINCT FROM :site::text AND name = :name AND revoked_at IS NULL

-- name: secret_generation
-- lanes: none
-- Which webhook secrets of a site are good now.
SELECT webhook_generation, webhook_previous FROM site WHERE site = :site

-- name: rotate_secret
-- lanes: none
-- The next webhook secret; the current one becomes the previous.
UPDATE site SET webhook_generation = webhook_generation + 1, webhook_previous = true WHERE site = :site

-- name: retire_secret
-- lanes: none
-- Only the newest webhook secret is good from here on.
UPDATE site SET webhook_previous = false WHERE site = :site AND webhook_previous

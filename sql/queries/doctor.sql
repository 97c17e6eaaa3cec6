-- What is looked at before the first letter leaves.

-- name: clock
-- lanes: none
-- The real time of the database's machine.
SELECT clock_timestamp()

-- name: last_texts
-- lanes: none
-- The locales of each policy's last published version.
SELECT DISTINCT ON (v.policy) v.policy, v.label,
       ARRAY (SELECT t.locale FROM version_text t WHERE t.version_id = v.version_id ORDER BY t.locale) AS locales
FROM version v
WHERE v.site = :site AND v.state = 'published'
ORDER BY v.policy, v.ordinal DESC

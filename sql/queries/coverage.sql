-- Whether everybody whom a version concerns is told of it in time: looked at on a schedule, kept, and shown everywhere.

-- fragment: newest
v.state = 'published' AND v.ordinal > 1 AND v.materiality <> 'editorial' AND NOT EXISTS (
    SELECT FROM version w
    WHERE w.site = v.site AND w.policy = v.policy AND w.ordinal > v.ordinal AND w.materiality <> 'editorial'
)

-- name: due
-- lanes: none
-- A version that people are told of and that is to be looked at: the newest of its policy, hourly, until a month after
-- its effect and as long as something is missing.
SELECT v.version_id, v.site, v.policy, v.label, v.effective_at, c.campaign_id, c.state::text AS state,
       c.frozen_at IS NOT NULL AS frozen, coalesce(k.gaps, '{}') AS gaps
FROM version v
LEFT JOIN campaign c ON c.version_id = v.version_id AND c.corrects IS NULL
LEFT JOIN coverage k ON k.version_id = v.version_id
WHERE coalesce(k.looked_at <= :now::timestamptz - interval '1 hour', true)
  AND (v.effective_at > :now::timestamptz - interval '30 days' OR k.gaps IS NULL OR k.gaps <> '{}')
  AND
@newest
ORDER BY k.looked_at NULLS FIRST, v.version_id
LIMIT 1

-- name: without_notice
-- lanes: all
-- How many people who registered before a version takes effect have no notice of its campaign.
SELECT count(*)
FROM person p
WHERE p.site = :site AND p.registered_at < :effective_at AND p.status NOT IN ('closed', 'erased', 'suspended')
  AND NOT EXISTS (
      SELECT FROM notice n WHERE n.campaign_id = :campaign_id AND n.lane = p.lane AND n.person_id = p.person_id
  )

-- name: not_told
-- lanes: all
-- How many people of a campaign's audience are not told, by how they stand.
SELECT status, count(*) AS count FROM standing
WHERE campaign_id = :campaign_id AND status IN ('pending', 'too_little_evidence', 'unreachable', 'suppressed')
GROUP BY status

-- name: keep
-- lanes: none
-- Keep what was found.
INSERT INTO coverage (version_id, looked_at, gaps) VALUES (:version_id, :now, :gaps)
ON CONFLICT (version_id) DO UPDATE SET looked_at = excluded.looked_at, gaps = excluded.gaps

-- name: looks
-- lanes: none
-- What the last looks found, of one site or (NULL) of all.
SELECT v.site, v.policy, v.label, v.effective_at, c.campaign_id, k.looked_at, k.gaps
FROM coverage k
JOIN version v USING (version_id)
LEFT JOIN campaign c ON c.version_id = v.version_id AND c.corrects IS NULL
WHERE (:site::text IS NULL OR v.site = :site)
  AND
@newest
ORDER BY v.site, v.policy

-- What the console's pages show that no stage counts for itself.

-- name: progress
-- lanes: none
-- What became of the letters of some campaigns so far: by channel and kind, from the counters and never from the rows.
SELECT campaign_id, channel, kind::text, sum(count)::bigint AS count
FROM progress
WHERE campaign_id = ANY (:campaigns::integer[])
GROUP BY campaign_id, channel, kind

-- name: planned
-- lanes: all
-- How many people each channel tells at once, as frozen. Answered from the notices: ask it of campaigns that move.
SELECT n.campaign_id, channel, count(*)
FROM notice n
JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan
CROSS JOIN unnest(p.channels) AS channel
WHERE n.campaign_id = ANY (:campaigns::integer[]) AND n.reason = 'in_scope'
GROUP BY n.campaign_id, channel

-- name: texts
-- lanes: none
-- The locales of the texts of some versions, and the campaign of each.
SELECT v.version_id, c.campaign_id, c.state::text AS campaign_state,
       (SELECT array_agg(t.locale ORDER BY t.locale) FROM version_text t WHERE t.version_id = v.version_id) AS locales
FROM version v
LEFT JOIN campaign c ON c.version_id = v.version_id AND c.corrects IS NULL
WHERE v.site = :site AND v.policy = :policy

-- name: joined
-- lanes: none
-- How many more people some campaigns must tell since their audience was frozen.
SELECT campaign_id, count(*) FILTER (WHERE reason IN ('in_scope', 'unreachable', 'suppressed'))
       - count(*) FILTER (WHERE was IN ('in_scope', 'unreachable', 'suppressed')) AS more
FROM joined
WHERE campaign_id = ANY (:campaigns::integer[])
GROUP BY campaign_id

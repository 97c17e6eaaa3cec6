-- What the web itself remembers and shows: receipts of requests, and figures for monitoring.

-- name: receipt
-- lanes: none
-- What was answered to a request that came before under this id.
SELECT sha256, status, answer FROM receipt WHERE site = :site AND webhook_id = :webhook_id

-- name: keep_receipt
-- lanes: none
-- Keep an answer; of two at once the first stands.
INSERT INTO receipt (site, webhook_id, sha256, status, answer, received_at)
VALUES (:site, :webhook_id, :sha256, :status, :answer, :now)
ON CONFLICT DO NOTHING

-- name: sites
-- lanes: none
-- The names of all sites.
SELECT site FROM site ORDER BY site

-- name: sites_known
-- lanes: none
-- Which of these sites there are.
SELECT site FROM site WHERE site = ANY (:sites::text[])

-- name: origins_named
-- lanes: none
-- Which of these origins the site beside each (empty: any site) names as one of its own.
SELECT asked.site, asked.origin
FROM unnest(:sites::text[], :origins::text[]) AS asked (site, origin)
WHERE EXISTS (
    SELECT FROM site s
    WHERE (asked.site = '' OR s.site = asked.site) AND s.settings -> 'origins' @> to_jsonb(asked.origin)
)

-- name: public_marks
-- lanes: none
-- What the public pages of some sites rest on: what was applied, what was published, and what of it is in effect.
SELECT s.site, s.sha256, v.versions, v.in_effect, v.newest,
       ARRAY(SELECT jsonb_array_elements_text(s.settings -> 'locales')) AS locales,
       greatest(s.applied_at, v.published_at, v.effective_at) AS changed_at
FROM site s
CROSS JOIN LATERAL (
    SELECT count(*) AS versions, count(*) FILTER (WHERE effective_at <= :now) AS in_effect, max(version_id) AS newest,
           max(published_at) AS published_at, max(effective_at) FILTER (WHERE effective_at <= :now) AS effective_at
    FROM version
    WHERE version.site = s.site AND state = 'published'
) v
WHERE s.site = ANY (:sites::text[])

-- name: applied_at
-- lanes: none
-- When a site's settings were applied.
SELECT applied_at FROM site WHERE site = :site

-- name: campaign_states
-- lanes: none
-- How many campaigns of each site are in each state.
SELECT site, state::text, count(*) FROM campaign GROUP BY site, state

-- name: campaign_progress
-- lanes: none
-- The outcomes so far of the campaigns that are being told.
SELECT c.site, p.campaign_id, p.channel, p.kind::text, sum(p.count)::bigint AS count
FROM progress p
JOIN campaign c USING (campaign_id)
WHERE c.state IN ('sending', 'paused')
GROUP BY c.site, p.campaign_id, p.channel, p.kind

-- name: stopped_sites
-- lanes: none
-- Whether all sending of each site is stopped.
SELECT site, stopped.site IS NOT NULL AS stopped FROM site LEFT JOIN stopped USING (site)

-- name: breaker_trips
-- lanes: none
-- How often the breaker paused campaigns of each site.
SELECT c.site, count(*) FROM campaign_event e JOIN campaign c USING (campaign_id) WHERE e.action = 'breaker' GROUP BY c.site

-- name: relays_paused
-- lanes: none
-- How many relays of each site are left alone now.
SELECT site.site, count(r.relay) AS relays
FROM site
LEFT JOIN relay_refusal r ON r.site = site.site AND r.paused_until > :now
GROUP BY site.site

-- name: campaigns_due
-- lanes: none
-- Campaigns that have something to hand over until then: none that only waits, for a canary's hold, a later retry, a report
-- or somebody's word.
SELECT site.site, count(c.campaign_id) AS campaigns
FROM site
LEFT JOIN campaign c ON c.site = site.site AND c.state = 'sending' AND EXISTS (
    SELECT FROM slice s WHERE s.campaign_id = c.campaign_id AND s.stage <= c.stage AND s.due_at <= :soon
)
GROUP BY site.site

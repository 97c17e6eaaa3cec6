-- A person's private messages with us: fanned out on read from the frozen notices, marked by outcomes.

-- fragment: messages
SELECT n.campaign_id, n.since, (
           SELECT max(k.campaign_id) FROM campaign k
           WHERE k.corrects = n.campaign_id AND k.opened_at <= coalesce(o.placed_at, c.inbox_at)
       ) AS amended_by, c.corrects, c.site, v.policy, v.label, pl.locale, pl.overlays, p.time_zone, v.effective_at,
       coalesce(o.placed_at, c.inbox_at) AS placed_at, o.attempt, o.shown_at, o.acknowledged_at
FROM notice n
JOIN campaign c ON c.campaign_id = n.campaign_id
JOIN version v ON v.version_id = c.version_id
JOIN plan pl ON pl.campaign_id = n.campaign_id AND pl.plan = n.plan
JOIN person p ON p.lane = n.lane AND p.person_id = n.person_id AND p.status <> 'erased'
CROSS JOIN LATERAL (
    SELECT min(x.at) FILTER (WHERE x.kind = 'placed') AS placed_at,
           coalesce(min(x.attempt), 1::smallint) AS attempt,
           min(x.at) FILTER (WHERE x.kind = 'shown') AS shown_at,
           min(x.at) FILTER (WHERE x.kind = 'acknowledged') AS acknowledged_at
    FROM outcome x
    WHERE x.lane = n.lane AND x.person_id = n.person_id AND x.campaign_id = n.campaign_id AND x.channel = 'inbox'
) o
WHERE n.lane = :lane AND n.person_id = :person_id AND n.reason = 'in_scope'
  AND ('inbox' = ANY (pl.channels) AND NOT pl.late AND c.inbox_at IS NOT NULL OR o.placed_at IS NOT NULL)

-- name: list
-- lanes: one
-- All messages of a person, the newest first.
@messages
ORDER BY c.opened_at DESC, n.campaign_id DESC

-- name: one
-- lanes: one
-- One message of a person.
@messages
  AND n.campaign_id = :campaign_id

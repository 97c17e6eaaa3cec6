-- Continued use, as the sites report it.

-- fragment: open_campaigns
SELECT c.campaign_id, c.version_id, v.effective_at
FROM campaign c   -- whom an overlay keeps from accepting by use is decided with the rest
JOIN version v ON v.version_id = c.version_id
WHERE c.site = :site AND c.opened_at IS NOT NULL AND c.corrects IS NULL
  AND (c.rule ->> 'deems')::boolean AND NOT (c.rule ->> 'explicit')::boolean

-- name: ground
-- lanes: all
-- What uses of a site are judged by: the kinds that count there, the campaigns whose versions use may accept, when these
-- take effect, and how often something was taken back in some lanes.
WITH open AS (
    @open_campaigns
)
SELECT s.settings #> '{rule,activity_kinds}' AS kinds,
       ARRAY(SELECT campaign_id FROM open ORDER BY campaign_id) AS campaigns,
       ARRAY(SELECT effective_at FROM open ORDER BY campaign_id) AS effective,
       (SELECT jsonb_object_agg(lane, epoch) FROM lane_epoch WHERE lane = ANY (:lanes::smallint[])) AS epochs
FROM site s
WHERE s.site = :site

-- name: keep
-- lanes: all
-- Keep what may still matter of a batch of uses, one row per person and day; the earlier use of a day replaces the later.
-- A use may matter to a version that deems acceptance, took effect before, was told by a campaign with this person in
-- scope (who cannot be reached may be told at a login), and is not accepted since an earlier moment. Rows are touched in
-- key order, and a person whom another batch is just marking as seen is left to that one, so that batches never wait for
-- each other in a circle.
-- Answers with places in the batch: whom we know, which uses may matter, which were kept, and of whom we know that they
-- were seen that day.
WITH arrived AS MATERIALIZED (
    SELECT a.*, (a.occurred_at AT TIME ZONE 'UTC')::date AS day, p.person_id, p.last_seen_on
    FROM unnest(
        :lanes::smallint[], :people::text[], :times::timestamptz[],
        :kinds::text[], :paths::text[], :prefixes::text[], :agents::text[]
    ) WITH ORDINALITY AS a (lane, external_id, occurred_at, kind, url_path, ip_prefix, user_agent, place)
    JOIN person p ON p.lane = a.lane AND p.site = :site AND p.external_id = a.external_id
), unseen AS MATERIALIZED (
    SELECT p.lane, p.external_id, s.day
    FROM (
        SELECT lane, external_id, max(day) AS day
        FROM arrived
        GROUP BY lane, external_id
        HAVING coalesce(max(last_seen_on) < max(day), true)
    ) s
    JOIN person p ON p.lane = s.lane AND p.site = :site AND p.external_id = s.external_id
    ORDER BY p.lane, p.external_id
    FOR NO KEY UPDATE OF p SKIP LOCKED
), seen AS (
    UPDATE person p SET last_seen_on = u.day
    FROM unseen u
    WHERE p.lane = u.lane AND p.site = :site AND p.external_id = u.external_id
      AND coalesce(p.last_seen_on < u.day, true)
    RETURNING p.person_id
), open AS MATERIALIZED (
    @open_campaigns
), waiting AS MATERIALIZED (
    SELECT a.*
    FROM arrived a
    WHERE EXISTS (
        SELECT
        FROM open o
        JOIN notice n ON n.lane = a.lane AND n.person_id = a.person_id AND n.campaign_id = o.campaign_id
        WHERE n.reason IN ('in_scope', 'unreachable', 'suppressed') AND o.effective_at <= a.occurred_at
          AND NOT EXISTS (
              SELECT
              FROM accepted x
              WHERE x.lane = a.lane AND x.person_id = a.person_id AND x.version_id = o.version_id
                AND (x.kind <> 'deemed' OR x.accepted_at <= a.occurred_at)
          )
    )
), kept AS (
    INSERT INTO activity (lane, person_id, day, occurred_at, received_at, kind, url_path, ip_prefix, user_agent, due_at)
    SELECT lane, person_id, day, occurred_at, :now, kind, url_path, ip_prefix, user_agent, :now
    FROM waiting
    ORDER BY lane, person_id, occurred_at
    ON CONFLICT (lane, person_id, day) DO UPDATE SET
        occurred_at = excluded.occurred_at, received_at = excluded.received_at, kind = excluded.kind,
        url_path = excluded.url_path, ip_prefix = excluded.ip_prefix, user_agent = excluded.user_agent,
        due_at = excluded.due_at
    WHERE excluded.occurred_at < activity.occurred_at
    RETURNING person_id, day
)
SELECT ARRAY(SELECT place FROM arrived) AS known,
       ARRAY(SELECT place FROM waiting) AS waiting,
       ARRAY(SELECT w.place FROM waiting w JOIN kept k ON k.person_id = w.person_id AND k.day = w.day) AS kept,
       ARRAY(
           SELECT place FROM arrived a LEFT JOIN seen s ON s.person_id = a.person_id
           WHERE a.last_seen_on >= a.day OR s.person_id IS NOT NULL
       ) AS seen

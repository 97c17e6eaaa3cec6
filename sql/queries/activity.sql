-- Continued use, as the sites report it.

-- name: keep
-- lanes: all
-- Keep what may still matter of a batch of uses, one row per person and day; the earlier use of a day replaces the later.
-- A use may matter to a version that deems acceptance, took effect before, was told by a campaign with this person in
-- scope, and is not accepted since an earlier moment. Rows are touched in key order, and a person whom another batch is
-- just marking as seen is left to that one, so that batches never wait for each other in a circle.
WITH arrived AS MATERIALIZED (
    SELECT a.*, p.person_id, p.last_seen_on
    FROM unnest(
        :lanes::smallint[], :people::text[], :uses::integer[], :times::timestamptz[],
        :kinds::text[], :paths::text[], :prefixes::text[], :agents::text[]
    ) AS a (lane, external_id, uses, occurred_at, kind, url_path, ip_prefix, user_agent)
    JOIN person p ON p.lane = a.lane AND p.site = :site AND p.external_id = a.external_id
), unseen AS MATERIALIZED (
    SELECT p.lane, p.external_id, s.day
    FROM (
        SELECT lane, external_id, max((occurred_at AT TIME ZONE 'UTC')::date) AS day
        FROM arrived
        GROUP BY lane, external_id
        HAVING coalesce(max(last_seen_on) < max((occurred_at AT TIME ZONE 'UTC')::date), true)
    ) s
    JOIN person p ON p.lane = s.lane AND p.site = :site AND p.external_id = s.external_id
    ORDER BY p.lane, p.external_id
    FOR NO KEY UPDATE OF p SKIP LOCKED
), seen AS (
    UPDATE person p SET last_seen_on = u.day
    FROM unseen u
    WHERE p.lane = u.lane AND p.site = :site AND p.external_id = u.external_id
      AND coalesce(p.last_seen_on < u.day, true)
), open AS MATERIALIZED (
    SELECT c.campaign_id, c.version_id, v.effective_at
    FROM campaign c
    JOIN version v ON v.version_id = c.version_id
    WHERE c.site = :site AND c.opened_at IS NOT NULL
      AND (c.rule ->> 'deems')::boolean AND NOT (c.rule ->> 'explicit')::boolean
), waiting AS MATERIALIZED (
    SELECT a.*
    FROM arrived a
    WHERE EXISTS (
        SELECT
        FROM open o
        JOIN notice n ON n.lane = a.lane AND n.person_id = a.person_id AND n.campaign_id = o.campaign_id
        WHERE n.reason = 'in_scope' AND o.effective_at <= a.occurred_at
          AND NOT EXISTS (
              SELECT
              FROM acceptance x
              WHERE x.lane = a.lane AND x.person_id = a.person_id AND x.version_id = o.version_id
                AND (x.kind <> 'deemed' OR x.accepted_at <= a.occurred_at)
          )
    )
), kept AS (
    INSERT INTO activity (lane, person_id, day, occurred_at, received_at, kind, url_path, ip_prefix, user_agent, due_at)
    SELECT lane, person_id, (occurred_at AT TIME ZONE 'UTC')::date, occurred_at, :now, kind, url_path, ip_prefix,
           user_agent, :now
    FROM waiting
    ORDER BY lane, person_id, occurred_at
    ON CONFLICT (lane, person_id, day) DO UPDATE SET
        occurred_at = excluded.occurred_at, received_at = excluded.received_at, kind = excluded.kind,
        url_path = excluded.url_path, ip_prefix = excluded.ip_prefix, user_agent = excluded.user_agent,
        due_at = excluded.due_at
    WHERE excluded.occurred_at < activity.occurred_at
    RETURNING 1
)
SELECT (SELECT coalesce(sum(uses), 0) FROM arrived) AS known,
       (SELECT coalesce(sum(uses), 0) FROM waiting) AS waiting,
       (SELECT count(*) FROM kept) AS kept

-- Continued use, as the sites report it.

-- fragment: open_campaigns
SELECT c.campaign_id, c.version_id, v.effective_at, c.rule -> 'activity_kinds' AS kinds,   -- overlays have the same
       CASE WHEN c.rule ->> 'literal_trigger' = 'use_after_posting'
            THEN (SELECT posted_at FROM posted p WHERE p.version_id = c.version_id) END AS literally_from
FROM campaign c   -- whom an overlay keeps from accepting by use is decided with the rest
JOIN version v ON v.version_id = c.version_id
WHERE c.site = :site AND c.opened_at IS NOT NULL AND c.corrects IS NULL
  AND (c.rule ->> 'deems')::boolean AND NOT (c.rule ->> 'explicit')::boolean

-- name: ground
-- lanes: all
-- What uses of a site are judged by: the kinds that count by some and by all of the frozen rules (NULL: every kind; where
-- nothing is open, the site's own list), the campaigns whose versions use may accept, from when on it may matter to them (by
-- their effect and, where a policy's own words ask for no more, by their posting), and how often something was taken back in
-- some lanes.
WITH open AS MATERIALIZED (
    @open_campaigns
), counted AS (
    SELECT kind, count(*) = (SELECT count(*) FROM open WHERE jsonb_typeof(kinds) = 'array') AS by_all
    FROM open
    CROSS JOIN LATERAL (
        SELECT DISTINCT kind FROM jsonb_array_elements_text(CASE jsonb_typeof(kinds) WHEN 'array' THEN kinds ELSE '[]' END) AS kind
    ) one
    GROUP BY kind
)
SELECT CASE WHEN NOT EXISTS (SELECT FROM open) THEN s.settings #> '{rule,activity_kinds}'
            WHEN (SELECT bool_and(jsonb_typeof(kinds) = 'array') FROM open)
            THEN to_jsonb(ARRAY(SELECT kind FROM counted ORDER BY kind)) END AS kinds,
       CASE WHEN (SELECT bool_or(jsonb_typeof(kinds) = 'array') FROM open)
            THEN ARRAY(SELECT kind FROM counted WHERE by_all ORDER BY kind) END AS shared,
       ARRAY(SELECT campaign_id FROM open ORDER BY campaign_id) AS campaigns,
       ARRAY(
           SELECT effective_at FROM open UNION ALL SELECT literally_from FROM open WHERE literally_from IS NOT NULL ORDER BY 1
       ) AS effective,
       (SELECT jsonb_object_agg(lane, epoch) FROM lane_epoch WHERE lane = ANY (:lanes::smallint[])) AS epochs
FROM site s
WHERE s.site = :site

-- A batch of uses is kept in three pieces, so that two queries share what they do with it.
-- ``times`` are seconds since 1970, which are sent in a fifth of the time that moments take. Of each use it is looked up who
-- the person is, and whether it may matter: to a version that deems acceptance, took effect before, was told by a campaign with
-- this person in scope (who cannot be reached may be told at a login), and is not accepted since an earlier moment. Rows come
-- and are touched in key order, so that batches rarely wait for each other in a circle; PostgreSQL ends one that does, and it
-- is taken in again.

-- fragment: what_matters
WITH open AS MATERIALIZED (
    @open_campaigns
), given AS MATERIALIZED (
    SELECT a.*, p.person_id,
           to_timestamp(a.occurred) AS occurred_at,
           (to_timestamp(a.occurred) AT TIME ZONE INTERVAL '0')::date AS day,   -- of UTC, whose name takes longer
           EXISTS (
               SELECT
               FROM open o
               JOIN notice n ON n.lane = a.lane AND n.person_id = p.person_id AND n.campaign_id = o.campaign_id
               WHERE n.reason IN ('in_scope', 'unreachable', 'suppressed') AND o.effective_at <= to_timestamp(a.occurred)
                 AND NOT EXISTS (
                     SELECT
                     FROM accepted x
                     WHERE x.lane = a.lane AND x.person_id = p.person_id AND x.version_id = o.version_id
                       AND (x.kind <> 'deemed' OR x.accepted_at <= to_timestamp(a.occurred))
                 )
           ) AS matters
    FROM unnest(
        :lanes::smallint[], string_to_array(:people, E'\n'), :times::double precision[], :received::timestamptz[],
        string_to_array(:kinds, E'\n'), string_to_array(:paths, E'\n'), string_to_array(:prefixes, E'\n'),
        string_to_array(:agents, E'\n')
    ) WITH ORDINALITY
      AS a (lane, external_id, occurred, received_at, kind, url_path, ip_prefix, user_agent, place)
    LEFT JOIN LATERAL (
        -- LIMIT keeps the planner at one look by key per use.
        SELECT person_id FROM person
        WHERE lane = a.lane AND site = :site AND external_id = a.external_id
        LIMIT 1
    ) p ON true
), kept AS (
    INSERT INTO activity (lane, person_id, day, occurred_at, received_at, kind, url_path, ip_prefix, user_agent, due_at)
    SELECT lane, person_id, day, occurred_at, coalesce(received_at, :now), kind, coalesce(url_path, ''),
           coalesce(ip_prefix, ''), coalesce(user_agent, ''), :now
    FROM given
    WHERE matters
    ORDER BY lane, person_id, day

-- fragment: known_day
    ON CONFLICT (lane, person_id, day) DO UPDATE SET
        occurred_at = excluded.occurred_at, received_at = excluded.received_at, kind = excluded.kind,
        url_path = excluded.url_path, ip_prefix = excluded.ip_prefix, user_agent = excluded.user_agent,
        due_at = excluded.due_at
    WHERE excluded.occurred_at < activity.occurred_at
      AND (:shared::text[] IS NULL OR excluded.kind = ANY (:shared) OR activity.kind <> ALL (:shared))

-- Of everybody else who is known the day is noted here; of those whose use is kept, by whoever decides about it.
-- Where a policy's own words make any use after the posting acceptance, the first one of each person before the version's
-- effect is noted besides; of later ones who decides about them notes it.
-- The answer is a letter for each use, in order: u for an unknown person, n where nothing is open, k for kept, s where an
-- earlier use of that day is known.

-- fragment: the_rest
    RETURNING person_id, day
), seen AS (
    UPDATE person p SET last_seen_on = g.day
    FROM (
        SELECT lane, external_id, max(day) AS day
        FROM given
        WHERE person_id IS NOT NULL AND NOT matters
        GROUP BY lane, external_id
        ORDER BY lane, external_id
    ) g
    WHERE p.lane = g.lane AND p.site = :site AND p.external_id = g.external_id AND coalesce(p.last_seen_on < g.day, true)
), literally AS (
    INSERT INTO literal_use AS f (lane, person_id, version_id, occurred_at)
    SELECT g.lane, g.person_id, o.version_id, min(g.occurred_at)
    FROM open o
    JOIN given g ON g.occurred_at >= o.literally_from AND g.occurred_at < o.effective_at   -- later ones are kept for deciding
        AND (jsonb_typeof(o.kinds) IS DISTINCT FROM 'array' OR o.kinds ? g.kind)
    -- LIMIT keeps the planner at looks by key, of which there are none where no policy has such words.
    CROSS JOIN LATERAL (
        SELECT FROM notice
        WHERE lane = g.lane AND person_id = g.person_id AND campaign_id = o.campaign_id
          AND reason IN ('in_scope', 'unreachable', 'suppressed')
        LIMIT 1
    ) n
    LEFT JOIN LATERAL (
        SELECT occurred_at FROM literal_use
        WHERE lane = g.lane AND person_id = g.person_id AND version_id = o.version_id
        LIMIT 1
    ) noted ON true
    LEFT JOIN LATERAL (
        SELECT true AS already FROM accepted
        WHERE lane = g.lane AND person_id = g.person_id AND version_id = o.version_id
          AND (kind <> 'deemed' OR accepted_at <= g.occurred_at)
        LIMIT 1
    ) a ON true
    WHERE (noted.occurred_at IS NULL OR noted.occurred_at > g.occurred_at) AND a.already IS NULL
    GROUP BY g.lane, g.person_id, o.version_id
    ORDER BY g.lane, g.person_id, o.version_id
    ON CONFLICT (lane, person_id, version_id) DO UPDATE SET occurred_at = excluded.occurred_at
    WHERE excluded.occurred_at < f.occurred_at
)
-- Most often all is kept. If not, IN as a value, not as a condition: it is looked up in a hash table, whatever the planner
-- thinks of how many there are.
SELECT string_agg(
           CASE WHEN person_id IS NULL THEN 'u'
                WHEN NOT matters THEN 'n'
                WHEN (SELECT count(*) FROM kept) = (SELECT count(*) FROM given WHERE matters) THEN 'k'
                WHEN (person_id, day) IN (SELECT person_id, day FROM kept) THEN 'k'
                ELSE 's' END, '' ORDER BY place)
FROM given

-- name: keep
-- lanes: all
-- Keep what may still matter of a batch of uses, one row per person and day; the earlier use of a day replaces the later,
-- unless only the later is of the kinds that every open rule counts (``shared``; NULL: every kind is).
@what_matters
@known_day
@the_rest

-- name: keep_new
-- lanes: all
-- The same where no use of these days is thought to be on record, at nine tenths of the work; fails with a unique violation
-- when there is one.
@what_matters
@the_rest

-- name: take_in
-- lanes: none
-- Keep uses as they were reported, a commit's worth in a row, unless the token that they came with is good no more (NULL: asked
-- about before). Returns which of the tokens are good.
WITH good AS MATERIALIZED (
    SELECT sha256 FROM api_token WHERE sha256 = ANY (:tokens::bytea[]) AND revoked_at IS NULL
), kept AS (
    INSERT INTO reported (site, received_at, many, uses)
    SELECT site, :now, many, uses
    FROM unnest(:sites::text[], :tokens::bytea[], :many::integer[], :uses::bytea[]) AS r (site, token, many, uses)
    WHERE many > 0 AND (token IS NULL OR token IN (SELECT sha256 FROM good))
)
SELECT ARRAY(SELECT sha256 FROM good)

-- name: take_reported
-- lanes: none
-- Take out some rows of uses that were reported one by one, the oldest first; those that another worker has are left to it.
DELETE FROM reported r
USING (SELECT reported_id FROM reported ORDER BY reported_id LIMIT :most FOR UPDATE SKIP LOCKED) one
WHERE r.reported_id = one.reported_id
RETURNING r.reported_id, r.site, r.received_at, r.uses

-- name: backlog
-- lanes: none
-- How many uses wait to be unfolded, by site, and since when the oldest of them does.
SELECT site, sum(many)::bigint AS many, min(received_at) AS since FROM reported GROUP BY site

-- name: refuse
-- lanes: none
-- Record why messages are never taken in; the same message again is the same row.
INSERT INTO refused_message (stream, sequence, subject, reason, refused_at)
SELECT stream, sequence, subject, reason, :now
FROM unnest(:streams::text[], :sequences::bigint[], :subjects::text[], :reasons::text[])
     AS r (stream, sequence, subject, reason)
ORDER BY stream, sequence
ON CONFLICT DO NOTHING

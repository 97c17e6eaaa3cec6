-- What the record amounts to: facts in, acceptances and objections out.

-- name: due_lanes
-- lanes: all
-- Some lanes that have something to decide, and what, in no order, so that workers rarely meet in one.
SELECT lane, bool_or(what = 'registration') AS registrations, bool_or(what = 'doubt') AS doubts, bool_or(what = 'use') AS uses,
       bool_or(what = 'closing') AS closings
FROM (
    (SELECT lane, 'use' AS what FROM activity WHERE due_at <= :now ORDER BY due_at LIMIT 5000)
    UNION ALL
    (SELECT lane, 'registration' FROM registration LIMIT 5000)
    UNION ALL
    (SELECT lane, 'doubt' FROM doubt LIMIT 5000)
    UNION ALL
    (SELECT lane, 'closing' FROM closing LIMIT 5000)
) due
GROUP BY lane
ORDER BY random()
LIMIT :most

-- name: hold_lane
-- lanes: one
-- Whoever decides about people of a lane, or contests what was decided, does so alone until the transaction ends: facts that
-- one of the two has not committed yet, the other must not miss.
SELECT pg_advisory_xact_lock(hashtext('lane'), :lane)

-- name: take_uses
-- lanes: one
-- Take all uses on record of people of whom one is due; rows that another worker has in hand are left to it. Their day is noted
-- here and not where they were taken in, so that whoever reports uses waits for less.
WITH taken AS (
    DELETE FROM activity a
    USING (
        SELECT person_id, day FROM activity
        WHERE lane = :lane AND person_id IN (
            SELECT DISTINCT person_id FROM activity WHERE lane = :lane AND due_at <= :now ORDER BY person_id LIMIT :most
        )
        ORDER BY person_id, day
        FOR UPDATE SKIP LOCKED
    ) one
    WHERE a.lane = :lane AND a.person_id = one.person_id AND a.day = one.day
    RETURNING a.person_id, a.day, a.occurred_at, a.received_at, a.kind, a.url_path, a.ip_prefix, a.user_agent
), met AS MATERIALIZED (   -- locked in the order in which everybody writes people: nobody waits in a circle
    SELECT p.person_id, t.day
    FROM (SELECT person_id, max(day) AS day FROM taken GROUP BY person_id) t
    JOIN person p ON p.lane = :lane AND p.person_id = t.person_id
    WHERE p.status <> 'erased' AND coalesce(p.last_seen_on < t.day, true)
    ORDER BY p.external_id
    FOR NO KEY UPDATE OF p
), seen AS (
    UPDATE person p SET last_seen_on = m.day
    FROM met m
    WHERE p.lane = :lane AND p.person_id = m.person_id
)
SELECT person_id, occurred_at, received_at, kind, url_path, ip_prefix, user_agent FROM taken ORDER BY person_id, occurred_at

-- name: take_doubts
-- lanes: one
-- Take the tellings of some people that bounced.
DELETE FROM doubt d
USING (
    SELECT person_id, campaign_id, channel, attempt FROM doubt WHERE lane = :lane
    ORDER BY person_id, campaign_id, channel, attempt LIMIT :most
    FOR UPDATE SKIP LOCKED
) one
WHERE d.lane = :lane AND d.person_id = one.person_id AND d.campaign_id = one.campaign_id AND d.channel = one.channel
  AND d.attempt = one.attempt
RETURNING d.person_id, d.campaign_id, d.channel, d.attempt

-- name: take_closings
-- lanes: one
-- Take some people whose accounts were closed.
DELETE FROM closing c
USING (SELECT person_id FROM closing WHERE lane = :lane ORDER BY person_id LIMIT :most FOR UPDATE SKIP LOCKED) one
WHERE c.lane = :lane AND c.person_id = one.person_id
RETURNING c.person_id

-- name: uses_of
-- lanes: one
-- All uses on record of some people.
SELECT a.person_id, a.occurred_at, a.received_at, a.kind, a.url_path, a.ip_prefix, a.user_agent
FROM activity a
WHERE a.lane = :lane AND a.person_id = ANY (:people::uuid[])
ORDER BY a.person_id, a.day

-- name: deemed
-- lanes: one
-- Every deemed revision of some people, and what each rests on.
SELECT person_id, version_id, revision, evidence
FROM acceptance
WHERE lane = :lane AND person_id = ANY (:people::uuid[]) AND kind = 'deemed'
ORDER BY person_id, version_id, revision

-- name: ask_again
-- lanes: one
-- Put uses back that an acceptance rested on, and let all uses of these people be decided now.
WITH back AS (
    INSERT INTO activity (lane, person_id, day, occurred_at, received_at, kind, url_path, ip_prefix, user_agent, due_at)
    SELECT DISTINCT ON (person_id, day)
           :lane::smallint, person_id, day, occurred_at, received_at, kind, url_path, ip_prefix, user_agent, :now
    FROM unnest(:people::uuid[], :days::date[], :occurred::timestamptz[], :received::timestamptz[], :kinds::text[],
                :paths::text[], :prefixes::text[], :agents::text[])
         AS u (person_id, day, occurred_at, received_at, kind, url_path, ip_prefix, user_agent)
    ORDER BY person_id, day, occurred_at
    ON CONFLICT (lane, person_id, day) DO UPDATE SET
        occurred_at = excluded.occurred_at, received_at = excluded.received_at, kind = excluded.kind,
        url_path = excluded.url_path, ip_prefix = excluded.ip_prefix, user_agent = excluded.user_agent,
        due_at = excluded.due_at
    WHERE excluded.occurred_at < activity.occurred_at
    RETURNING person_id, day
)
UPDATE activity a SET due_at = :now
WHERE a.lane = :lane AND a.person_id = ANY (:people) AND a.due_at > :now
  AND NOT EXISTS (SELECT FROM back b WHERE b.person_id = a.person_id AND b.day = a.day)

-- name: facts
-- lanes: one
-- What bears on some people, one row per notice; not where they accepted at or before the moment given with them.
SELECT s.person_id, s.campaign_id, c.version_id, s.plan, s.status, s.tellings,
       CASE WHEN p.status IN ('closed', 'erased') THEN coalesce(p.closed_at, p.changed_at) END AS closed_at,
       o.at AS objected_at, coalesce(o.withdrawn, false) AS withdrawn, o.first_at AS first_objected_at,
       a.kind::text AS kind, a.accepted_at, a.revision,
       CASE WHEN coalesce(s.rule ->> 'baseline_at_least', 'unknown') = 'unknown' THEN 'unknown' ELSE coalesce((
           SELECT max(e.proof)     -- proved is more than imported, in the alphabet too
           FROM version v
           JOIN version older ON older.site = v.site AND older.policy = v.policy AND older.ordinal < v.ordinal
           JOIN ever_accepted e ON e.lane = :lane AND e.person_id = w.person_id AND e.version_id = older.version_id
           WHERE v.version_id = c.version_id
       ), 'unknown') END AS baseline,
       CASE WHEN s.rule ->> 'literal_trigger' = 'use_after_posting' THEN (
           SELECT occurred_at FROM literal_use
           WHERE lane = :lane AND person_id = w.person_id AND version_id = c.version_id
       ) END AS literally_used_at
FROM unnest(:people::uuid[], :since::timestamptz[]) AS w (person_id, since)
JOIN person p ON p.lane = :lane AND p.person_id = w.person_id
JOIN standing s ON s.lane = :lane AND s.person_id = w.person_id
JOIN campaign c ON c.campaign_id = s.campaign_id AND c.corrects IS NULL   -- a correction tells nobody of the version
LEFT JOIN LATERAL (
    SELECT at, withdrawn, min(at) FILTER (WHERE NOT withdrawn) OVER () AS first_at
    FROM objection
    WHERE lane = :lane AND person_id = w.person_id AND version_id = c.version_id
    ORDER BY at DESC, withdrawn LIMIT 1
) o ON true
LEFT JOIN LATERAL (
    SELECT kind, accepted_at, revision
    FROM acceptance
    WHERE lane = :lane AND person_id = w.person_id AND version_id = c.version_id
    ORDER BY revision DESC LIMIT 1
) a ON true
WHERE coalesce(a.accepted_at > w.since, true)

-- name: terms
-- lanes: none
-- The frozen rules of some campaigns and plans, since when their versions count as posted, and when these take effect.
SELECT c.campaign_id, k.plan, coalesce(k.rule, c.rule) AS rule, p.posted_at, v.effective_at
FROM unnest(:campaigns::integer[], :plans::integer[]) AS asked (campaign_id, plan)
JOIN campaign c ON c.campaign_id = asked.campaign_id
JOIN plan k ON k.campaign_id = c.campaign_id AND k.plan = asked.plan
JOIN version v ON v.version_id = c.version_id
JOIN posted p ON p.version_id = c.version_id

-- name: pass_over
-- lanes: one
-- Keep the first use that did not count, of each person, version and reason.
INSERT INTO passed_over AS p (lane, person_id, version_id, reason, occurred_at, kind, recorded_at)
SELECT :lane, person_id, version_id, reason, occurred_at, kind, :now
FROM unnest(:people::uuid[], :versions::integer[], :reasons::text[], :occurred::timestamptz[], :kinds::text[])
     AS u (person_id, version_id, reason, occurred_at, kind)
ORDER BY person_id, version_id
ON CONFLICT (lane, person_id, version_id, reason) DO UPDATE SET
    occurred_at = excluded.occurred_at, kind = excluded.kind, recorded_at = excluded.recorded_at
WHERE excluded.occurred_at < p.occurred_at

-- name: note_literal_use
-- lanes: one
-- Note when a policy's own words were met, of each person and version: the earliest stands.
INSERT INTO literal_use AS f (lane, person_id, version_id, occurred_at)
SELECT :lane, person_id, version_id, occurred_at
FROM unnest(:people::uuid[], :versions::integer[], :times::timestamptz[]) AS u (person_id, version_id, occurred_at)
ORDER BY person_id, version_id
ON CONFLICT (lane, person_id, version_id) DO UPDATE SET occurred_at = excluded.occurred_at
WHERE excluded.occurred_at < f.occurred_at

-- name: take_registrations
-- lanes: one
-- Take what registrations showed, with what is recorded of the same person and version already.
WITH taken AS (
    DELETE FROM registration r
    USING (
        SELECT person_id, version_id FROM registration WHERE lane = :lane
        ORDER BY person_id, version_id LIMIT :most
        FOR UPDATE SKIP LOCKED
    ) one
    WHERE r.lane = :lane AND r.person_id = one.person_id AND r.version_id = one.version_id
    RETURNING r.person_id, r.version_id, r.at
)
SELECT taken.person_id, taken.version_id, taken.at, a.kind::text AS kind, a.accepted_at, a.revision
FROM taken
LEFT JOIN LATERAL (
    SELECT kind, accepted_at, revision
    FROM acceptance
    WHERE lane = :lane AND person_id = taken.person_id AND version_id = taken.version_id
    ORDER BY revision DESC LIMIT 1
) a ON true

-- name: recorded
-- lanes: one
-- The latest acceptance of one person and version.
SELECT kind::text AS kind, accepted_at, revision
FROM acceptance
WHERE lane = :lane AND person_id = :person_id AND version_id = :version_id
ORDER BY revision DESC LIMIT 1

-- name: published_at
-- lanes: none
-- When a version of a site was published.
SELECT published_at FROM version WHERE version_id = :version_id AND site = :site AND state = 'published'

-- name: baseline_places
-- lanes: all
-- Whom and which version each line of a batch is about, and whether the site's latest word on it is the same.
SELECT i.place::integer AS place, i.lane::integer AS lane, p.person_id, v.version_id,
       coalesce(b.revision, 0)::integer AS revision,
       coalesce((b.proof, b.via, b.reference) = (i.proof, i.via, i.reference)
           AND b.accepted_at IS NOT DISTINCT FROM i.accepted_at AND b.sha256 IS NOT DISTINCT FROM i.sha256, false) AS same
FROM unnest(:lanes::smallint[], :people::text[], :policies::text[], :labels::text[], :proofs::text[],
            :accepted::timestamptz[], :vias::text[], :references::text[], :digests::bytea[])
     WITH ORDINALITY AS i (lane, external_id, policy, label, proof, accepted_at, via, reference, sha256, place)
LEFT JOIN LATERAL (
    -- LIMIT keeps the planner at one look by key per line.
    SELECT q.person_id FROM person q WHERE q.lane = i.lane AND q.site = :site AND q.external_id = i.external_id LIMIT 1
) p ON true
LEFT JOIN version v ON v.site = :site AND v.policy = i.policy AND v.label = i.label AND v.state = 'published'
LEFT JOIN LATERAL (
    SELECT revision, proof, accepted_at, via, reference, sha256
    FROM baseline
    WHERE lane = i.lane AND person_id = p.person_id AND version_id = v.version_id
    ORDER BY revision DESC LIMIT 1
) b ON true
ORDER BY i.place

-- name: standing_objection
-- lanes: one
-- The latest word of one person's objection to a version.
SELECT at, withdrawn
FROM objection
WHERE lane = :lane AND person_id = :person_id AND version_id = :version_id
ORDER BY at DESC, withdrawn LIMIT 1

-- name: object
-- lanes: one
-- Append an objection, or that it was taken back; the same again is the same row.
INSERT INTO objection (lane, person_id, version_id, at, withdrawn, via, statement, recorded_at)
VALUES (:lane, :person_id, :version_id, :at, :withdrawn, :via, :statement, :now)
ON CONFLICT DO NOTHING

-- name: begin_silence
-- lanes: none
-- Campaigns in which silence may amount to acceptance are looked at lane by lane: nobody's date comes before the version
-- takes effect. Only everybody's rule can say so: of several rules, use is the stricter.
INSERT INTO silence (campaign_id, lane, due_at)
SELECT c.campaign_id, lane, greatest(v.effective_at, c.opened_at)
FROM campaign c
JOIN version v ON v.version_id = c.version_id
CROSS JOIN generate_series(0, 1023) AS lane
WHERE c.opened_at IS NOT NULL AND c.corrects IS NULL
  AND c.rule ->> 'deemed_by' = 'silence' AND (c.rule ->> 'deems')::boolean AND NOT (c.rule ->> 'explicit')::boolean
  AND NOT EXISTS (SELECT FROM silence s WHERE s.campaign_id = c.campaign_id)
ON CONFLICT DO NOTHING

-- name: take_silence
-- lanes: none
-- A lane that it is time to look at, unless another worker does.
SELECT campaign_id, lane, after, again_at FROM silence
WHERE due_at <= :now
ORDER BY due_at, campaign_id, lane
LIMIT 1
FOR UPDATE SKIP LOCKED

-- name: silent
-- lanes: one
-- The next people of a lane whom a campaign was to tell and who have accepted nothing yet.
SELECT n.person_id
FROM notice n
JOIN campaign c ON c.campaign_id = n.campaign_id
WHERE n.lane = :lane AND n.campaign_id = :campaign_id AND n.reason IN ('in_scope', 'unreachable', 'suppressed')
  AND (:after::uuid IS NULL OR n.person_id > :after)
  AND NOT EXISTS (
      SELECT FROM accepted a WHERE a.lane = n.lane AND a.person_id = n.person_id AND a.version_id = c.version_id
  )
ORDER BY n.person_id
LIMIT :most

-- name: looked_at_silence
-- lanes: none
-- How far a look has come, or (no :after) when the lane is looked at next.
UPDATE silence SET after = :after, again_at = :again_at, due_at = :due_at
WHERE campaign_id = :campaign_id AND lane = :lane

-- The people of a site: they come, change and go.

-- fragment: person_columns
lane, site, external_id, person_id, status::text, email, locale, time_zone, country, roles, channels, attributes,
registered_at, registration_version, changed_at, last_seen_on, closed_at

-- name: upsert
-- lanes: all
-- A batch of people, each of them whole: what is not given is emptied, but for what registration said. Who is already
-- so is not touched. In key order, so that two imports that meet wait for each other instead of locking each other out.
-- While a version is being told, who comes, comes back or has another address is left for the audience of it; whoever left
-- before now, for what was deemed since.
WITH incoming AS (
    SELECT p.status AS was, p.email AS was_email, i.lane, i.external_id, i.person_id, i.status, i.email, decode(i.email_mac, 'hex') AS email_mac, i.locale,
           i.time_zone, i.country, i.roles, i.channels, i.attributes, least(i.closed_at, :now) AS closed_at,
           coalesce(i.registered_at, p.registered_at, :now::timestamptz) AS registered_at,
           coalesce(i.registration_version, p.registration_version) AS registration_version
    FROM jsonb_to_recordset(:people) AS i (
        lane smallint, external_id text, person_id uuid, status person_status, email text, email_mac text,
        locale text, time_zone text, country text, roles text[], channels text[], attributes jsonb,
        registered_at timestamptz, registration_version text, closed_at timestamptz
    )
    LEFT JOIN LATERAL (
        SELECT * FROM person q WHERE q.lane = i.lane AND q.site = :site AND q.external_id = i.external_id LIMIT 1
    ) p ON true
    WHERE NOT EXISTS (SELECT FROM merger m WHERE m.from_lane = p.lane AND m.from_person = p.person_id)
      AND (p.person_id IS NULL
       OR (p.status, p.email, p.email_mac, p.locale, p.time_zone, p.country, p.roles, p.channels, p.attributes)
          IS DISTINCT FROM
          (i.status, i.email, decode(i.email_mac, 'hex'), i.locale, i.time_zone, i.country, i.roles, i.channels,
           i.attributes)
       OR p.registered_at <> i.registered_at
       OR i.closed_at < p.closed_at
       OR (i.registration_version IS NOT NULL AND p.registration_version IS DISTINCT FROM i.registration_version))
),
written AS (
    INSERT INTO person AS was (
        lane, site, external_id, person_id, status, email, email_mac, locale, time_zone, country, roles, channels,
        attributes, registered_at, registration_version, changed_at, closed_at
    )
    SELECT lane, :site, external_id, person_id, status, email, email_mac, locale, time_zone, country, roles, channels,
           attributes, registered_at, registration_version, :now, CASE status WHEN 'closed' THEN coalesce(closed_at, :now) END
    FROM incoming
    ORDER BY lane, external_id
    ON CONFLICT (lane, site, external_id) DO UPDATE
    SET status = EXCLUDED.status, email = EXCLUDED.email, email_mac = EXCLUDED.email_mac, locale = EXCLUDED.locale,
        time_zone = EXCLUDED.time_zone, country = EXCLUDED.country, roles = EXCLUDED.roles,
        channels = EXCLUDED.channels, attributes = EXCLUDED.attributes, registered_at = EXCLUDED.registered_at,
        registration_version = EXCLUDED.registration_version, changed_at = EXCLUDED.changed_at,
        closed_at = CASE EXCLUDED.status WHEN 'closed' THEN least(was.closed_at, EXCLUDED.closed_at) END
    RETURNING lane, external_id, person_id
), open AS (
    SELECT max(v.effective_at) AS latest
    FROM campaign c
    JOIN version v USING (version_id)
    WHERE c.site = :site AND c.corrects IS NULL AND c.superseded_by IS NULL
      AND c.state NOT IN ('cancelled', 'superseded')
), arrived AS (
    INSERT INTO arrival (lane, person_id, site)
    SELECT w.lane, w.person_id, :site
    FROM written w
    JOIN incoming i ON i.lane = w.lane AND i.external_id = w.external_id
    WHERE (SELECT latest FROM open) IS NOT NULL
      AND CASE WHEN i.was IS NULL THEN i.registered_at < (SELECT latest FROM open)
               ELSE i.was <> i.status AND i.status IN ('active', 'dormant')
                    OR i.email IS DISTINCT FROM i.was_email AND i.email IS NOT NULL
          END
    ORDER BY w.lane, w.person_id
    ON CONFLICT (lane, person_id) DO UPDATE SET mark = arrival.mark + 1
), left_before AS (
    INSERT INTO closing (lane, person_id)
    SELECT w.lane, w.person_id
    FROM written w
    JOIN incoming i ON i.lane = w.lane AND i.external_id = w.external_id
    WHERE i.closed_at IS NOT NULL AND i.was IS NOT NULL
    ORDER BY w.lane, w.person_id
    ON CONFLICT (lane, person_id) DO UPDATE SET person_id = excluded.person_id
)
SELECT count(*) FILTER (WHERE made) AS created, count(*) FILTER (WHERE NOT made) AS changed
FROM (SELECT person_id IN (SELECT person_id FROM incoming) AS made FROM written) w

-- name: returned
-- lanes: all
-- Who of a batch had been erased. Asked after the upsert, so that no erasure slips in between. LIMIT keeps the planner at
-- one look into the index per person: without it, it reads the whole table per batch as long as it knows no better.
SELECT i.lane, i.external_id
FROM unnest(:lanes::smallint[], :external_ids::text[], :pseudonyms::text[]) AS i (lane, external_id, pseudonym)
CROSS JOIN LATERAL (
    SELECT FROM person e WHERE e.lane = i.lane AND e.site = :site AND e.external_id = i.pseudonym LIMIT 1
) e

-- name: merged_away
-- lanes: all
-- Who of a batch was merged into another account: nothing more is taken in of them.
SELECT i.lane, i.external_id
FROM unnest(:lanes::smallint[], :external_ids::text[]) AS i (lane, external_id)
CROSS JOIN LATERAL (
    SELECT person_id FROM person q WHERE q.lane = i.lane AND q.site = :site AND q.external_id = i.external_id LIMIT 1
) p
JOIN merger m ON m.from_lane = i.lane AND m.from_person = p.person_id

-- name: lock
-- lanes: one
-- Hold one person until the transaction ends.
SELECT FROM person WHERE lane = :lane AND site = :site AND external_id = :external_id FOR NO KEY UPDATE

-- name: merge
-- lanes: one
-- One account was merged into another.
INSERT INTO merger (lane, person_id, from_lane, from_person, at)
VALUES (:lane, :person_id, :from_lane, :from_person, :now)
ON CONFLICT DO NOTHING

-- name: merged_into
-- lanes: all
-- Into which account one was merged.
SELECT lane, person_id, at FROM merger WHERE from_lane = :lane AND from_person = :person_id

-- name: merged_from
-- lanes: all
-- The accounts that were merged into one, and those that had been merged into these.
WITH RECURSIVE merged AS (
    SELECT from_lane, from_person, at FROM merger WHERE lane = :lane AND person_id = :person_id
    UNION
    SELECT m.from_lane, m.from_person, m.at
    FROM merged JOIN merger m ON m.lane = merged.from_lane AND m.person_id = merged.from_person
)
SELECT p.lane, p.person_id, p.external_id, merged.at
FROM merged
JOIN person p ON p.lane = merged.from_lane AND p.person_id = merged.from_person
ORDER BY merged.at

-- name: close
-- lanes: one
-- An account was closed at a moment, unless it was before; what was deemed since is left to be contested.
WITH closed AS (
    UPDATE person SET status = 'closed', closed_at = least(closed_at, :at), changed_at = :now
    WHERE lane = :lane AND person_id = :person_id AND status <> 'erased' AND (status <> 'closed' OR closed_at > :at)
    RETURNING lane, person_id
)
INSERT INTO closing (lane, person_id)
SELECT lane, person_id FROM closed
ON CONFLICT (lane, person_id) DO UPDATE SET person_id = excluded.person_id

-- name: remove
-- lanes: all
-- People who came back although they had been erased.
DELETE FROM person p
USING unnest(:lanes::smallint[], :external_ids::text[]) AS i (lane, external_id)
WHERE p.lane = i.lane AND p.site = :site AND p.external_id = i.external_id

-- name: hold_policies
-- lanes: none
-- Let no version be published until this transaction ends: whichever comes second sees the other.
SELECT policy FROM policy WHERE site = :site FOR KEY SHARE

-- name: insert_registrations
-- lanes: all
-- What the people of a batch were shown when they registered.
INSERT INTO registration (lane, person_id, version_id, at)
SELECT p.lane, p.person_id, v.version_id, p.registered_at
FROM unnest(:lanes::smallint[], :external_ids::text[], :labels::text[]) AS i (lane, external_id, label)
CROSS JOIN LATERAL (
    SELECT * FROM person q WHERE q.lane = i.lane AND q.site = :site AND q.external_id = i.external_id LIMIT 1
) p
JOIN version v ON v.site = :site AND v.label = i.label AND v.state = 'published'
ORDER BY p.lane, p.person_id
ON CONFLICT DO NOTHING

-- name: person
-- lanes: one
-- A person by the site's own id or, once erased, by the pseudonym that took its place.
SELECT
    @person_columns
FROM person
WHERE lane = :lane AND site = :site AND external_id = ANY (ARRAY[:external_id, :pseudonym]::text[])

-- name: erase
-- lanes: one
-- Only that there was somebody, and when, is left of a person.
UPDATE person
SET external_id = :pseudonym, status = 'erased', email = NULL, email_mac = NULL, locale = '', time_zone = '',
    country = '', roles = '{}', channels = '{}', attributes = '{}', last_seen_on = NULL, changed_at = :now,
    closed_at = coalesce(closed_at, :now)
WHERE lane = :lane AND site = :site AND external_id = :external_id
RETURNING person_id

-- name: next_epoch
-- lanes: one
-- Something of these lanes' people is taken back: what processes remember of them is void from this commit on.
INSERT INTO lane_epoch (lane, epoch)
SELECT DISTINCT lane, 1 FROM unnest(:lanes::smallint[]) AS lane ORDER BY lane
ON CONFLICT (lane) DO UPDATE SET epoch = lane_epoch.epoch + 1

-- name: erase_outcomes
-- lanes: one
-- The addresses that letters were sent to: that they were sent stays. What mail servers said often quotes the address, and a
-- report may come from a domain of the person's own; what it amounted to stays, and so do the names of our own relays.
UPDATE outcome
SET address = NULL, reply = '', via = CASE WHEN kind IN ('bounced', 'complained', 'accepted_by_recipient') THEN '' ELSE via END
WHERE lane = :lane AND person_id = :person_id

-- name: erase_activity
-- lanes: one
-- Use that nothing was made of yet.
DELETE FROM activity WHERE lane = :lane AND person_id = :person_id

-- name: erase_baselines
-- lanes: one
-- How the site put an earlier acceptance and where it keeps the proof; that it said so, and the proof's digest, stay.
UPDATE baseline SET via = '', reference = '' WHERE lane = :lane AND person_id = :person_id

-- name: erase_statements
-- lanes: one
-- What the person wrote when they objected, and how the site put the way it came; that they did stays.
UPDATE objection SET statement = '', via = '' WHERE lane = :lane AND person_id = :person_id

-- name: erase_evidence
-- lanes: one
-- From where and with what the person used the site; that they did, and when, stays.
UPDATE acceptance SET evidence = evidence #- '{use,url_path}' #- '{use,ip_prefix}' #- '{use,user_agent}'
WHERE lane = :lane AND person_id = :person_id AND jsonb_typeof(evidence -> 'use') = 'object'

-- name: erase_acts
-- lanes: one
-- How the site put the way in which the person accepted; that they did, and when, stays.
UPDATE acceptance SET evidence = evidence - 'via'
WHERE lane = :lane AND person_id = :person_id AND evidence ? 'via'

-- Addresses that are not written to: by keyed MAC only, and who put them there or took them off.

-- fragment: in_force
SELECT s.email_mac, s.reason, s.since, nullif(s.until, 'infinity') AS until, e.actor
FROM suppression s
LEFT JOIN LATERAL (
    SELECT x.actor FROM suppression_event x
    WHERE x.site = s.site AND x.email_mac = s.email_mac AND x.action = 'added'
    ORDER BY x.at DESC LIMIT 1
) e ON true
WHERE s.site = :site AND s.until > :now

-- name: page
-- lanes: all
-- Suppressed addresses after one, each with the people who have it now. Reads the site's people once a page.
WITH page AS MATERIALIZED (
@in_force
      AND s.email_mac > :after::bytea
    ORDER BY s.email_mac
    LIMIT :most
), owner AS (
    SELECT p.email_mac, array_agg(p.external_id ORDER BY p.external_id) AS external_ids
    FROM person p
    WHERE p.site = :site AND p.email_mac IN (SELECT email_mac FROM page)
    GROUP BY p.email_mac
)
SELECT page.email_mac, page.reason, page.since, page.until, page.actor,
       coalesce(owner.external_ids, '{}') AS external_ids
FROM page
LEFT JOIN owner ON owner.email_mac = page.email_mac
ORDER BY page.email_mac

-- name: csv
-- lanes: all
-- All of them as they are exported, a line per person. What a spreadsheet would take for a formula gets an apostrophe.
WITH listed AS MATERIALIZED (
@in_force
)
SELECT regexp_replace(p.external_id, '^([-=+@\t\r\n－＝＋＠])', '''\1') AS external_id,
       regexp_replace(listed.reason, '^([-=+@\t\r\n－＝＋＠])', '''\1') AS reason, listed.since, listed.until,
       regexp_replace(listed.actor, '^([-=+@\t\r\n－＝＋＠])', '''\1') AS actor
FROM listed
LEFT JOIN person p ON p.site = :site AND p.email_mac = listed.email_mac
ORDER BY listed.since DESC, listed.email_mac, p.external_id

-- name: add
-- lanes: none
-- Put an address on the list, or give it another reason and end.
WITH added AS (
    INSERT INTO suppression (site, email_mac, reason, since, until)
    VALUES (:site, :email_mac, :reason, :now, coalesce(:until::timestamptz, 'infinity'))
    ON CONFLICT (site, email_mac)
    DO UPDATE SET reason = excluded.reason, since = excluded.since, until = excluded.until
    RETURNING site, email_mac, reason, since, until
)
INSERT INTO suppression_event (site, email_mac, at, action, actor, reason, until)
SELECT site, email_mac, since, 'added', :actor, reason, until FROM added
ON CONFLICT DO NOTHING

-- name: lift
-- lanes: none
-- Take an address off the list, if it is in force.
WITH lifted AS (
    DELETE FROM suppression
    WHERE site = :site AND email_mac = :email_mac AND until > :now
    RETURNING site, email_mac
)
INSERT INTO suppression_event (site, email_mac, at, action, actor, reason)
SELECT site, email_mac, :now, 'lifted', :actor, :reason FROM lifted
ON CONFLICT DO NOTHING

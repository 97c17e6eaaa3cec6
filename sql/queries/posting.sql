-- Posting: the site's own pages that must show what was published, and what was seen there.

-- name: require
-- lanes: none
-- A version that is just published has to be seen on the pages that site.yaml names, in each locale that it names.
INSERT INTO posting (version_id, locale)
SELECT v.version_id, t.locale
FROM version v
JOIN version_text t USING (version_id)
JOIN site s ON s.site = v.site
WHERE v.version_id = :version_id AND s.settings #> ARRAY['policies', v.policy, 'posted_at_url', t.locale] IS NOT NULL
ON CONFLICT DO NOTHING

-- name: follow_settings
-- lanes: none
-- The pages are those of the applied site.yaml, and each must show the newest version that has a text in its locale. One
-- that moved, or that has another version to show, is looked at now. What was to be seen on a page that is named no
-- longer counts as posted from now on, on our own page.
WITH named AS (
    SELECT s.site, p.key AS policy, u.key AS locale, u.value ->> 'url' AS address
    FROM site s
    CROSS JOIN jsonb_each(s.settings -> 'policies') AS p
    CROSS JOIN jsonb_each(p.value -> 'posted_at_url') AS u
    WHERE jsonb_typeof(p.value -> 'posted_at_url') = 'object'
), gone AS (
    DELETE FROM posted_page g
    WHERE NOT EXISTS (
        SELECT FROM named WHERE named.site = g.site AND named.policy = g.policy AND named.locale = g.locale
    )
    RETURNING g.site, g.policy, g.locale
), released AS (
    UPDATE posting r SET posted_at = :now
    FROM version v, gone
    WHERE v.version_id = r.version_id AND v.site = gone.site AND v.policy = gone.policy AND r.locale = gone.locale
      AND r.posted_at IS NULL
)
INSERT INTO posted_page AS g (site, policy, locale, address, version_id, due_at)
SELECT n.site, n.policy, n.locale, n.address, newest.version_id, CASE WHEN newest.version_id IS NOT NULL THEN :now END
FROM named n
LEFT JOIN LATERAL (
    SELECT v.version_id
    FROM version v
    JOIN version_text t ON t.version_id = v.version_id AND t.locale = n.locale
    WHERE v.site = n.site AND v.policy = n.policy AND v.state = 'published'
    ORDER BY v.ordinal DESC LIMIT 1
) newest ON true
ON CONFLICT (site, policy, locale) DO UPDATE
SET address = excluded.address, version_id = excluded.version_id, due_at = excluded.due_at, odd = 0
WHERE g.address <> excluded.address OR g.version_id IS DISTINCT FROM excluded.version_id

-- name: take_due
-- lanes: none
-- Pages to look at now. Nobody else takes them before ``until``.
WITH due AS (
    SELECT site, policy, locale FROM posted_page
    WHERE due_at <= :now
    ORDER BY due_at
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE posted_page g SET due_at = :until
    FROM due
    WHERE g.site = due.site AND g.policy = due.policy AND g.locale = due.locale
    RETURNING g.*
)
SELECT t.site, t.policy, t.locale, t.version_id, v.label, v.published_at, v.effective_at,
       EXISTS (
           SELECT FROM posting_event e
           WHERE e.site = t.site AND e.policy = t.policy AND e.locale = t.locale AND e.version_id = t.version_id
             AND e.kind = 'posted'
       ) AS posted, t.odd, t.alarm
FROM taken t
JOIN version v USING (version_id)

-- name: editions
-- lanes: none
-- The text that a page must show, and those of the versions before it, the newest first.
SELECT v.version_id, v.label, t.media_type, t.body
FROM version e
JOIN version v ON v.site = e.site AND v.policy = e.policy AND v.state = 'published' AND v.ordinal <= e.ordinal
JOIN version_text t ON t.version_id = v.version_id AND t.locale = :locale
WHERE e.version_id = :version_id
ORDER BY v.ordinal DESC
LIMIT :limit

-- name: looked
-- lanes: none
-- How it stands with a page after a look, as long as nobody else took it, and nothing else is asked of it, meanwhile.
UPDATE posted_page
SET due_at = :due_at, looked_at = :now, odd = :odd, verdict = :verdict, reason = :reason, why = :why,
    alarm_at = CASE WHEN :alarm::text IS NOT DISTINCT FROM alarm THEN alarm_at
                    WHEN :alarm::text IS NOT NULL THEN :now END,
    alarm = :alarm
WHERE site = :site AND policy = :policy AND locale = :locale AND due_at = :until

-- name: keep_body
-- lanes: none
-- Keep what came; the same bytes again are kept already.
INSERT INTO posting_body (site, policy, locale, sha256, taken_at, headers, body)
VALUES (:site, :policy, :locale, :sha256, :now, :headers, :body)
ON CONFLICT DO NOTHING

-- name: keep_look
-- lanes: none
-- Keep that somebody looked, and what was seen.
INSERT INTO posting_look (
    site, policy, locale, address, at, version_id, shows_id, verdict, reason, why, sha256, text_sha256
) VALUES (
    :site, :policy, :locale, :address, :now, :version_id, :shows_id, :verdict, :reason, :why, :sha256, :text_sha256
)
RETURNING look_id

-- name: last_look
-- lanes: none
-- Which look was the last at a page.
UPDATE posted_page SET look_id = :look_id WHERE site = :site AND policy = :policy AND locale = :locale

-- name: record
-- lanes: none
-- The posting record: the first look that saw a version.
UPDATE posting SET posted_at = :now, look_id = :look_id
WHERE version_id = :version_id AND locale = :locale AND posted_at IS NULL

-- name: happened
-- lanes: none
-- Keep what a look made known.
INSERT INTO posting_event (site, policy, locale, at, kind, version_id, look_id)
VALUES (:site, :policy, :locale, :now, :kind, :version_id, :look_id)
ON CONFLICT DO NOTHING

-- name: drop_passing
-- lanes: none
-- Of a page's answers those are kept that something happened by, and the last one. What was seen, and its hash, always is.
DELETE FROM posting_body b
WHERE b.site = :site AND b.policy = :policy AND b.locale = :locale
  AND NOT EXISTS (
      SELECT FROM posting_look l
      WHERE l.site = b.site AND l.policy = b.policy AND l.locale = b.locale AND l.sha256 = b.sha256
        AND (l.look_id IN (SELECT e.look_id FROM posting_event e
                           WHERE e.site = b.site AND e.policy = b.policy AND e.locale = b.locale)
             OR l.look_id = (SELECT g.look_id FROM posted_page g
                             WHERE g.site = b.site AND g.policy = b.policy AND g.locale = b.locale))
  )

-- name: pages
-- lanes: none
-- A site's pages that must show its texts, and how it stands with each.
SELECT g.policy, g.locale, g.address, v.label, v.effective_at, p.posted_at, g.looked_at, g.due_at, g.verdict, g.reason,
       g.why, g.odd, g.alarm, g.alarm_at
FROM posted_page g
LEFT JOIN version v ON v.version_id = g.version_id
LEFT JOIN posting p ON p.version_id = g.version_id AND p.locale = g.locale
WHERE g.site = :site
ORDER BY g.policy, g.locale

-- name: looks
-- lanes: none
-- What was seen on one page, the newest first.
SELECT l.look_id, l.address, l.at, v.label AS expected, s.label AS shows, l.verdict, l.reason, l.sha256, l.text_sha256,
       EXISTS (
           SELECT FROM posting_body b
           WHERE b.site = l.site AND b.policy = l.policy AND b.locale = l.locale AND b.sha256 = l.sha256
       ) AS kept
FROM posting_look l
JOIN version v ON v.version_id = l.version_id
LEFT JOIN version s ON s.version_id = l.shows_id
WHERE l.site = :site AND l.policy = :policy AND l.locale = :locale
ORDER BY l.look_id DESC
LIMIT :limit

-- name: body
-- lanes: none
-- The bytes that a look brought, as they came.
SELECT b.body
FROM posting_look l
JOIN posting_body b USING (site, policy, locale, sha256)
WHERE l.site = :site AND l.look_id = :look_id

-- name: look_now
-- lanes: none
-- A page is due at once.
UPDATE posted_page SET due_at = least(due_at, :now)
WHERE site = :site AND policy = :policy AND locale = :locale AND version_id IS NOT NULL

-- name: alarms
-- lanes: none
-- The pages that do not show what was published, of one site or of every one.
SELECT g.site, g.policy, g.locale, g.address, v.label, g.alarm, g.alarm_at, g.reason, g.why
FROM posted_page g
JOIN version v USING (version_id)
WHERE g.alarm IS NOT NULL AND (:site::text IS NULL OR g.site = :site)
ORDER BY g.alarm_at, g.site, g.policy, g.locale

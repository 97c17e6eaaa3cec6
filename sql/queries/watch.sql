-- Sources: the places that texts are read from, and what was found there.

-- name: follow_settings
-- lanes: none
-- The sources are those of the applied site.yaml; one that moved is looked at anew.
WITH named AS (
    SELECT s.site, w.policy, w.locale, coalesce(w.page, w.feed, w.git || '#' || w.branch || ':' || w.path) AS address
    FROM site s
    CROSS JOIN jsonb_to_recordset(s.settings -> 'watch' -> 'sources')
        AS w (policy text, locale text, page text, feed text, git text, branch text, path text)
    WHERE jsonb_typeof(s.settings -> 'watch' -> 'sources') = 'array'
), gone AS (
    DELETE FROM source
    WHERE NOT EXISTS (
        SELECT FROM named
        WHERE named.site = source.site AND named.policy = source.policy AND named.locale = source.locale
    )
)
INSERT INTO source (site, policy, locale, address, due_at)
SELECT site, policy, locale, address, :now FROM named
ON CONFLICT (site, policy, locale) DO UPDATE SET address = excluded.address, due_at = :now, failures = 0
WHERE source.address <> excluded.address

-- name: take_due
-- lanes: none
-- Sources to look at now. Nobody else takes them before ``until``.
WITH due AS (
    SELECT site, policy, locale FROM source
    WHERE due_at <= :now
    ORDER BY due_at
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
UPDATE source s SET due_at = :until
FROM due
WHERE s.site = due.site AND s.policy = due.policy AND s.locale = due.locale
RETURNING s.site, s.policy, s.locale, s.failures, s.verdict, s.reason, s.last_id, s.settled_id, s.candidate_id,
          s.agreed, s.seen

-- name: snapshot
-- lanes: none
-- What came from a source once.
SELECT address, headers, body, sha256 FROM snapshot WHERE snapshot_id = :snapshot_id

-- name: keep_snapshot
-- lanes: none
-- Keep what came, or that it came again.
INSERT INTO snapshot (site, policy, locale, address, taken_at, seen_at, headers, body, sha256, verdict, reason, why)
VALUES (:site, :policy, :locale, :address, :now, :now, :headers, :body, :sha256, :verdict, :reason, :why)
ON CONFLICT (site, policy, locale, sha256) DO UPDATE
SET seen_at = excluded.seen_at, times = snapshot.times + 1, headers = excluded.headers, address = excluded.address,
    verdict = CASE WHEN snapshot.verdict IN ('first', 'changed') THEN snapshot.verdict ELSE excluded.verdict END,
    reason = excluded.reason, why = excluded.why
RETURNING snapshot_id

-- name: drop_passing
-- lanes: none
-- Of answers that changed nothing only the last ones are kept; what once counted as the text always is.
DELETE FROM snapshot p
USING source s
WHERE s.site = :site AND s.policy = :policy AND s.locale = :locale
  AND p.site = s.site AND p.policy = s.policy AND p.locale = s.locale
  AND p.verdict NOT IN ('first', 'changed')
  AND p.snapshot_id NOT IN (coalesce(s.last_id, 0), coalesce(s.settled_id, 0), coalesce(s.candidate_id, 0))
  AND p.snapshot_id NOT IN (
      SELECT snapshot_id FROM snapshot
      WHERE site = :site AND policy = :policy AND locale = :locale AND verdict = 'doubtful'
      ORDER BY seen_at DESC LIMIT :keep
  )

-- name: looked
-- lanes: none
-- How it stands with a source after a look.
UPDATE source
SET due_at = :due_at, looked_at = :now, failures = 0, verdict = :verdict, reason = :reason, why = :why, last_id = :last_id,
    settled_id = :settled_id, candidate_id = :candidate_id, agreed = :agreed, seen = :seen
WHERE site = :site AND policy = :policy AND locale = :locale

-- name: failed
-- lanes: none
-- A look brought nothing: what was known stays.
UPDATE source
SET due_at = :due_at, looked_at = :now, failures = failures + 1, verdict = 'failed', reason = :reason, why = :why, agreed = 0
WHERE site = :site AND policy = :policy AND locale = :locale

-- name: settled_of
-- lanes: none
-- What counts as the text of a policy, by source.
SELECT s.locale, p.headers, p.body
FROM source s
JOIN snapshot p ON p.snapshot_id = s.settled_id
WHERE s.site = :site AND s.policy = :policy

-- name: place_of
-- lanes: none
-- Which source of a site a snapshot came from.
SELECT s.policy, s.locale
FROM snapshot p
JOIN source s USING (site, policy, locale)
WHERE p.site = :site AND p.snapshot_id = :snapshot_id

-- name: take
-- lanes: none
-- A snapshot counts as its source's text from now on.
WITH taken AS (
    UPDATE snapshot SET verdict = 'changed', reason = '', why = NULL WHERE site = :site AND snapshot_id = :snapshot_id
    RETURNING site, policy, locale
)
UPDATE source s
SET settled_id = :snapshot_id, candidate_id = NULL, agreed = 0, seen = '[]',
    verdict = CASE WHEN s.last_id = :snapshot_id THEN 'changed' ELSE s.verdict END,
    reason = CASE WHEN s.last_id = :snapshot_id THEN '' ELSE s.reason END,
    why = CASE WHEN s.last_id = :snapshot_id THEN NULL ELSE s.why END
FROM taken t
WHERE s.site = t.site AND s.policy = t.policy AND s.locale = t.locale

-- name: look_now
-- lanes: none
-- A source is due at once.
UPDATE source SET due_at = least(due_at, :now) WHERE site = :site AND policy = :policy AND locale = :locale

-- name: answer
-- lanes: none
-- The bytes of a snapshot, as they came.
SELECT body, headers FROM snapshot WHERE site = :site AND snapshot_id = :snapshot_id

-- name: sources
-- lanes: none
-- A site's sources and how it stands with each.
SELECT policy, locale, address, looked_at, due_at, failures, verdict, reason, why, agreed, last_id, settled_id, candidate_id
FROM source
WHERE site = :site
ORDER BY policy, locale

-- name: snapshots
-- lanes: none
-- What came from one source, the newest first.
SELECT snapshot_id, address, taken_at, seen_at, times, verdict, reason, sha256, length(body) AS size
FROM snapshot
WHERE site = :site AND policy = :policy AND locale = :locale
ORDER BY seen_at DESC, snapshot_id DESC
LIMIT :limit

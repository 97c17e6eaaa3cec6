-- Policies, their versions and the texts of these, exactly as published.

-- fragment: version_columns
version_id, site, policy, label, state::text, ordinal, previous_id, materiality::text, flags, source,
published_at, effective_at, received_at

-- name: lock
-- lanes: none
-- Hold whoever else publishes this policy: versions of one policy are numbered one after the other.
SELECT policy FROM policy WHERE site = :site AND policy = :policy FOR UPDATE

-- name: latest
-- lanes: none
-- The published version that the next one will follow.
SELECT version_id, ordinal, label, effective_at FROM version
WHERE site = :site AND policy = :policy AND state = 'published'
ORDER BY ordinal DESC LIMIT 1

-- name: published
-- lanes: none
-- A published version by its label.
SELECT
    @version_columns
FROM version
WHERE site = :site AND policy = :policy AND label = :label AND state = 'published'

-- name: version
-- lanes: none
-- A version by its id, in whatever state.
SELECT
    @version_columns
FROM version
WHERE site = :site AND version_id = :version_id

-- name: digest
-- lanes: none
-- What a version was submitted as, to know the same submission again.
SELECT sha256 FROM version WHERE version_id = :version_id

-- name: versions
-- lanes: none
-- All versions of a site or of one of its policies, the newest first.
SELECT
    @version_columns
FROM version
WHERE site = :site AND (:policy::text IS NULL OR policy = :policy) AND state <> 'discarded'
ORDER BY coalesce(published_at, received_at) DESC, version_id DESC

-- name: texts
-- lanes: none
-- The texts of a version, byte for byte.
SELECT locale, media_type, body, sha256, summary FROM version_text WHERE version_id = :version_id ORDER BY locale

-- name: text_marks
-- lanes: none
-- Which texts a version has, without their bytes.
SELECT locale, media_type, sha256 FROM version_text WHERE version_id = :version_id

-- name: insert_published
-- lanes: none
-- A version that is published as it comes.
INSERT INTO version (
    site, policy, label, state, ordinal, previous_id, materiality, flags, source, sha256,
    received_at, published_at, effective_at
) VALUES (
    :site, :policy, :label, 'published', :ordinal, :previous_id, :materiality::text::materiality, :flags, :source,
    :sha256, :now, :now, :effective_at
)
RETURNING version_id

-- name: insert_pending
-- lanes: none
-- A version that waits for a person's word.
INSERT INTO version (site, policy, label, state, materiality, flags, source, sha256, received_at)
VALUES (:site, :policy, '', 'pending', 'material', '{}', :source, :sha256, :now)
RETURNING version_id

-- name: publish_pending
-- lanes: none
-- A person gave their word: the pending version becomes the newest published one.
UPDATE version
SET label = :label, state = 'published', ordinal = :ordinal, previous_id = :previous_id,
    materiality = :materiality::text::materiality, flags = :flags, sha256 = :sha256,
    published_at = :now, effective_at = :effective_at
WHERE version_id = :version_id AND state = 'pending'
RETURNING version_id

-- name: set_summaries
-- lanes: none
-- The summaries that a person added to a pending version.
UPDATE version_text t SET summary = s.value
FROM jsonb_each_text(:summaries) s
WHERE t.version_id = :version_id AND t.locale = s.key

-- name: discard
-- lanes: none
-- A person said no to a pending version. It is kept, so that the same files do not ask again.
UPDATE version SET state = 'discarded' WHERE version_id = :version_id AND state = 'pending'

-- name: pending
-- lanes: none
-- The pending version of a policy and the digest of its texts.
SELECT version_id, sha256 FROM version WHERE site = :site AND policy = :policy AND state = 'pending'

-- name: withdraw_texts
-- lanes: none
-- The texts of a pending version that its files no longer have.
DELETE FROM version_text t USING version v
WHERE v.version_id = t.version_id AND v.version_id = :version_id AND v.state = 'pending'

-- name: withdraw
-- lanes: none
-- A pending version whose files changed on: nobody decided about it, so nothing of it needs keeping.
DELETE FROM version WHERE version_id = :version_id AND state = 'pending'

-- name: was_discarded
-- lanes: none
-- Whether a person already said no to these very texts since the version with the id ``since`` was published.
SELECT EXISTS (
    SELECT FROM version
    WHERE site = :site AND policy = :policy AND state = 'discarded' AND sha256 = :sha256 AND version_id > :since
)

-- name: insert_registrations
-- lanes: all
-- People who named this label when they registered were shown it then.
INSERT INTO registration (lane, person_id, version_id, at)
SELECT lane, person_id, :version_id, registered_at FROM person
WHERE site = :site AND registration_version = :label AND status <> 'erased'
ORDER BY lane, person_id
ON CONFLICT DO NOTHING

-- name: watching
-- lanes: none
-- The sites that have a folder watched.
SELECT settings FROM site WHERE jsonb_typeof(settings -> 'watch') = 'object' ORDER BY site

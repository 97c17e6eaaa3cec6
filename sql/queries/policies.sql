-- Policies, their versions and the texts of these, exactly as published.

-- fragment: version_columns
version_id, site, policy, label, state::text, ordinal, previous_id, materiality::text, flags, source,
published_at, effective_at, received_at, sha256, untranslated, wanted_at, authors, reviewed_by, reviewed_at,
publish_at, publish_zone, scheduled_by, corrects_id,
(SELECT c.label FROM version c WHERE c.version_id = version.corrects_id) AS corrects

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

-- name: versions
-- lanes: none
-- Published and pending versions of a site or of one of its policies, the newest first.
SELECT
    @version_columns
FROM version
WHERE site = :site AND (:policy::text IS NULL OR policy = :policy) AND state IN ('pending', 'published')
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
    site, policy, label, state, ordinal, previous_id, materiality, flags, source, sha256, corrects_id,
    untranslated, wanted_at, received_at, published_at, effective_at
) VALUES (
    :site, :policy, :label, 'published', :ordinal, :previous_id, :materiality::text::materiality, :flags, :source,
    :sha256, :corrects_id, :untranslated, :wanted_at, :now, :now, :effective_at
)
RETURNING version_id

-- name: insert_pending
-- lanes: none
-- A version that waits for a person's word.
INSERT INTO version (
    site, policy, label, state, materiality, flags, source, sha256, seen, corrects_id, untranslated, wanted_at,
    authors, received_at
) VALUES (
    :site, :policy, :label, 'pending', :materiality::text::materiality, :flags, :source, :sha256, :seen,
    :corrects_id, :untranslated, :wanted_at, :authors, :now
)
RETURNING version_id

-- name: amend
-- lanes: none
-- Somebody changed a draft: whatever was reviewed and scheduled of it is void.
UPDATE version
SET label = :label, materiality = :materiality::text::materiality, flags = :flags, sha256 = :sha256,
    corrects_id = :corrects_id, untranslated = :untranslated, wanted_at = :wanted_at,
    authors = (SELECT array_agg(DISTINCT a ORDER BY a) FROM unnest(authors || :actor::text) a),
    reviewed_sha256 = NULL, reviewed_by = NULL, reviewed_at = NULL,
    publish_at = NULL, publish_zone = NULL, scheduled_by = NULL
WHERE version_id = :version_id AND state = 'pending'

-- name: drop_texts
-- lanes: none
-- The texts of a draft, before those that it has now are written.
DELETE FROM version_text t USING version v
WHERE v.version_id = t.version_id AND v.version_id = :version_id AND v.state = 'pending'

-- name: review
-- lanes: none
-- Somebody reviewed a draft as it stands.
UPDATE version SET reviewed_sha256 = sha256, reviewed_by = :actor, reviewed_at = :now
WHERE version_id = :version_id AND state = 'pending'

-- name: schedule
-- lanes: none
-- When workers publish a reviewed draft; NULL: not by themselves.
UPDATE version SET publish_at = :publish_at, publish_zone = :zone, scheduled_by = :actor
WHERE version_id = :version_id AND state = 'pending'

-- name: due
-- lanes: none
-- Drafts whose time has come.
SELECT version_id, site FROM version
WHERE state = 'pending' AND publish_at <= :now
ORDER BY publish_at, version_id

-- name: review_again
-- lanes: none
-- Reviewed drafts of a policy of which another version was published: they were compared with an older one.
WITH void AS (
    UPDATE version SET reviewed_sha256 = NULL, reviewed_by = NULL, reviewed_at = NULL,
        publish_at = NULL, publish_zone = NULL, scheduled_by = NULL
    WHERE site = :site AND policy = :policy AND state = 'pending' AND reviewed_by IS NOT NULL
    RETURNING version_id, sha256
)
INSERT INTO version_event (version_id, at, actor, action, reason, sha256)
SELECT version_id, greatest(:now, (
           SELECT max(e.at) + interval '1 microsecond' FROM version_event e WHERE e.version_id = void.version_id
       )), 'notifier', 'review_void', :reason, sha256
FROM void

-- name: record_event
-- lanes: none
-- Append to a version's history. Two steps in one instant keep their order by a microsecond.
INSERT INTO version_event (version_id, at, actor, action, reason, sha256, detail)
SELECT v.version_id, greatest(:now, (
           SELECT max(e.at) + interval '1 microsecond' FROM version_event e WHERE e.version_id = v.version_id
       )), :actor, :action, :reason, v.sha256, :detail
FROM version v WHERE v.version_id = :version_id

-- name: events
-- lanes: none
-- A version's history.
SELECT at, actor, action, reason, sha256, detail FROM version_event WHERE version_id = :version_id ORDER BY at

-- name: same_draft
-- lanes: none
-- The pending version that says exactly this.
SELECT version_id FROM version
WHERE site = :site AND policy = :policy AND state = 'pending' AND sha256 = :sha256 AND seen IS NULL
ORDER BY version_id LIMIT 1

-- name: publish_pending
-- lanes: none
-- The pending version becomes the newest published one, exactly as it was reviewed.
UPDATE version
SET state = 'published', ordinal = :ordinal, previous_id = :previous_id, published_at = :now, effective_at = :effective_at
WHERE version_id = :version_id AND state = 'pending' AND reviewed_sha256 = sha256

-- name: discard
-- lanes: none
-- A person said no to a pending version. It is kept, so that the same files do not ask again.
UPDATE version SET state = 'discarded', publish_at = NULL, publish_zone = NULL, scheduled_by = NULL
WHERE version_id = :version_id AND state = 'pending'

-- name: pending
-- lanes: none
-- The pending version of a policy that was seen in watched places, and what was seen.
SELECT version_id, seen FROM version
WHERE site = :site AND policy = :policy AND state = 'pending' AND seen IS NOT NULL

-- name: join
-- lanes: none
-- Another watched place shows the same change: its text joins, and whatever was reviewed and scheduled without it is void.
UPDATE version
SET seen = :seen, sha256 = :sha256, untranslated = :untranslated,
    reviewed_sha256 = NULL, reviewed_by = NULL, reviewed_at = NULL,
    publish_at = NULL, publish_zone = NULL, scheduled_by = NULL
WHERE version_id = :version_id AND state = 'pending'

-- name: withdraw
-- lanes: none
-- A pending version whose files changed on. Its history stays.
UPDATE version SET state = 'withdrawn', publish_at = NULL, publish_zone = NULL, scheduled_by = NULL
WHERE version_id = :version_id AND state = 'pending'

-- name: was_discarded
-- lanes: none
-- Whether a person already said no to these very texts since the version with the id ``since`` was published.
SELECT EXISTS (
    SELECT FROM version
    WHERE site = :site AND policy = :policy AND state = 'discarded' AND seen = :seen AND version_id > :since
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

-- fragment: override_columns
policy, label, effective_at, reason, asked_by, asked_at, confirmed_by, confirmed_at

-- name: override
-- lanes: none
-- The first asks for an earlier date; somebody else who says the same confirms it. The first again changes nothing.
INSERT INTO override AS o (site, policy, label, effective_at, reason, asked_by, asked_at)
VALUES (:site, :policy, :label, :effective_at, :reason, :actor, :now)
ON CONFLICT (site, policy, label, effective_at) DO UPDATE SET
    confirmed_by = CASE WHEN o.asked_by = excluded.asked_by THEN o.confirmed_by
                        ELSE coalesce(o.confirmed_by, excluded.asked_by) END,
    confirmed_at = CASE WHEN o.asked_by = excluded.asked_by THEN o.confirmed_at
                        ELSE coalesce(o.confirmed_at, excluded.asked_at) END
RETURNING
    @override_columns

-- name: overrides
-- lanes: none
-- All of a site, the newest first.
SELECT
    @override_columns
FROM override WHERE site = :site
ORDER BY asked_at DESC, policy, label

-- name: is_overridden
-- lanes: none
-- Whether two people let a version take effect then.
SELECT EXISTS (
    SELECT FROM override
    WHERE site = :site AND policy = :policy AND label = :label AND effective_at = :effective_at
      AND confirmed_by IS NOT NULL
)

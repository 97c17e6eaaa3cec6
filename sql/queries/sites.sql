-- Sites, their tokens and the generations of their webhook secrets.

-- name: settings
-- lanes: none
-- A site as last applied.
SELECT settings FROM site WHERE site = :site

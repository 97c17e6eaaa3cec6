-- What a signed-in person is shown, and that it was shown.

-- name: pending
-- lanes: one
-- Where one person stands with the newest version that they had to be told of, or were left out of, per policy. Whoever
-- the site does not know has no rows; somebody whom no open campaign considered has one without a status.
SELECT p.lane, p.person_id, p.time_zone, p.status IN ('closed', 'erased', 'suspended') AS closed,
       c.campaign_id, c.amended_by, c.version_id, c.policy, c.label, c.flags, c.published_at, c.effective_at, c.newer,
       -- Whose stage of a canary has not begun is told nothing yet, here neither.
       c.held OR c.stage < c.stages AND ('inbox' = ANY (s.channels) OR NOT EXISTS (
           SELECT FROM slice l
           WHERE l.campaign_id = c.campaign_id AND l.stage <= c.stage
             AND (p.lane, p.person_id) > (l.from_lane, l.from_person)
             AND (p.lane, p.person_id) <= (l.to_lane, l.to_person)
       )) AS held,
       (r.rule ->> 'explicit')::boolean AS explicit, (r.rule ->> 'notice_days')::integer AS notice_days,
       (r.rule ->> 'deems')::boolean AS deems, coalesce(r.rule ->> 'new_purpose', 'after_notice') AS new_purpose,
       (SELECT posted_at FROM posted WHERE posted.version_id = c.version_id) AS posted_at,
       -- Whoever registered when it was in effect found it there: nobody looked at them, and they need not be told.
       coalesce(s.status, CASE WHEN p.registered_at >= c.effective_at THEN 'excluded' END) AS status,
       CASE WHEN coalesce(s.reason, 'registered_with_it') = 'registered_with_it' THEN p.registered_at
            WHEN s.reason = 'already_accepted' THEN (
                SELECT min(coalesce(e.accepted_at, c.effective_at))
                FROM version w
                JOIN ever_accepted e ON e.lane = p.lane AND e.person_id = p.person_id AND e.version_id = w.version_id
                WHERE w.site = :site AND w.policy = c.policy AND w.ordinal >= c.ordinal
            )
       END AS informed_at,
       s.since, coalesce(s.overlays, 0) AS overlays, coalesce(s.locale, '') AS locale, s.sufficient_at AS told_at, s.shown_at,
       a.kind::text AS accepted, a.accepted_at,
       o.at AS objected_at, coalesce(o.withdrawn, false) AS withdrawn, o.first_at AS first_objected_at
FROM person p
LEFT JOIN LATERAL (
    SELECT DISTINCT ON (v.policy)
           c.campaign_id, c.rule, c.stage, c.stages, v.version_id, v.policy, v.ordinal, v.label, v.flags, v.published_at, v.effective_at,
           (SELECT max(k.campaign_id) FROM campaign k
            WHERE k.corrects = c.campaign_id AND k.opened_at IS NOT NULL) AS amended_by,
           t.state NOT IN ('sending', 'done') AS held,
           EXISTS (
               SELECT FROM version w
               WHERE w.site = v.site AND w.policy = v.policy AND w.ordinal > v.ordinal AND w.materiality <> 'editorial'
           ) AS newer
    FROM campaign c
    JOIN version v ON v.version_id = c.version_id
    JOIN steered t ON t.campaign_id = c.campaign_id
    WHERE c.site = :site AND c.opened_at IS NOT NULL AND c.corrects IS NULL
    ORDER BY v.policy, v.ordinal DESC
) c ON true
LEFT JOIN LATERAL (
    -- By key in the campaign's own partition.
    SELECT status, reason, since, overlays, locale, channels, sufficient_at, shown_at, rule FROM standing
    WHERE lane = p.lane AND person_id = p.person_id AND campaign_id = c.campaign_id
) s ON true
CROSS JOIN LATERAL (SELECT coalesce(s.rule, c.rule) AS rule) r
LEFT JOIN LATERAL (
    SELECT kind, accepted_at FROM accepted
    WHERE lane = p.lane AND person_id = p.person_id AND version_id = c.version_id
    LIMIT 1
) a ON true
LEFT JOIN LATERAL (
    SELECT at, withdrawn, min(at) FILTER (WHERE NOT withdrawn) OVER () AS first_at
    FROM objection
    WHERE lane = p.lane AND person_id = p.person_id AND version_id = c.version_id
    ORDER BY at DESC, withdrawn LIMIT 1
) o ON true
WHERE p.lane = :lane AND p.site = :site AND p.external_id = ANY (ARRAY[:external_id, :pseudonym]::text[])
ORDER BY c.policy

-- name: external_id
-- lanes: one
-- What the site knows a person by.
SELECT external_id FROM person WHERE lane = :lane AND person_id = :person_id

-- name: hold_policy
-- lanes: none
-- Nobody publishes a version of this policy until the transaction ends.
SELECT policy FROM policy WHERE site = :site AND policy = :policy FOR SHARE

-- name: is_overtaken
-- lanes: none
-- Whether a newer version of the same policy is published that people are told of.
SELECT EXISTS (
    SELECT FROM version v JOIN version w ON w.site = v.site AND w.policy = v.policy AND w.ordinal > v.ordinal
    WHERE v.version_id = :version_id AND w.materiality <> 'editorial'
)

-- name: record_act
-- lanes: one
-- What somebody did by a link, or on a page of the site; a link is good for one.
INSERT INTO act (lane, person_id, act, version_id, kind, locale, statement, at)
VALUES (:lane, :person_id, :act, :version_id, :kind, :locale, :statement, :now)
ON CONFLICT DO NOTHING

-- name: done
-- lanes: one
-- What was done by a link already.
SELECT kind, at FROM act WHERE lane = :lane AND person_id = :person_id AND act = :act

-- name: by_id
-- lanes: one
-- The person whom a link is for, and where they stand with its version.
SELECT p.lane, p.person_id, p.status::text AS status, p.locale, p.time_zone,
       (SELECT kind::text FROM accepted
        WHERE lane = :lane AND person_id = :person_id AND version_id = :version_id) AS accepted,
       coalesce((SELECT NOT withdrawn FROM objection
        WHERE lane = :lane AND person_id = :person_id AND version_id = :version_id
        ORDER BY at DESC, withdrawn LIMIT 1), false) AS objected,
       (SELECT n.since FROM campaign c
        JOIN notice n ON n.lane = :lane AND n.person_id = :person_id AND n.campaign_id = c.campaign_id
        WHERE c.version_id = :version_id AND c.corrects IS NULL) AS since
FROM person p
WHERE p.lane = :lane AND p.person_id = :person_id AND p.site = :site

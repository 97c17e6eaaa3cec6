-- Accounts of one mailbox that are told by one letter: what came of it is put on the record of each.

-- name: any
-- lanes: none
-- Whether anybody is still to be told by somebody else's letter.
SELECT EXISTS (SELECT FROM companion WHERE settled_at IS NULL)

-- name: take
-- lanes: all
-- Some companions of one campaign whose letter's fate is known. Whoever else has news of these letters waits.
SELECT c.campaign_id, c.lane, c.person_id
FROM companion c
WHERE c.settled_at IS NULL
  AND c.campaign_id = (
      SELECT w.campaign_id FROM companion w
      WHERE w.settled_at IS NULL AND EXISTS (
          SELECT FROM outcome o
          WHERE o.lane = w.lead_lane AND o.person_id = w.lead_person AND o.campaign_id = w.campaign_id
            AND o.channel = 'email' AND o.kind NOT IN ('deferred', 'unknown')
      )
      ORDER BY w.campaign_id LIMIT 1
  )
  AND EXISTS (
      SELECT FROM outcome o
      WHERE o.lane = c.lead_lane AND o.person_id = c.lead_person AND o.campaign_id = c.campaign_id
        AND o.channel = 'email' AND o.kind NOT IN ('deferred', 'unknown')
  )
  AND NOT EXISTS (      -- a report can come before the sender's own record of what was tried
      SELECT FROM under_way u
      WHERE u.campaign_id = c.campaign_id AND u.channel = 'email' AND c.lead_person = ANY (u.people)
  )
ORDER BY c.lane, c.person_id
LIMIT :most
FOR UPDATE OF c SKIP LOCKED

-- name: fates
-- lanes: all
-- What became of the letter, for each companion that was taken, and where it went. A letter that could not be written has
-- an outcome and no address that it went to.
SELECT c.lane, c.person_id, c.lead_lane, c.lead_person, p.status::text AS status, p.email, lead.email AS lead_email,
       fate.attempt, fate.kind::text AS kind, (
           SELECT i.address FROM intent i
           WHERE i.lane = c.lead_lane AND i.person_id = c.lead_person AND i.campaign_id = c.campaign_id
             AND i.channel = 'email' AND i.attempt = fate.attempt
       ) AS address
FROM unnest(:lanes::smallint[], :people::uuid[]) AS t (lane, person_id)
JOIN companion c ON c.lane = t.lane AND c.person_id = t.person_id AND c.campaign_id = :campaign_id
JOIN person p ON p.lane = c.lane AND p.person_id = c.person_id
JOIN person lead ON lead.lane = c.lead_lane AND lead.person_id = c.lead_person
CROSS JOIN LATERAL (
    SELECT o.attempt, o.kind FROM outcome o
    WHERE o.lane = c.lead_lane AND o.person_id = c.lead_person AND o.campaign_id = c.campaign_id
      AND o.channel = 'email' AND o.kind NOT IN ('deferred', 'unknown')
    ORDER BY o.attempt, o.at LIMIT 1
) fate
ORDER BY c.lane, c.person_id

-- name: outcomes
-- lanes: all
-- The tries of a letter and what is known of them, for each of its companions: the same message, to the same address.
SELECT t.lane, t.person_id, o.attempt, o.kind::text AS kind, o.at, o.class, o.reply, o.via, o.phase,
       o.tried_at, o.sheet, o.address, o.sha256, coalesce(o.purpose, 'notice') AS purpose
FROM unnest(:lanes::smallint[], :people::uuid[], :lead_lanes::smallint[], :lead_people::uuid[], :attempts::smallint[])
     AS t (lane, person_id, lead_lane, lead_person, attempt)
JOIN outcome o ON o.lane = t.lead_lane AND o.person_id = t.lead_person AND o.campaign_id = :campaign_id
    AND o.channel = 'email' AND o.attempt <= t.attempt
ORDER BY o.at, t.lane, t.person_id

-- name: settled
-- lanes: all
-- The letter's fate is on these companions' record. Who has no evidence of it in time has the next channel of their plan.
WITH settled AS (
    UPDATE companion c SET settled_at = :now
    FROM unnest(:lanes::smallint[], :people::uuid[]) AS t (lane, person_id)
    WHERE c.lane = t.lane AND c.person_id = t.person_id AND c.campaign_id = :campaign_id
    RETURNING c.lane, c.person_id
)
UPDATE slice s SET second_at = least(s.second_at, :now)
FROM campaign c
WHERE c.campaign_id = :campaign_id AND c.superseded_by IS NULL AND s.campaign_id = c.campaign_id
  AND EXISTS (
      SELECT FROM plan p WHERE p.campaign_id = c.campaign_id AND p.late AND s.channel = ANY (p.fallback)
  )
  AND EXISTS (
      SELECT FROM settled t
      WHERE (t.lane, t.person_id) > (s.from_lane, s.from_person) AND (t.lane, t.person_id) <= (s.to_lane, s.to_person)
  )

-- name: part
-- lanes: all
-- These companions need a letter of their own: of those who still share an address the first gets it, for the others too.
WITH apart AS (
    SELECT c.lane, c.person_id, first_value(c.lane) OVER mailbox AS lead_lane,
           first_value(c.person_id) OVER mailbox AS lead_person
    FROM unnest(:lanes::smallint[], :people::uuid[]) AS t (lane, person_id)
    JOIN companion c ON c.lane = t.lane AND c.person_id = t.person_id AND c.campaign_id = :campaign_id
    JOIN person p ON p.lane = c.lane AND p.person_id = c.person_id
    WINDOW mailbox AS (PARTITION BY c.lead_lane, c.lead_person, p.email ORDER BY c.lane, c.person_id)
), led AS (
    UPDATE companion c SET lead_lane = a.lead_lane, lead_person = a.lead_person
    FROM apart a
    WHERE c.lane = a.lane AND c.person_id = a.person_id AND c.campaign_id = :campaign_id
      AND (a.lane, a.person_id) <> (a.lead_lane, a.lead_person)
), first AS (
    DELETE FROM companion c USING apart a
    WHERE c.lane = a.lane AND c.person_id = a.person_id AND c.campaign_id = :campaign_id
      AND (a.lane, a.person_id) = (a.lead_lane, a.lead_person)
    RETURNING c.lane, c.person_id
), queued AS (
    INSERT INTO retry (lane, person_id, campaign_id, channel, attempt, failures, due_at)
    SELECT lane, person_id, :campaign_id, 'email', 1, 0, :now::timestamptz FROM first
    ON CONFLICT DO NOTHING
)
UPDATE slice s SET due_at = least(s.due_at, :now)
FROM campaign c
WHERE c.campaign_id = :campaign_id AND c.superseded_by IS NULL AND s.campaign_id = c.campaign_id AND s.channel = 'email'
  AND EXISTS (
      SELECT FROM first t
      WHERE (t.lane, t.person_id) > (s.from_lane, s.from_person) AND (t.lane, t.person_id) <= (s.to_lane, s.to_person)
  )

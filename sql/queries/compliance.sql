-- What compliance asks of the record.

-- name: timeline
-- lanes: one
-- Every fact about one person, in the order of time.
WITH facts (at, place, kind, version_id, campaign_id, channel, attempt, detail) AS (
    SELECT own.at, own.place, own.kind, NULL::integer, NULL::integer, NULL, NULL::smallint, own.detail
    FROM person p
    CROSS JOIN LATERAL (VALUES
        (p.registered_at, 0, 'registered', jsonb_build_object('version', p.registration_version)),
        (p.last_seen_on::timestamp AT TIME ZONE 'UTC', 8, 'last_seen', '{}'),
        (p.closed_at, 9, 'account_closed', '{}'),
        (CASE WHEN p.status = 'erased' THEN p.changed_at END, 9, 'erased', '{}')
    ) AS own (at, place, kind, detail)
    WHERE p.lane = :lane AND p.person_id = :person_id AND own.at IS NOT NULL
    UNION ALL
    SELECT m.at, 9, 'merged_into', NULL, NULL, NULL, NULL, jsonb_build_object('account', p.external_id)
    FROM merger m
    JOIN person p ON p.lane = m.lane AND p.person_id = m.person_id
    WHERE m.from_lane = :lane AND m.from_person = :person_id
    UNION ALL
    SELECT m.at, 9, 'merged_from', NULL, NULL, NULL, NULL, jsonb_build_object('account', p.external_id)
    FROM merger m
    JOIN person p ON p.lane = m.from_lane AND p.person_id = m.from_person
    WHERE m.lane = :lane AND m.person_id = :person_id
    UNION ALL
    SELECT at, 1, 'registration_shown', version_id, NULL, NULL, NULL, '{}'
    FROM registration WHERE lane = :lane AND person_id = :person_id
    UNION ALL
    SELECT coalesce(j.at, c.frozen_at), 2, 'considered', c.version_id, n.campaign_id, NULL, NULL,
           jsonb_build_object('reason', coalesce(j.reason, n.reason), 'requested_locale', p.requested_locale,
                              'locale', p.locale, 'channels', p.channels, 'fallback', p.fallback)
    FROM notice n
    JOIN campaign c ON c.campaign_id = n.campaign_id
    JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan
    LEFT JOIN LATERAL (   -- what the first look found: at the freeze, or when they came after it
        SELECT CASE WHEN was IS NULL THEN at END AS at, coalesce(was, reason) AS reason FROM joined
        WHERE lane = n.lane AND person_id = n.person_id AND campaign_id = n.campaign_id
        ORDER BY joined.at LIMIT 1
    ) j ON true
    WHERE n.lane = :lane AND n.person_id = :person_id
    UNION ALL
    SELECT j.at, 2, 'joined_' || j.why, c.version_id, j.campaign_id, NULL, NULL,
           jsonb_build_object('was', j.was, 'reason', j.reason)
    FROM joined j
    JOIN campaign c ON c.campaign_id = j.campaign_id
    WHERE j.lane = :lane AND j.person_id = :person_id
    UNION ALL
    SELECT (t ->> 'at')::timestamptz, 4, 'placed', c.version_id, s.campaign_id, t ->> 'channel', 0, '{}'
    FROM standing s
    JOIN campaign c ON c.campaign_id = s.campaign_id
    CROSS JOIN jsonb_array_elements(s.tellings) t
    WHERE s.lane = :lane AND s.person_id = :person_id AND (t ->> 'attempt')::integer = 0
    UNION ALL
    SELECT m.settled_at, 4, 'told_with', c.version_id, m.campaign_id, 'email', NULL, jsonb_build_object('account', p.external_id)
    FROM companion m
    JOIN campaign c ON c.campaign_id = m.campaign_id
    JOIN person p ON p.lane = m.lead_lane AND p.person_id = m.lead_person
    WHERE m.lane = :lane AND m.person_id = :person_id AND m.settled_at IS NOT NULL
    UNION ALL
    SELECT i.at, 3, CASE split_part(i.purpose, '-', 1) WHEN 'reminder' THEN 'reminded' WHEN 'nudge' THEN 'nudged' ELSE 'tried'
           END, c.version_id, i.campaign_id, i.channel, i.attempt,
           jsonb_build_object('address', i.address, 'sha256', encode(i.sha256, 'hex'))
    FROM intent i
    JOIN campaign c ON c.campaign_id = i.campaign_id
    WHERE i.lane = :lane AND i.person_id = :person_id
    UNION ALL
    SELECT w.at, 3, 'tried', c.version_id, w.campaign_id, w.channel, coalesce(w.attempts[place], w.attempts[1]),   -- out right now
           jsonb_build_object('address', w.addresses[place], 'sha256', encode(w.digests[place], 'hex'))
    FROM under_way w
    JOIN campaign c ON c.campaign_id = w.campaign_id
    CROSS JOIN LATERAL (SELECT array_position(w.people, :person_id) AS place) own
    WHERE :person_id = ANY (w.people)
    UNION ALL
    SELECT o.at, 4, o.kind::text, c.version_id, o.campaign_id, o.channel, o.attempt,
           jsonb_build_object('class', o.class, 'phase', o.phase, 'reply', o.reply, 'via', o.via)
    FROM outcome o
    JOIN campaign c ON c.campaign_id = o.campaign_id
    WHERE o.lane = :lane AND o.person_id = :person_id
    UNION ALL
    SELECT occurred_at, 5, 'used', NULL, NULL, NULL, NULL,
           jsonb_build_object('kind', kind, 'url_path', url_path, 'ip_prefix', ip_prefix, 'user_agent', user_agent,
                              'received_at', received_at)
    FROM activity WHERE lane = :lane AND person_id = :person_id
    UNION ALL
    SELECT at, 6, CASE WHEN withdrawn THEN 'objection_withdrawn' ELSE 'objected' END, version_id, NULL, NULL, NULL,
           jsonb_build_object('via', via, 'statement', statement, 'recorded_at', recorded_at)
    FROM objection WHERE lane = :lane AND person_id = :person_id
    UNION ALL
    SELECT at, 5, 'acted', version_id, NULL, NULL, NULL,
           jsonb_build_object('act', kind, 'locale', locale, 'statement', statement)
    FROM act WHERE lane = :lane AND person_id = :person_id
    UNION ALL
    SELECT occurred_at, 5, 'passed_over_' || reason, version_id, NULL, NULL, NULL,
           jsonb_build_object('kind', kind, 'recorded_at', recorded_at)
    FROM passed_over WHERE lane = :lane AND person_id = :person_id
    UNION ALL
    SELECT occurred_at, 5, 'used_as_written', version_id, NULL, NULL, NULL, '{}'
    FROM literal_use WHERE lane = :lane AND person_id = :person_id
    UNION ALL
    SELECT coalesce(accepted_at, recorded_at), 5, 'baseline_' || proof, version_id, NULL, NULL, NULL,
           jsonb_build_object('revision', revision, 'via', via, 'reference', reference,
                              'sha256', encode(sha256, 'hex'), 'recorded_at', recorded_at)
    FROM baseline WHERE lane = :lane AND person_id = :person_id
    UNION ALL
    SELECT coalesce(accepted_at, recorded_at), 7, 'accepted_' || kind, version_id, NULL, NULL, NULL,
           jsonb_build_object('grade', grade, 'revision', revision, 'counts_from', counts_from,
                              'recorded_at', recorded_at, 'evidence', evidence)
    FROM acceptance WHERE lane = :lane AND person_id = :person_id
)
SELECT f.at, f.kind, v.policy, v.label, f.campaign_id, c.corrects, f.channel, f.attempt, f.detail
FROM facts f
LEFT JOIN version v ON v.version_id = f.version_id
LEFT JOIN campaign c ON c.campaign_id = f.campaign_id
ORDER BY f.at, f.place, f.campaign_id, f.attempt

-- name: notices
-- lanes: one
-- Every notice of one person and where it stands, the newest version first.
SELECT s.campaign_id, c.corrects, v.policy, v.label, v.published_at, v.effective_at, s.reason::text AS reason, s.status,
       s.requested_locale, s.locale, s.channels, s.fallback, s.told_at, s.told_by, s.recipient_at, s.shown_at
FROM standing s
JOIN campaign c ON c.campaign_id = s.campaign_id
JOIN version v ON v.version_id = c.version_id
WHERE s.lane = :lane AND s.person_id = :person_id
ORDER BY v.published_at DESC, s.campaign_id DESC

-- name: acceptances
-- lanes: one
-- Every acceptance of one person with all revisions.
SELECT v.policy, v.label, a.revision, a.kind::text AS kind, a.grade::text AS grade, a.accepted_at, a.counts_from,
       a.recorded_at, a.evidence
FROM acceptance a
JOIN version v ON v.version_id = a.version_id
WHERE a.lane = :lane AND a.person_id = :person_id
ORDER BY v.published_at DESC, a.version_id DESC, a.revision

-- name: attempts
-- lanes: one
-- The attempts to tell one person of one version, and what each came to.
SELECT r.channel, r.attempt, r.told_at, r.recipient_at, r.shown_at, r.failed_at, coalesce((
           SELECT i.purpose
           FROM intent i
           WHERE i.lane = :lane AND i.person_id = :person_id AND i.campaign_id = :campaign_id
             AND i.channel = r.channel AND i.attempt = r.attempt
       ), 'notice') AS purpose, (
           SELECT o.class
           FROM outcome o
           WHERE o.lane = :lane AND o.person_id = :person_id AND o.campaign_id = :campaign_id
             AND o.channel = r.channel AND o.attempt = r.attempt AND o.class IS NOT NULL
           ORDER BY o.at DESC LIMIT 1
       ) AS class
FROM reached r
WHERE r.lane = :lane AND r.person_id = :person_id AND r.campaign_id = :campaign_id
ORDER BY coalesce(r.told_at, r.failed_at), r.channel, r.attempt

-- name: merged_into
-- lanes: all
-- Into which account one was merged.
SELECT p.external_id AS account, m.at
FROM merger m
JOIN person p ON p.lane = m.lane AND p.person_id = m.person_id
WHERE m.from_lane = :lane AND m.from_person = :person_id

-- name: joined
-- lanes: one
-- Why one person's notice of a campaign came, or came to something else, after the freeze.
SELECT at, why, was::text AS was, reason::text AS reason
FROM joined
WHERE lane = :lane AND person_id = :person_id AND campaign_id = :campaign_id
ORDER BY at

-- name: passed_over
-- lanes: one
-- The first uses of one person that did not count for a version, and why.
SELECT reason, occurred_at
FROM passed_over
WHERE lane = :lane AND person_id = :person_id AND version_id = :version_id
ORDER BY occurred_at

-- name: lead
-- lanes: all
-- The account that a letter is written to which tells this one too, as they share a mailbox.
SELECT p.external_id AS account, c.settled_at
FROM companion c
JOIN person p ON p.lane = c.lead_lane AND p.person_id = c.lead_person
WHERE c.lane = :lane AND c.person_id = :person_id AND c.campaign_id = :campaign_id

-- name: uses
-- lanes: one
-- The uses of one person that wait to be decided.
SELECT occurred_at, received_at, kind, url_path, ip_prefix, user_agent
FROM activity
WHERE lane = :lane AND person_id = :person_id
ORDER BY occurred_at

-- name: in_force
-- lanes: one
-- All published versions of a policy, in order, each with what is on record of one person and it as of today; objections
-- as of :on. Of a version without a notice of this person's, what its campaign's rule asks for is of no matter.
SELECT v.version_id, v.label, v.effective_at, v.materiality = 'editorial' AS editorial, p.registered_at,
       p.locale AS wanted, s.locale, s.sufficient_at, s.rule,
       (SELECT posted_at FROM posted WHERE posted.version_id = v.version_id) AS posted_at,
       o.at AS objected_at, coalesce(o.withdrawn, false) AS withdrawn, o.first_at AS first_objected_at,
       a.accepted_at, a.kind::text AS kind, a.grade::text AS grade, e.proof, e.accepted_at AS proof_at,
       (SELECT jsonb_object_agg(t.locale, encode(t.sha256, 'hex')) FROM version_text t
        WHERE t.version_id = v.version_id) AS texts
FROM person p
JOIN version v ON v.site = :site AND v.policy = :policy AND v.state = 'published'
LEFT JOIN campaign c ON c.version_id = v.version_id AND c.corrects IS NULL
LEFT JOIN LATERAL (
    SELECT locale, sufficient_at, rule FROM standing
    WHERE lane = p.lane AND person_id = p.person_id AND campaign_id = c.campaign_id
) s ON true
LEFT JOIN LATERAL (
    SELECT kind, grade, accepted_at FROM accepted
    WHERE lane = p.lane AND person_id = p.person_id AND version_id = v.version_id
    LIMIT 1
) a ON true
LEFT JOIN LATERAL (
    SELECT proof, accepted_at FROM baseline
    WHERE lane = p.lane AND person_id = p.person_id AND version_id = v.version_id
    ORDER BY revision DESC LIMIT 1
) e ON e.proof <> 'unknown'
LEFT JOIN LATERAL (
    SELECT at, withdrawn, min(at) FILTER (WHERE NOT withdrawn) OVER () AS first_at
    FROM objection
    WHERE lane = p.lane AND person_id = p.person_id AND version_id = v.version_id AND at <= :on
    ORDER BY at DESC, withdrawn LIMIT 1
) o ON true
WHERE p.lane = :lane AND p.person_id = :person_id
ORDER BY v.ordinal

-- name: told_before
-- lanes: one
-- Whether one person was validly told of a version before a moment: by what, since when there is the evidence that the rule
-- asks for, and that no bounce undid it.
SELECT t ->> 'channel' AS channel, (t ->> 'attempt')::integer AS attempt, enough.at AS told_at,
       (t ->> 'recipient_at')::timestamptz AS recipient_at, (t ->> 'shown_at')::timestamptz AS shown_at
FROM campaign c
JOIN standing s ON s.campaign_id = c.campaign_id
CROSS JOIN jsonb_array_elements(s.tellings) t
CROSS JOIN LATERAL (
    SELECT sufficient_at(
        s.rule, t ->> 'channel', (t ->> 'at')::timestamptz, (t ->> 'placed')::boolean,
        (t ->> 'recipient_at')::timestamptz, (t ->> 'shown_at')::timestamptz
    ) AS at
) enough
WHERE c.version_id = :version_id AND c.corrects IS NULL AND s.lane = :lane AND s.person_id = :person_id
  AND enough.at < :before::timestamptz
ORDER BY enough.at, channel, attempt LIMIT 1

-- fragment: noticed
FROM standing s
JOIN campaign c ON c.campaign_id = s.campaign_id
-- LIMIT keeps the planner at one look by key per row. As a join it expects next to no person to fit (it takes lane and
-- person_id for independent), so that it reads and sorts everybody for the sake of one page.
CROSS JOIN LATERAL (SELECT external_id FROM person WHERE lane = s.lane AND person_id = s.person_id LIMIT 1) p
LEFT JOIN LATERAL (
    SELECT kind, grade, accepted_at
    FROM accepted
    WHERE lane = s.lane AND person_id = s.person_id AND version_id = c.version_id AND c.corrects IS NULL
    LIMIT 1
) a ON true
LEFT JOIN LATERAL (
    SELECT class, reply
    FROM outcome
    WHERE lane = s.lane AND person_id = s.person_id AND campaign_id = s.campaign_id AND class IS NOT NULL
    ORDER BY at DESC LIMIT 1
) f ON true
WHERE s.campaign_id = :campaign_id
  AND (:statuses::text[] = '{}' OR s.status = ANY (:statuses))
  -- Whoever cannot stand so, by their reason or for want of a failed attempt, is passed over before their attempts are
  -- looked at: the notices alone are read in a fifth of a second per million. An index of the rare reasons would save that,
  -- and cost each freeze as much.
  AND (:statuses = '{}' OR CASE
      WHEN s.reason NOT IN ('in_scope', 'unreachable', 'suppressed') THEN 'excluded' = ANY (:statuses)
      WHEN s.reason <> 'in_scope' THEN :statuses && ARRAY['told', 'too_little_evidence', s.reason::text]
      WHEN NOT :statuses <@ '{unreachable,suppressed,excluded}'::text[] THEN true
      ELSE 'unreachable' = ANY (:statuses) AND EXISTS (
          SELECT FROM outcome o
          WHERE o.lane = s.lane AND o.person_id = s.person_id AND o.campaign_id = :campaign_id
            AND o.kind IN ('refused', 'bounced', 'expired', 'withheld')
      )
  END)
  AND (:reasons::text[] = '{}' OR s.reason = ANY (:reasons::notice_reason[]))
  AND (:channel::text IS NULL OR s.told_by = :channel)
  AND (:locale::text IS NULL OR s.locale = :locale)
  AND (NOT :late OR EXISTS (   -- told so late that their notice period ends after the version takes effect, as report counts
      SELECT
      FROM version v
      JOIN plan l ON l.campaign_id = s.campaign_id AND l.plan = s.plan
      CROSS JOIN LATERAL (SELECT (coalesce(l.rule, c.rule) ->> 'notice_days')::integer AS days) notice
      WHERE v.version_id = c.version_id AND notice.days > 0
        AND s.sufficient_at > v.effective_at - make_interval(days => notice.days)
  ))

-- name: campaign_notices
-- lanes: all
-- One page of a campaign's notices after a key, in key order.
SELECT s.lane, s.person_id, p.external_id, s.reason::text AS reason, s.status, s.requested_locale, s.locale,
       s.channels, s.fallback, s.told_at, s.told_by, s.recipient_at, s.shown_at,
       a.kind::text AS accepted, a.grade::text AS grade, a.accepted_at,
       f.class AS failed_class, f.reply AS failed_reply
@noticed
  AND (s.lane, s.person_id) > (:after_lane::smallint, :after_person::uuid)
ORDER BY s.lane, s.person_id
LIMIT :most

-- name: notices_csv
-- lanes: all
-- All of a campaign's notices as they are exported. What a spreadsheet would take for a formula gets an apostrophe.
SELECT regexp_replace(p.external_id, '^([-=+@\t\r\n－＝＋＠])', '''\1') AS external_id,
       s.status, s.reason::text AS reason, s.requested_locale, s.locale, array_to_string(s.channels, ' ') AS channels,
       array_to_string(s.fallback, ' ') AS fallback, s.told_by, s.told_at, s.recipient_at, s.shown_at,
       f.class AS failed_class, regexp_replace(f.reply, '^([-=+@\t\r\n－＝＋＠])', '''\1') AS failed_reply,
       a.kind::text AS accepted, a.grade::text AS grade, a.accepted_at
@noticed
ORDER BY s.lane, s.person_id

-- name: version_acceptances
-- lanes: all
-- One page of who accepted a version, after a key, as it is on record today.
SELECT a.lane, a.person_id, p.external_id, a.revision, a.kind::text AS kind, a.grade::text AS grade, a.accepted_at,
       a.counts_from, a.recorded_at
FROM accepted a
CROSS JOIN LATERAL (SELECT external_id FROM person WHERE lane = a.lane AND person_id = a.person_id LIMIT 1) p
WHERE a.version_id = :version_id
  AND (:kind::text IS NULL OR a.kind = :kind::acceptance_kind)
  AND (:grade::text IS NULL OR a.grade = :grade::text::"char")
  AND (a.lane, a.person_id) > (:after_lane::smallint, :after_person::uuid)
ORDER BY a.lane, a.person_id
LIMIT :most

-- name: report
-- lanes: all
-- The counts of a campaign in parts, each counted by itself so that comparing them proves something.
WITH standings AS MATERIALIZED (
    SELECT lane, person_id, status, told_at, sufficient_at, plan FROM standing WHERE campaign_id = :campaign_id
), asked AS MATERIALIZED (
    SELECT p.plan, (r.rule ->> 'explicit')::boolean AS explicit, (r.rule ->> 'deems')::boolean AS deems,
           posted.posted_at,
           CASE WHEN (r.rule ->> 'notice_days')::integer > 0   -- without a period nobody is told too late for it
               THEN v.effective_at - make_interval(days => (r.rule ->> 'notice_days')::integer)
               ELSE 'infinity'
           END AS in_time,
           coalesce((
               SELECT string_agg(name, ' + ') FROM jsonb_array_elements_text(r.rule -> 'presets') name
           ), r.rule ->> 'preset') AS preset
    FROM campaign c
    JOIN version v ON v.version_id = c.version_id
    JOIN posted ON posted.version_id = c.version_id
    JOIN plan p ON p.campaign_id = c.campaign_id
    CROSS JOIN LATERAL (SELECT coalesce(p.rule, c.rule) AS rule) r
    WHERE c.campaign_id = :campaign_id
), by_person AS MATERIALIZED (
    SELECT lane, person_id, kind, grade FROM accepted WHERE version_id = :version_id
), objected AS MATERIALIZED (
    SELECT lane, person_id
    FROM (
        SELECT DISTINCT ON (lane, person_id) lane, person_id, withdrawn
        FROM objection WHERE version_id = :version_id
        ORDER BY lane, person_id, at DESC, withdrawn
    ) latest
    WHERE NOT withdrawn
), ended AS MATERIALIZED (
    -- What is on record, then what holds acceptance back, in the order of notifier/acceptance/decide.py, as far as it is no
    -- matter of time and use; a test holds the two together.
    SELECT asked.preset, CASE
               WHEN a.kind IN ('explicit', 'registration') THEN 'explicit'
               WHEN a.kind = 'deemed' THEN 'deemed'
               WHEN asked.posted_at IS NULL THEN 'not_posted'
               WHEN p.status IN ('closed', 'erased') THEN 'closed'
               WHEN NOT asked.deems THEN 'not_deemed'
               WHEN asked.explicit THEN 'explicit_required'
               WHEN o.person_id IS NOT NULL THEN 'objected'
               ELSE 'awaiting_use'
           END AS name
    FROM standings s
    JOIN asked USING (plan)
    JOIN person p ON p.lane = s.lane AND p.person_id = s.person_id
    LEFT JOIN by_person a ON a.lane = s.lane AND a.person_id = s.person_id
    LEFT JOIN objected o ON o.lane = s.lane AND o.person_id = s.person_id
    WHERE s.status = 'told'
)
SELECT 'reason' AS part, reason::text AS name, count(*) AS count, NULL::timestamptz AS latest
FROM notice WHERE campaign_id = :campaign_id
GROUP BY reason
UNION ALL
SELECT 'joined', why, count(*), NULL FROM joined WHERE campaign_id = :campaign_id GROUP BY why
UNION ALL
SELECT 'status', status, count(*), max(told_at) FROM standings GROUP BY status
UNION ALL
SELECT 'sent', 'told', count(*), max(told_at) FROM standings WHERE told_at > :inbox_at::timestamptz
UNION ALL
SELECT 'late', 'told', count(*), NULL FROM standings JOIN asked USING (plan) WHERE sufficient_at > in_time
UNION ALL
SELECT 'told', name, count(*), NULL FROM ended GROUP BY name
UNION ALL
SELECT 'preset', preset || '/' || name, count(*), NULL FROM ended
GROUP BY 2
UNION ALL
SELECT 'accepted', kind::text, count(*), NULL FROM by_person GROUP BY kind
UNION ALL
SELECT 'grade', grade::text, count(*), NULL FROM by_person GROUP BY grade
UNION ALL
SELECT 'objections', 'standing', count(*), NULL FROM objected
UNION ALL
SELECT 'planned', channel, count(*), NULL
FROM notice n
JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan
CROSS JOIN unnest(p.channels) AS channel
WHERE n.campaign_id = :campaign_id AND n.reason = 'in_scope'
GROUP BY channel
UNION ALL
SELECT 'held', 'pending', count(*), NULL
FROM standings s
WHERE s.status = 'pending' AND EXISTS (
    SELECT FROM retry r
    WHERE r.lane = s.lane AND r.person_id = s.person_id AND r.campaign_id = :campaign_id AND r.due_at IS NULL
)
UNION ALL
SELECT 'reminders', split_part(purpose, '-', 1), count(DISTINCT (lane, person_id, purpose)), NULL
FROM outcome WHERE campaign_id = :campaign_id AND purpose IS NOT NULL
GROUP BY 2
UNION ALL
SELECT 'failure', coalesce(class, 'unknown'), count(*), NULL
FROM outcome
WHERE campaign_id = :campaign_id AND kind IN ('refused', 'bounced', 'expired', 'withheld')
GROUP BY class

-- name: buckets
-- lanes: none
-- What is left of a site's limits.
SELECT name, tokens, at, level, level_at, booked_at, day, today, used FROM bucket WHERE site = :site

-- name: pending_domains
-- lanes: all
-- Whom nobody has told yet, by the domain of their address.
SELECT lower(substring(p.email FROM '[^@]*$')) AS domain, count(*) AS count
FROM standing s
JOIN person p ON p.lane = s.lane AND p.person_id = s.person_id
WHERE s.campaign_id = :campaign_id AND s.status = 'pending' AND p.email IS NOT NULL
GROUP BY 1

-- name: progress
-- lanes: none
-- What was counted while outcomes were written, by channel.
SELECT channel, kind::text AS kind, sum(count)::bigint AS count
FROM progress
WHERE campaign_id = :campaign_id
GROUP BY channel, kind
ORDER BY channel, kind

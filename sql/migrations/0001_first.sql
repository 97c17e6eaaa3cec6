-- The tables, in the order in which data travels. See docs/architecture.md for the words.
-- Small tables (site … slice) are reference tables on a cluster; every table that grows with people starts with its lane.

-- ---------------------------------------------------------------- sites and policies

CREATE TABLE site (
    site        text PRIMARY KEY CHECK (site ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    settings    jsonb NOT NULL,                 -- the applied site.yaml, validated
    sha256      bytea NOT NULL,                 -- of the settings, so that applying twice changes nothing
    webhook_generation integer NOT NULL DEFAULT 1,   -- this one and, until retired, the one before sign webhooks
    webhook_previous   boolean NOT NULL DEFAULT false,
    applied_at  timestamptz NOT NULL
);

CREATE TABLE api_token (
    sha256      bytea PRIMARY KEY,              -- the token itself is shown once and never stored
    site        text REFERENCES site,           -- NULL: every site
    name        text NOT NULL,                  -- who acts, as the records will say
    scopes      text[] NOT NULL,
    created_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);

CREATE TABLE policy (
    site        text NOT NULL REFERENCES site,
    policy      text NOT NULL CHECK (policy ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
    titles      jsonb NOT NULL,                 -- locale → title
    kind        text NOT NULL CHECK (kind IN ('privacy', 'terms', 'cookies', 'other')),
    PRIMARY KEY (site, policy)
);

CREATE TYPE materiality AS ENUM ('editorial', 'material', 'explicit');
CREATE TYPE version_state AS ENUM ('pending', 'published', 'discarded', 'withdrawn');

CREATE TABLE version (
    version_id  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site        text NOT NULL,
    policy      text NOT NULL,
    label       text NOT NULL,
    state       version_state NOT NULL,
    ordinal     integer,                        -- 1, 2, … among the published ones of the policy
    previous_id integer REFERENCES version,     -- the published version that this one follows
    materiality materiality NOT NULL,
    flags       text[] NOT NULL,
    source      text NOT NULL,                  -- webhook, command, folder, source, author
    sha256      bytea NOT NULL,                 -- over everything that is or is to be published: the same again changes nothing
    seen        jsonb,                          -- what watched places showed: locale → text's mark; NULL: nobody watched
    corrects_id integer REFERENCES version,     -- the version whose typing mistake this one mends
    untranslated text[] NOT NULL DEFAULT '{}',  -- locales of the site that have no text on purpose
    wanted_at   timestamptz,                    -- when it is asked to take effect; NULL: as soon as the rule allows
    authors     text[] NOT NULL DEFAULT '{}',   -- who wrote at it
    reviewed_sha256 bytea,                      -- of exactly what was reviewed: any change undoes the review
    reviewed_by text,
    reviewed_at timestamptz,
    publish_at  timestamptz,                    -- when workers publish it; NULL: somebody does
    publish_zone text,                          -- in whose zone that was said
    scheduled_by text,
    received_at timestamptz NOT NULL,
    published_at timestamptz,
    effective_at timestamptz,
    FOREIGN KEY (site, policy) REFERENCES policy,
    UNIQUE (site, policy, ordinal),
    CHECK ((state = 'published') = (published_at IS NOT NULL AND effective_at IS NOT NULL AND ordinal IS NOT NULL)),
    CHECK (reviewed_sha256 = sha256),           -- or there is none
    CHECK ((reviewed_sha256 IS NULL) = (reviewed_by IS NULL) AND (reviewed_by IS NULL) = (reviewed_at IS NULL)),
    CHECK (publish_at IS NULL OR publish_zone IS NOT NULL AND scheduled_by IS NOT NULL AND reviewed_by IS NOT NULL)
);
CREATE UNIQUE INDEX version_label ON version (site, policy, label) WHERE state = 'published';
-- Of what is watched one version waits at a time; authors may write at several.
CREATE UNIQUE INDEX version_pending ON version (site, policy) WHERE state = 'pending' AND seen IS NOT NULL;
CREATE INDEX version_due ON version (publish_at) WHERE state = 'pending' AND publish_at IS NOT NULL;

-- Who did what to a version, from its first draft on. Append-only.
CREATE TABLE version_event (
    version_id  integer NOT NULL REFERENCES version,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    action      text NOT NULL,                  -- opened, amended, reviewed, scheduled, published, …
    reason      text NOT NULL DEFAULT '',
    sha256      bytea NOT NULL,                 -- of the draft as it then was
    detail      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (version_id, at)
);

-- Two people's word that a version may take effect sooner than people are promised, or in the past. What each person is
-- promised stays: use counts from their own date.
CREATE TABLE override (
    site        text NOT NULL,
    policy      text NOT NULL,
    label       text NOT NULL,
    effective_at timestamptz NOT NULL,
    reason      text NOT NULL,
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL,
    confirmed_by text CHECK (confirmed_by <> asked_by),
    confirmed_at timestamptz,
    PRIMARY KEY (site, policy, label, effective_at),
    FOREIGN KEY (site, policy) REFERENCES policy,
    CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL))
);

CREATE TABLE version_text (
    version_id  integer NOT NULL REFERENCES version,
    locale      text NOT NULL,
    media_type  text NOT NULL CHECK (media_type IN ('text/markdown', 'text/html')),
    body        bytea NOT NULL,                 -- the exact bytes as they came
    sha256      bytea NOT NULL,
    summary     text NOT NULL DEFAULT '',       -- what changed, in the publisher's words
    PRIMARY KEY (version_id, locale)
);

-- A place that a text is read from (site.yaml, watch.sources), and how it stands with it.
CREATE TABLE source (
    site        text NOT NULL REFERENCES site,
    policy      text NOT NULL,
    locale      text NOT NULL,
    address     text NOT NULL,
    due_at      timestamptz NOT NULL,           -- when it is looked at next
    looked_at   timestamptz,
    failures    smallint NOT NULL DEFAULT 0,    -- looks in a row that brought nothing
    verdict     text,                           -- of the last look, with its reason in English,
    reason      text NOT NULL DEFAULT '',
    why         jsonb,                          -- and as a code with its values
    last_id     bigint,                         -- snapshots: the last one,
    settled_id  bigint,                         -- the one that counts as the policy's text,
    candidate_id bigint,                        -- and another one that was seen since,
    agreed      smallint NOT NULL DEFAULT 0,    -- so many times in a row
    seen        jsonb NOT NULL DEFAULT '[]',    -- [mark, time] of the steps of the last weeks
    PRIMARY KEY (site, policy, locale)
);

-- What a source answered, as it came: the text can be read out of it again. The same bytes again are the same row.
CREATE TABLE snapshot (
    snapshot_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site        text NOT NULL REFERENCES site,
    policy      text NOT NULL,
    locale      text NOT NULL,
    address     text NOT NULL,
    taken_at    timestamptz NOT NULL,           -- first seen
    seen_at     timestamptz NOT NULL,           -- last seen
    times       integer NOT NULL DEFAULT 1,
    headers     jsonb NOT NULL,
    body        bytea NOT NULL,
    sha256      bytea NOT NULL,
    verdict     text NOT NULL,
    reason      text NOT NULL,                  -- in English
    why         jsonb,                          -- and as a code with its values
    UNIQUE (site, policy, locale, sha256)
);

-- The posting record. A row per locale in which a version has to be seen on a page of the site's own, from the moment that
-- it is published; a version without rows is posted by our own public page.
CREATE TABLE posting (
    version_id  integer NOT NULL REFERENCES version,
    locale      text NOT NULL,
    posted_at   timestamptz,                    -- of the first look that saw it; NULL: it was not seen yet
    look_id     bigint,
    PRIMARY KEY (version_id, locale)
);

-- A page of the site's own that must show a policy's text (site.yaml, posted_at_url), and how it stands with it.
CREATE TABLE posted_page (
    site        text NOT NULL REFERENCES site,
    policy      text NOT NULL,
    locale      text NOT NULL,
    address     text NOT NULL,
    version_id  integer REFERENCES version,     -- the one that it must show; NULL: nothing is published yet
    due_at      timestamptz,                    -- when it is looked at next
    looked_at   timestamptz,
    odd         integer NOT NULL DEFAULT 0,     -- looks in a row that did not show the version
    verdict     text,                           -- of the last look, with its reason in English,
    reason      text NOT NULL DEFAULT '',
    why         jsonb,                          -- and as a code with its values
    look_id     bigint,                         -- the last look
    alarm       text CHECK (alarm IN ('drift', 'missing')),
    alarm_at    timestamptz,
    PRIMARY KEY (site, policy, locale)
);

-- Every look at such a page. Append-only: the proof that a version was posted, and for how long.
CREATE TABLE posting_look (
    look_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site        text NOT NULL REFERENCES site,
    policy      text NOT NULL,
    locale      text NOT NULL,
    address     text NOT NULL,
    at          timestamptz NOT NULL,
    version_id  integer NOT NULL REFERENCES version,   -- the one that had to be seen
    shows_id    integer REFERENCES version,     -- the one that was
    verdict     text NOT NULL,
    reason      text NOT NULL,
    why         jsonb,
    sha256      bytea,                          -- of the bytes as they came; NULL: none did
    text_sha256 bytea                           -- of the text read out of them, after the steps of noise
);
CREATE INDEX posting_look_page ON posting_look (site, policy, locale, sha256);

-- The bytes that looks brought: each once, those that something happened by for good, the others until the next look.
CREATE TABLE posting_body (
    site        text NOT NULL,
    policy      text NOT NULL,
    locale      text NOT NULL,
    sha256      bytea NOT NULL,
    taken_at    timestamptz NOT NULL,
    headers     jsonb NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (site, policy, locale, sha256)
);

-- What looks made known: posted, an alarm (drift, missing), or that one is over (mended). Append-only.
CREATE TABLE posting_event (
    site        text NOT NULL REFERENCES site,
    policy      text NOT NULL,
    locale      text NOT NULL,
    at          timestamptz NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('posted', 'drift', 'missing', 'mended')),
    version_id  integer NOT NULL REFERENCES version,
    look_id     bigint NOT NULL,
    PRIMARY KEY (site, policy, locale, at, kind)
);

-- Since when each published version counts as posted: since every page that had to show it was seen to; NULL: not yet.
CREATE VIEW posted AS
SELECT v.version_id, CASE
           WHEN count(p.version_id) = 0 THEN v.published_at
           WHEN bool_and(p.posted_at IS NOT NULL) THEN max(p.posted_at)
       END AS posted_at
FROM version v
LEFT JOIN posting p ON p.version_id = v.version_id
WHERE v.state = 'published'
GROUP BY v.version_id;

CREATE TABLE receipt (
    site        text NOT NULL REFERENCES site,
    webhook_id  text NOT NULL,
    sha256      bytea NOT NULL,
    status      smallint NOT NULL,
    answer      jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (site, webhook_id)
);

-- ---------------------------------------------------------------- people

CREATE TYPE person_status AS ENUM ('active', 'dormant', 'suspended', 'closed', 'erased');

CREATE TABLE person (
    lane        smallint NOT NULL,
    site        text NOT NULL,
    external_id text NOT NULL,                  -- after erasure a keyed pseudonym
    person_id   uuid NOT NULL,
    status      person_status NOT NULL DEFAULT 'active',
    email       text,
    email_mac   bytea,                          -- keyed, for the suppression list
    locale      text NOT NULL DEFAULT '',
    time_zone   text NOT NULL DEFAULT '',
    country     text NOT NULL DEFAULT '',
    roles       text[] NOT NULL DEFAULT '{}',
    channels    text[] NOT NULL DEFAULT '{}',   -- the person's own order of preference
    attributes  jsonb NOT NULL DEFAULT '{}',
    registered_at timestamptz NOT NULL,
    registration_version text,                  -- the label that the registration showed, where the site says so
    changed_at  timestamptz NOT NULL,
    last_seen_on date,
    closed_at   timestamptz,                    -- when the person left, as far as the site says; else when we heard of it
    PRIMARY KEY (lane, site, external_id) INCLUDE (person_id)   -- which is all that is asked about who used the site
) WITH (fillfactor = 85);   -- room on the page for the day of the last use: then no index is touched
CREATE UNIQUE INDEX person_by_id ON person (lane, person_id);
CREATE INDEX person_erased ON person (lane, person_id) WHERE status = 'erased';

-- Grows when something of a lane's people is taken back (an acceptance, or a person): what a process remembers of them
-- from before is void. A lane without a row is at 0.
CREATE TABLE lane_epoch (
    lane        smallint PRIMARY KEY,
    epoch       bigint NOT NULL
);

-- What a registration showed, left by the people stage for the acceptance stage.
CREATE TABLE registration (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    version_id  integer NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (lane, person_id, version_id)
);

-- People who became known while a version is being told, who came back, or who have another address: left by the people
-- stage for the campaigns stage, which looks whether an audience was frozen without them.
CREATE TABLE arrival (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    site        text NOT NULL,
    mark        bigint NOT NULL DEFAULT 1,      -- grows when there is more news of them before somebody looked
    PRIMARY KEY (lane, person_id)
);

-- Accounts that the site says are one person's: the one that went (from_…) lies with the one that stays. Append-only.
CREATE TABLE merger (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    from_lane   smallint NOT NULL,
    from_person uuid NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (lane, person_id, from_lane, from_person)
);
CREATE INDEX merger_from ON merger (from_lane, from_person);

-- Addresses that must not be written to, whoever they belong to.
CREATE TABLE suppression (
    site        text NOT NULL REFERENCES site,
    email_mac   bytea NOT NULL,
    reason      text NOT NULL,
    since       timestamptz NOT NULL,
    until       timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (site, email_mac)
);

-- Who put an address on that list or took it off, and why. Append-only.
CREATE TABLE suppression_event (
    site        text NOT NULL REFERENCES site,
    email_mac   bytea NOT NULL,
    at          timestamptz NOT NULL,
    action      text NOT NULL CHECK (action IN ('added', 'lifted')),
    actor       text NOT NULL,
    reason      text NOT NULL,
    until       timestamptz,                    -- NULL: it was lifted
    PRIMARY KEY (site, email_mac, at, action)
);

-- ---------------------------------------------------------------- campaigns

CREATE TYPE campaign_state AS ENUM ('planned', 'approved', 'sending', 'paused', 'done', 'cancelled', 'superseded');

CREATE TABLE campaign (
    campaign_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site        text NOT NULL REFERENCES site,
    version_id  integer NOT NULL REFERENCES version,
    corrects    integer REFERENCES campaign,    -- of which notices this is a correction; NULL: it tells of the version
    words       jsonb,                          -- of a correction: locale → Markdown
    rule        jsonb NOT NULL,                 -- frozen: a later change of the site's rule does not reach it
    overlays    jsonb NOT NULL DEFAULT '[]',    -- likewise: rules that apply to some people as well, and to whom
    safety      jsonb NOT NULL DEFAULT '{}',    -- likewise: how many must approve it, and its canary
    state       campaign_state NOT NULL DEFAULT 'planned',
    created_at  timestamptz NOT NULL,
    frozen_at   timestamptz,
    opened_at   timestamptz,                    -- sending began
    stages      smallint NOT NULL DEFAULT 1,    -- in how many the audience was cut; the last is everybody else
    stage       smallint NOT NULL DEFAULT 1,    -- slices of a later one are not claimed yet
    held_at     timestamptz,                    -- the stage was handed over, and the next one waits; NULL: it is not yet
    inbox_at    timestamptz,                    -- the last stage began; private messages of the plan are visible from here
    tallied     jsonb NOT NULL DEFAULT '[]',    -- the counters when it was last resumed: the breaker looks at what came since
    lately      jsonb NOT NULL DEFAULT '[[], []]',  -- the counters some thousand tries ago, and as many before: it looks at these too
    closed_at   timestamptz,
    frozen      jsonb,                          -- counts by reason and by channel, as frozen
    reconcile_at timestamptz,                   -- when all people are next compared with the audience; NULL: no more
    superseded_by integer REFERENCES campaign,  -- tells of a newer version: from then on this one sends nothing more
    CHECK ((corrects IS NULL) = (words IS NULL))
);
-- One telling per version, whatever races; corrections of it as many as it takes.
CREATE UNIQUE INDEX campaign_telling ON campaign (version_id) WHERE corrects IS NULL;

CREATE TABLE campaign_event (
    campaign_id integer NOT NULL REFERENCES campaign,
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    action      text NOT NULL,                  -- announced, approve, opened, pause, …
    reason      text NOT NULL DEFAULT '',
    detail      jsonb NOT NULL DEFAULT '{}',    -- the figures behind it, for whoever says it in another language
    PRIMARY KEY (campaign_id, at, action)
);

-- Nothing leaves while a row is here: for one site, or (NULL) for all of them. No campaign's state changes by it.
CREATE TABLE stop (
    site        text UNIQUE NULLS NOT DISTINCT REFERENCES site,
    since       timestamptz NOT NULL,
    actor       text NOT NULL,
    reason      text NOT NULL
);

-- Who stopped sending and who let it go on. Append-only.
CREATE TABLE stop_event (
    site        text REFERENCES site,           -- NULL: every site
    at          timestamptz NOT NULL,
    action      text NOT NULL CHECK (action IN ('stop', 'go')),
    actor       text NOT NULL,
    reason      text NOT NULL
);

-- The sites for which nothing may leave now.
CREATE VIEW stopped AS
SELECT site.site FROM site WHERE EXISTS (SELECT FROM stop WHERE stop.site IS NULL OR stop.site = site.site);

-- A campaign as a worker is to take it: its state, unless nothing more is to be sent whatever the state.
CREATE VIEW steered AS
SELECT c.campaign_id, c.site, c.stage, CASE
           WHEN EXISTS (SELECT FROM stopped WHERE stopped.site = c.site) THEN 'stopped'
           WHEN c.superseded_by IS NOT NULL THEN 'superseded'
           ELSE c.state::text
       END AS state
FROM campaign c;

-- How one kind of person is told: worked out once per kind, not once per person.
CREATE TABLE plan (
    campaign_id integer NOT NULL REFERENCES campaign,
    plan        integer NOT NULL,
    requested_locale text NOT NULL,
    preference  text[] NOT NULL,
    email_usable boolean NOT NULL,
    overlays    integer NOT NULL DEFAULT 0,     -- bit mask: which rules of the campaign's overlays apply to them as well
    rule        jsonb,                          -- what it all comes to, the strictest of each; NULL: the campaign's rule
    locale      text NOT NULL,                  -- the one used, after the fallback chain
    channels    text[] NOT NULL,                -- told by these, at once; empty: nothing reaches them
    fallback    text[] NOT NULL,                -- then by these, when the others failed
    late        boolean NOT NULL DEFAULT false, -- no slice is walked for these people: they joined after the freeze, or are companions
    PRIMARY KEY (campaign_id, plan)
);

CREATE TYPE notice_reason AS ENUM (
    'in_scope', 'unreachable', 'suppressed',                                    -- in scope
    'erased', 'closed', 'suspended', 'dormant', 'registered_with_it', 'already_accepted', 'outside_rule',
    'not_reached'                                                               -- left out
);

-- The promise to tell one person of one version, or why not; a partition per campaign. Immutable, but for those of whom
-- ``joined`` says what stood here before.
CREATE TABLE notice (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    campaign_id integer NOT NULL,
    reason      notice_reason NOT NULL,
    plan        integer NOT NULL,
    since       integer,                        -- the version that they last knew; NULL: none
    PRIMARY KEY (lane, person_id, campaign_id)
) PARTITION BY LIST (campaign_id);

-- What a campaign's letters list as changed since a version that some of its people last knew. Compared once per pair of
-- versions and locale, and kept: every letter of the campaign says the same, whoever writes it.
CREATE TABLE changed (
    campaign_id integer NOT NULL REFERENCES campaign,
    since       integer NOT NULL REFERENCES version,
    locale      text NOT NULL,
    content     jsonb,                          -- NULL: not compared yet
    PRIMARY KEY (campaign_id, since, locale)
);

-- Notices that came, or came to something else, after the freeze: why, and what they said before. Append-only.
CREATE TABLE joined (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    campaign_id integer NOT NULL,
    at          timestamptz NOT NULL,
    why         text NOT NULL CHECK (why IN ('registered', 'restored', 'new_address')),
    was         notice_reason,                  -- NULL: there was no notice
    reason      notice_reason NOT NULL,
    PRIMARY KEY (lane, person_id, campaign_id, at)
);
CREATE INDEX joined_campaign ON joined (campaign_id);

-- Accounts of one mailbox, where the site says that one letter is enough: the letter to the lead tells the companion too.
-- What comes of it is put on the companion's own record (delivery/companions.py).
CREATE TABLE companion (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    campaign_id integer NOT NULL,
    lead_lane   smallint NOT NULL,
    lead_person uuid NOT NULL,
    settled_at  timestamptz,                    -- when the letter's fate was put on record; NULL: it is waited for
    PRIMARY KEY (lane, person_id, campaign_id)
);
CREATE INDEX companion_lead ON companion (lead_lane, lead_person, campaign_id);
CREATE INDEX companion_waits ON companion (campaign_id) WHERE settled_at IS NULL;

-- ---------------------------------------------------------------- delivery

-- A leased stretch of (lane, person) keys of one campaign and channel: (from, to].
CREATE TABLE slice (
    campaign_id integer NOT NULL REFERENCES campaign,
    channel     text NOT NULL,
    slice       integer NOT NULL,
    from_lane   smallint NOT NULL,
    from_person uuid NOT NULL,
    to_lane     smallint NOT NULL,
    to_person   uuid NOT NULL,
    cursor_lane smallint NOT NULL,              -- every planned notice up to here has an outcome or was skipped
    cursor_person uuid NOT NULL,
    due_at      timestamptz,                    -- when there is work next; NULL: none known
    second_at   timestamptz,                    -- when to look for people without evidence; NULL: nobody to look for
    epoch       integer NOT NULL DEFAULT 0,     -- grows with every lease: a worker that lost it can move nothing
    worker      text,
    leased_until timestamptz,
    stage       smallint NOT NULL DEFAULT 1,    -- of the campaign's: claimed when it is its turn
    unsure      integer NOT NULL DEFAULT 0,     -- letters of unknown fate in its queue when its last lease ended
    remind_at   timestamptz,                    -- when to look whom to remind or nudge; NULL: nobody
    reminded_at timestamptz,                    -- reminders that were due by then had their turn
    PRIMARY KEY (campaign_id, channel, slice)
);
CREATE INDEX slice_remind ON slice (remind_at) WHERE remind_at IS NOT NULL;
CREATE INDEX slice_due ON slice (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX slice_second ON slice (second_at) WHERE second_at IS NOT NULL;

-- The letters of a slice that are about to leave, or are out: written and committed before a byte leaves, gone when what
-- came of them is an outcome of each. A row per batch (docs/decisions/0007-a-batch-is-one-row.md). The arrays are equally long,
-- but for attempts, sheets and purposes: where all are the same, one stands for all.
CREATE TABLE under_way (
    campaign_id integer NOT NULL REFERENCES campaign,
    channel     text NOT NULL,
    slice       integer NOT NULL,
    at          timestamptz NOT NULL,
    cursor_lane smallint NOT NULL,              -- where the slice's cursor is to stand then
    cursor_person uuid NOT NULL,
    lanes       smallint[] NOT NULL,
    people      uuid[] NOT NULL,
    attempts    smallint[] NOT NULL,
    addresses   text[] NOT NULL,
    digests     bytea[] NOT NULL,
    sheets      integer[] NOT NULL,
    purposes    text[] NOT NULL,
    PRIMARY KEY (campaign_id, channel, slice)
);
-- It lives for a second: to compress it takes longer than to write it.
ALTER TABLE under_way ALTER COLUMN people SET STORAGE EXTERNAL, ALTER COLUMN addresses SET STORAGE EXTERNAL,
    ALTER COLUMN digests SET STORAGE EXTERNAL;

-- What the letters of one campaign, channel, locale and time zone share: with it any of them can be written again,
-- whatever became of templates and time zones. A few dozen rows per campaign.
CREATE TABLE sheet (
    sheet       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    campaign_id integer NOT NULL REFERENCES campaign,
    channel     text NOT NULL,
    locale      text NOT NULL,
    time_zone   text NOT NULL,                  -- whose dates it says
    sha256      bytea NOT NULL,                 -- of the content: another release may write another
    content     jsonb NOT NULL,                 -- fixed stretches of the message, and the slots between them
    UNIQUE (campaign_id, channel, locale, time_zone, sha256)
);

CREATE TYPE outcome_kind AS ENUM (
    'accepted_by_relay', 'accepted_by_recipient', 'placed', 'shown', 'acknowledged',   -- E1, E2, E1, E3, E4
    'deferred', 'unknown',                                                             -- tried again
    'refused', 'bounced', 'expired', 'complained', 'withheld'
);

-- What became known of an attempt. One row per attempt and kind: the same news twice is one row. Never updated. The
-- outcome that the sender itself recorded also says what was tried.
CREATE TABLE outcome (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    campaign_id integer NOT NULL,
    channel     text NOT NULL,
    attempt     smallint NOT NULL,
    kind        outcome_kind NOT NULL,
    at          timestamptz NOT NULL,
    class       text,                           -- bad_address, greylisted, … (docs/delivery.md); NULL when accepted
    reply       text NOT NULL DEFAULT '',       -- what the other side said, raw
    via         text NOT NULL DEFAULT '',       -- the relay or the reporter that said it
    tried_at    timestamptz,                    -- when a byte might leave; NULL: somebody else's news, or nothing was tried
    sheet       integer,                        -- what the letter was filled into
    address     text,                           -- where to; removed when the person is erased
    sha256      bytea,                          -- of the exact message, without signatures
    purpose     text CHECK (purpose ~ '^(reminder|nudge)-[0-9]{1,3}$'),   -- see remind.py; NULL: the notice itself
    phase       text CHECK (phase IN ('connect', 'ehlo', 'auth', 'mail', 'rcpt', 'data', 'dot')),   -- which command of SMTP was
                                                -- not answered as it should be; NULL: none, or not by SMTP
    PRIMARY KEY (lane, person_id, campaign_id, channel, attempt, kind),
    CHECK ((tried_at IS NULL) = (sha256 IS NULL))
);
CREATE INDEX outcome_reminds ON outcome (campaign_id) WHERE purpose IS NOT NULL;
CREATE INDEX outcome_failed ON outcome (campaign_id, lane, person_id)   -- few among many, and asked for by themselves
    WHERE kind IN ('refused', 'bounced', 'expired', 'withheld');

-- What was tried, an attempt a row.
CREATE VIEW intent AS
SELECT lane, person_id, campaign_id, channel, attempt, tried_at AS at, address, sha256, sheet,
       coalesce(purpose, 'notice') AS purpose
FROM outcome
WHERE tried_at IS NOT NULL;

-- The same with what is out right now. For questions about few people: every batch under way is unfolded.
CREATE VIEW attempt AS
SELECT lane, person_id, campaign_id, channel, attempt, at, address, sha256, sheet, purpose FROM intent
UNION ALL
SELECT u.lane, u.person_id, w.campaign_id, w.channel, coalesce(u.attempt, w.attempts[1]), w.at, u.address, u.sha256,
       coalesce(u.sheet, w.sheets[1]), coalesce(u.purpose, w.purposes[1])
FROM under_way w
CROSS JOIN unnest(w.lanes, w.people, w.attempts, w.addresses, w.digests, w.sheets, w.purposes)
     AS u (lane, person_id, attempt, address, sha256, sheet, purpose);

-- Notices to try again: a few percent. Owned by whoever leases the slice that their key lies in.
CREATE TABLE retry (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    campaign_id integer NOT NULL,
    channel     text NOT NULL,
    attempt     smallint NOT NULL,              -- the number of the next attempt
    failures    smallint NOT NULL,              -- how many of the earlier ones count against the schedule
    due_at      timestamptz,                    -- NULL: when somebody says so (a site that holds what is of unknown fate)
    unsure      boolean NOT NULL DEFAULT false, -- the fate of an attempt since is unknown: a report may answer it
    since       smallint NOT NULL DEFAULT 1,    -- the first attempt of this round: what came of earlier ones is known
    purpose     text NOT NULL DEFAULT 'notice', -- of the attempt that follows
    PRIMARY KEY (lane, person_id, campaign_id, channel)
);

-- What takes a site's letters and said that it is gone for good (HTTP 410). Nothing more is sent there.
CREATE TABLE gone_endpoint (
    site        text NOT NULL REFERENCES site,
    channel     text NOT NULL,
    endpoint    text NOT NULL,                  -- as the channel names it: a webhook's address and generation
    at          timestamptz NOT NULL,
    PRIMARY KEY (site, channel, endpoint)
);

-- What limits how fast letters leave: a relay, a provider, a site, a campaign. A row per limited thing (delivery/bucket.py).
CREATE TABLE bucket (
    site        text NOT NULL REFERENCES site,
    name        text NOT NULL,                  -- site, campaign/12, relay/host:port, provider/gmail
    tokens      double precision NOT NULL,      -- letters that may go, as of …
    at          timestamptz NOT NULL,
    level       double precision NOT NULL,      -- the share of its speed, as of …; doubles with time until 1
    level_at    timestamptz NOT NULL,
    booked_at   timestamptz NOT NULL,           -- until here others wait in the queue already
    day         date NOT NULL,                  -- in the site's zone
    today       bigint NOT NULL,                -- letters of that day
    used        integer NOT NULL,               -- days before it on which there were any
    PRIMARY KEY (site, name)
) WITH (fillfactor = 50);

-- A relay by which receivers refused a site's letters for what is no fault of the person (class policy): how many of how
-- many since when, and until when it is left alone (delivery/refusals.py).
CREATE TABLE relay_refusal (
    site        text NOT NULL REFERENCES site,
    relay       text NOT NULL,                  -- host:port
    since       timestamptz NOT NULL,
    refused     integer NOT NULL DEFAULT 0,
    answered    integer NOT NULL DEFAULT 0,
    paused_at   timestamptz,
    paused_until timestamptz,
    pauses      integer NOT NULL DEFAULT 0,     -- in a row
    reason      text NOT NULL DEFAULT '',       -- the latest reply
    PRIMARY KEY (site, relay)
);

-- When a relay was paused, and who let it go on. Append-only.
CREATE TABLE relay_event (
    site        text NOT NULL REFERENCES site,
    relay       text NOT NULL,
    at          timestamptz NOT NULL,
    action      text NOT NULL CHECK (action IN ('paused', 'resumed')),
    actor       text NOT NULL,
    reason      text NOT NULL,
    until       timestamptz,
    PRIMARY KEY (site, relay, at, action)
);

-- Progress, written with the outcomes; spread over slots so that workers do not wait for each other.
CREATE TABLE progress (
    campaign_id integer NOT NULL REFERENCES campaign,
    channel     text NOT NULL,
    kind        outcome_kind NOT NULL,
    slot        smallint NOT NULL,
    count       bigint NOT NULL,
    class       text NOT NULL DEFAULT '',       -- as in outcome; empty when accepted
    PRIMARY KEY (campaign_id, channel, kind, class, slot)
);

-- ---------------------------------------------------------------- continued use and what it amounts to

-- The first use of each day that may still matter; gone once decided. last_seen_on of the person stays.
CREATE TABLE activity (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    day         date NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    kind        text NOT NULL,
    url_path    text NOT NULL DEFAULT '',
    ip_prefix   text NOT NULL DEFAULT '',       -- /24 or /48
    user_agent  text NOT NULL DEFAULT '',       -- the family only
    due_at      timestamptz NOT NULL,           -- when to decide about it next
    PRIMARY KEY (lane, person_id, day)
);
CREATE INDEX activity_due ON activity (due_at);

-- Uses that were reported one by one, cut down already, a commit's worth in a row: acknowledged, and unfolded into activity
-- in a moment, many rows at a time. See docs/decisions/0008-acknowledged-then-unfolded.md.
CREATE TABLE reported (
    reported_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    site        text NOT NULL,
    received_at timestamptz NOT NULL,
    many        integer NOT NULL,               -- how many uses
    uses        bytea NOT NULL                  -- JSON, as notifier/activity/activity.py packs it
);
ALTER TABLE reported ALTER COLUMN uses SET STORAGE EXTERNAL;   -- read once, and soon: not worth compressing

-- Messages of a stream of activities that can never be taken in: which, and why. What they say stays in the stream alone.
-- Also uses that were reported one by one and that the database refuses: the stream is then 'reported', their row's number.
CREATE TABLE refused_message (
    stream      text NOT NULL,
    sequence    bigint NOT NULL,
    subject     text NOT NULL,
    reason      text NOT NULL,
    refused_at  timestamptz NOT NULL,
    PRIMARY KEY (stream, sequence)
);

CREATE TYPE acceptance_kind AS ENUM ('deemed', 'explicit', 'registration', 'void');

-- What the record amounts to. Append-only: a correction is the next revision. void: what was deemed rested on a telling
-- that failed afterwards, and nothing else carries it.
CREATE TABLE acceptance (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    version_id  integer NOT NULL,
    revision    smallint NOT NULL DEFAULT 1,
    kind        acceptance_kind NOT NULL,
    grade       "char",                         -- A … E, see docs/acceptance.md
    accepted_at timestamptz,
    counts_from timestamptz,                    -- the person's own date
    evidence    jsonb NOT NULL,                 -- the use, the notice and the rule that it rests on
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (lane, person_id, version_id, revision),
    CHECK ((kind = 'void') = (grade IS NULL) AND (kind = 'void') = (accepted_at IS NULL))
);

-- The first use of a person after a version's effect that did not count, and why: the others are not kept.
CREATE TABLE passed_over (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    version_id  integer NOT NULL,
    reason      text NOT NULL CHECK (reason IN ('grade_too_low', 'objected', 'unknown_baseline')),
    occurred_at timestamptz NOT NULL,
    kind        text NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (lane, person_id, version_id, reason)
);

-- Where a policy's own words make any use after the posting acceptance: the first one of a person who has something to accept.
CREATE TABLE literal_use (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    version_id  integer NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (lane, person_id, version_id)
);

-- What a site says of acceptances from before our record, with what shows each; unknown: nobody knows whether there was
-- one. Append-only: another word about the same person and version is the next revision.
CREATE TABLE baseline (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    version_id  integer NOT NULL,
    revision    smallint NOT NULL,
    proof       text NOT NULL CHECK (proof IN ('proved', 'imported', 'unknown')),
    accepted_at timestamptz,                    -- NULL: not known when, or whether
    via         text NOT NULL,                  -- how, in the site's words
    reference   text NOT NULL,                  -- where the proof is kept, in the site's words
    sha256      bytea,                          -- of the proof
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (lane, person_id, version_id, revision),
    CHECK (proof <> 'proved' OR accepted_at IS NOT NULL),
    CHECK (proof <> 'unknown' OR accepted_at IS NULL)
);

-- Tellings that bounced, left by the outcomes stage for the acceptance stage: what was deemed on them is decided again.
CREATE TABLE doubt (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    campaign_id integer NOT NULL,
    channel     text NOT NULL,
    attempt     smallint NOT NULL,
    PRIMARY KEY (lane, person_id, campaign_id, channel, attempt)
);

-- Accounts that were closed, perhaps before we heard of it, left by the people stage for the acceptance stage: what was deemed
-- at or after the closing is void.
CREATE TABLE closing (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    PRIMARY KEY (lane, person_id)
);

-- Where the contract takes silence for acceptance: a lane of people of a campaign, and when somebody's date may have passed.
CREATE TABLE silence (
    campaign_id integer NOT NULL REFERENCES campaign,
    lane        smallint NOT NULL,
    due_at      timestamptz NOT NULL,           -- when the lane is looked at next
    after       uuid,                           -- the look that is under way came to this person; NULL: none is
    again_at    timestamptz,                    -- the earliest moment that it found so far
    PRIMARY KEY (campaign_id, lane)
);
CREATE INDEX silence_due ON silence (due_at);

-- Judged by ``at``, in whatever order it reached us; of two words of one moment the no stands. Append-only.
CREATE TABLE objection (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    version_id  integer NOT NULL,
    at          timestamptz NOT NULL,
    withdrawn   boolean NOT NULL DEFAULT false, -- this row takes an earlier objection back
    via         text NOT NULL,
    statement   text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (lane, person_id, version_id, at, withdrawn)
);
CREATE INDEX objection_version ON objection (version_id);

-- What a person did on a page, and exactly what stood there: by a link of their own, which is good for one act, or by the
-- site's page, as the site says. Append-only.
CREATE TABLE act (
    lane        smallint NOT NULL,
    person_id   uuid NOT NULL,
    act         uuid NOT NULL,                  -- the link's own id; made by us where there was no link
    version_id  integer NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('accept', 'object', 'withdraw', 'close')),
    locale      text NOT NULL,
    statement   text NOT NULL,                  -- the words that were agreed to, or the digest of the notice
    at          timestamptz NOT NULL,
    PRIMARY KEY (lane, person_id, act)
);

-- ---------------------------------------------------------------- running

-- What the last look at the telling of a version found to be missing: kind → people (0: everybody). {}: nothing.
CREATE TABLE coverage (
    version_id  integer PRIMARY KEY REFERENCES version,
    looked_at   timestamptz NOT NULL,
    gaps        jsonb NOT NULL
);

-- Duties that must run once take an expiring row here (session locks break behind a pooler).
CREATE TABLE duty_lease (
    duty        text PRIMARY KEY,
    worker      text NOT NULL,
    until       timestamptz NOT NULL
);

-- The offset of a clock that was moved. A production service refuses to start on a database that has it.
CREATE TABLE clock (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    offset_by   interval NOT NULL
);

-- ---------------------------------------------------------------- what the facts come to

-- Per attempt: what its outcomes say together. An attempt that failed told nobody, whatever was said of it before.
CREATE VIEW reached AS
SELECT lane, person_id, campaign_id, channel, attempt,
       min(at) FILTER (WHERE kind IN ('accepted_by_relay', 'accepted_by_recipient', 'placed', 'shown', 'acknowledged',
                                      'complained')) AS told_at,
       min(at) FILTER (WHERE kind IN ('accepted_by_recipient', 'complained')) AS recipient_at,
       min(at) FILTER (WHERE kind IN ('shown', 'acknowledged')) AS shown_at,
       min(at) FILTER (WHERE kind IN ('refused', 'bounced', 'expired', 'withheld')) AS failed_at,
       bool_or(kind = 'withheld') AS withheld,
       bool_or(kind = 'placed') AS placed       -- with us, where nothing bounces
FROM outcome
GROUP BY lane, person_id, campaign_id, channel, attempt;

-- When an attempt that has not failed told somebody, under a rule: since there is the evidence that it asks for; NULL: there
-- is less. No proof is older than told_at, the least of them all. The same stands in notifier/acceptance/decide.py
-- (Telling.told_at); a test holds the two together. Inlined where it is used.
CREATE FUNCTION sufficient_at(rule jsonb, channel text, told_at timestamptz, placed boolean, recipient_at timestamptz,
                              shown_at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
SELECT CASE
           WHEN (rule ->> 'durable')::boolean AND channel NOT IN ('email', 'letter') THEN NULL
           WHEN rule ->> 'evidence' = 'relay' THEN told_at
           WHEN rule ->> 'evidence' = 'shown' THEN shown_at
           WHEN placed THEN told_at
           ELSE least(recipient_at, shown_at)
       END
$$;

-- Whether a private message that merely lies there tells somebody, under a rule.
CREATE FUNCTION message_suffices(rule jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
SELECT NOT coalesce((rule ->> 'durable')::boolean, false) AND rule ->> 'evidence' <> 'shown'
$$;

-- What a person accepted, as it is on record today: the latest revision, unless that is void.
CREATE VIEW accepted AS
SELECT a.lane, a.person_id, a.version_id, a.revision, a.kind, a.grade, a.accepted_at, a.counts_from, a.recorded_at
FROM acceptance a
WHERE a.kind <> 'void' AND NOT EXISTS (
    SELECT FROM acceptance b
    WHERE b.lane = a.lane AND b.person_id = a.person_id AND b.version_id = a.version_id AND b.revision > a.revision
);

-- What a person ever accepted: on our record, or as the site says. Only the latest word of a site counts.
CREATE VIEW ever_accepted AS
SELECT lane, person_id, version_id, accepted_at, 'proved' AS proof FROM accepted
UNION ALL
SELECT b.lane, b.person_id, b.version_id, b.accepted_at, b.proof
FROM baseline b
WHERE b.proof <> 'unknown' AND NOT EXISTS (
    SELECT FROM baseline c
    WHERE c.lane = b.lane AND c.person_id = b.person_id AND c.version_id = b.version_id AND c.revision > b.revision
);

-- One row per notice: where it stands, derived from its attempts and from nothing else. told_at is of the first attempt that
-- holds, sufficient_at the first moment of evidence that the rule asks for: only then they are told.
-- A private message of the plan costs no outcome row: it is there for the person from the moment its last stage began.
-- LATERAL, as a page of a campaign or one person must not pay for everybody else; see docs/decisions/0005-one-lateral-view.md.
CREATE VIEW standing AS
SELECT n.lane, n.person_id, n.campaign_id, n.reason, n.plan, n.since,
       p.requested_locale, p.locale, p.channels, p.fallback, coalesce(p.rule, c.rule) AS rule, p.overlays,
       told.told_at, told.told_by, told.recipient_at, told.shown_at, told.sufficient_at, told.tellings,
       CASE
           WHEN n.reason NOT IN ('in_scope', 'unreachable', 'suppressed') THEN 'excluded'
           WHEN told.sufficient_at IS NOT NULL THEN 'told'   -- also whom nothing of the plan could reach: shown at a login
           WHEN told.told_at IS NOT NULL THEN 'too_little_evidence'
           WHEN n.reason <> 'in_scope' THEN n.reason::text
           WHEN (told.withheld OR told.failed >= cardinality(p.channels || p.fallback)) AND (
               -- They came back, or have another address: they are tried once more. By key, not by a hash of the table.
               SELECT true FROM retry q
               WHERE q.lane = n.lane AND q.person_id = n.person_id AND q.campaign_id = n.campaign_id
               LIMIT 1
           ) IS NULL THEN 'unreachable'
           WHEN c.superseded_by IS NOT NULL THEN 'superseded'
           ELSE 'pending'
       END AS status
FROM notice n
JOIN campaign c ON c.campaign_id = n.campaign_id
JOIN plan p ON p.campaign_id = n.campaign_id AND p.plan = n.plan
LEFT JOIN LATERAL (
    SELECT min(w.told_at) FILTER (WHERE w.failed_at IS NULL) AS told_at,
           (array_agg(w.channel ORDER BY w.told_at)
               FILTER (WHERE w.told_at IS NOT NULL AND w.failed_at IS NULL))[1] AS told_by,
           min(w.recipient_at) FILTER (WHERE w.failed_at IS NULL) AS recipient_at,
           min(w.shown_at) FILTER (WHERE w.failed_at IS NULL) AS shown_at,
           min(sufficient_at(coalesce(p.rule, c.rule), w.channel, w.told_at, w.placed, w.recipient_at, w.shown_at))
               FILTER (WHERE w.failed_at IS NULL) AS sufficient_at,
           jsonb_agg(jsonb_build_object(
                   'channel', w.channel, 'attempt', w.attempt, 'at', w.told_at, 'placed', w.placed,
                   'recipient_at', w.recipient_at, 'shown_at', w.shown_at) ORDER BY w.told_at, w.channel)
               FILTER (WHERE w.told_at IS NOT NULL AND w.failed_at IS NULL) AS tellings,
           count(DISTINCT w.channel) FILTER (WHERE w.failed_at IS NOT NULL) AS failed,
           bool_or(w.withheld) AS withheld     -- they left, or were shut out, before it was their turn
    FROM (
        SELECT r.channel, r.attempt, r.told_at, r.recipient_at, r.shown_at, r.failed_at, r.placed, r.withheld
        FROM reached r
        WHERE r.lane = n.lane AND r.person_id = n.person_id AND r.campaign_id = n.campaign_id
        UNION ALL
        SELECT 'inbox', 0::smallint, c.inbox_at, NULL, NULL, NULL, true, false
        WHERE 'inbox' = ANY (p.channels) AND NOT p.late AND n.reason = 'in_scope' AND c.inbox_at IS NOT NULL
    ) w
) told ON true;

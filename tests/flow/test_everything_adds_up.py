"""Whatever happens, in whatever order: nobody is lost, nobody is told without a notice, and the counts add up.

Random histories through the verbs, on a clock that moves; the seeds are fixed, so a failure comes again.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from notifier.acceptance.accept import accept, record_explicit
from notifier.acceptance.object import Statement, record_objection, withdraw_objection
from notifier.acceptance.silence import accept_silence
from notifier.activity.record import record
from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.campaign import list_campaigns
from notifier.campaigns.correct import correct
from notifier.campaigns.join import join_late, reconcile
from notifier.campaigns.steer import STEPS, steer
from notifier.channels import inbox
from notifier.channels.channel import Channel, Feedback, Permit, Ready, Sent
from notifier.clock import MovableClock
from notifier.compliance.report import campaign_report
from notifier.compliance.search import STATUSES, Filters, campaign_notices
from notifier.db import Db
from notifier.delivery.companions import tell_companions
from notifier.delivery.deliver import Delivery
from notifier.delivery.second import tell_by_second_channel
from notifier.errors import Conflict, NotifierError
from notifier.keys import Keys
from notifier.letters.gather import gather
from notifier.letters.letter import Letter
from notifier.letters.write import Writer
from notifier.outcomes.hear import hear
from notifier.outcomes.inbox import list_messages, mark
from notifier.people.erase import erase_person
from notifier.people.merge import merge_person
from notifier.people.roster import Person, get_person, import_people
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.presenting.pending import load_pending
from notifier.presenting.present import Show
from notifier.presenting.shown import notice_of, record_shown
from notifier.settings import Settings
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.sites import a_site

STEPS_TAKEN = 120
PEOPLE = 24
RULES: tuple[dict[str, Any], ...] = (
    {"preset": "imacocokara", "channels": ["email", "inbox"], "telling": "any"},
    {"preset": "pop-japan", "channels": ["email"], "telling": "any"},
    {"preset": "imacocokara", "channels": ["email", "webhook", "inbox"], "telling": "any"},
    {"preset": "imacocokara", "channels": ["email", "inbox"], "telling": "all"},
    {"preset": "imacocokara", "channels": ["email", "webhook", "inbox"], "evidence": "recipient", "evidence_hours": 20},
    {"preset": "imacocokara", "channels": ["inbox", "email", "webhook"], "evidence": "shown", "evidence_hours": 40},
)
ANSWERS: Sequence[tuple[Any, str | None]] = (
    *[("accepted_by_relay", None)] * 6,
    *[("deferred", "greylisted")] * 2,
    ("refused", "bad_address"),
    ("unknown", "unknown"),
    ("deferred", "held"),
)


@dataclass
class Dice:
    """A channel on which anything may happen, also that it breaks in the middle."""

    name: str
    random: random.Random
    calm: bool = False
    batch: int = 0
    paced: bool = True

    async def ready(self, site: Site) -> Ready:
        """Now and then nothing is taken."""
        return Ready(0 if self.calm or self.random.random() < 0.9 else 60, "the dice say so")

    async def send(self, site: Site, letters: Sequence[Letter], permit: Permit | None = None) -> AsyncIterator[Sent]:
        """Every answer that the contract knows."""
        for letter in letters:
            if not self.calm and self.random.random() < 0.06:
                raise ConnectionError("the worker broke")
            kind, class_ = self.random.choice(ANSWERS)
            yield Sent(letter, kind, class_, "a reply", "dice")

    def endpoint(self, site: Site) -> str:
        """Nothing here is ever gone for good."""
        return ""

    def hear(self, headers: Mapping[str, str], body: bytes) -> list[Feedback]:
        """Nothing comes this way."""
        return []


@dataclass
class World:
    """One site, and everything that may be done to it."""

    db: Db
    keys: Keys
    site: Site
    dice: random.Random
    clock: MovableClock = field(default_factory=MovableClock)
    channels: dict[str, Channel] = field(default_factory=dict)
    versions: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = Settings(_env_file=None, mode="test", lease_seconds=60, batch_size=3, unknown_retry_seconds=600)
        self.delivery = Delivery(self.db, self.clock, self.keys, self.channels, settings, "worker")

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """What lies in the database."""
        async with self.db.connection() as connection:
            return [dict(row) for row in await connection.fetch(sql)]

    async def people_come_and_change(self) -> None:
        await import_people(self.db, self.keys, "kumo", self._lines(self._person), self.clock.now())

    def _person(self) -> dict[str, Any]:
        number = self.dice.randrange(PEOPLE)
        return {
            "external_id": f"p{number}",
            "email": self.dice.choice([f"p{number}@people.example", f"p{number}@new.example", "shared@x.example", ""]),
            "locale": self.dice.choice(["", "en", "ja-JP"]),
            "status": self.dice.choice(["active"] * 6 + ["dormant", "suspended", "closed"]),
            "channels": self.dice.choice([[], [], ["inbox"], ["webhook", "email"]]),
            "registered_at": self.dice.choice(["2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", None]),
        } | ({"registration_version": f"v{len(self.versions)}"} if self.dice.random() < 0.03 else {})

    async def _lines(self, one: Callable[[], dict[str, Any]]) -> AsyncIterator[bytes]:
        for _ in range(self.dice.randrange(1, PEOPLE)):
            yield orjson.dumps(one())

    async def somebody(self) -> Person:
        """Anybody that there ever was. Raises NotFound for who has not come yet."""
        return await get_person(self.db, self.keys, "kumo", f"p{self.dice.randrange(PEOPLE)}")

    async def somebody_is_erased(self) -> None:
        if self.dice.random() < 0.15:
            await erase_person(self.db, self.keys, "kumo", f"p{self.dice.randrange(PEOPLE)}", self.clock.now())

    async def somebody_is_merged(self) -> None:
        if self.dice.random() < 0.15:
            one, other = self.dice.sample(range(PEOPLE), 2)
            for _ in range(2):  # the same again is the same
                await merge_person(self.db, self.keys, "kumo", f"p{one}", f"p{other}", self.clock.now())

    async def a_version_is_published(self) -> None:
        if len(self.versions) >= 6 or (len(self.versions) > 1 and self.dice.random() < 0.8):
            return
        texts = {locale: {"body": f"# {len(self.versions)} {locale}"} for locale in ("en", "ja")}
        body = {
            "policy": "privacy", "label": f"v{len(self.versions) + 1}", "texts": texts,
            "materiality": "explicit" if self.dice.random() < 0.1 else "material",
        }  # fmt: skip
        now = self.clock.now()
        for _ in range(2):  # the same again is the same
            version, new = await publish(self.db, self.site, Submission.model_validate(body), "command", now)
            if new:
                self.versions.append(version.version_id)
            if version.is_told:
                await announce(self.db, self.site, version.version_id, now, "test")

    async def somebody_steers(self) -> None:
        for campaign in await list_campaigns(self.db, "kumo"):
            action = self.dice.choices(["approve", "resume", "pause", "cancel"], [40, 40, 20, 3])[0]
            if campaign.state in STEPS[action][0]:
                await steer(self.db, "kumo", campaign.campaign_id, action, "test", "", self.clock.now())
        await self.audiences_are_frozen()

    async def somebody_corrects(self) -> None:
        campaigns = await list_campaigns(self.db, "kumo")
        if campaigns and len(campaigns) < 12:
            one = self.dice.choice(campaigns)
            words = {"en": "Not so.", "ja": "訂正します。"}
            await correct(self.db, "kumo", one.campaign_id, words, "test", "", self.clock.now())

    async def audiences_are_frozen(self) -> None:
        while await freeze_next(self.db, 4, self.clock.now()):
            pass

    async def arrivals_join(self) -> None:
        while await join_late(self.db, self.clock.now()) or await reconcile(self.db, self.clock.now()):
            pass

    async def people_without_evidence_are_looked_for(self) -> None:
        while await tell_by_second_channel(self.db, self.clock.now()):
            pass

    async def a_worker_works(self) -> None:
        for _ in range(self.dice.randrange(1, 8)):
            try:
                if not await self.delivery.deliver_next(lambda: self.dice.random() < 0.1):
                    break
            except ConnectionError:
                continue
        if self.dice.random() < 0.3:
            await self.db.run("campaigns.close_finished", now=self.clock.now())

    async def reports_come_back(self) -> None:
        sent = await self.rows("SELECT * FROM attempt ORDER BY lane, person_id, campaign_id, channel, attempt")
        if not sent:
            return
        news = []
        for one in self.dice.choices(sent, k=3):
            kind: Any = self.dice.choice(["bounced", "bounced", "accepted_by_recipient", "complained"])
            class_ = {"bounced": self.dice.choice(["bad_address", "mailbox_full"]), "complained": "complaint"}.get(kind)
            news.append(
                Feedback(
                    one["campaign_id"], one["lane"], one["person_id"], one["channel"], one["attempt"],
                    kind, class_, "", "far", None,
                )
            )  # fmt: skip
        await hear(self.db, [*news, *news], self.clock.now())
        assert await hear(self.db, news, self.clock.now()) == 0

    async def somebody_reads_their_messages(self) -> None:
        who = await self.somebody()
        for message in await list_messages(self.db, who.lane, who.person_id):
            how: Any = self.dice.choice(["shown", "acknowledged"])
            await mark(self.db, who.lane, who.person_id, message.campaign_id, how, self.clock.now())

    async def somebody_signs_in(self) -> None:
        who = f"p{self.dice.randrange(PEOPLE)}"
        for one in await load_pending(self.db, self.keys, "kumo", who, self.clock.now()):
            if one.presentation.show is Show.NOTHING and (not one.locale or self.dice.random() < 0.8):
                continue
            writer = Writer(await gather(self.db, one.campaign_id), self.keys, "http://notices.example")
            await record_shown(self.db, one, notice_of(writer, one), self.clock.now())
            assert not await record_shown(self.db, one, notice_of(writer, one), self.clock.now())

    async def people_use_the_site(self) -> None:
        await record(self.db, "kumo", self._lines(self._use), self.clock.now())
        await self.uses_are_decided()

    def _use(self) -> dict[str, Any]:
        ago = timedelta(hours=self.dice.choice([0, 0, 1, 30, 100]))
        kind = self.dice.choice(["login", "login", "policy_viewed"])
        who = f"p{self.dice.randrange(PEOPLE)}"
        return {"external_id": who, "occurred_at": self.clock.now() - ago, "kind": kind}

    async def companions_are_told(self) -> None:
        while await tell_companions(self.db, self.clock.now()):
            pass

    async def uses_are_decided(self) -> None:
        while await accept(self.db, self.clock.now()):
            pass
        while await accept_silence(self.db, self.clock.now()):
            pass

    async def somebody_acts(self) -> None:
        if not self.versions:
            return
        who, version, now = await self.somebody(), self.dice.choice(self.versions), self.clock.now()
        verb = self.dice.choice([record_objection, record_objection, withdraw_objection, record_explicit])
        if verb is record_explicit:
            await record_explicit(self.db, "kumo", who, version, now, "button", now)
        else:
            await verb(self.db, "kumo", who, version, Statement(now, "letter"), now)  # type: ignore[operator] # one of two

    async def time_passes(self) -> None:
        self.clock.move(timedelta(hours=self.dice.choice([1, 7, 30, 80])))

    async def step(self) -> str:
        """Do one thing. What a verb refuses, it must have left as it was."""
        things: list[Callable[[], Awaitable[None]]] = [
            self.people_come_and_change, self.somebody_is_erased, self.somebody_is_merged,
            self.a_version_is_published, self.somebody_steers,
            self.a_worker_works, self.a_worker_works, self.a_worker_works, self.reports_come_back,
            self.somebody_reads_their_messages, self.somebody_signs_in, self.people_use_the_site, self.somebody_acts,
            self.time_passes, self.people_without_evidence_are_looked_for, self.somebody_corrects,
            self.arrivals_join, self.companions_are_told,
        ]  # fmt: skip
        thing = self.dice.choice(things)
        try:
            await thing()
        except NotifierError as refused:
            return f"{thing.__name__}: {refused}"
        return thing.__name__

    async def settle(self) -> None:
        """Let everything come to its end."""
        for channel in self.channels.values():
            if isinstance(channel, Dice):
                channel.calm = True
        for campaign in await list_campaigns(self.db, "kumo"):
            if campaign.state == "planned" and campaign.corrects is not None:
                await steer(self.db, "kumo", campaign.campaign_id, "cancel", "test", "", self.clock.now())
        for campaign in await list_campaigns(self.db, "kumo"):
            if campaign.state == "paused":
                with suppress(Conflict):  # a correction of it was approved: when that opens, it goes on by itself
                    await steer(self.db, "kumo", campaign.campaign_id, "resume", "test", "", self.clock.now())
        for _ in range(12):
            await self.audiences_are_frozen()
            await self.arrivals_join()
            await self.people_without_evidence_are_looked_for()
            while await self.delivery.deliver_next(bool):
                pass
            await self.companions_are_told()
            self.clock.move(timedelta(hours=13))
        await self.db.run("campaigns.close_finished", now=self.clock.now())


async def check(world: World) -> None:
    """What must hold at every moment."""
    for campaign in await list_campaigns(world.db, "kumo"):
        report = await campaign_report(world.db, campaign.campaign_id, world.clock.now())
        assert report.gaps == ()
        await standing_is_what_the_outcomes_say(world, campaign.campaign_id, report.told + report.too_little_evidence)
        if campaign.frozen_at is not None and campaign.superseded_by is None:
            assert report.superseded == 0
    for name, sql in NEVER.items():
        assert await world.rows(sql) == [], name


async def standing_is_what_the_outcomes_say(world: World, campaign_id: int, told: int) -> None:
    """Worked out once more, the slow way."""
    failed, reached = set(), set()
    for row in await world.rows(f"SELECT * FROM outcome WHERE campaign_id = {campaign_id}"):  # noqa: S608 - a number
        attempt = (row["person_id"], row["channel"], row["attempt"])
        if row["kind"] in ("refused", "bounced", "expired", "withheld"):
            failed.add(attempt)
        elif row["kind"] not in ("deferred", "unknown"):
            reached.add(attempt)
    people: set[UUID] = {person for person, _, _ in reached - failed}
    planned = await world.rows(
        "SELECT person_id FROM notice JOIN plan USING (campaign_id, plan)"  # noqa: S608 - a number
        f" WHERE campaign_id = {campaign_id} AND reason = 'in_scope' AND 'inbox' = ANY (channels) AND NOT late"
    )
    people |= {row["person_id"] for row in planned}
    standing = await world.rows(
        f"SELECT person_id FROM standing WHERE campaign_id = {campaign_id}"  # noqa: S608 - a number
        " AND status IN ('told', 'too_little_evidence')"
    )
    assert {row["person_id"] for row in standing} == people
    assert len(people) == told


# Each of these finds nothing, ever.
NEVER = {
    "a try or an outcome without a promise to tell": """
        SELECT t.* FROM (SELECT lane, person_id, campaign_id, channel FROM attempt UNION
                         SELECT lane, person_id, campaign_id, channel FROM outcome UNION
                         SELECT lane, person_id, campaign_id, channel FROM retry) t
        LEFT JOIN notice n USING (lane, person_id, campaign_id) WHERE n.reason IS DISTINCT FROM 'in_scope'
            AND (n.reason IN ('unreachable', 'suppressed') AND t.channel = 'in_app') IS NOT TRUE""",
    "an attempt of which two outcomes say what was tried": """
        SELECT FROM intent GROUP BY lane, person_id, campaign_id, channel, attempt HAVING count(*) > 1""",
    "something under way that nobody holds": """
        SELECT w.* FROM under_way w JOIN slice s USING (campaign_id, channel, slice) WHERE s.leased_until IS NULL""",
    "an outcome of nothing that was tried": """
        SELECT o.* FROM outcome o LEFT JOIN attempt i USING (lane, person_id, campaign_id, channel, attempt)
        WHERE i.at IS NULL AND o.channel <> 'inbox' AND o.kind NOT IN ('withheld', 'refused')""",
    "another try without a reason for it": """
        SELECT i.* FROM intent i WHERE i.attempt > 1 AND NOT EXISTS (
            SELECT FROM outcome o WHERE (o.lane, o.person_id, o.campaign_id, o.channel, o.attempt)
                = (i.lane, i.person_id, i.campaign_id, i.channel, i.attempt - 1)
            AND (o.kind IN ('deferred', 'unknown') OR o.at <= (
                SELECT max(j.at) FROM joined j
                WHERE (j.lane, j.person_id, j.campaign_id) = (i.lane, i.person_id, i.campaign_id))))""",
    "another try after it had arrived or failed for good": """
        SELECT i.* FROM intent i JOIN outcome o USING (lane, person_id, campaign_id, channel)
        WHERE o.attempt < i.attempt AND o.at < i.at AND o.kind NOT IN ('deferred', 'unknown') AND NOT EXISTS (
            SELECT FROM joined j WHERE (j.lane, j.person_id, j.campaign_id) = (i.lane, i.person_id, i.campaign_id)
            AND j.at BETWEEN o.at AND i.at AND j.why IN ('restored', 'new_address'))""",
    "somebody who joined although they have a notice from the freeze": """
        SELECT j.* FROM joined j WHERE j.was IS NULL AND EXISTS (
            SELECT FROM joined b WHERE (b.lane, b.person_id, b.campaign_id) = (j.lane, j.person_id, j.campaign_id)
            AND b.at < j.at)""",
    "a letter after its campaign was ended": """
        SELECT i.* FROM intent i JOIN campaign c USING (campaign_id)
        WHERE c.state IN ('cancelled', 'superseded') AND i.at > c.closed_at""",
    "a letter after a newer version began to be told": """
        SELECT i.* FROM intent i JOIN campaign c USING (campaign_id)
        JOIN campaign newer ON newer.campaign_id = c.superseded_by WHERE i.at > newer.opened_at""",
    "a next channel before its turn": """
        SELECT i.* FROM intent i JOIN notice USING (lane, person_id, campaign_id) JOIN plan p USING (campaign_id, plan)
        JOIN campaign c USING (campaign_id), make_interval(hours => (c.rule ->> 'evidence_hours')::integer) AS wait
        WHERE i.channel <> ALL (p.channels) AND i.channel <> 'in_app' AND i.attempt = 1
          AND NOT ('inbox' = ANY (p.channels) AND c.opened_at + wait <= i.at)
          AND NOT EXISTS (
            SELECT FROM outcome o WHERE (o.lane, o.person_id, o.campaign_id) = (i.lane, i.person_id, i.campaign_id)
            AND o.channel <> i.channel AND o.at <= i.at AND o.kind IN ('refused', 'bounced', 'expired'))
          AND NOT EXISTS (
            SELECT FROM intent b WHERE (b.lane, b.person_id, b.campaign_id) = (i.lane, i.person_id, i.campaign_id)
            AND b.channel <> i.channel AND b.at + wait <= i.at)""",
    "a letter to somebody erased before": """
        SELECT i.* FROM intent i JOIN person p USING (lane, person_id)
        WHERE p.status = 'erased' AND (i.at > p.changed_at OR i.address IS NOT NULL)""",
    "use that counted before its time": """
        SELECT a.* FROM acceptance a JOIN version v USING (version_id)
        WHERE a.kind = 'deemed' AND (a.accepted_at < a.counts_from OR a.counts_from < v.effective_at
            OR a.accepted_at > a.recorded_at OR (a.evidence #>> '{telling,at}')::timestamptz > a.accepted_at)""",
    "use that counted where nobody had promised to tell": """
        SELECT a.* FROM acceptance a LEFT JOIN campaign c ON c.version_id = a.version_id AND c.corrects IS NULL
        LEFT JOIN notice n USING (lane, person_id, campaign_id)
        WHERE a.kind = 'deemed' AND n.reason IS DISTINCT FROM 'in_scope'
            AND (n.reason IN ('unreachable', 'suppressed') AND a.evidence #>> '{telling,channel}' = 'in_app')
                IS NOT TRUE""",
    "an acceptance that rests on a correction": """
        SELECT a.* FROM acceptance a JOIN campaign c ON c.campaign_id = (a.evidence ->> 'campaign_id')::integer
        WHERE c.corrects IS NOT NULL""",
    "a correction for somebody whom what it corrects never reached": """
        SELECT n.* FROM notice n JOIN campaign c USING (campaign_id)
        WHERE c.corrects IS NOT NULL AND n.reason = 'in_scope' AND NOT EXISTS (
            SELECT FROM outcome o WHERE (o.lane, o.person_id, o.campaign_id) = (n.lane, n.person_id, c.corrects)
            AND o.kind NOT IN ('deferred', 'refused', 'bounced', 'expired', 'withheld'))
          AND NOT EXISTS (
            SELECT FROM notice b JOIN plan p USING (campaign_id, plan)
            WHERE (b.lane, b.person_id, b.campaign_id) = (n.lane, n.person_id, c.corrects)
            AND b.reason = 'in_scope' AND 'inbox' = ANY (p.channels))""",
    "a later use in the place of an earlier one": """
        SELECT b.* FROM acceptance a JOIN acceptance b USING (lane, person_id, version_id)
        WHERE a.kind = 'deemed' AND b.kind = 'deemed' AND b.revision > a.revision AND b.accepted_at >= a.accepted_at
          AND NOT EXISTS (
            SELECT FROM outcome o WHERE (o.lane, o.person_id, o.campaign_id, o.channel, o.attempt::text)
                = (a.lane, a.person_id, (a.evidence ->> 'campaign_id')::integer, a.evidence #>> '{telling,channel}',
                   a.evidence #>> '{telling,attempt}') AND o.kind = 'bounced')""",
    "an acceptance whose telling failed, once everything is decided": """
        SELECT a.* FROM accepted x JOIN acceptance a USING (lane, person_id, version_id, revision)
        WHERE a.kind = 'deemed' AND NOT EXISTS (
            SELECT FROM standing s CROSS JOIN jsonb_array_elements(s.tellings) t
            WHERE (s.lane, s.person_id, s.campaign_id) = (a.lane, a.person_id, (a.evidence ->> 'campaign_id')::integer)
            AND t ->> 'channel' = a.evidence #>> '{telling,channel}'
            AND t ->> 'attempt' = a.evidence #>> '{telling,attempt}')
          AND NOT EXISTS (SELECT FROM doubt d WHERE (d.lane, d.person_id) = (a.lane, a.person_id))""",
    "something void although its telling stands": """
        SELECT a.* FROM acceptance a WHERE a.kind = 'void' AND a.evidence ->> 'reason' <> 'objected' AND NOT EXISTS (
            SELECT FROM outcome o WHERE (o.lane, o.person_id, o.campaign_id, o.channel, o.attempt::text)
                = (a.lane, a.person_id, (a.evidence ->> 'campaign_id')::integer, a.evidence #>> '{telling,channel}',
                   a.evidence #>> '{telling,attempt}') AND o.kind = 'bounced')""",
    "a revision without the one before": """
        SELECT a.* FROM acceptance a WHERE a.revision > 1 AND NOT EXISTS (
            SELECT FROM acceptance b WHERE (b.lane, b.person_id, b.version_id, b.revision)
                = (a.lane, a.person_id, a.version_id, a.revision - 1))""",
    "progress that says otherwise than the outcomes": """
        SELECT * FROM (SELECT campaign_id, channel, kind, sum(count)::bigint AS count FROM progress GROUP BY 1, 2, 3) p
        FULL JOIN (SELECT campaign_id, channel, kind, count(*) AS count FROM outcome GROUP BY 1, 2, 3) o
            USING (campaign_id, channel, kind)
        WHERE p.count IS DISTINCT FROM o.count""",
}


@pytest.mark.parametrize("seed", range(6))
async def test_everything_adds_up_whatever_happens(db: Db, keys: Keys, seed: int) -> None:
    dice = random.Random(seed)
    less = {"notice_days": seed, "bounce_window_hours": 24, "reason": "as the dice fall"}
    rule = RULES[seed % len(RULES)] | {"deemed_acceptance": True, "one_letter_per_mailbox": seed % 2 == 1} | less
    site = a_site(rule=rule, webhook={"url": "https://kumo.example/messages"})
    clock = MovableClock()
    await apply(db, site, clock.now())
    channels: dict[str, Any] = {name: Dice(name, dice) for name in ("email", "webhook")}
    async with inbox.open_channel(Settings(_env_file=None, mode="test"), keys) as messages:
        world = World(db, keys, site, dice, clock, channels | {"inbox": messages})
        history: list[str] = []
        for _ in range(STEPS_TAKEN):
            history.append(await world.step())
            await check(world)
        await world.settle()
        await check(world)
        for campaign in await list_campaigns(db, "kumo"):
            if campaign.state == "done" and campaign.superseded_by is None:
                assert (await campaign_report(db, campaign.campaign_id, clock.now())).pending == 0
            everybody = (await campaign_notices(db, campaign.campaign_id, Filters(), limit=1000)).rows
            for status in STATUSES:
                found = await campaign_notices(db, campaign.campaign_id, Filters(statuses=(status,)), limit=1000)
                assert found.rows == [one for one in everybody if one.status == status]

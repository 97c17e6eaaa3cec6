"""The same facts in another order, some twice, with workers in between: the end state depends on the facts alone.

What happened has times of its own, and all of it reaches us on one day. Left out is what is about order itself
(``consistent``): the last word of a site about a person or a baseline; what may no longer be sent to somebody whose
letter bounces, once they left; and a use after an objection was taken back, which is forgotten if it reaches us before
that does. An erasure is followed only by what was said before, again. Grades C and D count as one: what the recipient's
server says after an acceptance was recorded does not grade it anew.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.acceptance.accept import accept, record_explicit
from notifier.acceptance.baseline import import_baselines
from notifier.acceptance.leave import record_leaving
from notifier.acceptance.object import Statement, record_objection, withdraw_objection
from notifier.acceptance.silence import accept_silence
from notifier.activity.record import record
from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.join import join_late
from notifier.campaigns.steer import steer
from notifier.channels import inbox
from notifier.channels.channel import Channel, Feedback, Permit, Ready, Sent
from notifier.clock import MovableClock
from notifier.db import Db
from notifier.delivery.companions import tell_companions
from notifier.delivery.deliver import Delivery
from notifier.errors import Conflict
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.outcomes.hear import hear
from notifier.outcomes.inbox import list_messages, mark
from notifier.people.erase import erase_person
from notifier.people.merge import merge_person
from notifier.people.person import PersonInput
from notifier.people.roster import get_person, import_people, put_person
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.settings import Settings
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.sites import a_site

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NAMES = ("ann", "ben", "cho", "dan", "eve")
RULES: tuple[dict[str, Any], ...] = (
    {"preset": "pop-japan"},
    {"preset": "imacocokara", "channels": ["email", "inbox"], "one_letter_per_mailbox": True},
    {"preset": "imacocokara", "channels": ["inbox", "email"]},
    {"preset": "eu-psd2-framework", "deemed_acceptance": True, "reason": "as the contract says", "notice_days": 30},
)


@dataclass(frozen=True)
class Fact:
    """Something that happened: what, to whom, and on which day after the publication."""

    kind: str
    who: str
    day: int


people = st.sampled_from(NAMES)
facts = st.one_of(
    st.builds(Fact, st.just("used"), people, st.integers(1, 44)),
    st.builds(Fact, st.just("used"), people, st.integers(30, 44)),
    st.builds(Fact, st.sampled_from(["objected", "accepted"]), people, st.integers(5, 44)),
    st.builds(Fact, st.sampled_from(["bounced", "complained", "received", "read", "proved"]), people, st.just(0)),
    st.builds(Fact, st.just("registered"), st.sampled_from(["fay", "gus"]), st.integers(1, 25)),
    st.builds(Fact, st.sampled_from(["objected", "withdrew", "left"]), people, st.integers(5, 44)),
    st.builds(Fact, st.sampled_from(["suspended", "moved"]), people, st.just(0)),
    st.builds(Fact, st.sampled_from(["merged", "erased"]), st.sampled_from(["dan", "eve"]), st.just(0)),
    st.builds(Fact, st.sampled_from(["published", "misprinted", "contradicted"]), st.just(""), st.just(0)),
)


# What changes an account, so that only one of them can be somebody's last word.
FATES = frozenset({"left", "suspended", "moved", "merged", "erased"})
HOUSEHOLDS = {"ben": "ann"}  # who shares a letter with whom


def consistent(some: Sequence[Fact]) -> list[Fact]:
    """Some facts without those whose meaning is in their order."""
    fates = {fact.who: fact for fact in reversed(some) if fact.kind in FATES}
    back = {fact.who: fact for fact in reversed(some) if fact.kind == "withdrew"}
    no = {f.who: f for f in reversed(some) if f.kind == "objected" and f.who in back and f.day <= back[f.who].day}
    gone = {HOUSEHOLDS.get(who, who) for who in fates}

    def means_the_same(fact: Fact) -> bool:
        if fact.kind in FATES:
            return fact is fates[fact.who]
        if fact.kind in ("bounced", "complained"):
            return HOUSEHOLDS.get(fact.who, fact.who) not in gone
        if fact.who not in back:
            return True
        if fact.kind in ("objected", "withdrew"):
            return fact is back[fact.who] or fact is no.get(fact.who)
        return fact.kind != "used" or fact.day < back[fact.who].day

    return [fact for fact in some if means_the_same(fact)]


@dataclass
class Calm:
    """A relay that takes everything."""

    batch: int = 0
    paced: bool = True

    async def ready(self, site: Site) -> Ready:
        return Ready()

    async def send(self, site: Site, letters: Sequence[Letter], permit: Permit | None = None) -> AsyncIterator[Sent]:
        for letter in letters:
            yield Sent(letter, "accepted_by_relay", None, "250", "relay")

    def endpoint(self, site: Site) -> str:
        return ""

    def hear(self, headers: Mapping[str, str], body: bytes) -> list[Feedback]:
        return []


@dataclass
class World:
    """One site whose version "two" was told to five people, of whom two share a mailbox, some weeks ago."""

    db: Db
    keys: Keys
    site: Site
    channels: dict[str, Channel]
    clock: MovableClock = field(default_factory=MovableClock)

    def __post_init__(self) -> None:
        settings_ = Settings(_env_file=None, mode="test")
        self.delivery = Delivery(self.db, self.clock, self.keys, self.channels, settings_, "worker")
        self.name = self.site.site

    async def begin(self) -> None:
        await apply(self.db, self.site, self.clock.now())
        self.began = self.clock.now()
        await self.publish("one")
        for name in NAMES:
            await self.person(name, address_of(name), "2020-01-01T00:00:00Z")
        self.two = await self.publish("two", effective_at=(self.began + 31 * DAY).isoformat())
        campaign_id = await announce(self.db, self.site, self.two, self.clock.now(), "test")
        await steer(self.db, self.name, campaign_id, "approve", "test", "", self.clock.now())
        await self.work()
        self.clock.move(45 * DAY)

    async def publish(self, label: str, words: str = "", **more: Any) -> int:
        texts = {locale: {"body": f"# {label} {locale} {words}"} for locale in ("en", "ja")}
        body = {"policy": "privacy", "label": label, "materiality": "material", "texts": texts} | more
        version, _ = await publish(self.db, self.site, Submission.model_validate(body), "command", self.clock.now())
        return version.version_id

    async def person(self, name: str, email: str, registered_at: str, status: str = "active") -> None:
        given_ = {"external_id": name, "email": email, "registered_at": registered_at, "status": status}
        await put_person(self.db, self.keys, self.name, PersonInput.model_validate(given_), self.clock.now())

    async def work(self) -> None:
        """All that workers find to do."""
        now = self.clock.now()
        while await freeze_next(self.db, 3, now) or await join_late(self.db, now):
            pass
        while True:
            while await self.delivery.deliver_next(bool):
                pass
            if not await tell_companions(self.db, now):
                break
        while await accept(self.db, now) or await accept_silence(self.db, now):
            pass

    async def tell(self, fact: Fact) -> None:
        """A fact reaches us."""
        now, at = self.clock.now(), self.began + fact.day * DAY + timedelta(hours=3)
        if fact.kind == "published":
            await self.publish("three", materiality="editorial")
        elif fact.kind == "misprinted":  # the same again
            await self.publish("two", effective_at=(self.began + 31 * DAY).isoformat())
        elif fact.kind == "contradicted":
            with pytest.raises(Conflict):
                await self.publish("two", "and another text")
        elif fact.kind == "registered":
            line = {"external_id": fact.who, "email": f"{fact.who}@people.example", "registered_at": at.isoformat()}
            await import_people(self.db, self.keys, self.name, _lines(line), now)
        elif fact.kind == "used":
            await record(self.db, self.name, _lines({"external_id": fact.who, "occurred_at": at, "kind": "login"}), now)
        elif fact.kind == "proved":
            line = {"external_id": fact.who, "policy": "privacy", "version": "one", "proof": "imported"}
            await import_baselines(self.db, self.name, _lines(line), now)
        elif fact.kind == "merged":
            await merge_person(self.db, self.keys, self.name, fact.who, "cho", now)
        elif fact.kind == "erased":
            await erase_person(self.db, self.keys, self.name, fact.who, now)
        elif fact.kind == "suspended":
            await self.person(fact.who, address_of(fact.who), "2020-01-01T00:00:00Z", "suspended")
        elif fact.kind == "moved":
            await self.person(fact.who, f"{fact.who}@elsewhere.example", "2020-01-01T00:00:00Z")
        else:
            await self.about_a_person(fact, at)

    async def about_a_person(self, fact: Fact, at: Any) -> None:
        now, who = self.clock.now(), await get_person(self.db, self.keys, self.name, fact.who)
        if fact.kind == "objected":
            await record_objection(self.db, self.name, who, self.two, Statement(at, "letter"), now)
        elif fact.kind == "withdrew":
            await withdraw_objection(self.db, self.name, who, self.two, Statement(at + HOUR, "call"), now)
        elif fact.kind == "left":
            await record_leaving(self.db, self.name, who, self.two, at, now)
        elif fact.kind == "accepted":
            await record_explicit(self.db, self.name, who, self.two, at, "button", now)
        elif fact.kind == "read":
            for message in await list_messages(self.db, who.lane, who.person_id):
                await mark(self.db, who.lane, who.person_id, message.campaign_id, "shown", now)
        else:
            kind: Any = {"received": "accepted_by_recipient"}.get(fact.kind, fact.kind)
            class_ = {"bounced": "bad_address", "complained": "complaint"}.get(fact.kind)
            rows = await self.rows(WRITTEN_TO, self.name, who.lane, who.person_id)
            news = [Feedback(**row, channel="email", attempt=1, kind=kind, class_=class_, reply="", via="mx", at=now)
                    for row in rows]  # fmt: skip
            await hear(self.db, news, now)

    async def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        async with self.db.connection() as connection:
            return [dict(row) for row in await connection.fetch(sql, *values)]

    async def end_state(self) -> dict[str, Any]:
        """What the record says once everything is decided, without what only says in which steps it came about."""
        erased = {self.keys.pseudonym(self.name, name): f"{name}, erased" for name in NAMES}
        return {
            name: sorted(
                (tuple(erased.get(str(v), v) for v in row.values()) for row in await self.rows(sql, self.name)),
                key=repr,
            )
            for name, sql in STATE.items()
        }


# Whom the letter that told somebody was written to: what comes back comes back about them.
WRITTEN_TO = """SELECT c.campaign_id, coalesce(m.lead_lane, $2) AS lane, coalesce(m.lead_person, $3) AS person_id
    FROM campaign c LEFT JOIN companion m ON m.campaign_id = c.campaign_id AND m.lane = $2 AND m.person_id = $3
    WHERE c.site = $1 AND c.corrects IS NULL"""
STATE = {
    "versions": "SELECT label, state::text, ordinal FROM version WHERE site = $1 ORDER BY 1, 2",
    "campaigns": "SELECT c.state::text, label FROM campaign c JOIN version USING (version_id) WHERE c.site = $1",
    "people": """SELECT external_id, p.status::text, email,
            round(extract(epoch FROM closed_at - first.published_at) / 3600)
        FROM person p JOIN version first ON first.site = p.site AND first.label = 'one' WHERE p.site = $1""",
    "notices": """SELECT external_id, label, s.reason::text, s.status, s.told_by, s.recipient_at IS NULL,
            s.shown_at IS NULL
        FROM standing s JOIN person p USING (lane, person_id) JOIN campaign USING (campaign_id)
        JOIN version v USING (version_id) WHERE p.site = $1 ORDER BY 1, 2""",
    "tries": """SELECT external_id, channel, attempt, array_agg(kind::text ORDER BY kind) FROM outcome
        JOIN person USING (lane, person_id) WHERE site = $1 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3""",
    "accepted": """SELECT external_id, v.label, kind::text, replace(grade::text, 'C', 'D'),
            round(extract(epoch FROM accepted_at - first.published_at) / 3600)
        FROM accepted JOIN person p USING (lane, person_id) JOIN version v USING (version_id)
        JOIN version first ON first.site = p.site AND first.label = 'one' WHERE p.site = $1 ORDER BY 1, 2""",
    "objections": """SELECT external_id, round(extract(epoch FROM at - first.published_at) / 3600), withdrawn
        FROM objection JOIN person p USING (lane, person_id)
        JOIN version first ON first.site = p.site AND first.label = 'one' WHERE p.site = $1 ORDER BY 1, 2""",
    "baselines": """SELECT external_id, proof, max(revision) FROM baseline JOIN person USING (lane, person_id)
        WHERE site = $1 GROUP BY 1, 2 ORDER BY 1""",
    "mergers": """SELECT p.external_id, q.external_id FROM merger m JOIN person p USING (lane, person_id)
        JOIN person q ON q.lane = m.from_lane AND q.person_id = m.from_person WHERE p.site = $1 ORDER BY 1, 2""",
    "suppressed": "SELECT count(*), min(reason) FROM suppression WHERE site = $1",
}


def address_of(name: str) -> str:
    """Where somebody's letters go. Two share a mailbox."""
    return "home@people.example" if name in ("ann", "ben") else f"{name}@people.example"


async def _lines(*given_: Mapping[str, Any]) -> AsyncIterator[bytes]:
    for one in given_:
        yield orjson.dumps(one)


def drawn(examples: int) -> list[tuple[list[Fact], int]]:
    """Some sets of facts, the same in every run, each with a seed for its shuffles."""
    found: list[tuple[list[Fact], int]] = []

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(facts, min_size=14, max_size=24), st.integers(0, 2**32))
    def draw(some: list[Fact], seed: int) -> None:
        found.append((consistent(some), seed))

    draw()
    return found


@pytest.mark.parametrize("examples", [4, pytest.param(16, marks=pytest.mark.long)])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["preset"])
async def test_the_end_state_depends_on_the_facts_alone(
    db: Db, keys: Keys, rule: dict[str, Any], examples: int
) -> None:
    async with inbox.open_channel(Settings(_env_file=None, mode="test"), keys) as messages:
        for number, (some, seed) in enumerate(drawn(examples)):
            states = []
            for shuffle in range(2):
                dice = random.Random(seed + shuffle)
                order = [*some, *dice.sample(some, len(some) // 3)]  # some of it comes twice
                dice.shuffle(order)
                world = World(
                    db, keys, a_site(site=f"s{number}x{shuffle}", rule=rule), {"email": Calm(), "inbox": messages}
                )
                await world.begin()
                for fact in (fact for fact in order if fact.kind != "erased"):
                    await world.tell(fact)
                    if dice.random() < 0.4:
                        await world.work()
                await world.work()
                world.clock.move(2 * DAY)
                await world.work()
                for fact in [f for f in order if f.kind == "erased"] + dice.sample(some, len(some) // 3):
                    await world.tell(fact)
                await world.work()
                states.append(await world.end_state())
            assert states[0] == states[1], some

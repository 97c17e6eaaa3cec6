"""Who must be told, on a real PostgreSQL: a table of people with the one reason of each, and of conditions.

The whole table is put in at once and frozen once: each case then only looks up its own person.
"""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.campaigns.announce import announce, freeze_next, preview
from notifier.campaigns.audience import Compiler
from notifier.campaigns.steer import steer
from notifier.db import Db, open_database
from notifier.lanes import lane_of, new_id
from notifier.queries import Expression
from notifier.sites.apply import apply
from notifier.sites.condition import read_condition
from tests.conftest import fresh_database
from tests.flow.test_freeze import add_version
from tests.sites import a_site

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
COLUMNS = (
    "lane", "site", "external_id", "person_id", "status", "email", "email_mac", "locale", "country", "roles",
    "channels", "attributes", "registered_at", "registration_version", "changed_at", "last_seen_on",
)  # fmt: skip
RULE = {
    "preset": "pop-japan",
    "channels": ["email", "webhook"],
    "telling": "any",
    "also": [
        {"preset": "de-consumer-terms"},
        {"preset": "us-contract", "applies_to": {"all": [{"country": "US"}, {"not": {"attributes.tier": "free"}}]}},
        {"preset": "eu-p2b-terms"},
    ],
    "audience": {
        "dormant": False,
        "where": {
            "any": [
                {"registered_at": {"before": "2026-01-01"}},
                {"all": [{"role": ["seller", "business"]}, {"attributes.orders": {"at_least": 5}}]},
            ],
            "not": {"country": "FR", "last_seen_on": {"before": "2021-01-01"}},
        },
    },
}


@dataclass(frozen=True)
class Case:
    says: str
    reason: str
    presets: str = "pop-japan"
    person: dict[str, Any] = field(default_factory=dict)
    accepted: str | None = None  # the label of the version
    kind: str = "explicit"
    suppressed: str | None = None  # until: "for good", "past", "future"

    @property
    def name(self) -> str:
        return re.sub(r"\W+", "-", self.says)


IN, OUT = "in_scope", "outside_rule"
DE, US, P2B = "pop-japan + de-consumer-terms", "pop-japan + us-contract", "pop-japan + eu-p2b-terms"
NEW = {"registered_at": datetime(2026, 2, 1, tzinfo=UTC)}
CASES = [
    Case("an active person who registered before", IN),
    Case("who is dormant, where the rule leaves those out", "dormant", person={"status": "dormant"}),
    Case("who is suspended", "suspended", person={"status": "suspended"}),
    Case("who closed the account", "closed", person={"status": "closed"}),
    Case("who was erased", "erased", person={"status": "erased", "email": None}),
    Case("erased comes before everything else", "erased", person={"status": "erased", "registration_version": "v2"}),
    Case("closed comes before an acceptance", "closed", person={"status": "closed"}, accepted="v2"),
    Case("who registered with this version on show", "registered_with_it", person={"registration_version": "v2"}),
    Case("who registered with a newer version on show", "registered_with_it", person={"registration_version": "v3"}),
    Case("who registered with an older version on show", IN, person={"registration_version": "v1"}),
    Case("who registered with a label nobody knows", IN, person={"registration_version": "v9"}),
    Case("who accepted this version by an act", "already_accepted", accepted="v2"),
    Case("who accepted a newer version", "already_accepted", accepted="v3"),
    Case("who accepted only an older version", IN, accepted="v1"),
    Case("who was deemed to have accepted this version", "already_accepted", accepted="v2", kind="deemed"),
    Case("whose deemed acceptance is void", IN, accepted="v2", kind="void"),
    Case("without an address, with another channel left", IN, person={"email": None}),
    Case("whose address is suppressed for good, with another channel", IN, suppressed="for good"),
    Case("whose suppression is over", IN, suppressed="past"),
    Case("whose suppression ends later, with another channel", IN, suppressed="future"),
    Case("without a locale", IN, person={"locale": ""}),
    Case("with a locale that there is no text in", IN, person={"locale": "fr-CA"}),
    Case("who prefers a channel that the rule does not have", IN, person={"channels": ["fax"]}),
    Case("who opted out of marketing", IN, person={"attributes": {"marketing": False}}),
    Case("who registered after the day that the condition names", OUT, person=NEW),
    Case("who registered that very moment", OUT, person={"registered_at": NEW_YEAR}),
    Case("who registered a second before", IN, person={"registered_at": NEW_YEAR - timedelta(seconds=1)}),
    Case("a new seller with five orders", IN, person=NEW | {"roles": ["seller"], "attributes": {"orders": 5}}),
    Case("a new seller with four orders", OUT, person=NEW | {"roles": ["seller"], "attributes": {"orders": 4}}),
    Case("a new seller with half an order more", IN, person=NEW | {"roles": ["seller"], "attributes": {"orders": 5.5}}),
    Case("a new seller whose orders are words", OUT, person=NEW | {"roles": ["seller"], "attributes": {"orders": "9"}}),
    Case("a new seller whose orders nobody knows", OUT, person=NEW | {"roles": ["seller"]}),
    Case("a new buyer with ten orders", OUT, person=NEW | {"roles": ["buyer"], "attributes": {"orders": 10}}),
    Case("a new person of several roles, one of which fits", IN,
         person=NEW | {"roles": ["buyer", "business"], "attributes": {"orders": 7}}),
    Case("in France and not seen for years", OUT, person={"country": "FR", "last_seen_on": date(2020, 5, 1)}),
    Case("in France and seen since", IN, person={"country": "FR", "last_seen_on": date(2021, 1, 1)}),
    Case("in France and never seen as far as we know", IN, person={"country": "FR"}),
    Case("elsewhere and not seen for years", IN, person={"country": "JP", "last_seen_on": date(2020, 5, 1)}),
    Case("in Germany", IN, DE, {"country": "DE"}),
    Case("in Germany and out of the rule", OUT, DE, {"country": "DE"} | NEW),
    Case("a seller in Germany", IN, f"{DE} + eu-p2b-terms", {"country": "DE", "roles": ["seller"]}),
    Case("a seller in Norway, which is in the EEA", IN, P2B, {"country": "NO", "roles": ["seller"]}),
    Case("a seller in Switzerland, which is not", IN, "pop-japan", {"country": "CH", "roles": ["seller"]}),
    Case("a buyer in France", IN, "pop-japan", {"country": "FR", "roles": ["buyer"]}),
    Case("in the United States and paying", IN, US, {"country": "US", "attributes": {"tier": "gold"}}),
    Case("in the United States, on the free plan", IN, "pop-japan", {"country": "US", "attributes": {"tier": "free"}}),
    Case("in the United States without a known plan", IN, US, {"country": "US"}),
    Case("whose country nobody knows", IN, "pop-japan", {"country": ""}),
    Case("with a name full of quotes", IN, person={"locale": "en", "roles": ["'; DROP TABLE person; --", "\\", '"']}),
]  # fmt: skip


@dataclass(frozen=True)
class Frozen:
    reasons: dict[str, str]
    presets: dict[str, str]
    counted: dict[str, int]


def _row(case: Case, site: str = "kumo") -> dict[str, Any]:
    name = case.name
    return {
        "lane": lane_of(site, name), "site": site, "external_id": name, "person_id": new_id(), "status": "active",
        "email": f"{len(name)}@people.example", "email_mac": name.encode() if case.suppressed else None, "locale": "en",
        "country": "JP", "roles": [], "channels": [], "attributes": {}, "registered_at": LONG_AGO,
        "registration_version": None, "changed_at": LONG_AGO, "last_seen_on": None,
    } | case.person  # fmt: skip


async def _freeze_everybody(db: Db) -> Frozen:
    site = a_site(rule=RULE, webhook={"url": "https://kumo.example/messages"})
    await apply(db, site, NOW)
    ids = {label: await add_version(db, "kumo", label, n, NOW) for n, label in enumerate(("v1", "v2", "v3"), start=1)}
    people = [(case, _row(case)) for case in CASES]
    await db.copy("person", COLUMNS, [[row[c] for c in COLUMNS] for _, row in people])
    await db.copy("person", COLUMNS, [[_row(CASES[0], "another")[c] for c in COLUMNS]])
    end = {"for good": "infinity", "past": NOW - timedelta(hours=1), "future": NOW + timedelta(hours=1)}
    async with db.connection() as connection:
        await connection.executemany(
            "INSERT INTO suppression (site, email_mac, reason, since, until) VALUES ('kumo', $1, 'bad', $2, $3)",
            [(row["email_mac"], LONG_AGO, datetime.max.replace(tzinfo=UTC) if end[s] == "infinity" else end[s])
             for case, row in people if (s := case.suppressed)],
        )  # fmt: skip
        await connection.executemany(
            "INSERT INTO acceptance (lane, person_id, version_id, kind, grade, accepted_at, evidence, recorded_at)"
            " VALUES ($1, $2, $3, $4, $5::text::\"char\", $6, '{}', $7)",
            [(row["lane"], row["person_id"], ids[case.accepted], case.kind, *_of(case.kind), NOW)
             for case, row in people if case.accepted],
        )  # fmt: skip
    campaign_id = await announce(db, site, ids["v2"], NOW, "test")
    counted = {c.value: c.count for c in await preview(db, campaign_id, NOW) if c.dimension == "reason"}
    await steer(db, "kumo", campaign_id, "approve", "test", "", NOW)
    assert await freeze_next(db, 1000, NOW) == 1
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT person.external_id, s.reason::text, s.rule -> 'presets' AS presets FROM standing s"
            " JOIN person USING (lane, person_id) WHERE campaign_id = $1", campaign_id,
        )  # fmt: skip
    return Frozen(
        {r["external_id"]: r["reason"] for r in rows},
        {r["external_id"]: " + ".join(r["presets"]) for r in rows},
        counted,
    )


def _of(kind: str) -> tuple[str | None, datetime | None]:
    return (None, None) if kind == "void" else ("A" if kind == "explicit" else "D", NOW)


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    """Everybody of the table, frozen once."""

    async def freeze() -> Frozen:
        async with fresh_database() as url, open_database(url, 3) as db:
            return await _freeze_everybody(db)

    return asyncio.run(freeze())


@pytest.mark.parametrize("case", CASES, ids=lambda case: "audience: " + case.says)
def test_the_table_of_people(frozen: Frozen, case: Case) -> None:
    assert (frozen.reasons[case.name], frozen.presets[case.name]) == (case.reason, case.presets)


def test_audience_nobody_is_left_without_a_reason_and_the_preview_says_the_same(frozen: Frozen) -> None:
    assert len(frozen.reasons) == len(CASES) >= 40
    reasons = [c.reason for c in CASES]
    assert frozen.counted == {reason: reasons.count(reason) for reason in reasons}


hostile = st.text(max_size=12).filter(lambda s: "\0" not in s and s.isprintable()) | st.sampled_from([
    "'", "''; DROP TABLE person; --", "\\", "$1", ":now", "{overlays: 0}", "%s", '"', "null", "?", "p.site",
    "x') OR true --",
])  # fmt: skip
scalars = hostile | st.integers(-5, 5) | st.booleans()
comparisons = st.one_of(
    st.fixed_dictionaries({"country": st.lists(st.sampled_from(["DE", "EEA", "JP", ""]), min_size=1, max_size=2)}),
    st.fixed_dictionaries({"locale": st.sampled_from(["ja", "de_AT", "zh-Hant", "ja.'; --", ""])}),
    st.fixed_dictionaries({"role": st.lists(hostile, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"role": st.fixed_dictionaries({"is_not": hostile})}),
    st.fixed_dictionaries({"registered_at": st.fixed_dictionaries({"since": st.dates().map(str)})}),
    st.fixed_dictionaries({"last_seen_on": st.fixed_dictionaries({"before": st.datetimes().map(lambda d: f"{d}Z")})}),
    st.builds(lambda name, value: {f"attributes.x{name}": value}, hostile, scalars),
    st.builds(lambda name, n: {f"attributes.{name}x": {"at_most": n}}, hostile, st.integers(-5, 5)),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"not": one}, inner),
    ),
    max_leaves=5,
)
# Everything that a compiled condition may consist of.
_WORDS = re.compile(
    r"(?:NOT|AND|OR|IS TRUE|CASE WHEN|THEN|END|ARRAY|AT TIME ZONE 'UTC'|jsonb_typeof|split_part|'number'|'-'|"
    r"f\.given|p\.(?:country|locale|roles|registered_at|last_seen_on|attributes)|::(?:timestamptz|timestamp|numeric)|"
    r"->>|->|@>|\?\||\?|\|\||>=|<=|<|>|=|\d+|[ (),\[\]])*"
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(conditions, st.lists(hostile, max_size=2), hostile)
def test_audience_a_hostile_word_is_only_ever_a_value(condition: dict[str, Any], roles: list[str], name: str) -> None:
    compiler = Compiler()
    assert _WORDS.fullmatch(compiler.compile(read_condition(condition)))


@pytest.fixture
async def two_sites(db: Db) -> tuple[UUID, UUID]:
    """Somebody at each of two sites, with a role and an attribute that are hostile themselves."""
    words = "x') OR true --"
    rows = [_row(Case("p", IN, person={"roles": [words], "locale": "zh-Hant-TW", "attributes": {words: words}}), s)
            for s in ("kumo", "another")]  # fmt: skip
    await db.copy("person", COLUMNS, [[row[c] for c in COLUMNS] for row in rows])
    return rows[0]["person_id"], rows[1]["person_id"]


async def test_audience_whatever_a_condition_says_it_runs_and_reads_no_other_site(
    db: Db, two_sites: tuple[UUID, UUID]
) -> None:
    own, _ = two_sites
    drawn: list[dict[str, Any]] = []

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(conditions)
    def draw(condition: dict[str, Any]) -> None:
        drawn.append(condition)

    draw()
    words = "x') OR true --"
    drawn += [{"role": words}, {"locale": "zh_hant"}, {f"attributes.{words}": words}, {"not": {"role": words}}]
    fits = [await _who(db, condition) for condition in drawn]
    assert all(found in ([], [own]) for found in fits)
    assert fits[-4:] == [[own], [own], [own], []]
    both = [await _who(db, {"any": [condition, {"not": condition}]}) for condition in drawn[:20]]
    assert both == [[own]] * 20  # never neither: what is unknown is not true


async def _who(db: Db, condition: dict[str, Any]) -> list[UUID]:
    compiler = Compiler()
    matches = Expression(f"CASE WHEN {compiler.compile(read_condition(condition))} THEN 1 ELSE 0 END")
    rows = await db.many(dict, "campaigns.kinds", site="kumo", now=NOW, overlays=matches, given=compiler.values)
    assert len(rows) == 1
    async with db.connection() as connection:
        return [r["person_id"] for r in await connection.fetch("SELECT person_id FROM person WHERE site = 'kumo'")
                if rows[0]["overlays"]]  # fmt: skip


SIMPLE = {"countries": ["DE", "AT"], "roles": ["seller", "buyer"], "locales": ["de"], "attributes": {"tier": "pro"}}


@pytest.mark.parametrize(
    "audience",
    [
        SIMPLE,
        {"where": {"country": ["DE", "AT"], "role": ["seller", "buyer"], "locale": "DE", "attributes.tier": "pro"}},
    ],
    ids=["simple", "where"],
)
async def test_audience_the_simple_filters_say_what_conditions_say(db: Db, audience: dict[str, Any]) -> None:
    site = a_site(rule={"preset": "pop-japan", "channels": ["email"], "audience": audience})
    await apply(db, site, NOW)
    version = await add_version(db, "kumo", "v1", 1, NOW)
    fits = {"country": "AT", "roles": ["seller"], "locale": "de-AT", "attributes": {"tier": "pro"}}
    differently = {
        "who fits": {}, "any German": {"locale": "de"}, "who has more": {"attributes": {"tier": "pro", "n": 1}},
        "Lower German": {"locale": "nds"}, "elsewhere": {"country": "CH"}, "nowhere": {"country": ""},
        "no role": {"roles": []}, "another tier": {"attributes": {"tier": "free"}}, "no tier": {"attributes": {}},
    }  # fmt: skip
    rows = [_row(Case(name, IN, person=fits | person)) for name, person in differently.items()]
    await db.copy("person", COLUMNS, [[row[c] for c in COLUMNS] for row in rows])
    campaign_id = await announce(db, site, version, NOW, "test")
    await steer(db, "kumo", campaign_id, "approve", "test", "", NOW)
    await freeze_next(db, 1000, NOW)
    async with db.connection() as connection:
        told = await connection.fetch(
            "SELECT external_id FROM standing JOIN person USING (lane, person_id) WHERE reason = 'in_scope'"
        )
    assert {row["external_id"] for row in told} == {"who-fits", "any-German", "who-has-more"}

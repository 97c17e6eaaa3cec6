"""Every preset once, from publication to what use amounts to: over HTTP, letters by SMTP, with the clock moved."""

from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from typing import Any

import pytest

from notifier.db import Db
from notifier.keys import Keys
from notifier.sites.presets import PRESETS
from tests.sites import KUMO, a_site
from tests.web.town import DAY, HOUR, open_town

NEVER = ([], "never_deemed")
OPTED_IN = {"deemed_acceptance": True, "reason": "counsel opted in"}


@dataclass(frozen=True)
class Story:
    """``early``: the reason before the person's date. ``late``: what is on record after a use past it, and why."""

    says: str
    preset: str
    days: int
    late: tuple[list[tuple[str, str]], str]
    early: str = "no_use_yet"
    choice: dict[str, Any] = field(default_factory=dict)
    kind: str = "terms"
    flags: tuple[str, ...] = ()
    email: bool = True
    server_said: bool = False  # the recipient's own server accepted the letter
    use: bool = True
    person: dict[str, Any] = field(default_factory=dict)


def deemed(grade: str) -> tuple[list[tuple[str, str]], str]:
    return [("deemed", grade)], "used"


STORIES = [
    Story("people are told of a privacy policy, and their use is no consent", "eu-gdpr-notice", 30, NEVER,
          "never_deemed", kind="privacy"),
    Story("the same in the United Kingdom", "uk-gdpr-notice", 30, NEVER, "never_deemed", kind="privacy"),
    Story("without counsel's word use of the site agrees to nothing", "eu-consumer-terms", 30, NEVER, "never_deemed"),
    Story("with it a letter, thirty days and a use do", "eu-consumer-terms", 30, deemed("D"), choice=OPTED_IN),
    Story("a private message is no durable medium", "eu-consumer-terms", 30, ([], "too_little_evidence"),
          "too_little_evidence", choice=OPTED_IN, email=False),
    Story("silence and use agree to nothing", "de-consumer-terms", 30, NEVER, "never_deemed"),
    Story("a seller has fifteen days on a durable medium", "eu-p2b-terms", 15, deemed("D")),
    Story("who said nothing for two months has accepted, as the contract states", "eu-psd2-framework", 62,
          ([("deemed", "D")], "silence"), "notice_period", choice=OPTED_IN),
    Story("unless the contract does not", "eu-psd2-framework", 62, NEVER, "never_deemed"),
    Story("people are informed, and acceptance is not addressed", "eu-dsa-terms", 15, NEVER, "never_deemed"),
    Story("people are notified of a privacy policy", "jp-appi-notice", 14, NEVER, "never_deemed", kind="privacy"),
    Story("an unrelated purpose wants an act", "jp-appi-notice", 14, NEVER, "never_deemed",
          flags=("unrelated_purpose",)),
    Story("standard terms change by announcement; what is used is recorded", "jp-548-4-terms", 14, deemed("D")),
    Story("our relay's word proves no notice", "us-contract", 30, ([], "too_little_evidence"), "too_little_evidence"),
    Story("the recipient's server does, and then a use accepts", "us-contract", 30, deemed("C"), server_said=True),
    Story("arbitration wants a click", "us-contract", 30, ([], "act_required"), "act_required", server_said=True,
          flags=("arbitration",)),
    Story("no use accepts a privacy policy", "us-contract", 30, NEVER, "never_deemed", kind="privacy",
          server_said=True),
    Story("a notice at collection accepts nothing", "us-ca-ccpa", 0, NEVER, "never_deemed", kind="privacy"),
    Story("people are told before a purpose changes", "br-lgpd", 30, NEVER, "never_deemed", kind="privacy"),
    Story("sent by email, and after thirty days use is acceptance", "pop-japan", 30, deemed("D")),
    Story("posted and told, and two weeks later use is acceptance", "imacocokara", 14, deemed("D")),
    Story("what is beneficial counts from the posting", "imacocokara", 0, deemed("D"), "no_use_yet",
          flags=("beneficial",), email=False),
    Story("a seller in the EU has a day more, and a letter", "imacocokara", 15, deemed("D"),
          person={"country": "IT", "roles": ["seller"]}),
    Story("and is told by no private message", "imacocokara", 15, ([], "too_little_evidence"), "too_little_evidence",
          person={"country": "IT", "roles": ["seller"]}, email=False),
]  # fmt: skip


def test_every_preset_has_its_story() -> None:
    assert {story.preset for story in STORIES} == set(PRESETS)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.preset}: {story.says}")
async def test_from_publication_to_what_use_amounts_to(db: Db, keys: Keys, story: Story) -> None:
    privacy = KUMO["policies"]["privacy"] | {"kind": story.kind, "part_of_terms": False}
    site = a_site(rule={"preset": story.preset} | story.choice, policies={"privacy": privacy})
    async with open_town(db, keys, site) as town:
        await town.person("aoi", **({} if story.email else {"email": None}), **story.person)
        await town.tell("two", flags=list(story.flags))
        await town.work()
        assert town.letters() == (["aoi"] if story.email else [])
        if story.server_said:
            await town.bounce("aoi", "accepted_by_recipient", None)
        assert (await _decision(town))["reason"] == story.early
        if story.days:
            await town.pass_time((story.days - 1) * DAY)
            await town.use("aoi")
            assert await town.accepted("aoi") == []
        await town.pass_time(2 * DAY + 72 * HOUR)
        await town.use("aoi")
        expected, reason = story.late
        assert [(kind, grade) for _, kind, grade in await town.accepted("aoi")] == expected
        if not expected or reason == "silence":  # a use that made an acceptance is kept with that alone
            assert (await _decision(town))["reason"] == reason
        report = await town.report()
        too_little = "too_little_evidence" in (reason, story.early)
        assert (report["told"], report["too_little_evidence"]) == ((0, 1) if too_little else (1, 0))
        assert await _validly_told(town) is not too_little


async def _validly_told(town: Any) -> bool:
    before = (town.clock.now() + HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = await town.api.get(f"{town.base}/people/aoi/told?policy=privacy&version=two&before={before}")
    told: bool = answer["told"]
    return told


async def _decision(town: Any) -> dict[str, Any]:
    answer = await town.api.get(f"{town.base}/people/aoi/explain?policy=privacy&version=two")
    found: dict[str, Any] = answer["decision"]
    return found


async def test_the_policys_own_words_are_recorded_beside_the_stricter_rule(db: Db, keys: Keys) -> None:
    async with open_town(db, keys, a_site(rule={"preset": "pop-japan"})) as town:
        await town.person("aoi")
        await town.tell("two")
        await town.work()
        await town.pass_time(DAY)
        await town.use("aoi")
        first = town.clock.now()
        await town.pass_time(2 * HOUR)
        await town.use("aoi")
        await town.pass_time(32 * DAY)
        await town.use("aoi")
        answer = await town.api.get(f"{town.base}/people/aoi/acceptances")
        (acceptance,) = answer["acceptances"]
        assert acceptance["evidence"]["rule"]["literal"].startswith("posted and sent by email")
        assert abs((datetime.fromisoformat(acceptance["evidence"]["literally_since"]) - first).total_seconds()) < 60


def _words(letter: bytes) -> str:
    body = message_from_bytes(letter, policy=policy.default).get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


async def test_each_person_is_under_the_strictest_of_the_presets_that_apply(db: Db, keys: Keys) -> None:
    rule = {"preset": "pop-japan", "also": [{"preset": "de-consumer-terms"}, {"preset": "us-contract"}]}
    async with open_town(db, keys, a_site(rule=rule)) as town:
        for name, country in (("aoi", "JP"), ("dieter", "DE"), ("mary", "US")):
            await town.person(name, country=country)
        await town.tell("two")
        await town.work()
        await town.pass_time(35 * DAY)
        for name in ("aoi", "dieter", "mary"):
            await town.use(name)
        accepted = {name: await town.accepted(name) for name in ("aoi", "dieter", "mary")}
        assert accepted == {"aoi": [("two", "deemed", "D")], "dieter": [], "mary": []}
        answers = {
            n: await town.api.get(f"{town.base}/people/{n}/explain?policy=privacy&version=two") for n in accepted
        }
        assert answers["dieter"]["decision"]["reason"] == "never_deemed"
        assert answers["mary"]["decision"]["reason"] == "too_little_evidence"
        assert answers["aoi"]["rule"]["presets"] == ["pop-japan"]
        said = " ".join(answers["mary"]["words"])
        assert "the rule was frozen from pop-japan, us-contract" in said
        assert "From us-contract: " in said
        assert "All other values come from pop-japan." in said
        values = {one["value"]: one for one in answers["mary"]["rule"]["values"]}
        assert values["evidence"]["from_preset"] == "us-contract"
        assert values["notice_days"]["from_preset"] == "pop-japan"
        words = {got.address.partition("@")[0]: _words(got.content) for got in town.server.got}
        assert "that use will be deemed your acceptance" in words["aoi"]
        assert "does not amount to acceptance of the new version" in words["dieter"]
        report = await town.report()
        assert (report["told"], report["too_little_evidence"]) == (2, 1)
        assert (report["told_split"]["deemed"], report["told_split"]["not_deemed"]) == (1, 1)

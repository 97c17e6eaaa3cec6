"""More cases of telling and of what use amounts to: through the API, on a real PostgreSQL, with the clock moved."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifier.acceptance.accept import accept
from notifier.campaigns.announce import freeze_next
from notifier.db import Db
from notifier.keys import Keys
from notifier.policies.sources import look_at_sources
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.channels.smtp_server import SILENCE
from tests.flow.far_pages import far_pages
from tests.flow.test_listen import a_bounce
from tests.sites import a_site
from tests.web.asking import ndjson
from tests.web.town import DAY, HOUR, Town, open_town

PRIVATE_TOO: dict[str, Any] = {"preset": "imacocokara", "channels": ["email", "inbox"]}


@pytest.fixture
async def town(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    async with open_town(db, keys, a_site(rule={"preset": "pop-japan"} | getattr(request, "param", {}))) as opened:
        yield opened


def ruled(**rule: Any) -> pytest.MarkDecorator:
    """The site's own rule for one test."""
    return pytest.mark.parametrize("town", [rule], indirect=True)


async def returned(town: Town, letter: int = 0) -> int:
    """A letter comes back, as the mail that it is. Answers how much of it was news."""
    path = town.server.got[letter].mail
    headers = {"X-Original-To": path, "Content-Type": "message/rfc822"}
    async with town.api.client.post("/hooks/email", data=a_bounce().encode(), headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return int((await answer.json())["news"])


async def reported(town: Town, name: str, *uses: tuple[datetime, str], **more: str) -> dict[str, Any]:
    """The site reports uses of somebody, and the workers decide."""
    lines = [{"external_id": name, "occurred_at": at.isoformat(), "kind": kind} | more for at, kind in uses]
    answer: dict[str, Any] = await town.api.post(f"{town.base}/activities", ndjson(*lines))
    await town.work()
    return answer


async def explained(town: Town, name: str) -> str:
    answer = await town.api.get(f"{town.base}/people/{name}/explain?policy=privacy&version=two")
    return " ".join(answer["words"])


async def test_case_02_after_a_crash_before_the_commit_the_same_letter_goes_again_and_both_are_on_record(
    town: Town,
) -> None:
    await town.person("ann")
    await town.tell("two")
    town.server.say("dot", SILENCE)
    dying = asyncio.create_task(town.office.delivery.deliver_next(bool))
    while not await town.office.rows("SELECT FROM under_way"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    town.server.say("dot", "250 2.0.0 kept")
    await town.db.execute("UPDATE slice SET leased_until = leased_until - interval '1 hour'")
    await town.work()
    assert await town.stands("ann") == ("in_scope", "pending")
    await town.pass_time(timedelta(minutes=31))
    assert await town.stands("ann") == ("in_scope", "told")
    events = (await town.api.get(f"{town.base}/people/ann/timeline"))["events"]
    tries = [one for one in events if one["kind"] == "tried"]
    assert len(tries) == 2
    assert len({one["facts"]["sha256"] for one in tries}) == 1
    assert [one["kind"] for one in events if one["kind"] in ("unknown", "accepted_by_relay")] == [
        "unknown", "accepted_by_relay",
    ]  # fmt: skip


@ruled(**PRIVATE_TOO, notice_days=14)
async def test_case_03_what_was_accepted_and_bounces_later_is_told_by_the_other_channel_and_the_clock_restarts(
    town: Town,
) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    assert (await town.notice("ann"))["told_by"] == "email"
    await town.pass_time(20 * DAY)
    assert await returned(town) == 1
    await town.work()
    notice = await town.notice("ann")
    assert (notice["status"], notice["told_by"]) == ("told", "inbox")
    kinds = await town.events("ann")
    assert kinds.index("accepted_by_relay") < kinds.index("bounced") < kinds.index("placed")
    await town.pass_time(13 * DAY)
    await town.use("ann")
    assert await town.accepted("ann") == []
    await town.pass_time(2 * DAY)
    await town.use("ann")
    assert await town.accepted("ann") == [("two", "deemed", "D")]


async def test_case_05_a_late_or_doubled_bounce_changes_its_own_attempt_once_and_never_the_newer_address(
    town: Town,
) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    assert [await returned(town), await returned(town)] == [1, 0]
    await town.person("ann", email="ann@new.example")
    await town.work()
    assert [got.address for got in town.server.got] == ["ann@people.example", "ann@new.example"]
    await town.pass_time(10 * DAY)
    assert await returned(town) == 0
    assert await town.stands("ann") == ("in_scope", "told")
    status, _ = await town.api.ask("GET", f"{town.base}/suppressions")
    assert status == 200
    await town.tell("three")
    await town.work()
    assert town.server.got[-1].address == "ann@new.example"


async def test_case_08_whoever_is_sent_to_late_has_a_later_date_and_the_shortfall_is_reported(
    db: Db, keys: Keys
) -> None:
    pace = {"per_day": 1}
    async with open_town(db, keys, a_site(pace=pace)) as town:
        for name in ("ann", "ben", "cho", "dan"):
            await town.person(name)
        soonest = town.clock.now() + timedelta(days=30)
        await town.tell("two", effective_at=soonest.isoformat())
        for _ in range(6):
            await town.pass_time(DAY)
        assert sorted(town.letters()) == ["ann", "ben", "cho", "dan"]
        report = await town.report()
        assert report["told"] == 4
        assert report["forecast"]["too_late"] >= 3
        last = town.letters()[-1]
        dates = await town.office.rows("SELECT effective_at FROM version WHERE label = 'two'")
        assert abs(dates[0][0] - soonest) < timedelta(seconds=1)  # the document's own date does not move
        town.clock.move(soonest + timedelta(hours=1) - town.clock.now())
        await town.use(last)
        assert await town.accepted(last) == []
        await town.pass_time(5 * DAY)
        await town.use(last)
        assert await town.accepted(last) == [("two", "deemed", "D")]


async def test_case_09_activity_before_the_notice_or_before_the_effect_is_never_acceptance(town: Town) -> None:
    await town.person("ann")
    published = town.clock.now()
    await town.tell("two")
    await town.use("ann")  # published, and nobody is told yet
    await town.pass_time(HOUR)
    await town.use("ann")  # told, and not in effect
    await town.pass_time(29 * DAY)
    await town.use("ann")
    assert await town.accepted("ann") == []
    await town.pass_time(5 * DAY)
    answer = await reported(town, "ann", (published + HOUR, "login"), (published + 20 * DAY, "purchase"))
    assert answer["kept"] == 0
    assert await town.accepted("ann") == []
    assert "no use" in (await explained(town, "ann")).lower()


async def test_case_10_late_or_out_of_order_activity_appends_a_correction(town: Town) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    await town.pass_time(40 * DAY)
    now = town.clock.now()
    await reported(town, "ann", (now, "login"))
    await reported(town, "ann", (now - DAY, "login"))
    await reported(town, "ann", (now - HOUR, "login"))
    await reported(town, "ann", (now - 2 * DAY, "purchase"))
    answer = await town.api.get(f"{town.base}/people/ann/acceptances")
    revisions = [(one["revision"], datetime.fromisoformat(one["accepted_at"])) for one in answer["acceptances"]]
    assert revisions == [(1, now), (2, now - DAY), (3, now - 2 * DAY)]


@pytest.mark.parametrize(
    "kind",
    ["policy_viewed", "policy_exported", "account_closed", "objected", "password_reset", "logout", "prefetch",
     "api_token", "impersonation"],
)  # fmt: skip
async def test_case_11_tokens_prefetch_impersonation_and_reading_the_policy_never_qualify(
    town: Town, kind: str
) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    await town.pass_time(40 * DAY)
    answer = await reported(town, "ann", (town.clock.now(), kind))
    assert (answer["kept"], answer["ignored"]["excluded_kind"]) == (0, 1)
    answer = await reported(town, "ann", (town.clock.now(), "login"), user_agent="Googlebot/2.1")
    assert (answer["kept"], answer["ignored"]["robot"]) == (0, 1)
    assert await town.accepted("ann") == []


async def test_case_12_who_objects_and_keeps_using_accepts_nothing_until_an_act_of_their_own(town: Town) -> None:
    await town.person("ann")
    await town.tell("two")
    await town.work()
    about = {"policy": "privacy", "version": "two", "via": "letter"}
    await town.api.post(f"{town.base}/people/ann/objections", about | {"statement": "I do not agree."})
    for _ in range(3):
        await town.pass_time(20 * DAY)
        await town.use("ann")
    assert await town.accepted("ann") == []
    assert "objected" in await explained(town, "ann")
    assert (await town.report())["told_split"]["objected"] == 1
    await town.api.post(f"{town.base}/people/ann/acceptances", about | {"via": "a button"})
    assert await town.accepted("ann") == [("two", "explicit", "A")]
    kinds = await town.events("ann")
    assert {"objected", "accepted_explicit"} <= set(kinds)


async def test_case_17_one_campaign_per_version_whatever_races(town: Town) -> None:
    await town.person("ann")
    same = [town.publish("two") for _ in range(5)]
    assert len(set(await asyncio.gather(*same))) == 1
    await town.approve()
    await asyncio.gather(*(freeze_next(town.db, 1000, town.clock.now()) for _ in range(3)))
    await town.work()
    assert town.letters() == ["ann"]
    assert len((await town.api.get(f"{town.base}/campaigns"))["campaigns"]) == 1


async def test_case_18_a_watched_page_that_misbehaves_mails_nobody_and_a_revert_is_a_version_of_its_own(
    town: Town,
) -> None:
    await town.person("ann")
    clause = "<p>We keep what you give us for as long as you are with us, and delete it when you leave us for good.</p>"
    first, second = clause * 12, (clause * 12).replace("when you leave", "a year after you leave")

    async def look(times: int = 1) -> list[dict[str, Any]]:
        for _ in range(times):
            town.clock.move(HOUR)
            await look_at_sources(town.db, ("127.0.0.1",), town.clock.now())
        await town.work()
        versions: list[dict[str, Any]] = (await town.api.get(f"{town.base}/versions"))["versions"]
        return [one for one in versions if one["state"] == "pending"]

    async def confirm(label: str) -> None:
        (pending,) = await look(0)
        body = {"label": label, "materiality": "editorial"}
        await town.api.post(f"{town.base}/versions/{pending['version_id']}/publish", body)

    async with far_pages() as pages:
        sources = [{"policy": "privacy", "locale": "en", "page": f"{pages.url}/privacy"}]
        watching = Site.model_validate(town.office.site.model_dump() | {"watch": {"sources": sources, "agree": 3}})
        watching = watching.model_copy(update={"locales": ["en"]})
        await apply(town.db, watching, town.clock.now())
        pages.page(first)
        assert await look(3) == []  # the first sight is a baseline: a version is published already
        for odd in ("", "<h1>Sign in</h1><form><input type=password></form>", clause):  # emptied, a login, cut short
            pages.page(odd)
            assert await look(5) == []
        pages.bodies.clear()  # an error
        assert await look(4) == []
        for number in range(8):  # flaps
            pages.page(second if number % 2 else first)
            assert await look() == []
        town.clock.move(40 * DAY)  # what it did is long ago
        pages.page(second)
        await look(4)
        await confirm("changed")
        town.clock.move(40 * DAY)
        pages.page(first)
        await look(4)
        await confirm("reverted")
    published = [one["label"] for one in (await town.api.get(f"{town.base}/versions"))["versions"]]
    assert {"changed", "reverted"} <= set(published)
    assert town.letters() == []


async def published_bytes(town: Town, label: str) -> dict[str, str]:
    """What stands at the permanent addresses of a version, exactly, with its recorded SHA-256."""
    found = {}
    for locale in ("en", "ja"):
        async with town.api.client.get(f"/p/kumo/privacy/{label}/{locale}/raw") as answer:
            assert answer.status == 200
            found[locale] = f"{await answer.text()} {answer.headers['ETag']}"
    return found


async def test_case_19_a_typo_is_mended_by_an_editorial_version_that_is_linked_to_what_it_corrects(
    town: Town,
) -> None:
    for name in ("ann", "ben"):
        await town.person(name)
    await town.tell("two")
    await town.work()
    await town.pass_time(40 * DAY)
    await town.use("ann")

    async def on_record(name: str) -> list[Any]:
        person = f"{town.base}/people/{name}"
        return [await town.api.get(f"{person}/{what}") for what in ("pending", "notices", "acceptances")]

    before = {name: await on_record(name) for name in ("ann", "ben")}
    assert await town.accepted("ann") == [("two", "deemed", "D")]
    assert [one["version"] for one in before["ben"][0]["versions"]] == ["two"]
    wrong, report = await published_bytes(town, "two"), await town.report()

    texts = {locale: {"body": f"# two {locale}, spelt right"} for locale in ("en", "ja")}
    mended = {"policy": "privacy", "label": "two-a", "materiality": "editorial", "corrects": "two", "texts": texts}
    draft = await town.api.post(f"{town.base}/versions", mended, 201)
    address = f"{town.base}/versions/{draft['version_id']}"
    await town.api.post(f"{address}/review", {"sha256": draft["sha256"]})
    answer = await town.api.post(f"{address}/publish")
    assert (answer["version"]["corrects"], answer["version"]["materiality"]) == ("two", "editorial")
    await town.work()

    assert await published_bytes(town, "two") == wrong
    assert "spelt right" in (await published_bytes(town, "two-a"))["en"]
    assert answer["campaign"] is None
    assert [one["label"] for one in (await town.api.get(f"{town.base}/campaigns"))["campaigns"]] == ["two"]
    assert sorted(town.letters()) == ["ann", "ben"]
    assert {name: await on_record(name) for name in ("ann", "ben")} == before
    assert await town.report() == report
    await town.use("ben")
    assert await town.accepted("ben") == [("two", "deemed", "D")]
    assert sorted(town.letters()) == ["ann", "ben"]


async def test_also_a_suspended_user_who_is_restored_is_told_and_merged_accounts_are_one_person(town: Town) -> None:
    await town.person("ann", status="suspended")
    await town.person("ben")
    await town.person("ben2")
    await town.tell("two")
    await town.api.post(f"{town.base}/people/ben2/merge", {"into": "ben"})
    await town.work()
    assert town.letters() == ["ben"]
    await town.person("ann")
    await town.work()
    assert town.letters() == ["ben", "ann"]
    report = await town.report()
    assert (report["told"], report["unreachable"], report["pending"]) == (2, 1, 0)


async def test_also_a_transport_that_is_away_marks_nobody_as_sent(town: Town) -> None:
    await town.person("ann")
    site = town.office.site.model_copy(update={"relays": []})
    await apply(town.db, site, town.clock.now())
    await town.tell("two")
    await town.pass_time(DAY)
    assert await town.stands("ann") == ("in_scope", "pending")
    assert "tried" not in await town.events("ann")
    assert (await town.report())["told"] == 0


async def test_also_instants_are_in_utc_with_a_named_zone_beside_them_and_two_workers_decide_once(town: Town) -> None:
    await town.person("ann", time_zone="Asia/Tokyo")
    await town.tell("two")
    await town.work()
    assert b"Japan Standard Time" in town.server.got[0].content.replace(b"=\r\n", b"")
    assert datetime.fromisoformat((await town.notice("ann"))["told_at"]).utcoffset() == timedelta(0)
    await town.pass_time(40 * DAY)
    line = {"external_id": "ann", "occurred_at": town.clock.now().isoformat(), "kind": "login"}
    await town.api.post(f"{town.base}/activities", ndjson(line))
    await asyncio.gather(*(accept(town.db, town.clock.now()) for _ in range(4)))
    assert await town.accepted("ann") == [("two", "deemed", "D")]

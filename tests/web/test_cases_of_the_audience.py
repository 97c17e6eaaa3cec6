"""Cases of telling people, each as it should go: through the API, on a real PostgreSQL, with the clock moved."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from notifier.db import Db
from notifier.keys import Keys
from notifier.sites.apply import apply
from notifier.sites.site import load_site
from notifier.sites.tokens import create_token, live_secrets
from tests.sites import a_site
from tests.web.asking import Api, submission
from tests.web.town import DAY, HOUR, Town, open_town

Publish = Callable[..., Awaitable[tuple[int, Any]]]
PRIVATE_TOO: dict[str, Any] = {"preset": "imacocokara", "channels": ["email", "inbox"]}


@pytest.fixture
async def town(db: Db, keys: Keys, request: pytest.FixtureRequest) -> AsyncIterator[Town]:
    async with open_town(db, keys, a_site(rule={"preset": "pop-japan"} | getattr(request, "param", {}))) as opened:
        yield opened


def ruled(**rule: Any) -> pytest.MarkDecorator:
    """The site's own rule for one test."""
    return pytest.mark.parametrize("town", [rule], indirect=True)


@pytest.fixture
def publish(town: Town, keys: Keys) -> Publish:
    """Publishes by signed webhook."""

    async def send(label: str, **more: Any) -> tuple[int, Any]:
        body, at = json.dumps(submission(label, label, **more)), datetime.now(UTC)
        webhook_id = f"msg_{label}_{len(body)}_{at.timestamp()}"
        secret = (await live_secrets(town.db, keys, "kumo"))[0]
        headers = {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
        }
        async with town.api.client.post(f"{town.base}/hooks/versions", data=body.encode(), headers=headers) as answer:
            return answer.status, await answer.json(content_type=answer.content_type)

    return send


async def another(town: Town, name: str) -> Api:
    """Somebody else asks."""
    return Api(town.api.client, await create_token(town.db, None, name, ["publish", "send"], town.clock.now()))


def asked(at: datetime, label: str = "two") -> dict[str, Any]:
    """The body that asks for an earlier date."""
    reason = "An order of the authority, case 12/26."
    return {"policy": "privacy", "label": label, "effective_at": at.isoformat(), "reason": reason}


async def test_case_01_a_new_version_while_the_last_is_being_sent_ends_it_and_goes_to_everybody(
    db: Db, keys: Keys
) -> None:
    async with open_town(db, keys, a_site(), batch_size=2) as town:
        for name in ("ann", "ben", "cho", "dan"):
            await town.person(name)
        town.server.say("rcpt", "451 4.7.1 later", to="ann@people.example")
        old = await town.tell("two")
        await town.work()
        await town.newcomer("late")  # somebody for whom it is not their turn yet
        await town.join()
        await town.tell("three")
        await town.pass_time(6 * HOUR)
        assert sorted(town.letters()) == sorted(["ben", "cho", "dan", "ben", "cho", "dan", "late"])
        three, town.campaign_id = town.campaign_id, old
        report = await town.report()
        assert (report["state"], report["superseded_by"]) == ("superseded", three)
        assert (report["superseded"], report["told"], report["failures"]) == (2, 3, {})
        knew = await town.office.rows(
            "SELECT external_id, label FROM notice n JOIN person USING (lane, person_id)"
            " JOIN version ON version_id = n.since"
            " WHERE campaign_id = (SELECT max(campaign_id) FROM campaign) ORDER BY 1"
        )
        assert knew == [("ann", "one"), ("ben", "two"), ("cho", "two"), ("dan", "two"), ("late", "one")]


@pytest.mark.parametrize("days", [-3, 0, 29])
async def test_case_07_a_date_in_the_past_or_too_soon_is_refused_and_two_people_may_override_it(
    town: Town, publish: Publish, days: int
) -> None:
    await town.person("ann")
    at = (town.clock.now() + days * DAY).replace(microsecond=0)
    status, problem = await publish("two", effective_at=at.isoformat())
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["/effective_at"])
    one = await town.api.post(f"{town.base}/overrides", asked(at))
    assert (one["asked_by"], one["confirmed_by"]) == ("tester", None)
    await town.api.post(f"{town.base}/overrides", asked(at))  # the same person again
    assert (await publish("two", effective_at=at.isoformat()))[0] == 422
    two = await (await another(town, "counsel")).post(f"{town.base}/overrides", asked(at))
    assert (two["asked_by"], two["confirmed_by"]) == ("tester", "counsel")
    status, answer = await publish("two", effective_at=at.isoformat())
    assert status == 202
    town.campaign_id = int(answer["campaign"].rpartition("/")[2])
    assert (await town.api.get(f"{town.base}/overrides"))["overrides"] == [two]
    # What Ann is promised stays: thirty days from her own telling.
    await town.approve()
    await town.pass_time(timedelta())
    await town.pass_time(28 * DAY)
    await town.use("ann")
    await town.pass_time(DAY)
    assert await town.accepted("ann") == []
    await town.pass_time(2 * DAY)
    await town.use("ann")
    assert await town.accepted("ann") == [("two", "deemed", "D")]


async def test_case_07_an_override_holds_for_exactly_one_label_and_date(town: Town, publish: Publish) -> None:
    at = (town.clock.now() + 3 * DAY).replace(microsecond=0)
    await town.api.post(f"{town.base}/overrides", asked(at))
    await (await another(town, "counsel")).post(f"{town.base}/overrides", asked(at))
    assert (await publish("two", effective_at=(at + HOUR).isoformat()))[0] == 422
    assert (await publish("three", effective_at=at.isoformat()))[0] == 422
    assert (await town.api.ask("POST", f"{town.base}/overrides", asked(at) | {"reason": ""}))[0] == 422
    assert (await town.api.ask("POST", f"{town.base}/overrides", asked(at) | {"policy": "terms"}))[0] == 422


async def test_case_14_a_locale_without_a_text_is_told_by_the_chain_and_both_are_on_record(
    town: Town, publish: Publish
) -> None:
    await town.person("rio", locale="pt-BR")
    await town.person("hana", locale="ja-JP")
    await town.tell("two")
    await town.work()
    assert [(await town.notice(name))[part] for name in ("rio", "hana") for part in ("requested_locale", "locale")] == [
        "pt-BR", "en", "ja-JP", "ja",
    ]  # fmt: skip
    site = await load_site(town.db, "kumo")
    await apply(town.db, site.model_copy(update={"locales": ["ja", "en"]}), town.clock.now())
    assert (await town.notice("rio"))["locale"] == "en"  # fixed at the freeze
    status, problem = await publish("three")  # in English alone: no text for whoever nothing else fits
    assert (status, [fault["pointer"] for fault in problem["errors"]]) == (422, ["/texts/ja"])


async def test_case_15_accounts_that_share_a_mailbox_have_evidence_of_their_own(town: Town) -> None:
    for name in ("ann", "ben"):
        await town.person(name, email="home@people.example")
    await town.tell("two")
    await town.work()
    assert town.letters() == ["home", "home"]
    assert [await town.stands(name) for name in ("ann", "ben")] == [("in_scope", "told")] * 2
    await town.pass_time(34 * DAY)
    await town.use("ann")
    assert (await town.accepted("ann"), await town.accepted("ben")) == ([("two", "deemed", "D")], [])
    await town.bounce("ben")  # nobody is there any more: it is the same mailbox
    third = await town.tell("three")
    await town.work()
    assert third
    assert [await town.stands(name) for name in ("ann", "ben")] == [("suppressed", "suppressed")] * 2


@ruled(**PRIVATE_TOO)
async def test_case_16_marketing_choices_are_ignored_and_suppression_is_respected(town: Town) -> None:
    await town.person("ann", attributes={"marketing": False, "newsletter": "unsubscribed"})
    await town.person("gone")
    await town.tell("two")
    await town.work()
    await town.bounce("gone")
    await town.work()
    assert (await town.notice("gone"))["told_by"] == "inbox"
    await town.pass_time(20 * DAY)
    await town.tell("three")
    await town.work()
    assert sorted(town.letters()) == ["ann", "ann", "gone"]  # the address that bounced is not written to again
    assert [(await town.notice(name))["told_by"] for name in ("ann", "gone")] == ["email", "inbox"]


async def test_case_20_a_wrong_text_is_stopped_row_by_row_and_corrected_for_whom_it_reached(town: Town) -> None:
    for name in ("ann", "ben", "cho"):
        await town.person(name)
    town.server.say("rcpt", "451 4.7.1 later", to="ben@people.example")
    town.server.say("rcpt", "550 5.1.1 nobody", to="cho@people.example")
    wrong = await town.tell("two")
    await town.work()
    await town.api.post(f"{town.base}/campaigns/{wrong}/pause", {"reason": "the wrong text"})
    await town.newcomer("late")
    await town.pass_time(6 * HOUR)
    assert town.letters() == ["ann"]  # nothing more leaves, for those who joined neither
    words = {"en": "The date was wrong.", "ja": "日付に誤りがありました。"}
    answer = await town.api.post(f"{town.base}/campaigns/{wrong}/correction", {"words": words}, expect=201)
    await town.api.post(f"{town.base}/campaigns/{wrong}/cancel", {"reason": "the wrong text"})
    town.campaign_id = answer["campaign_id"]
    await town.approve()
    await town.work()
    assert town.letters() == ["ann", "ann"]
    report = await town.report()
    assert (report["told"], report["excluded"]) == (1, {"not_reached": 3})

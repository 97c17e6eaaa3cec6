"""The site's own login flow: what is pending, that it was shown, and what that is worth."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from notifier.acceptance.accept import accept
from notifier.activity.record import record
from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.steer import steer
from notifier.clock import MovableClock
from notifier.compliance.report import campaign_report
from notifier.compose import Service
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from notifier.sites.site import Site, load_site
from tests.flow.story import activity, lines
from tests.sites import a_site
from tests.web.asking import Api

DAY = timedelta(days=1)
KUMO = "/v1/sites/kumo"


class Login:
    """A site that tells by email; nobody's letter leaves, so who is told was shown it."""

    def __init__(self, service: Service, api: Api, clock: MovableClock) -> None:
        self.service, self.api, self.clock = service, api, clock

    async def person(self, name: str, **more: Any) -> None:
        given = {"locale": "ja", "email": f"{name}@people.example", "registered_at": "2020-01-01T00:00:00Z"} | more
        await self.api.ask("PUT", f"{KUMO}/people/{name}", given)

    async def publish(self, label: str, *, tell: bool = True, **more: Any) -> int:
        texts = {
            "en": {"body": f"# Privacy {label}"},
            "ja": {"body": f"# プライバシー {label}", "summary": "一部を変更"},
        }
        body = {"policy": "privacy", "label": label, "materiality": "material", "texts": texts} | more
        now, site = self.clock.now(), await load_site(self.service.db, "kumo")
        version, _ = await publish(self.service.db, site, Submission.model_validate(body), "command", now)
        if not tell:
            return 0
        campaign_id = await announce(self.service.db, site, version.version_id, now, "test")
        await steer(self.service.db, "kumo", campaign_id, "approve", "test", "", now)
        await freeze_next(self.service.db, 1000, now)
        return campaign_id

    async def pending(self, name: str) -> dict[str, Any]:
        (version,) = (await self.api.get(f"{KUMO}/people/{name}/pending"))["versions"]
        return version

    async def shown(self, name: str, **changes: Any) -> tuple[int, Any]:
        version = await self.pending(name)
        body = {
            "policy": "privacy", "version": version["version"], "locale": version["notice"]["locale"],
            "statement": version["notice"]["statement"],
        }  # fmt: skip
        return await self.api.ask("POST", f"{KUMO}/people/{name}/shown", body | changes)


@pytest.fixture
async def login(service: Service, api: Api, clock: MovableClock) -> Login:
    made = Login(service, api, clock)
    await made.publish("one", tell=False)
    return made


async def test_whom_nothing_reached_is_told_by_a_page_at_the_login(login: Login) -> None:
    await login.person("ann", email="")
    campaign_id = await login.publish("two", flags=["new_purpose"])
    version = await login.pending("ann")
    assert (version["show"], version["reason"], version["processing_not_before"]) == ("page", "not_reached", None)
    notice = version["notice"]
    assert (notice["locale"], notice["url"]) == ("ja", "http://notices.example/p/kumo/privacy/two/ja")
    assert "一部を変更" in notice["html"]
    assert hashlib.sha256(notice["html"].encode()).hexdigest() == notice["statement"]
    status, answer = await login.shown("ann")
    assert (status, answer["news"]) == (200, True)
    after = await login.pending("ann")
    assert (after["show"], after["reason"], after["notice"]) == ("nothing", "shown", None)
    assert after["new_purpose"]
    assert after["processing_not_before"] == after["counts_from"]
    (two, _) = (await login.api.get(f"{KUMO}/versions"))["versions"]
    detail = await login.api.get(f"{KUMO}/versions/{two['version_id']}")
    assert detail["processing_not_before"] is not None
    assert detail["processing_not_before"] <= after["processing_not_before"], "theirs is the earliest or later"
    report = await campaign_report(login.service.db, campaign_id, login.clock.now())
    assert (report.told, report.unreachable, report.gaps) == (1, 0, ())
    letter = await login.api.ask(
        "GET", f"{KUMO}/campaigns/{campaign_id}/people/ann/letter?channel=in_app", headers={"Accept": "*/*"}
    )
    assert letter == (200, notice["html"])


async def test_use_after_it_was_shown_is_acceptance_of_grade_b(login: Login) -> None:
    await login.person("ann", email="")
    await login.publish("two")
    db = login.service.db
    early = login.clock.now() + 33 * DAY
    login.clock.move(40 * DAY)
    await record(db, "kumo", lines(activity("ann", early)), login.clock.now())
    assert await accept(db, login.clock.now()) == 1
    assert (await login.api.get(f"{KUMO}/people/ann/acceptances")) == {"acceptances": []}
    await login.shown("ann")
    for days in (1, 31):
        login.clock.move(days * DAY)
        await record(db, "kumo", lines(activity("ann", login.clock.now())), login.clock.now())
        await accept(db, login.clock.now())
    (accepted,) = (await login.api.get(f"{KUMO}/people/ann/acceptances"))["acceptances"]
    assert (accepted["kind"], accepted["grade"]) == ("deemed", "B")
    assert accepted["evidence"]["telling"]["channel"] == "in_app"
    assert (await login.pending("ann"))["reason"] == "accepted_by_use"


async def test_shown_twice_is_shown_once_and_the_first_time_counts(login: Login) -> None:
    await login.person("ann")
    campaign_id = await login.publish("two")
    version = await login.pending("ann")
    body = {"policy": "privacy", "version": "two", "locale": "ja", "statement": version["notice"]["statement"]}
    first = await login.api.post(f"{KUMO}/people/ann/shown", body)
    login.clock.move(DAY)
    again = await login.api.post(f"{KUMO}/people/ann/shown", body)
    assert (first["news"], again["news"]) == (True, False)
    report = await campaign_report(login.service.db, campaign_id, login.clock.now())
    assert report.by_channel["in_app"] == {"planned": 0, "shown": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "one"}, "no longer, the version"),
        ({"version": "nine"}, "no longer, the version"),
        ({"policy": "terms"}, "nobody had to tell"),
        ({"locale": "en"}, "whose locale is ja"),
        ({"statement": "0" * 64}, "these are not the words"),
    ],
)
async def test_words_that_are_not_the_ones_to_show_are_refused(login: Login, change: dict[str, str], says: str) -> None:
    await login.person("ann")
    await login.publish("two")
    status, problem = await login.shown("ann", **change)
    assert (status, says in problem["detail"]) == (409, True)
    assert (await login.pending("ann"))["reason"] == "not_yet_told"


async def test_a_page_that_a_newer_version_overtook_is_refused(login: Login) -> None:
    await login.person("ann")
    await login.publish("two")
    old = await login.pending("ann")
    await login.publish("three", tell=False)
    assert (await login.pending("ann"))["reason"] == "superseded"
    body = {"policy": "privacy", "version": "two", "locale": "ja", "statement": old["notice"]["statement"]}
    assert (await login.api.ask("POST", f"{KUMO}/people/ann/shown", body))[0] == 409


async def test_a_correction_of_a_typo_changes_nothing_about_what_is_pending(login: Login) -> None:
    await login.person("ann")
    await login.publish("two")
    await login.publish("two-b", tell=False, materiality="editorial")
    assert (await login.pending("ann"))["reason"] == "not_yet_told"


async def test_who_was_left_out_is_shown_nothing_and_is_not_told(login: Login) -> None:
    await login.person("ann")
    await login.person("out", status="suspended")
    await login.publish("two")
    await login.person("out")
    statement = (await login.pending("ann"))["notice"]["statement"]
    version = await login.pending("out")
    assert (version["show"], version["reason"], version["counts_from"]) == ("nothing", "left_out", None)
    body = {"policy": "privacy", "version": "two", "locale": "ja", "statement": statement}
    status, problem = await login.api.ask("POST", f"{KUMO}/people/out/shown", body)
    assert (status, "left_out" in problem["detail"]) == (409, True)


async def test_a_version_that_wants_an_act_is_a_page_and_then_a_gate_until_they_act(login: Login) -> None:
    await login.person("ann")
    await login.publish("two", materiality="explicit")
    assert (await login.pending("ann"))["show"] == "page"
    await login.shown("ann")
    assert (await login.pending("ann"))["show"] == "banner"
    login.clock.move(33 * DAY)
    assert (await login.pending("ann"))["show"] == "gate"
    await login.api.post(f"{KUMO}/people/ann/acceptances", {"policy": "privacy", "version": "two", "via": "gate"})
    assert (await login.pending("ann"))["reason"] == "accepted_by_act"


async def test_nothing_is_shown_while_sending_is_stopped_or_paused(login: Login) -> None:
    await login.person("ann")
    campaign_id = await login.publish("two")
    await login.api.post(f"{KUMO}/campaigns/{campaign_id}/pause", {"reason": "wrong text"})
    assert (await login.pending("ann"))["reason"] == "held"


async def test_the_strictest_of_several_policies_is_the_answer(login: Login, service: Service) -> None:
    policies = {name: {"titles": {"en": name}} for name in ("privacy", "terms")}
    site: Site = a_site(policies=policies)
    await apply(service.db, site, login.clock.now())
    await login.person("ann")
    await login.publish("t1", policy="terms", tell=False)
    await login.publish("two")
    await login.publish("t2", policy="terms", materiality="explicit")
    answer = await login.api.get(f"{KUMO}/people/ann/pending")
    assert [(v["policy"], v["show"]) for v in answer["versions"]] == [("privacy", "banner"), ("terms", "page")]
    assert answer["show"] == "page"


async def test_somebody_whom_nothing_concerns_is_shown_nothing(login: Login) -> None:
    await login.publish("two")
    await login.person("late")
    assert await login.api.get(f"{KUMO}/people/late/pending") == {"show": "nothing", "versions": []}
    assert (await login.api.ask("GET", f"{KUMO}/people/nobody/pending"))[0] == 404


async def test_another_site_s_token_and_another_scope_learn_nothing(
    login: Login, market: Site, token: Callable[..., Awaitable[str]]
) -> None:
    await login.person("ann")
    for scopes, site, status in ((["activity"], "hata", 404), (["read"], "kumo", 403), (["activity"], "kumo", 200)):
        other = Api(login.api.client, await token(*scopes, site=site))
        assert (await other.ask("GET", f"{KUMO}/people/ann/pending"))[0] == status


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"policy": "privacy"},
        {"policy": "privacy", "version": "two", "locale": "ja", "statement": "0" * 63},
        {"policy": "privacy", "version": "two", "locale": "../ja", "statement": "0" * 64},
        {"policy": "privacy", "version": "t'wo", "locale": "ja", "statement": "0" * 64},
        {"policy": "privacy", "version": "two", "locale": "ja", "statement": "0" * 64, "at": "2020-01-01T00:00:00Z"},
    ],
)  # fmt: skip
async def test_hostile_bodies_are_refused_and_change_nothing(login: Login, body: Any) -> None:
    await login.person("ann")
    await login.publish("two")
    assert (await login.api.ask("POST", f"{KUMO}/people/ann/shown", body))[0] == 422
    assert (await login.pending("ann"))["reason"] == "not_yet_told"

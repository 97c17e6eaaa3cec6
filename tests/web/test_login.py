"""The site's own login flow: what is pending, that it was shown, and what that is worth."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
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
from tests.web.asking import Api, ndjson

DAY = timedelta(days=1)
KUMO = "/v1/sites/kumo"


class Login:
    """A site that tells by email; nobody's letter leaves, so who is told was shown it."""

    def __init__(self, service: Service, api: Api, clock: MovableClock) -> None:
        self.service, self.api, self.clock = service, api, clock

    async def person(self, name: str, **more: Any) -> None:
        given = {"locale": "ja", "email": f"{name}@people.example", "registered_at": "2020-01-01T00:00:00Z"} | more
        await self.api.ask("PUT", f"{KUMO}/people/{name}", given)

    async def publish(self, label: str, *, tell: bool = True, freeze: bool = True, **more: Any) -> int:
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
        if freeze:
            await self.freeze()
        return campaign_id

    async def freeze(self) -> None:
        await freeze_next(self.service.db, 1000, self.clock.now())

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


async def dates(login: Login, name: str) -> tuple[str, datetime | None]:
    """Why something is shown, or not, and from when a new purpose may be served."""
    version = await login.pending(name)
    at = version["processing_not_before"]
    return version["reason"], None if at is None else datetime.fromisoformat(at)


async def test_a_new_purpose_may_begin_for_whoever_knows_of_it_without_a_telling(login: Login) -> None:
    now = login.clock.now()
    for name in ("acted", "waiting", "objecting"):
        await login.person(name)
    await login.person("with_it", registered_at=now.isoformat(), registration_version="two")
    await login.publish("two", flags=["new_purpose"])
    effective_at = datetime.fromisoformat((await login.pending("acted"))["effective_at"])
    act = {"policy": "privacy", "version": "two", "at": (effective_at + DAY).isoformat(), "via": "button"}
    assert await dates(login, "with_it") == ("left_out", effective_at), "before its acceptance is on record"
    while await accept(login.service.db, now):
        pass
    assert await dates(login, "with_it") == ("left_out", effective_at)
    assert await dates(login, "waiting") == ("not_yet_told", None)
    login.clock.move(60 * DAY)
    later = login.clock.now()
    await login.person("later", registered_at=later.isoformat())
    assert await dates(login, "later") == ("left_out", later)
    assert (await login.pending("later"))["notice"] is None
    status, _ = await login.api.ask("POST", f"{KUMO}/people/acted/acceptances", act)
    assert status in (200, 201)
    assert await dates(login, "acted") == ("accepted_by_act", effective_at + DAY)
    said = {"policy": "privacy", "version": "two", "at": later.isoformat(), "via": "letter"}
    status, _ = await login.api.ask("POST", f"{KUMO}/people/objecting/objections", said)
    assert status in (200, 201)
    assert await dates(login, "objecting") == ("objected", None)


async def test_a_new_purpose_may_begin_for_whom_the_site_says_that_they_accepted_it(login: Login) -> None:
    await login.person("known")
    await login.publish("two", flags=["new_purpose"], freeze=False)
    said = {"external_id": "known", "policy": "privacy", "version": "two", "proof": "imported", "via": "form"}
    await login.api.post(f"{KUMO}/baselines", ndjson(said))
    await login.freeze()
    version = await login.pending("known")
    assert (version["reason"], version["processing_not_before"]) == ("left_out", version["effective_at"])


async def test_words_are_shown_to_nobody_who_found_the_version_there(login: Login) -> None:
    await login.person("ann", email="")
    await login.publish("two")
    notice = (await login.pending("ann"))["notice"]
    login.clock.move(60 * DAY)
    await login.person("later", registered_at=login.clock.now().isoformat())
    words = {"policy": "privacy", "version": "two", "locale": notice["locale"], "statement": notice["statement"]}
    status, problem = await login.api.ask("POST", f"{KUMO}/people/later/shown", words)
    assert (status, "nobody had to tell this person" in problem["detail"]) == (409, True)


async def test_the_own_date_that_is_answered_is_the_one_of_the_decision(login: Login) -> None:
    await login.person("ann", email="")
    await login.publish("two")
    await login.shown("ann")
    path = f"{KUMO}/people/ann"

    async def both() -> tuple[str | None, str | None]:
        explained = await login.api.get(f"{path}/explain?policy=privacy&version=two")
        return (await login.pending("ann"))["counts_from"], explained["decision"]["counts_from"]

    async def objection(**more: Any) -> datetime:
        now = login.clock.now()
        said = {"policy": "privacy", "version": "two", "at": now.isoformat(), "via": "letter"} | more
        assert (await login.api.ask("POST", f"{path}/objections", said))[0] in (200, 201)
        return now

    shown, decided = await both()
    assert shown == decided is not None
    await login.service.db.execute("INSERT INTO posting SELECT version_id, 'en' FROM version WHERE label = 'two'")
    assert await both() == (None, None), "not posted"
    late = login.clock.now() + 90 * DAY
    await login.service.db.execute(f"UPDATE posting SET posted_at = '{late.isoformat()}'")  # noqa: S608 - ours
    login.clock.move(91 * DAY)
    shown, decided = await both()
    assert shown == decided
    assert datetime.fromisoformat(str(shown)) == late
    await objection()
    assert await both() == (None, None), "an objection stands"
    login.clock.move(DAY)
    taken_back = await objection(withdrawn=True)
    shown, decided = await both()
    assert shown == decided
    assert datetime.fromisoformat(str(shown)) == taken_back


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

"""Relays that are paused and letters of unknown fate, over HTTP: seen, counted, and let go on."""

from datetime import timedelta

from notifier.channels.channel import Sent
from notifier.compose import Service
from notifier.delivery.relays import Refusing
from notifier.letters.write import Writer
from notifier.sites.apply import apply
from tests.sites import a_site
from tests.telling import a_telling, some_letters
from tests.web import scene
from tests.web.asking import Api

RELAYS = [{"host": f"{name}.kumo.example", "security": "none"} for name in ("one", "two")]


async def refused(service: Service, count: int = 6) -> str:
    """The first of the site's two relays refuses that many people. Returns its name."""
    site = a_site(relays=RELAYS)
    await apply(service.db, site, service.clock.now())
    letters = some_letters(Writer(a_telling(site), service.keys, "https://notices.example"), count)
    via = site.relays[0].name
    sents = [Sent(letter, "deferred", "policy", "550 5.7.1 listed by a block list", via) for letter in letters]
    await Refusing(service.db).note(site, sents, service.clock.now())
    return via


async def test_a_paused_relay_is_seen_and_let_be_used_again(api: Api, service: Service) -> None:
    relay = await refused(service)
    found = await api.get("/v1/sites/kumo/relays")
    assert [(one["relay"], one["paused_until"] is not None) for one in found["relays"]] == [
        (relay, True), ("two.kumo.example:25", False),
    ]  # fmt: skip
    assert "block list" in found["relays"][0]["reason"]
    assert 'notifier_relays_paused{site="kumo"} 1.0' in (await api.ask("GET", "/metrics"))[1]
    after = await api.post("/v1/sites/kumo/relays/resume", {"relay": relay, "reason": "delisted"})
    assert [one["paused_until"] for one in after["relays"]] == [None, None]
    assert [(one["action"], one["actor"], one["reason"]) for one in after["history"]] == [
        ("resumed", "tester", "delisted"), ("paused", "notifier", "550 5.7.1 listed by a block list"),
    ]  # fmt: skip
    assert 'notifier_relays_paused{site="kumo"} 0.0' in (await api.ask("GET", "/metrics"))[1]
    status, problem = await api.ask("POST", "/v1/sites/kumo/relays/resume", {"relay": relay})
    assert status == 404
    assert "no relay of kumo that is paused" in problem["detail"]


async def test_a_pause_ends_by_itself_and_is_seen_no_more(api: Api, service: Service) -> None:
    await refused(service)
    service.clock.move(timedelta(hours=1))  # type: ignore[attr-defined] # a clock of tests
    assert [one["paused_until"] for one in (await api.get("/v1/sites/kumo/relays"))["relays"]] == [None, None]


async def test_where_no_letter_is_of_unknown_fate_there_is_nothing_to_say(api: Api, service: Service) -> None:
    site = a_site()
    await apply(service.db, site, service.clock.now())
    campaign = await scene.play(service.db, site, service.clock.now(), people=5)
    path = f"/v1/sites/kumo/campaigns/{campaign}/unknown"
    assert (await api.ask("POST", path, {"then": "resend"}))[0] == 409
    assert (await api.ask("POST", path, {"then": "forget"}))[0] == 422
    assert (await api.get(f"/v1/sites/kumo/campaigns/{campaign}"))["held"] == 0

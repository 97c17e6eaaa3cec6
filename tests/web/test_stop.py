"""Stopping all sending, and approving with two, over HTTP."""

from collections.abc import Awaitable, Callable

from notifier.compose import Service
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.sites import a_site
from tests.web import scene
from tests.web.asking import Api, Client

Token = Callable[..., Awaitable[str]]


async def test_a_site_is_stopped_and_goes_on_and_the_record_says_who(api: Api, site: Site) -> None:
    stopped = await api.post("/v1/sites/kumo/stop", {"reason": "the wrong text"})
    assert [(one["site"], one["actor"], one["reason"]) for one in stopped["stops"]] == [
        ("kumo", "tester", "the wrong text")
    ]
    assert 'notifier_stopped{site="kumo"} 1.0' in (await api.ask("GET", "/metrics"))[1]
    status, gone_on = await api.ask("DELETE", "/v1/sites/kumo/stop")
    assert (status, gone_on["stops"]) == (200, [])
    assert [one["action"] for one in gone_on["history"]] == ["go", "stop"]
    assert 'notifier_stopped{site="kumo"} 0.0' in (await api.ask("GET", "/metrics"))[1]
    status, problem = await api.ask("DELETE", "/v1/sites/kumo/stop")
    assert status == 404
    assert "not stopped" in problem["detail"]


async def test_only_a_token_for_every_site_stops_every_site(api: Api, client: Client, site: Site, token: Token) -> None:
    for scopes, whose in ((("admin",), "kumo"), (("send", "read"), None)):
        narrow = Api(client, await token(*scopes, site=whose))
        for method in ("GET", "POST", "DELETE"):
            assert (await narrow.ask(method, "/v1/stop"))[0] == 403
    assert [one["site"] for one in (await api.post("/v1/stop"))["stops"]] == [None]
    reader = Api(client, await token("read", site="kumo"))
    assert [one["site"] for one in (await reader.get("/v1/sites/kumo/stop"))["stops"]] == [None]
    assert (await reader.ask("POST", "/v1/sites/kumo/stop"))[0] == 403
    assert (await api.ask("DELETE", "/v1/stop"))[1]["stops"] == []


async def test_a_campaign_says_who_approved_it_and_that_somebody_else_must(
    api: Api, client: Client, service: Service, token: Token
) -> None:
    site = a_site(approval={"people": 2})
    await apply(service.db, site, service.clock.now())
    campaign = await scene.play(service.db, site, service.clock.now(), people=5)
    path = f"/v1/sites/kumo/campaigns/{campaign}/approve"
    first = await api.post(path)
    assert (first["state"], first["approvals"]) == ("planned", {"people": 2, "approved_by": ["tester"]})
    status, problem = await api.ask("POST", path)
    assert status == 409
    assert "somebody else must approve" in problem["detail"]
    second = await Api(client, await token("send", name="noor")).post(path)
    assert (second["state"], second["approvals"]["approved_by"]) == ("approved", ["tester", "noor"])

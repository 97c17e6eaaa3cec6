"""Stopping all sending, approving with two, and test letters, over HTTP."""

from collections.abc import Awaitable, Callable

from notifier.channels import email
from notifier.compose import Service
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.channels.smtp_server import smtp_server
from tests.sites import a_site
from tests.web import scene
from tests.web.asking import Api, Client
from tests.web.test_pages_answers import OURS, sign_in

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


async def test_test_letters_are_asked_for_with_addresses_that_are_some_and_a_relay_that_is_there(
    api: Api, service: Service, site: Site
) -> None:
    campaign = await scene.play(service.db, site, service.clock.now(), people=5)
    path = f"/v1/sites/kumo/campaigns/{campaign}/test"
    for wrong in ([], ["nonsense"], [f"a{n}@office.example" for n in range(11)]):
        assert (await api.ask("POST", path, {"addresses": wrong}))[0] == 422
    status, problem = await api.ask("POST", path, {"addresses": ["kei@office.example"]})
    assert (status, "not switched on" in problem["detail"]) == (409, True)
    async with smtp_server() as server, email.open_channel(service.settings, service.keys) as channel:
        service.channels["email"] = channel  # type: ignore[index] # a plain dictionary in tests
        relay = {"host": "127.0.0.1", "port": server.port, "security": "none"}
        await apply(service.db, a_site(relays=[relay]), service.clock.now())
        sent = await api.post(path, {"addresses": ["kei@office.example"], "locales": ["ja"]})
    (letter,) = sent["letters"]
    assert (letter["locale"], letter["outcome"], letter["failure"]) == ("ja", "accepted_by_relay", None)
    assert letter["reply"].startswith("250")
    assert letter["via"] == f"127.0.0.1:{server.port}"


async def test_no_test_letter_goes_to_a_suppressed_address_however_its_domain_is_written(
    client: Client, api: Api, token: Token, service: Service, site: Site
) -> None:
    campaign = await scene.play(service.db, site, service.clock.now(), people=5)
    await api.post("/v1/sites/kumo/suppressions", {"address": "gone@xn--bcher-kva.example"}, expect=204)
    await sign_in(client, await token(name="kei"))
    async with smtp_server() as server, email.open_channel(service.settings, service.keys) as channel:
        service.channels["email"] = channel  # type: ignore[index] # a plain dictionary in tests
        relay = {"host": "127.0.0.1", "port": server.port, "security": "none"}
        await apply(service.db, a_site(relays=[relay]), service.clock.now())
        body = {"addresses": ["gone@bücher.example"]}
        sent = await api.post(f"/v1/sites/kumo/campaigns/{campaign}/test", body)
        form = {"addresses": "gone@bücher.example"}
        answer = await client.post(f"/console/campaigns/{campaign}/test", data=form, headers=OURS)
        assert "suppression list" in await answer.text()
    assert {letter["failure"] for letter in sent["letters"]} == {"suppressed"}
    assert server.got == []

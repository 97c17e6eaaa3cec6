"""The letter that somebody was sent, over HTTP and from the terminal."""

import hashlib
from collections.abc import Awaitable, Callable

import pytest

from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.steer import steer
from notifier.channels import email
from notifier.cli import letters
from notifier.compose import Service
from notifier.delivery.deliver import Delivery
from notifier.people.erase import erase_person
from notifier.people.person import PersonInput
from notifier.people.roster import put_person
from notifier.policies.publish import publish
from notifier.sites.apply import apply
from tests.channels.smtp_server import smtp_server
from tests.sites import a_site
from tests.web.asking import Api, Client
from tests.web.scene import submission

PERSON = "u/1 ä"


async def tell(service: Service) -> tuple[str, bytes]:
    """Tell one person by email. Returns the letter's address in the API, and what arrived."""
    now, db = service.clock.now(), service.db
    async with smtp_server() as server, email.open_channel(service.settings, service.keys) as channel:
        relay = {"host": "127.0.0.1", "port": server.port, "security": "none"}
        site = a_site(relays=[relay])
        await apply(db, site, now)
        person = {"external_id": PERSON, "email": "ann@people.example", "registered_at": "2020-01-01T00:00:00Z"}
        await put_person(db, service.keys, "kumo", PersonInput.model_validate(person), now)
        await publish(db, site, submission("one"), "command", now)
        version, _ = await publish(db, site, submission("two"), "command", now)
        campaign = await announce(db, site, version.version_id, now, "test")
        await steer(db, "kumo", campaign, "approve", "test", "", now)
        await freeze_next(db, 1000, now)
        delivery = Delivery(db, service.clock, service.keys, {"email": channel}, service.settings, "worker")
        while await delivery.deliver_next(bool):
            pass
    return f"/v1/sites/kumo/campaigns/{campaign}/people/u%2F1%20%C3%A4/letter", server.got[0].content


async def test_the_exact_letter_comes_back_and_says_that_it_matches(service: Service, api: Api, client: Client) -> None:
    path, arrived = await tell(service)
    async with client.get(path, headers=api.headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "message/rfc822"
        assert await answer.read() == arrived
        assert answer.headers["Letter-Matches"] == "true"
        assert answer.headers["Letter-SHA256"] == hashlib.sha256(arrived).hexdigest()
        assert (answer.headers["Letter-Channel"], answer.headers["Letter-Attempt"]) == ("email", "1")
    assert (await api.ask("GET", path + "?attempt=2"))[0] == 404
    assert (await api.ask("GET", path + "?channel=inbox"))[0] == 404
    assert (await api.ask("GET", path + "?attempt=0"))[0] == 422
    assert (await api.ask("GET", path.replace("u%2F1", "nobody")))[0] == 404
    assert (await api.ask("GET", path.replace("kumo", "other")))[0] == 404


async def test_one_must_be_allowed_to_read(
    service: Service, client: Client, token: Callable[..., Awaitable[str]]
) -> None:
    path, _ = await tell(service)
    assert (await Api(client, await token("read")).ask("GET", path))[0] == 403


async def test_of_somebody_erased_the_letter_is_refused_with_a_reason(service: Service, api: Api) -> None:
    path, arrived = await tell(service)
    await erase_person(service.db, service.keys, "kumo", PERSON, service.clock.now())
    status, problem = await api.ask("GET", path)
    assert status == 409
    assert hashlib.sha256(arrived).hexdigest() in problem["detail"]


async def test_the_terminal_writes_the_letter_and_ends_with_1_when_it_is_another(
    service: Service,
    api: Api,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    path, arrived = await tell(service)
    monkeypatch.setenv("NOTIFIER_TOKEN", api.headers["Authorization"].removeprefix("Bearer "))
    which = {"campaign": int(path.split("/")[5]), "person": PERSON, "url": str(client.make_url("/")).rstrip("/")}
    assert await letters.letter("kumo", **which) == 0
    assert capfdbinary.readouterr().out.endswith(arrived)  # after what the service in this process logs
    async with service.db.connection() as connection:
        await connection.execute("UPDATE intent SET sha256 = sha256('')")
    assert await letters.letter("kumo", **which) == 1

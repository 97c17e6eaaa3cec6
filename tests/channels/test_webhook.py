"""The site's own private messages: what is signed, what answers mean, and where a webhook may not go."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from notifier.channels.channel import Sent
from notifier.channels.webhook import WebhookChannel, open_channel, seconds_asked
from notifier.keys import Keys
from notifier.letters.letter import Letter
from notifier.letters.write import Writer
from notifier.outward import OutwardResolver, lies_outside, objection_to
from notifier.settings import Settings
from notifier.sites.site import Site
from tests.channels.endpoint import Endpoint, endpoint
from tests.sites import a_site
from tests.telling import a_telling, some_letters

KEYS = Keys(b"a secret that only tests know and that is long enough")


@pytest.fixture
async def there() -> AsyncIterator[Endpoint]:
    async with endpoint() as open_one:
        yield open_one


@pytest.fixture
async def channel() -> AsyncIterator[WebhookChannel]:
    async with open_channel(Settings(webhook_hosts=["127.0.0.1"]), KEYS) as opened:
        yield opened


def site_of(there: Endpoint, generation: int = 1) -> Site:
    return a_site(webhook={"url": there.url, "generation": generation})


def letters(count: int = 3) -> list[Letter]:
    return some_letters(Writer(a_telling(), KEYS, "https://notices.example"), count, "webhook")


async def sent(channel: WebhookChannel, site: Site, some: list[Letter]) -> list[Sent]:
    return [one async for one in channel.send(site, some)]


async def test_a_message_has_what_a_site_needs_and_nothing_of_the_address(channel, there):
    await sent(channel, site_of(there), letters(1))
    (letter,) = there.letters
    assert letter["external_id"] == "u-1"
    assert letter["url"] == "https://notices.example/p/kumo/privacy/2026-04/en"
    assert "Privacy Policy" in letter["subject"]
    assert letter["effective_at"] == "2026-04-01T02:30:00Z"
    assert set(letter) == {
        "id", "external_id", "campaign_id", "policy", "label", "published_at", "effective_at", "locale",
        "subject", "text", "html", "url", "corrects", "purpose", "changes_since", "redline_url",
    }  # fmt: skip
    assert b"person1@example.net" not in there.bodies[0]


async def test_what_is_sent_is_the_bytes_that_were_hashed(channel, there):
    some = letters(2)
    await sent(channel, site_of(there), some)
    assert there.bodies[0] == b'{"type":"policy.notices","letters":[%b,%b]}' % (some[0].body, some[1].body)


async def test_at_most_500_people_go_in_one_request(channel, there):
    assert len(await sent(channel, site_of(there), letters(1001))) == 1001
    assert [len(orjson.loads(body)["letters"]) for body in there.bodies] == [500, 500, 1]


async def test_the_same_batch_has_the_same_id_on_every_try_and_other_batches_have_another(channel, there):
    there.answers = [web.Response(status=503)]
    some = letters()
    await sent(channel, site_of(there), some)
    await sent(channel, site_of(there), some)
    await sent(channel, site_of(there), some[:2])
    assert there.ids[0] == there.ids[1] != there.ids[2]
    assert there.bodies[0] == there.bodies[1]


@pytest.mark.parametrize("generation", [1, 2])
async def test_both_sides_of_a_rotation_can_verify(channel, there, generation):
    there.secret = KEYS.message_secret("kumo", generation)
    assert [one.kind for one in await sent(channel, site_of(there, 2), letters(1))] == ["placed"]


async def test_another_secret_does_not_verify(channel, there):
    there.secret = KEYS.webhook_secret("kumo", 1)
    assert [one.kind for one in await sent(channel, site_of(there), letters(1))] == ["deferred"]


@pytest.mark.parametrize("answer", [web.Response(status=204), web.Response(text="OK"), web.json_response({})])
async def test_a_success_without_results_means_everybody(channel, there, answer):
    there.answers = [answer]
    assert {one.kind for one in await sent(channel, site_of(there), letters())} == {"placed"}


@pytest.mark.parametrize(
    "body", ['{"results": [{"external_id": "u-1", "result": "perhaps"}]}', "{", "[]", '{"results": "' + "x" * 2**20]
)
async def test_an_answer_that_cannot_be_read_vouches_for_nobody(channel, there, body):
    there.answers = [web.Response(text=body, content_type="application/json")]
    found = await sent(channel, site_of(there), letters())
    assert {(one.kind, one.class_) for one in found} == {("unknown", "endpoint")}


@pytest.mark.parametrize("status", [502, 504])
async def test_who_stands_before_an_endpoint_that_gave_no_answer_knows_nothing(channel, there, status):
    there.answers = [web.Response(status=status, headers={"Retry-After": "90"})]
    found = await sent(channel, site_of(there), letters())
    assert {(one.kind, one.class_, one.retry_after) for one in found} == {("unknown", "endpoint", 90.0)}


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
async def test_any_other_status_defers_the_whole_batch_and_follows_nowhere(channel, there, status):
    headers = {"Location": there.url, "Retry-After": "90"}
    there.answers = [web.Response(status=status, text="not\nnow", headers=headers)]
    found = await sent(channel, site_of(there), letters())
    assert {(one.kind, one.class_, one.reply, one.retry_after) for one in found} == {
        ("deferred", "endpoint", f"{status} not now", 90.0)
    }
    assert len(there.ids) == 1


async def test_410_ends_it_for_all(channel, there):
    there.answers = [web.Response(status=410)]
    assert {(one.kind, one.class_) for one in await sent(channel, site_of(there), letters())} == {("refused", "gone")}


def test_an_endpoint_is_another_one_with_another_address_or_generation(channel, there):
    elsewhere = a_site(webhook={"url": there.url + "/v2"})
    assert len({channel.endpoint(site) for site in (site_of(there), site_of(there, 2), elsewhere)}) == 3
    assert channel.endpoint(a_site()) == ""


def results(*named: tuple[str, str]) -> web.Response:
    return web.json_response({"results": [{"external_id": who, "result": what} for who, what in named]})


async def test_whoever_is_not_named_was_accepted_where_nobody_else_is_named(channel, there):
    there.answers = [results(("u-2", "refused"), ("u-2", "refused"))]
    assert [one.kind for one in await sent(channel, site_of(there), letters())] == ["placed", "refused", "placed"]


async def test_results_for_people_who_were_not_asked_about_vouch_for_nobody_who_is_not_named(channel, there):
    there.answers = [results(("u-1", "accepted"), ("U2", "refused"), ("", "accepted"))]
    found = await sent(channel, site_of(there), letters())
    assert [(one.kind, one.class_) for one in found] == [("placed", None), *[("unknown", "endpoint")] * 2]
    assert "results for 2 who were not asked about" in found[1].reply


async def test_two_results_for_one_person_that_differ_vouch_for_nothing_and_cost_nobody_else(channel, there):
    there.answers = [results(("u-1", "accepted"), ("u-1", "refused"), ("u-2", "accepted"), ("u-2", "accepted"))]
    found = await sent(channel, site_of(there), letters())
    assert [one.kind for one in found] == ["unknown", "placed", "placed"]
    assert found[0].reply == "200 with several results for this person"


GARBAGE = [
    b"",
    b"\0\xff\xfe" * 50,
    b"220 mail.example ESMTP\r\n",
    b"HTTP/1.1 twohundred OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: \xff/; charset=\r\nContent-Length: 3\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    b"HTTP/1.1 503 no\r\nContent-Length: 9\r\n\r\nno",
    b"HTTP/1.1 204 yes\r\nRetry-After: \xff\r\n",
]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_an_endpoint_that_answers_garbage_may_have_taken_it_and_breaks_nothing(garbage):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}]}")
        writer.write(garbage)
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(babble, "127.0.0.1", 0, limit=2**20)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with listener, open_channel(Settings(webhook_hosts=["127.0.0.1"]), KEYS) as channel:
        found = await sent(channel, a_site(webhook={"url": url}), letters())
    kind = "deferred" if b" 503 " in garbage else "unknown"
    assert [(one.kind, one.class_) for one in found] == [(kind, "endpoint")] * 3
    assert found[0].reply.isprintable()
    assert 0 < len(found[0].reply) <= 250


@pytest.mark.parametrize("status", [200, 503])
async def test_a_body_that_comes_too_slowly_or_has_no_end_is_given_up(monkeypatch, status):
    monkeypatch.setattr("notifier.channels.webhook._TIME", aiohttp.ClientTimeout(total=0.5))
    sizes = {"slow": (1, 0.05), "endless": (256 * 1024, 0)}
    for size, pause in sizes.values():
        ended = asyncio.Event()

        async def drip(request: web.Request) -> web.StreamResponse:
            answer = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
            await answer.prepare(request)
            try:
                while True:
                    await answer.write(b" " * size)  # noqa: B023 - called within the loop's turn
                    await asyncio.sleep(pause)  # noqa: B023
            finally:
                ended.set()  # noqa: B023

        app = web.Application()
        app.router.add_post("/", drip)
        async with TestServer(app) as server, open_channel(Settings(webhook_hosts=["127.0.0.1"]), KEYS) as channel:
            site = a_site(webhook={"url": str(server.make_url("/"))})
            assert {(one.kind, one.class_) for one in await sent(channel, site, letters())} == {
                ("unknown" if status == 200 else "deferred", "endpoint")
            }
            await asyncio.wait_for(ended.wait(), 5)


async def test_silence_after_the_request_had_begun_is_unknown_and_without_a_connection_nothing_left(there, monkeypatch):
    monkeypatch.setattr("notifier.channels.webhook._TIME", aiohttp.ClientTimeout(total=0.1))
    async with open_channel(Settings(webhook_hosts=["127.0.0.1", "nowhere.invalid"]), KEYS) as channel:
        there.delay = 1
        (one,) = await sent(channel, site_of(there), letters(1))
        assert (one.kind, one.class_, one.reply) == ("unknown", "endpoint", "no answer in time")
        nobody = a_site(webhook={"url": "http://127.0.0.1:9/"})
        assert [one.kind for one in await sent(channel, nobody, letters(1))] == ["deferred"]
        nowhere = a_site(webhook={"url": "http://nowhere.invalid/"})
        assert [(one.kind, one.class_) for one in await sent(channel, nowhere, letters(1))] == [
            ("deferred", "endpoint")
        ]


async def test_a_time_out_while_connecting_defers(monkeypatch):
    """A TLS handshake that nobody answers: nothing of the message has left."""
    monkeypatch.setattr("notifier.channels.webhook._TIME", aiohttp.ClientTimeout(total=0.2))

    left = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()
        left.set()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with listener, open_channel(Settings(webhook_hosts=["127.0.0.1"]), KEYS) as channel:
        found = await sent(channel, a_site(webhook={"url": url}), letters())
        await asyncio.wait_for(left.wait(), 5)
    assert [(one.kind, one.class_) for one in found] == [("deferred", "endpoint")] * 3


async def test_a_site_without_a_webhook_defers(channel):
    assert [one.reply for one in await sent(channel, a_site(), letters(1))] == ["the site names no webhook"]


@pytest.mark.parametrize(
    "url",
    ["http://shop.example/", "https://127.0.0.1/", "https://[::1]/", "https://10.1.2.3/", "https://169.254.169.254/",
     "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/", "https://0.0.0.0/"],
)  # fmt: skip
async def test_a_webhook_goes_only_outside_and_by_https(url):
    assert objection_to(URL(url), frozenset())
    async with open_channel(Settings(), KEYS) as channel:
        found = await sent(channel, a_site(webhook={"url": url}), letters(1))
    assert [(one.kind, one.class_) for one in found] == [("deferred", "endpoint")]


async def test_a_name_that_leads_inside_is_not_followed(there):
    with pytest.raises(OSError, match="our own network"):
        await OutwardResolver(frozenset()).resolve("localhost", 443)
    assert await OutwardResolver(frozenset({"localhost"})).resolve("localhost", 443)
    async with open_channel(Settings(), KEYS) as channel:
        url = there.url.replace("http://127.0.0.1", "https://localhost")
        assert [one.kind for one in await sent(channel, a_site(webhook={"url": url}), letters(1))] == ["deferred"]
    assert there.ids == []


def test_addresses_outside_are_known():
    assert lies_outside("93.184.215.14")
    assert lies_outside("2606:4700::1111")
    assert not any(map(lies_outside, ["192.168.0.1", "fe80::1%eth0", "fd00::1", "224.0.0.1", "100.64.0.1", "name"]))


def test_retry_after_is_read_as_seconds_or_as_a_date():
    assert seconds_asked("120") == 120.0
    soon = seconds_asked(format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True))
    assert soon is not None
    assert 290 < soon <= 300
    assert seconds_asked("Fri, 31 Dec 9999 23:59:59 GMT") == 10 * 86400
    assert seconds_asked("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_asked("") is seconds_asked("soon") is seconds_asked("1e9") is None

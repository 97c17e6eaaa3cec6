"""Requests that no honest sender makes: each is refused with a reason, and none is a failure of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import pytest
from yarl import URL

from notifier.activity.memory import Memory
from notifier.activity.unfold import unfold
from notifier.compose import Service
from notifier.people.erase import erase_person
from notifier.people.roster import get_person
from notifier.sites.site import Site
from tests.web.asking import Api, Client, ndjson, submission
from tests.web.scene import begin, play, sql

Token = Callable[..., Awaitable[str]]
Send = Callable[..., Awaitable[tuple[int, Any]]]
OUR_PAGE = {"Sec-Fetch-Site": "same-origin"}
MULTIPART = "multipart/form-data; boundary=x"
CANARY = "kanarek"


async def sign_in(client: Client, token: str) -> dict[str, str]:
    async with client.post("/console/login", data={"token": token}, headers=OUR_PAGE, allow_redirects=False) as answer:
        assert answer.status == 303
        return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]} | OUR_PAGE


async def say(client: Client, raw: bytes) -> bytes:
    """Bytes that no HTTP library would send, and the first line of the answer."""
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(raw)
    try:
        return await asyncio.wait_for(reader.readline(), 10)
    finally:
        writer.close()


@pytest.fixture
async def campaign(service: Service, site: Site, now: datetime) -> int:
    return await play(service.db, site, now, people=8)


@pytest.mark.parametrize(
    "path",
    [
        "/p/%00", "/p/kumo/%00", "/p/kumo/privacy/%00/en", "/p/kumo/privacy/2026-03/%00", "/p/kumo/privacy/%00/en/raw",
        "/p/kumo/privacy/%ff/en", "/p/kumo/privacy/2026-03/..%2f..", "/static/..%2f..%2fpyproject.toml",
        "/static/../../pyproject.toml", "/static//etc/passwd", "/static/%2e%2e/base.html.j2", "/static/%00",
        "/console/people?site=kumo&id=%00", "/console/people?site=%00&id=x", "/console/people?site=kumo&id=%ed%a0%80",
        "/console/campaigns/1/notices?channel=%00", "/console/campaigns/1/notices.csv?locale=%00",
        "/console/sites/%00/policies/privacy", "/console%2fpeople", "/language/en/%00",
    ],
)  # fmt: skip
async def test_an_address_that_cannot_be_one_is_not_found(
    client: Client, token: Token, campaign: int, path: str
) -> None:
    cookie = await sign_in(client, await token())
    async with client.get(URL(path, encoded=True), headers=cookie) as answer:
        assert answer.status == 404, await answer.text()


@pytest.mark.parametrize("query", ["status=no", "reason=no", "cursor=%00", "cursor=AAAA", "cursor=%f0%9f%98%80"])
async def test_a_filter_that_cannot_be_one_is_refused(client: Client, token: Token, campaign: int, query: str) -> None:
    cookie = await sign_in(client, await token())
    address = URL(f"/console/campaigns/{campaign}/notices?{query}", encoded=True)
    async with client.get(address, headers=cookie) as answer:
        assert answer.status in (404, 422)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b""), (MULTIPART, b"--x\r\nfoo"),
        (MULTIPART, b"--x\r\nContent-Disposition: form-data; name=token; filename=a\r\n\r\nb\r\n--x--\r\n"),
        ("application/x-www-form-urlencoded; charset=bogus", b"token=a"),
        ("application/x-www-form-urlencoded; charset=unicode_escape", b"token=\\ud800"),
        ("application/x-www-form-urlencoded", b"token=\xff"),
    ],
)  # fmt: skip
async def test_a_form_that_no_browser_sends_is_refused(
    client: Client, token: Token, campaign: int, kind: str, body: bytes
) -> None:
    for path, cookie in (
        ("/console/login", OUR_PAGE),
        (f"/console/campaigns/{campaign}/cancel", await sign_in(client, await token())),
    ):
        async with client.post(path, data=body, headers=cookie | {"Content-Type": kind}) as answer:
            assert answer.status in (400, 415), await answer.text()


@pytest.mark.parametrize("deep", [100, 240, 400, 900, 1020, 50_000])
async def test_deeply_nested_documents_are_refused(api: Api, deep: int) -> None:
    nest = b"[" * deep + b'"\\u0000"' + b"]" * deep
    kind = {"headers": {"Content-Type": "application/json"}}
    asked = [
        await api.ask("POST", "/v1/sites/kumo/suppressions", nest, **kind),
        await api.ask("PUT", "/v1/sites/kumo/people/u-1", b'{"attributes": {"a": ' + nest + b"}}", **kind),
        await api.ask("POST", "/v1/sites/kumo/activities", b'{"kind": ' + nest + b"}", **kind),
    ]
    assert {status for status, _ in asked} <= {400, 422}
    report = await api.post("/v1/sites/kumo/people", b'{"external_id": "a", "roles": ' + nest + b"}")
    assert (report["kept"], report["refused"]) == (0, 1)


async def test_headers_that_are_no_text_are_refused(client: Client, token: Token, site: Site) -> None:
    bearer = b"Authorization: Bearer " + (await token()).encode()
    for expected, raw in [
        (b"303", b"GET /console HTTP/1.1\r\nHost: x\r\nCookie: notifier-session=a.\xff\xfe\r\n\r\n"),
        (b"303", b"GET /console HTTP/1.1\r\nHost: x\r\nCookie: notifier-session=\xff.0." + b"0" * 32 + b"\r\n\r\n"),
        (b"401", b"GET /v1/sites HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n"),
        (b"401", b"GET /v1/inbox HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer kumo.\xff.\xfe\r\n\r\n"),
        (b"200", b"GET / HTTP/1.1\r\nHost: x\r\nAccept-Language: \xff;q=nan,en;q=inf\r\n\r\n"),
        (b"400", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n"),
        (b"400", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n"),
        (b"400", b"POST /v1/sites/kumo/people HTTP/1.1\r\nHost: x\r\n" + bearer
         + b"\r\nContent-Type: application/x-ndjson\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnogz"),
        (b"401", b"POST /v1/sites/kumo/hooks/versions HTTP/1.1\r\nHost: x\r\nwebhook-id: \xff\r\nwebhook-timestamp: inf"
         b"\r\nwebhook-signature: v1,\xff\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
    ]:  # fmt: skip
        assert (await say(client, raw)).split()[1] == expected, raw[:200]


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "/\t/evil.example", "https://evil.example", "/.//evil.example",
             "/%2e//evil.example", "/%0d%0aSet-Cookie: a=b", "javascript:alert(1)", "/\x01/evil.example"],
)  # fmt: skip
async def test_the_language_switch_stays_on_this_host(client: Client, back: str) -> None:
    async with client.get("/language/en", params={"back": back}, allow_redirects=False) as answer:
        there = URL("https://notices.example/p/").join(URL(answer.headers["Location"], encoded=True))
        assert (answer.status, there.host, "\n" in answer.headers["Location"]) == (303, "notices.example", False)
        assert not answer.headers["Location"].startswith(("//", "/\\", "/\t"))


async def test_a_campaign_of_another_site_looks_like_none(
    client: Client, token: Token, campaign: int, market: Site
) -> None:
    cookie = await sign_in(client, await token("read", "send", site="hata"))
    for path in ("", "/live", "/counts", "/notices", "/notices.csv", "/approve"):
        said = []
        for number in (campaign, 99_999):
            async with client.get(f"/console/campaigns/{number}{path}", headers=cookie) as answer:
                main = (await answer.text()).partition("<main")[2].partition('class="digest"')[0]
                said.append((answer.status, main.replace(f"campaign {number}", "campaign N")))
        assert said[0] == said[1]
        assert said[0][0] == 404
        assert "kumo" not in said[0][1].lower()


async def test_reading_shows_what_was_done_and_not_where_somebody_is_reached(
    client: Client, token: Token, campaign: int
) -> None:
    for scopes, shown in ((["read"], False), (["read", "people"], True)):
        cookie = await sign_in(client, await token(*scopes))
        async with client.get("/console/people?site=kumo&id=u-00001", headers=cookie) as answer:
            page = await answer.text()
        assert ("u1@people.example" in page) is shown
        assert "u-00001" in page


async def test_what_a_spreadsheet_takes_for_a_formula_is_words(
    api: Api, service: Service, campaign: int, site: Site, now: datetime
) -> None:
    ids = ["=1+1", "+1", "-1", "@SUM(A1)", "＝1+1", "＋1", "－1", "＠SUM(A1)"]
    people = ndjson(*({"external_id": one, "registered_at": "2024-01-01"} for one in ids))
    assert (await api.post("/v1/sites/kumo/people", people))["kept"] == len(ids)
    await begin(service.db, campaign, site.site, now)
    csv = await api.get(f"/v1/sites/kumo/campaigns/{campaign}/notices?format=csv")
    for one in ids:
        assert f"\n'{one}," in csv


async def test_nothing_of_an_erased_person_is_left_anywhere(
    api: Api, service: Service, send_version: Send, site: Site, clock: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Their whole story by the API, then a search for the canary in every table, and in all that was logged."""
    person = f"/v1/sites/kumo/people/{CANARY}-id"
    await send_version("kumo", submission("1"), "msg-1")
    await api.ask("PUT", person, {
        "email": f"{CANARY}@people.example", "roles": [CANARY], "attributes": {CANARY: CANARY}, "locale": "ja",
        "registered_at": "2024-01-01T00:00:00Z", "registration_version": "1",
    })  # fmt: skip
    status, published = await send_version("kumo", submission("2", "Other words."), "msg-2")
    assert status == 202
    campaign = int(published["campaign"].rpartition("/")[2])
    await begin(service.db, campaign, "kumo", clock.now())
    found = await get_person(service.db, service.keys, "kumo", f"{CANARY}-id")
    who = (found.lane, found.person_id, campaign)
    await sql(service.db, "INSERT INTO outcome VALUES ($1, $2, $3, 'email', 1, 'deferred', now(), NULL, '', '',"
              " now(), NULL, $4, '')", *who, f"{CANARY}@people.example")  # fmt: skip
    await sql(service.db, "INSERT INTO outcome VALUES ($1, $2, $3, 'email', 1, 'bounced', now(), 'bad', $4, $5)",
              *who, f"550 <{CANARY}@people.example> unknown", f"mx.{CANARY}.example")  # fmt: skip
    act = {"policy": "privacy", "version": "2", "via": f"{CANARY} called"}
    key = {"headers": {"Idempotency-Key": f"{CANARY}-key"}}
    await api.post(f"{person}/acceptances", act, **key)
    await api.post(f"{person}/objections", act | {"statement": f"{CANARY} objects"})
    use = {"external_id": f"{CANARY}-id", "kind": "login", "occurred_at": clock.now().isoformat(), "ip": "203.0.113.9",
           "url": f"https://kumo.example/{CANARY}", "user_agent": CANARY}  # fmt: skip
    await api.post("/v1/sites/kumo/activities", use)
    await unfold(service.db, Memory(), clock.now())
    await api.post("/v1/sites/kumo/activities", use)
    await api.post("/v1/sites/kumo/suppressions", {"address": f"{CANARY}@people.example"}, expect=204)
    await api.ask("GET", f"{person}/timeline?{CANARY}={CANARY}")
    await api.ask("PUT", person, {"email": f"{CANARY}@", "roles": [CANARY * 99]})
    assert CANARY in str(await api.get(f"{person}/timeline"))
    await erase_person(service.db, service.keys, "kumo", f"{CANARY}-id", clock.now())
    assert await unfold(service.db, Memory(), clock.now()) == 1  # the use that waited: a worker does it in a moment
    async with service.db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM reported") == 0
        tables = [row[0] for row in await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")]  # fmt: skip
        for table in tables:
            question = f"SELECT count(*) FROM {table} t WHERE t::text LIKE $1"  # noqa: S608 - our own tables
            assert await connection.fetchval(question, f"%{CANARY}%") == 0, table
    assert CANARY not in "".join(capfd.readouterr())

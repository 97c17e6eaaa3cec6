"""What holds for every request: who asks, problems, ids, headers, limits, and what the logs keep."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import pytest
from structlog.testing import capture_logs

from notifier.compose import Service
from notifier.sites.tokens import revoke_token
from tests.web.asking import Api, Client

Token = Callable[..., Awaitable[str]]


async def test_without_a_token_nothing_of_a_site_is_shown(client: Client) -> None:
    for header in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer x"}):
        async with client.get("/v1/sites/kumo", headers=header) as answer:
            assert answer.status == 401
            assert answer.content_type == "application/problem+json"
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert (await answer.json(content_type=None))[
                "type"
            ] == "http://notices.example/docs#problem-unauthenticated"


async def test_another_sites_token_finds_nothing_exactly_as_where_there_is_nothing(
    client: Client, token: Token, market: Any
) -> None:
    api = Api(client, await token("read", "people", site="kumo"))
    theirs = await api.ask("GET", "/v1/sites/hata")
    nobodys = await api.ask("GET", "/v1/sites/nobody")
    assert theirs[0] == nobodys[0] == 404
    assert theirs[1]["detail"].replace("hata", "nobody") == nobodys[1]["detail"]
    assert await api.get("/v1/sites") == {"sites": ["kumo"]}


async def test_a_token_without_the_scope_is_told_which_one_is_missing(client: Client, token: Token) -> None:
    status, problem = await Api(client, await token("people", site="kumo")).ask("GET", "/v1/sites/kumo")
    assert status == 403
    assert "'read'" in problem["detail"]


async def test_a_revoked_token_is_unknown(client: Client, token: Token, service: Service) -> None:
    api = Api(client, await token("read", site="kumo", name="leaving"))
    assert (await api.ask("GET", "/v1/sites/kumo"))[0] == 200
    await revoke_token(service.db, "kumo", "leaving", service.clock.now())
    assert (await api.ask("GET", "/v1/sites/kumo"))[0] == 401


async def test_a_ready_made_answer_says_what_a_made_one_says(client: Client, token: Token) -> None:
    use = {"external_id": "nobody", "occurred_at": "2026-03-01T08:00:00Z", "kind": "login"}
    head = {"Authorization": f"Bearer {await token('activity', site='kumo')}", "X-Request-Id": "said-by-the-caller"}
    answers = []
    for more in ({}, {}, {"Connection": "close"}):  # by the second the token is known; the third is not kept open
        async with client.post("/v1/sites/kumo/activities", json=use, headers=head | more) as answer:
            own = {
                name: value for name, value in answer.headers.items() if name not in ("Date", "Server", "Connection")
            }
            answers.append((answer.status, own, await answer.read()))
            assert "Date" in answer.headers
    assert answers[0] == answers[1] == answers[2]
    assert answers[1][1]["X-Request-ID"] == "said-by-the-caller"


async def test_a_revoked_token_reports_no_more_activities(client: Client, token: Token, service: Service) -> None:
    api = Api(client, await token("activity", site="kumo", name="leaving"))
    other = Api(client, await token("read", site="kumo"))
    use = {"external_id": "nobody", "occurred_at": "2026-03-01T08:00:00Z", "kind": "login"}
    for _ in range(2):  # the second time it is known
        answer = await api.post("/v1/sites/kumo/activities", use)
        assert answer == {"read": 1, "kept": 0, "waiting": 1, "ignored": {}, "faulty": 0, "faults": []}
        assert (await api.ask("POST", "/v1/sites/hata/activities", use))[0] == 404
        assert (await api.ask("POST", "/v1/sites/kumo/activities", use | {"kind": "Log in"}))[0] == 400
        assert (await other.ask("POST", "/v1/sites/kumo/activities", use))[0] == 403
    await revoke_token(service.db, "kumo", "leaving", service.clock.now())
    status, problem = await api.ask("POST", "/v1/sites/kumo/activities", use)
    assert (status, problem["type"]) == (401, "http://notices.example/docs#problem-unauthenticated")
    assert (await api.ask("POST", "/v1/sites/kumo/activities", use))[0] == 401


async def test_what_does_not_exist_and_what_is_not_allowed_are_problems_too(api: Api) -> None:
    status, problem = await api.ask("GET", "/v1/nothing")
    assert (status, problem["status"]) == (404, 404)
    status, problem = await api.ask("DELETE", "/v1/sites")
    assert (status, problem["title"]) == (405, "Method Not Allowed")
    status, problem = await api.ask("GET", "/v1/sites/KUMO%00")
    assert status == 404


async def test_pages_get_a_page_and_programs_a_problem(client: Client) -> None:
    async with client.get("/nothing-here") as answer:
        assert answer.status == 404
        assert "json" not in answer.content_type


async def test_every_answer_carries_its_request_id_and_the_security_headers(client: Client) -> None:
    async with client.get("/v1/sites", headers={"X-Request-Id": "mine-1234567"}) as answer:
        assert answer.headers["X-Request-Id"] == "mine-1234567"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert (await answer.json(content_type=None))["request"] == "mine-1234567"
    async with client.get("/healthz", headers={"X-Request-Id": "<script>alert(1)"}) as answer:
        assert answer.headers["X-Request-Id"].isalnum()


async def test_a_failure_of_ours_says_its_request_id_and_nothing_else(
    client: Client, api: Api, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fail(*_: Any) -> None:
        raise RuntimeError("the address aoi@example.jp is on fire")

    monkeypatch.setattr("notifier.web.api.sites.load_site", fail)
    status, problem = await api.ask("GET", "/v1/sites/kumo", headers={"X-Request-Id": "canary-0001"})
    assert (status, problem["request"]) == (500, "canary-0001")
    logged = "".join(capfd.readouterr())
    assert "aoi@" not in json.dumps(problem) + logged
    assert "canary-0001" in logged
    assert "RuntimeError" in logged


async def test_the_log_names_the_route_and_never_the_person(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    await api.ask("GET", "/v1/sites/kumo/versions?policy=canary-policy")
    await api.ask("GET", "/canary-path/aoi")
    logged = "".join(capfd.readouterr())
    assert "/v1/sites/{site}/versions" in logged
    assert "canary" not in logged


async def test_unknown_repeated_and_ill_fitting_query_parameters_are_named(api: Api) -> None:
    status, problem = await api.ask("GET", "/v1/sites/kumo/versions?polic=x")
    assert (status, [e["pointer"] for e in problem["errors"]]) == (422, ["?polic"])
    status, problem = await api.ask("GET", "/v1/sites/kumo/versions?policy=privacy&policy=terms")
    assert (status, [e["pointer"] for e in problem["errors"]]) == (422, ["?policy"])
    status, problem = await api.ask("GET", "/v1/sites/kumo/versions?policy=%00")
    assert (status, [e["pointer"] for e in problem["errors"]]) == (422, ["?policy"])


HOSTILE: list[tuple[bytes, str, int]] = [
    (b"", "application/json", 400),
    (b"{", "application/json", 400),
    (b"\xff\xfe{}", "application/json", 400),
    (b'{"advance_seconds": "\\ud800"}', "application/json", 400),
    (b'{"advance_seconds": NaN}', "application/json", 422),
    (b"[" * 100_000, "application/json", 400),
    (b'{"a":' * 100_000, "application/json", 400),
    (b'{"advance_seconds": 1, "\\u0000": 2}', "application/json", 422),
    (b'{"advance_seconds": "\\u0000"}', "application/json", 422),
    (b'{"advance_seconds": 99999999999999999999999999}', "application/json", 422),
    (b'{"advance_seconds": -1}', "application/json", 422),
    (b'{"advance_seconds": 1, "advance_hours": 1}', "application/json", 422),
    (b"null", "application/json", 422),
    (b'{"advance_seconds": 1}', "text/plain", 415),
    (b"advance_seconds=1", "application/x-www-form-urlencoded", 415),
    (b'{"advance_seconds": "{{ 7 * 7 }}<script>alert(1)</script>"}', "application/json", 422),
]


@pytest.mark.parametrize(("body", "kind", "expected"), HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
async def test_hostile_bodies_are_refused_with_a_reason(api: Api, body: bytes, kind: str, expected: int) -> None:
    status, problem = await api.ask("POST", "/v1/clock", body, headers={"Content-Type": kind})
    assert status == expected, problem
    assert problem["detail"]
    assert "<script>" not in json.dumps(problem)


async def test_a_body_over_the_limit_is_refused(api: Api) -> None:
    body = b'{"advance_seconds": 1' + b" " * (3 * 1024 * 1024) + b"}"
    status, problem = await api.ask("POST", "/v1/clock", body, headers={"Content-Type": "application/json"})
    assert (status, problem["title"]) == (413, HTTPStatus(413).phrase)


async def test_a_small_body_that_unpacks_beyond_the_limit_is_refused(api: Api) -> None:
    import gzip

    body = gzip.compress(b'{"advance_seconds": 1' + b" " * (20 * 1024 * 1024) + b"}")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    status, _ = await api.ask("POST", "/v1/clock", body, headers=headers)
    assert status == 413


async def test_a_sender_that_goes_away_is_no_failure_of_ours(client: Client, token: Token) -> None:
    head = (
        f"POST /v1/sites/kumo/people HTTP/1.1\r\nHost: notices.example\r\nAuthorization: Bearer {await token()}\r\n"
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(head.encode() + b'10\r\n{"external_id"')
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.transport.abort()
        async with asyncio.timeout(5):
            while not any(line["event"] == "request" for line in logs):
                await asyncio.sleep(0.01)
    assert [line for line in logs if line["log_level"] == "error"] == []

"""People over HTTP: streams of lines, one person, erasure, and what hostile lines come to."""

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.web.asking import Api, Client, ndjson, submission

PEOPLE = "/v1/sites/kumo/people"


async def test_people_come_as_lines_and_bad_ones_are_named(api: Api) -> None:
    lines = ndjson({"external_id": "a", "email": "a@example.jp"}, {"external_id": "b", "locale": "ja"})
    lines += b'{"external_id": "c", "country": "Japan"}\n\nnot json\r\n' + b'{"external_id": "d"}'
    report = await api.post(PEOPLE, lines)
    assert {name: report[name] for name in ("read", "kept", "refused", "created")} == {
        "read": 5, "kept": 3, "refused": 2, "created": 3,
    }  # fmt: skip
    assert [fault["pointer"] for fault in report["faults"]] == ["line 3", "line 5"]
    again = await api.post(PEOPLE, lines)
    assert (again["created"], again["unchanged"]) == (0, 3)


async def test_a_line_of_ten_megabytes_is_one_bad_line(api: Api) -> None:
    lines = ndjson({"external_id": "a"}, {"external_id": "b", "email": "x" * 10_000_000}, {"external_id": "c"})
    report = await api.post(PEOPLE, lines)
    assert (report["kept"], report["refused"], report["faults"][0]["pointer"]) == (2, 1, "line 2")


async def test_an_import_of_any_length_takes_the_same_memory(api: Api) -> None:
    async def lines(count: int) -> AsyncIterator[bytes]:
        for number in range(count):
            yield b'{"external_id": "p%d", "attributes": {"note": "%s"}}\n' % (number % 500, b"n" * 400)
            if number % 100 == 0:
                await asyncio.sleep(0)

    async def send(count: int) -> int:
        headers = api.headers | {"Content-Type": "application/x-ndjson"}
        async with api.client.post(PEOPLE, data=lines(count), headers=headers) as answer:
            assert (await answer.json())["kept"] == count
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = await send(8_000)
    assert await send(40_000) - first < 30_000  # KiB, where the body alone has 18,000 more


@pytest.mark.parametrize(
    "external_id", ["a/b", "a%b", "ü ö", "Ω", "😀", "..", "{{7*7}}", "<script>", "a?b#c", "x" * 200, "אבג", "'; DROP"]
)
async def test_any_printable_id_works_in_an_address(api: Api, external_id: str) -> None:
    from urllib.parse import quote

    from yarl import URL

    path = URL(f"{PEOPLE}/{quote(external_id, safe='')}".replace("/..", "/%2E%2E"), encoded=True)
    status, person = await api.ask("PUT", path, {"email": "someone@example.jp"})
    assert (status, person["external_id"]) == (200, external_id)
    status, person = await api.ask("GET", path)
    assert (status, person["email"]) == (200, "someone@example.jp")


@pytest.mark.parametrize("external_id", ["%00", "a%0D%0Ab", "%01", "x" * 201, "%FF"])
async def test_an_id_that_cannot_be_one_is_not_found(api: Api, external_id: str) -> None:
    from yarl import URL

    status, problem = await api.ask("GET", URL(f"{PEOPLE}/{external_id}", encoded=True))
    assert status == 404, problem


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "a@b\r\nBcc: c@d.example"), ("email", "a\u0000@example.jp"), ("locale", "../../etc"),
        ("time_zone", "Mars/Base"), ("country", "Japan"), ("roles", ["a\nb"]), ("roles", "buyer"),
        ("attributes", {"a": {"b": 1}}), ("registered_at", "2026-01-01T00:00:00"), ("status", "erased"),
        ("channels", ["Email"]), ("attributes", {"a\u0000": 1}), ("email", "@"), ("nickname", "x"),
        ("registered_at", "9999-12-31T23:59:59-14:00"), ("registered_at", "0001-01-01T00:00:00+14:00"),
    ],
)  # fmt: skip
async def test_a_hostile_field_is_named_and_nothing_kept(api: Api, field: str, value: Any) -> None:
    status, problem = await api.ask("PUT", f"{PEOPLE}/u1", {field: value})
    assert status == 422, problem
    assert problem["errors"][0]["pointer"].startswith(f"/{field}")
    assert (await api.ask("GET", f"{PEOPLE}/u1"))[0] == 404


async def test_an_erased_person_is_gone_but_for_a_pseudonym(api: Api) -> None:
    await api.ask("PUT", f"{PEOPLE}/u1", {"email": "canary@example.jp", "attributes": {"a": "canary"}})
    assert (await api.ask("DELETE", f"{PEOPLE}/u1"))[0] == 204
    assert (await api.ask("DELETE", f"{PEOPLE}/u1"))[0] == 204
    status, person = await api.ask("GET", f"{PEOPLE}/u1")
    assert (status, person["status"], person["email"]) == (200, "erased", None)
    assert "canary" not in str(person)
    assert person["external_id"].startswith("erased:")
    assert (await api.ask("POST", f"{PEOPLE}/u1/tokens"))[0] == 409
    assert (await api.ask("PUT", f"{PEOPLE}/u1", {}))[0] == 409
    assert (await api.ask("DELETE", f"{PEOPLE}/nobody"))[0] == 404


async def test_the_id_in_the_body_must_be_the_one_in_the_address(api: Api) -> None:
    status, problem = await api.ask("PUT", f"{PEOPLE}/u1", {"external_id": "u2"})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/external_id")


async def test_nobody_is_added_to_a_site_that_does_not_exist(api: Api) -> None:
    assert (await api.ask("POST", "/v1/sites/nobody/people", ndjson({"external_id": "a"})))[0] == 404
    assert (await api.ask("PUT", "/v1/sites/nobody/people/a", {}))[0] == 404


async def test_lines_want_their_own_content_type(api: Api) -> None:
    status, problem = await api.ask("POST", PEOPLE, b"{}", headers={"Content-Type": "text/csv"})
    assert status == 415
    assert "application/x-ndjson" in problem["detail"]


async def test_a_person_token_is_good_for_its_time_only(api: Api, client: Client) -> None:
    await api.ask("PUT", f"{PEOPLE}/u1", {})
    minted = await api.post(f"{PEOPLE}/u1/tokens", {"valid_seconds": 3600})
    person = Api(client, minted["token"])
    assert await person.get("/v1/inbox") == {"unread": 0, "messages": []}
    assert (await person.ask("GET", "/v1/sites/kumo"))[0] == 401
    await api.post("/v1/clock", {"advance_seconds": 3601})
    assert (await person.ask("GET", "/v1/inbox"))[0] == 401


async def test_earlier_acceptances_come_as_lines_or_as_a_table(
    api: Api, send_version: Callable[..., Awaitable[tuple[int, Any]]]
) -> None:
    status, _ = await send_version("kumo", submission("one"))
    assert status == 202
    await api.post(PEOPLE, ndjson({"external_id": "a"}, {"external_id": "b"}))
    path = "/v1/sites/kumo/baselines"
    line = {"external_id": "a", "policy": "privacy", "version": "one", "proof": "imported"}
    report = await api.post(path, ndjson(line, line | {"version": "two"}))
    assert (report["read"], report["created"], report["refused"]) == (2, 1, 1)
    assert report["faults"][0] == {
        "pointer": "line 2", "detail": "version: privacy has no published version of this label",
    }  # fmt: skip
    table = b"external_id,policy,version,proof\na,privacy,one,imported\nb,privacy,one,unknown\n"
    report = await api.post(path, table, headers={"Content-Type": "text/csv"})
    assert (report["unchanged"], report["created"]) == (1, 1)
    problem = await api.post(path, b"who,colour\n", expect=422, headers={"Content-Type": "text/csv; charset=utf-8"})
    assert problem["errors"][0]["pointer"] == "line 1"
    assert (await api.ask("POST", path, {"external_id": "a"}))[0] == 415

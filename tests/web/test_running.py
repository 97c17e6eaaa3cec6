"""Health, figures, the clock, hooks, and the API's own documentation."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from notifier.clock import Clock
from notifier.compose import Service
from notifier.web.app import build_app
from tests.web.asking import Api, Client


async def test_alive_and_ready(client: Client, service: Service) -> None:
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})
    async with client.get("/readyz") as answer:
        assert answer.status == 200
    await service.db.execute("DELETE FROM migration")
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert "notifier migrate" in (await answer.json(content_type=None))["detail"]


async def test_a_process_without_its_database_is_alive_but_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> None:
        raise ConnectionRefusedError("the database at 10.0.0.7 is down")

    monkeypatch.setattr("notifier.web.api.health.pending", refused)
    async with client.get("/healthz") as answer:
        assert answer.status == 200
    async with client.get("/readyz") as answer:
        assert answer.status == 503
        assert "10.0.0.7" not in await answer.text()


async def test_figures_count_requests_by_route_and_name_nobody(client: Client, api: Api) -> None:
    await api.ask("GET", "/v1/sites/canary-site")
    await api.ask("GET", "/canary-path")
    async with client.get("/metrics") as answer:
        text = await answer.text()
    assert 'notifier_requests_total{method="GET",route="/v1/sites/{site}",status="404"} 1.0' in text
    assert "canary" not in text


async def test_the_clock_of_a_test_is_set_forward_and_never_back(api: Api, service: Service) -> None:
    before = service.clock.now()
    answer = await api.post("/v1/clock", {"advance_seconds": 3600})
    assert answer["offset_seconds"] == 3600
    assert (service.clock.now() - before).total_seconds() >= 3600
    assert (await api.get("/v1/clock"))["offset_seconds"] == 3600
    assert (await api.ask("POST", "/v1/clock", {"advance_seconds": -1}))[0] == 422


async def test_production_has_no_clock_to_set(service: Service, token: Callable[..., Awaitable[str]]) -> None:
    production = replace(service, clock=Clock())
    async with TestClient(TestServer(build_app(production))) as client:
        api = Api(client, await token("admin"))
        assert (await api.ask("GET", "/v1/clock"))[0] == 404
        assert (await api.ask("POST", "/v1/clock", {"advance_seconds": 1}))[0] == 404


async def test_a_hook_belongs_to_a_channel_that_verifies(client: Client) -> None:
    async with client.post("/hooks/fax", data=b"x") as answer:
        assert answer.status == 404
    async with client.post("/hooks/echo", data=b"x") as answer:
        assert answer.status == 401
    async with client.post("/hooks/echo", data=b"x", headers={"X-Word": "please"}) as answer:
        assert (answer.status, await answer.json()) == (200, {"news": 0})


@pytest.fixture
async def openapi(client: Client) -> Any:
    async with client.get("/openapi.json") as answer:
        return await answer.json()


async def test_the_document_is_valid_openapi(openapi: Any) -> None:
    assert openapi["openapi"].startswith("3.1")
    assert list(OpenAPIV31SpecValidator(openapi).iter_errors()) == []


async def test_every_operation_is_explained_and_every_name_is_used_once(openapi: Any) -> None:
    operations = [operation for methods in openapi["paths"].values() for operation in methods.values()]
    assert all(operation["summary"] for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)


async def test_every_route_stands_in_the_docs_and_no_other(openapi: Any) -> None:
    served = {f"{method.upper()} {path}" for path, methods in openapi["paths"].items() for method in methods}
    words = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([A-Z]+ /\S+)`", words, re.MULTILINE)) == served


async def test_every_example_fits_its_own_schema(openapi: Any) -> None:
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in content:
                    schema = content["schema"] | {"components": openapi["components"]}
                    faults = list(Draft202012Validator(schema).iter_errors(content["example"]))
                    assert not faults, (method, path, faults)


async def test_the_page_for_people_shows_every_route_and_loads_nothing_from_elsewhere(
    client: Client, openapi: Any
) -> None:
    async with client.get("/docs") as answer:
        assert answer.status == 200
        page = await answer.text()
    assert all(path in page for path in openapi["paths"])
    assert "curl -X POST" in page
    assert not [src for src in ('src="http', 'href="http', "@import", "<script", "style=") if src in page]
    async with client.get("/static/docs.css?v=1") as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"

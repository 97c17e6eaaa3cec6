"""The API's documentation for people: one page, written from the OpenAPI document and nothing else."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web
from markupsafe import Markup, escape

from notifier import errors
from notifier.errors import NotifierError
from notifier.web.context import PAGES
from notifier.web.endpoint import Endpoint
from notifier.web.openapi import document

Schema = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One row of a table of fields."""

    name: str
    type: str
    required: bool
    description: Markup


@dataclass(frozen=True)
class Operation:
    """One route as the page shows it."""

    id: str
    method: str
    path: str
    summary: Markup
    paragraphs: list[Markup]
    parameters: list[Field]
    body_types: list[str]
    body: list[Field]
    curl: str
    answers: list[tuple[str, str]]


def routes(endpoints: tuple[Endpoint, ...], public_url: str) -> list[web.RouteDef]:
    """``/openapi.json`` and ``/docs``."""
    openapi = document(endpoints, public_url)
    body = orjson.dumps(openapi)

    async def serve_document(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json", headers={"Access-Control-Allow-Origin": "*"})

    async def serve_page(request: web.Request) -> web.Response:
        page = request.app[PAGES].render(
            "docs/api.html.j2", "en", about=[_prose(p) for p in openapi["info"]["description"].split("\n\n")],
            groups=list(_groups(openapi)), problems=_problems(),
        )  # fmt: skip
        return web.Response(text=page, content_type="text/html")

    return [web.get("/openapi.json", serve_document), web.get("/docs", serve_page)]


def _groups(openapi: Schema) -> Iterator[tuple[str, list[Operation]]]:
    operations = [
        (operation["tags"][0], _operation(openapi, path, method, operation))
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    for tag in openapi["tags"]:
        yield tag["name"], [operation for name, operation in operations if name == tag["name"]]


def _operation(openapi: Schema, path: str, method: str, operation: Schema) -> Operation:
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=_prose(operation["summary"]),
        paragraphs=[_prose(p) for p in operation["description"].split("\n\n") if p],
        parameters=[_parameter(openapi, p) for p in operation["parameters"]],
        body_types=list(content),
        body=list(_fields(openapi, schema)),
        curl=_curl(openapi, path, method.upper(), operation),
        answers=[
            (status, _resolve(openapi, answer)["description"]) for status, answer in operation["responses"].items()
        ],
    )


def _parameter(openapi: Schema, parameter: Schema) -> Field:
    kind = f"{parameter['in']}, {_type(openapi, parameter['schema'])}"
    return Field(parameter["name"], kind, parameter["required"], _prose(parameter.get("description", "")))


def _fields(openapi: Schema, schema: Schema) -> Iterator[Field]:
    resolved = _resolve(openapi, schema)
    for name, field in resolved.get("properties", {}).items():
        needed = name in resolved.get("required", ())
        yield Field(name, _type(openapi, field), needed, _prose(field.get("description", "")))


def _resolve(openapi: Schema, schema: Schema) -> Schema:
    while "$ref" in schema:
        _, _, kind, name = schema["$ref"].split("/")
        schema = openapi["components"][kind][name]
    return schema


def _type(openapi: Schema, schema: Schema) -> str:
    schema = _resolve(openapi, schema)
    if "enum" in schema or "const" in schema:
        return " | ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(openapi, inner) for inner in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(openapi, schema.get('items', {}))}"
    return str(schema.get("format", schema.get("type", "anything")))


def _curl(openapi: Schema, path: str, method: str, operation: Schema) -> str:
    filled = path
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            filled = filled.replace("{" + parameter["name"] + "}", str(parameter["example"]))
    address = shlex.quote(openapi["servers"][0]["url"] + filled)
    parts = [f"curl {address}" if method == "GET" else f"curl -X {method} {address}"]
    if operation["security"]:
        variable = "PERSON_TOKEN" if "person" in operation["security"][0] else "NOTIFIER_TOKEN"
        parts.append(f'-H "Authorization: Bearer ${variable}"')
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if "example" in content:
            text = orjson.dumps(content["example"], option=orjson.OPT_INDENT_2).decode()
            parts += [f"-H 'Content-Type: {media_type}'", f"-d {shlex.quote(text)}"]
            break
    return " \\\n  ".join(parts)


def _problems() -> list[tuple[str, int, str, str]]:
    """Kind, status, title and meaning of every kind of problem."""
    families = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NotifierError)]
    ordered = sorted(families, key=lambda kind: kind.status)
    return [(kind.kind, kind.status, kind.title, _first_line(kind.__doc__)) for kind in ordered]


def _prose(text: str) -> Markup:
    """Words of ours with `code` in them, as HTML."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped right here


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]

"""The OpenAPI 3.1 document, assembled from the endpoints and the JSON Schemas of their models."""

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter

from notifier.errors import (
    Conflict,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    NotifierError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)  # fmt: skip
from notifier.web.endpoint import ANYONE, JSON, PERSON, Endpoint
from notifier.web.problems import MEDIA_TYPE, Problem
from notifier.web.samples import sample

Schema = dict[str, Any]

_REF = "#/components/schemas/{model}"

ABOUT = """Publish versions of a site's policies, report its people and how they use it, and ask what was told to whom.

Every answer carries `X-Request-Id`. Everything that goes wrong is a problem (RFC 9457) whose `errors` name each field.
Times are RFC 3339 with a zone; answers are in UTC."""

_SECURITY: dict[str, Schema] = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token: `notifier token create`."},
    "person": {
        "type": "http",
        "scheme": "bearer",
        "description": "A person token, which the site mints through `POST …/people/{external_id}/tokens`.",
    },
}


_ONCE = {"Idempotency-Key": "Names this request: the same again under its name gets the same answer. A UUID does well."}


class _TooSlow(NotifierError):
    status, title = 408, "The body did not arrive in time"


class _MediaType(NotifierError):
    status, title = 415, "The Content-Type is not one that this address takes"


@lru_cache(maxsize=2)
def document(endpoints: tuple[Endpoint, ...], public_url: str) -> Schema:
    """The whole document for these endpoints, made once (pydantic takes a tenth of a second): change nothing in it."""
    schemas = _Schemas(endpoints)
    paths: Schema = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas)
    used = {kind for endpoint in endpoints for kind in _refusals(endpoint)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "policy-notifier",
            "version": version("policy-notifier"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url.rstrip("/")}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_tag(endpoint) for endpoint in endpoints)],
        "paths": paths,
        "components": {
            "schemas": schemas.components(),
            "responses": {_name(kind): _response(kind) for kind in sorted(used, key=_name)},
            "securitySchemes": _SECURITY,
        },
    }


class _Schemas:
    """The JSON Schemas of all models, each once, under a name of its own."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        wanted = [key for endpoint in endpoints for key in _wanted(endpoint)] + [(Problem, "serialization")]
        inputs: list[Any] = [(str(model), mode, TypeAdapter(model)) for model, mode in wanted]
        self._roots, self._shared = TypeAdapter.json_schemas(inputs, ref_template=_REF)
        self._parameters = {_model_name(hint) for e in endpoints for hint in _parameter_models(e)}

    def of(self, model: Any, mode: str) -> Schema:
        """The schema of a body: a reference for everything that has a name."""
        return self._roots[str(model), mode]  # type: ignore[index] # the mode is one of pydantic's two words

    def fields(self, model: type[BaseModel]) -> Iterator[tuple[str, Schema, bool]]:
        """Name, schema and necessity of each parameter of a path or a query."""
        schema = self._shared["$defs"][_model_name(model)]
        for name, found in schema.get("properties", {}).items():
            yield name, found, name in schema.get("required", ())

    def components(self) -> Schema:
        """What the references point at; parameters are written out where they stand instead."""
        return {name: s for name, s in self._shared["$defs"].items() if name not in self._parameters}


def _model_name(model: Any) -> str:
    return str(model.__name__)


def _parameter_models(endpoint: Endpoint) -> list[Any]:
    return [endpoint.parameters[name] for name in ("path", "query") if name in endpoint.parameters]


def _wanted(endpoint: Endpoint) -> Iterator[tuple[Any, str]]:
    for model in (*_parameter_models(endpoint), *_body_models(endpoint)):
        yield model, "validation"
    if endpoint.answer is not None and endpoint.status != 204:
        yield endpoint.answer, "serialization"


def _body_models(endpoint: Endpoint) -> list[Any]:
    if "body" in endpoint.parameters:
        return [endpoint.body]
    return [model for model in (endpoint.body_model, endpoint.line) if model is not None]


def _tag(endpoint: Endpoint) -> str:
    return endpoint.handler.__module__.rpartition(".")[2]


def _operation(endpoint: Endpoint, schemas: _Schemas) -> Schema:
    summary, _, description = inspect.cleandoc(endpoint.handler.__doc__ or "").partition("\n")
    operation: Schema = {
        "operationId": endpoint.handler.__name__,
        "tags": [_tag(endpoint)],
        "summary": summary.rstrip("."),
        "description": _description(endpoint, description.strip()),
        "parameters": list(_parameters(endpoint, schemas)),
        "responses": _responses(endpoint, schemas),
        "security": _security(endpoint),
    }
    if endpoint.takes_body:
        operation["requestBody"] = _request_body(endpoint, schemas)
    return operation


def _description(endpoint: Endpoint, words: str) -> str:
    needs = {ANYONE: "", PERSON: "Needs a person token."}.get(endpoint.who, f"Needs the scope `{endpoint.who}`.")
    return "\n\n".join(part for part in (words, needs) if part)


def _security(endpoint: Endpoint) -> list[dict[str, list[str]]]:
    if endpoint.who == ANYONE:
        return []
    return [{"person": []}] if endpoint.who == PERSON else [{"token": [endpoint.who]}]


def _parameters(endpoint: Endpoint, schemas: _Schemas) -> Iterator[Schema]:
    for place in ("path", "query"):
        if place in endpoint.parameters:
            for name, schema, required in schemas.fields(endpoint.parameters[place]):
                said = _in_address(schema)
                parameter = {"name": name, "in": place, "required": required, "schema": said}
                if place == "path":
                    parameter["example"] = sample(schema, {}, name)
                if "description" in schema:
                    parameter["description"] = schema["description"]
                yield parameter
    headers = dict(endpoint.headers) | (_ONCE if endpoint.once else {})
    for name, words in headers.items():
        required = name in endpoint.headers
        yield {"name": name, "in": "header", "required": required, "schema": {"type": "string"}, "description": words}


def _in_address(schema: Schema) -> Schema:
    """The schema of a parameter: an address cannot say null, so a parameter that may be null is one left out."""
    said = {key: value for key, value in schema.items() if key not in ("title", "description")}
    if "anyOf" in said:
        said.pop("default", None)
        some = [inner for inner in said.pop("anyOf") if inner != {"type": "null"}]
        said |= some[0] if len(some) == 1 else {"anyOf": some}
    return said


def _request_body(endpoint: Endpoint, schemas: _Schemas) -> Schema:
    content: Schema = {}
    for media_type in endpoint.takes:
        if media_type == JSON:
            schema = schemas.of(_body_models(endpoint)[0], "validation")
            content[media_type] = {"schema": schema, "example": sample(schema, schemas.components())}
        else:
            content[media_type] = {"schema": {"description": _lines_words(endpoint)}}
    return {"required": endpoint.body_required, "content": content}


def _lines_words(endpoint: Endpoint) -> str:
    if endpoint.line is None:
        return "What the other side sends."
    name = _model_name(endpoint.line)
    return f"One JSON document a line, each as `#/components/schemas/{name}` says. Of any length."


def _responses(endpoint: Endpoint, schemas: _Schemas) -> Schema:
    content: Schema = {}
    if endpoint.answer is not None and endpoint.status != 204:
        content[JSON] = {"schema": schemas.of(endpoint.answer, "serialization")}
    for media_type, words in endpoint.also.items():
        content[media_type] = {"schema": {"type": "string", "description": words}}
    good: Schema = {"description": HTTPStatus(endpoint.status).phrase}
    if content:
        good["content"] = content
    answers: Schema = {str(endpoint.status): good}
    for kind in sorted(_refusals(endpoint), key=lambda kind: kind.status):
        answers[str(kind.status)] = {"$ref": f"#/components/responses/{_name(kind)}"}
    return answers


def _refusals(endpoint: Endpoint) -> set[type[NotifierError]]:
    """The errors that an endpoint may answer with: those it names, and those that follow from what it takes."""
    found: set[type[NotifierError]] = {*endpoint.refusals, Malformed}
    if endpoint.who != ANYONE:
        found |= {Unauthenticated}
    if endpoint.who not in (ANYONE, PERSON):
        found |= {Forbidden}
    if "path" in endpoint.parameters:
        found |= {NotFound}
    if "query" in endpoint.parameters or _body_models(endpoint) or endpoint.once:
        found |= {Invalid}
    if endpoint.takes_body:
        found |= {TooLarge, _TooSlow, _MediaType}
    if endpoint.once:
        found |= {Conflict}
    return found | {NotifierError, Unavailable}


def _name(kind: type[NotifierError]) -> str:
    return "Internal" if kind is NotifierError else kind.__name__.lstrip("_")


def _response(kind: type[NotifierError]) -> Schema:
    doc = re.sub(r"\s+", " ", inspect.getdoc(kind) or kind.title) if "_" not in kind.__name__ else kind.title
    return {
        "description": kind.title if kind is NotifierError else doc,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }

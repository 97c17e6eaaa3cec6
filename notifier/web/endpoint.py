"""One declaration per API route: it routes, checks who asks, validates, serialises and documents.

A module of the API ends in a table of :class:`Endpoint`. Everything else is read from the handler itself: its docstring
is the documentation (the first line the summary), and its parameters say what it takes, by name and annotation:

    ``call``    the :class:`Call`: the request, the open service and the one time that counts for this request
    ``path``    a pydantic model of the path's parameters; one that does not fit is simply not found
    ``query``   a pydantic model of the query's
    ``body``    a pydantic model of the JSON body (``… | None``: may be left out)
    ``lines``   the body as a stream of NDJSON lines; None when it is one ``document``, of ``application/json``
    ``raw``     the body as bytes, for those who verify a signature first
    ``grant``   who asks, with an API token          ``person``  who asks, with a person token

and its return annotation is the answer: any shape pydantic can serialise, ``None`` for 204, or a response of its own.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from aiohttp import web
from pydantic import BaseModel, TypeAdapter

from notifier.compose import Service
from notifier.db import Db
from notifier.errors import Malformed, NotifierError
from notifier.web.auth import GRANT, authenticate, authenticate_person, demand
from notifier.web.context import SERVICE, Quick
from notifier.web.lines import lines_of, whole
from notifier.web.reading import read_json, read_path, read_query
from notifier.web.receipts import KEY, Receipt, answered, keep, receipt_by_key

# Who may ask, beside the scopes of API tokens.
ANYONE = "anyone"
PERSON = "person"

JSON = "application/json"
NDJSON = "application/x-ndjson"
ANYTHING = ("*/*",)


@dataclass(frozen=True)
class Call:
    """What every handler gets. ``now`` is the service's time, read once per request."""

    request: web.Request
    service: Service
    now: datetime

    @property
    def db(self) -> Db:
        """The database."""
        return self.service.db


@dataclass(frozen=True, eq=False)  # each is itself, and can be a key
class Endpoint:
    """One route. ``who`` is a scope of API tokens, ANYONE or PERSON.

    ``refusals`` are the errors that the handler raises beyond those that follow from its parameters. ``line`` is the
    model of one line of a ``lines`` body, ``body_model`` of a ``raw`` one; both only document. ``also`` are further
    media types of the answer with a sentence each. ``once``: the header Idempotency-Key is honoured. ``at_rate`` has
    the first look at a request.
    """

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    who: str
    status: int = 200
    refusals: tuple[type[NotifierError], ...] = ()
    line: type[BaseModel] | None = None
    body_model: type[BaseModel] | None = None
    takes: tuple[str, ...] = (JSON,)
    also: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    once: bool = False
    at_rate: Quick | None = None

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """The handler's parameters and their annotations."""
        return {name: hint for name, hint in get_type_hints(self.handler).items() if name != "return"}

    @cached_property
    def answer(self) -> Any:
        """The annotation of the answer's shape; None when the handler makes the whole response itself."""
        returned = get_type_hints(self.handler)["return"]
        shapes = [shape for shape in _members(returned) if not _is_response(shape)]
        return Union[tuple(shapes)] if shapes else None  # noqa: UP007 - the members are only known at run time

    @cached_property
    def takes_body(self) -> bool:
        """Whether a request has a body."""
        return not {"body", "lines", "raw"}.isdisjoint(self.parameters)

    @cached_property
    def body(self) -> Any:
        """The body's model, without its ``| None``."""
        shapes = [shape for shape in _members(self.parameters["body"]) if shape is not NoneType]
        return shapes[0]

    @cached_property
    def body_required(self) -> bool:
        """Whether the body may not be left out."""
        return "body" not in self.parameters or NoneType not in _members(self.parameters["body"])

    @cached_property
    def _serialise(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.answer)

    def route(self) -> web.RouteDef:
        """The route for aiohttp."""
        # aiohttp would leave braces out, and a person's id may have them.
        path = re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", self.path)
        if self.method == "GET":
            return web.get(path, self.serve)
        return web.route(self.method, path, self.serve)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Check who asks and what they say, ask the handler, and write the answer."""
        service = request.app[SERVICE]
        given: dict[str, Any] = {"call": Call(request, service, service.clock.now())}
        given |= await self._who(request)
        if "path" in self.parameters:
            given["path"] = read_path(self.parameters["path"], request.match_info)
        if "query" in self.parameters:
            given["query"] = read_query(self.parameters["query"], request.query)
        if self.takes_body:
            given |= await self._read_body(request)
        receipt = await self._receipt(request) if self.once else None
        if receipt and (before := await answered(service.db, receipt)):
            return before
        answer = await self.handler(**given)
        if isinstance(answer, web.StreamResponse):
            return answer
        if self.status == 204:
            return web.Response(status=204)
        body = self._serialise.dump_json(answer)
        if receipt:
            await keep(request, receipt, self.status, body)
        return web.Response(body=body, status=self.status, content_type=JSON)

    async def _receipt(self, request: web.Request) -> Receipt | None:
        if KEY not in request.headers or request.content_type == NDJSON:
            return None  # NDJSON is of any length, and each line may come twice anyway
        return receipt_by_key(request, await request.read(), request[GRANT].name)

    async def _who(self, request: web.Request) -> dict[str, Any]:
        if self.who == ANYONE:
            return {}
        if self.who == PERSON:
            return {"person": authenticate_person(request)}
        grant = await authenticate(request)
        await demand(request, grant, request.match_info.get("site"), self.who)
        request[GRANT] = grant
        return {"grant": grant} if "grant" in self.parameters else {}

    async def _read_body(self, request: web.Request) -> dict[str, Any]:
        if self.body_required and not request.can_read_body:
            raise Malformed("the request has no body")
        if request.can_read_body and self.takes != ANYTHING and request.content_type not in self.takes:
            raise web.HTTPUnsupportedMediaType(text=f"send this as {' or '.join(self.takes)}")
        if "lines" in self.parameters:
            return await self._read_lines(request)
        raw = await whole(request)
        if "raw" in self.parameters:
            return {"raw": raw}
        if not raw and not self.body_required:
            return {"body": None}
        return {"body": read_json(self.body, raw)}

    async def _read_lines(self, request: web.Request) -> dict[str, Any]:
        if request.content_type != JSON or self.line is None:
            return {"lines": lines_of(request.content), **({"document": None} if "document" in self.parameters else {})}
        raw = await whole(request)
        return {"lines": None, "document": read_json(self.line, raw)}


def _members(annotation: Any) -> Sequence[Any]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]


def _is_response(shape: Any) -> bool:
    return isinstance(shape, type) and issubclass(shape, web.StreamResponse)

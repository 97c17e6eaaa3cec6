"""Errors as RFC 9457 problems for programs, and as pages for readers. Around every handler."""

from collections.abc import Sequence
from http import HTTPStatus

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import BaseModel, Field

from notifier.db import GONE
from notifier.errors import Fault, Malformed, NotFound, NotifierError, Unavailable
from notifier.log import log, where
from notifier.web import public
from notifier.web.context import SERVICE, Quick, is_api, request_id

# Set once the head of the answer is on its way: from then on it cannot become a problem.
STARTED = web.RequestKey("started", bool)
MEDIA_TYPE = "application/problem+json"


class ProblemFault(BaseModel):
    """One thing wrong with the request."""

    pointer: str = Field(
        description="Where: an RFC 6901 pointer into the body, `?name` for a query parameter, or `line 12`."
    )
    detail: str = Field(description="What is wrong there and what to do about it.")


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457)."""

    type: str = Field(description="Names the kind of problem; the address explains it.")
    title: str
    status: int
    detail: str
    request: str = Field(description="The id of the request, also in `X-Request-Id`; quote it when you ask us.")
    errors: list[ProblemFault] = Field(description="Every field that needs mending; empty for other problems.")


async def answer_or_explain(request: web.Request, handler: Handler, quick: Quick | None = None) -> web.StreamResponse:
    """What ``quick``, else the handler, answers; whatever they raise becomes an answer that says what to do."""
    try:
        if quick is not None and (plain := await quick(request)) is not None:
            return plain
        if not is_api(request) and "\0" in request.path + request.query_string:
            raise NotFound("nothing lies under this address: no name has a NUL character")
        return await handler(request)
    except Exception as error:
        if isinstance(error, web.HTTPException) and error.status < 400:
            raise
        if STARTED not in request:
            return _explain(request, error)
        # Half an answer is out: cutting the connection is the only way left to say that it is not whole.
        if not isinstance(error, ConnectionError):
            log.error("answer cut off", error=where(error), request=request_id(request))
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError from error


def _explain(request: web.Request, error: Exception) -> web.Response:
    if isinstance(error, web.HTTPException):
        return _from_aiohttp(request, error)
    if isinstance(error, GONE):
        log.error("database unavailable", error=where(error), request=request_id(request))
        error = Unavailable("the database does not answer; nothing was changed, try again")
    if isinstance(error, web.RequestPayloadError):
        error = Malformed("the body cannot be unpacked as its headers say; what came before that is kept")
    if isinstance(error, ConnectionError):
        log.info("client went away", request=request_id(request))
        error = Malformed("the request ended before its body did; what came before that is kept")
    if not isinstance(error, NotifierError):
        log.error("request failed", error=where(error), request=request_id(request))
        error = NotifierError("nothing more is known here; our log has the details under this request's id")
    return _answer(request, error.status, error.kind, error.title, error.detail, error.faults)


def _answer(
    request: web.Request, status: int, kind: str, title: str, detail: str, faults: Sequence[Fault] = ()
) -> web.Response:
    if not is_api(request):
        return public.error_page(request, status, title, detail)
    base = request.app[SERVICE].settings.public_url.rstrip("/")
    problem = Problem(
        type=f"{base}/docs#problem-{kind}",
        title=title,
        status=status,
        detail=detail,
        request=request_id(request),
        errors=[ProblemFault(pointer=f.pointer, detail=f.detail) for f in faults],
    )
    headers = {"WWW-Authenticate": 'Bearer realm="policy-notifier"'} if status == 401 else {}
    body = orjson.dumps(problem.model_dump())
    return web.Response(body=body, status=status, content_type=MEDIA_TYPE, headers=headers)


_SAID_BY_US = {
    404: ("not-found", "nothing is served under this address; GET /openapi.json lists what is"),
    405: ("method-not-allowed", "this address does not take that method; the header Allow lists those it takes"),
    408: ("too-slow", "the request's body did not arrive in time; nothing was kept of it"),
    413: ("too-large", "the request's body is over the limit; send people and activities as NDJSON, which has none"),
    415: ("media-type", "this address does not take that Content-Type"),
}


def _from_aiohttp(request: web.Request, error: web.HTTPException) -> web.Response:
    kind, detail = _SAID_BY_US.get(error.status, ("http", "the server cannot answer this request"))
    if error.status == 415 and error.text:
        detail = error.text
    answer = _answer(request, error.status, kind, HTTPStatus(error.status).phrase, detail)
    for name in ("Allow", "Retry-After"):
        if name in error.headers:
            answer.headers[name] = error.headers[name]
    return answer

"""Whether the process lives, whether it can work, and its figures."""

from aiohttp import web
from pydantic import BaseModel

from notifier.errors import Unavailable
from notifier.migrations import pending
from notifier.web.endpoint import ANYONE, Call, Endpoint
from notifier.web.metrics import METRICS


class Health(BaseModel):
    """All is well."""

    status: str


async def healthz(call: Call) -> Health:
    """Whether this process is alive.

    Asks nothing of anybody else: restart the process when this fails.
    """
    return Health(status="alive")


async def readyz(call: Call) -> Health:
    """Whether this process can work.

    The database answers and has the current schema. Send no requests here while this fails.
    """
    if missing := await pending(call.db):
        raise Unavailable(f"the database lacks {', '.join(missing)}; run `notifier migrate`")
    return Health(status="ready")


async def metrics(call: Call) -> web.Response:
    """Figures for Prometheus.

    Requests by route, and the progress of campaigns. Keep it from the public by your proxy.
    """
    page = await call.request.app[METRICS].page(call.db, call.now)
    return web.Response(body=page, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


ENDPOINTS = (
    Endpoint("GET", "/healthz", healthz, ANYONE),
    Endpoint("GET", "/readyz", readyz, ANYONE),
    Endpoint("GET", "/metrics", metrics, ANYONE, also={"text/plain": "The text format of Prometheus."}),
)

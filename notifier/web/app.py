"""The aiohttp application: what a request passes, from the outside in, and where every route comes from."""

import time
from collections.abc import Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from notifier.activity.intake import Intake
from notifier.activity.memory import Memory
from notifier.compose import Service
from notifier.log import log
from notifier.outcomes.providers.choose import providers_of
from notifier.pages import Pages
from notifier.web import console, cors, docs, public
from notifier.web.api import ENDPOINTS, activities, inbox
from notifier.web.auth import LOOKS, Looks, guard_console
from notifier.web.console.overview import PLANNED
from notifier.web.console.reports import REPORTS, Reports
from notifier.web.context import PAGES, PROVIDERS, SERVICE, Quick, request_id
from notifier.web.live import LIVE, Live, end_streams, keep_listening
from notifier.web.metrics import METRICS, Metrics
from notifier.web.problems import STARTED, answer_or_explain
from notifier.web.public.ready import READY, Ready
from notifier.web.readymade import EVERYWHERE
from notifier.web.static import cache_static, static_files

# What answers plain requests before this handler is asked.
AT_RATE = web.AppKey("at_rate", Mapping[Callable[..., object], Quick])


def build_app(service: Service) -> web.Application:
    """The whole web of an open service. It opens nothing but its one listening connection, when it starts."""
    app = web.Application(
        middlewares=[observe, cache_static, guard_console], client_max_size=service.settings.body_limit
    )
    app[SERVICE] = service
    app[PROVIDERS] = providers_of(service.settings, service.keys)
    app[PAGES] = Pages()
    app[READY] = Ready(service)
    app[PLANNED] = {}
    app[METRICS] = Metrics()
    app[LOOKS] = Looks(service.db)
    app[cors.ORIGINS] = cors.Origins(service.db)
    app[LIVE] = Live()
    app[REPORTS] = Reports(service)
    app[inbox.WORDS] = inbox.Words(service)
    app[activities.INTAKE] = Intake(service.db, service.clock)
    app[activities.MEMORY] = Memory()
    app.cleanup_ctx.append(keep_listening)
    app.on_cleanup.append(_commit_the_last)
    app.on_shutdown.append(end_streams)
    app.on_response_prepare.append(_finish_head)
    # aiohttp tries routes in order, some dozens of patterns: the one that is asked at rate stands first.
    at_rate_first = sorted(ENDPOINTS, key=lambda endpoint: endpoint not in activities.ENDPOINTS)
    routes = [(endpoint, endpoint.route()) for endpoint in at_rate_first]
    quick: dict[Callable[..., object], Quick] = {kept.answer: kept.quick for kept in public.KEPT.values()}
    quick.update((route.handler, endpoint.at_rate) for endpoint, route in routes if endpoint.at_rate is not None)
    app[AT_RATE] = quick
    app.router.add_routes([route for _, route in routes])
    app.router.add_routes(cors.ROUTES)
    app.router.add_routes(docs.routes(ENDPOINTS, service.settings.public_url))
    app.router.add_routes(console.routes(service))
    app.router.add_routes(public.routes(service))
    app.router.add_routes(static_files())
    return app


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log and count every request by its route. The path's values and the query may name people: they stay out."""
    began = time.perf_counter()
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "(none)"
    quick = request.app[AT_RATE].get(request.match_info.handler)
    status = 499  # the caller went away, in nginx's words
    try:
        response = await answer_or_explain(request, handler, quick)
        status = response.status
        return response
    except web.HTTPException as redirect:
        status = redirect.status
        raise
    finally:
        seconds = time.perf_counter() - began
        request.app[METRICS].requests.count(request.method if resource is not None else "(any)", route, status, seconds)
        if quick is None or status not in (200, 304):  # what comes at rate and went well is only counted
            log.info(
                "request", method=request.method, route=route, status=status,
                seconds=round(seconds, 4), request=request_id(request),
            )  # fmt: skip


async def _commit_the_last(app: web.Application) -> None:
    """What was taken in before the server stopped answering."""
    await app[activities.INTAKE].close()


async def _finish_head(request: web.Request, response: web.StreamResponse) -> None:
    """The headers that every answer has, unless its handler chose its own."""
    request[STARTED] = True
    headers = response.headers
    headers["X-Request-Id"] = request_id(request)
    for name, value in EVERYWHERE:
        if name not in headers:
            headers[name] = value
    if request.path.startswith(("/v1/", "/console")):
        headers.setdefault("Cache-Control", "no-store")
    if request.path.startswith(cors.PREFIX):
        await cors.allow_origin(request, response)

"""The pages that anybody may read."""

from aiohttp import web

from notifier.compose import Service


def routes(service: Service) -> list[web.RouteDef]:
    """The public routes."""
    return []


def error_page(request: web.Request, status: int, title: str, detail: str) -> web.Response:
    """What a reader sees when a page cannot be shown."""
    return web.Response(text=f"{status} {title}. {detail}", status=status)

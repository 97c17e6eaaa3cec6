"""The pages behind a login."""

from aiohttp import web

from notifier.compose import Service


def routes(service: Service) -> list[web.RouteDef]:
    """The console's routes."""
    return []

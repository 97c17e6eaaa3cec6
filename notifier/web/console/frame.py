"""The frame of the console's pages."""

from collections.abc import Mapping

from aiohttp import web

from notifier.web.auth import ALARMS, PAUSED, STOPS, grant_of
from notifier.web.page import page


def desk(
    request: web.Request, template: str, section: str, values: Mapping[str, object], *, time_zone: str = "UTC"
) -> web.Response:
    """A console page of one section (overview or people) for whoever is signed in."""
    grant = grant_of(request)
    may = {
        "stop": "send" in grant.scopes,
        "stop_everything": grant.site is None and "admin" in grant.scopes,
    }
    banners = {"stops": request[STOPS], "paused": request[PAUSED], "alarms": request[ALARMS]}
    frame = {"section": section, "who": grant.name, "may": may, **banners}
    return page(request, f"console/{template}.html.j2", {**frame, **values}, time_zone=time_zone)

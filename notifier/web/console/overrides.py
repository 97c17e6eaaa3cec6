"""An earlier date than people are promised, asked for by one person and confirmed by another on the policy's page."""

from datetime import datetime
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import ValidationError

from notifier.errors import Fault, Invalid, faults_of
from notifier.policies.override import override
from notifier.sites.site import load_site
from notifier.web.api.versions import OverrideBody
from notifier.web.auth import grant_of
from notifier.web.console.step import reason_of
from notifier.web.console.versions import policy_page
from notifier.web.context import SERVICE
from notifier.web.reading import read_form


async def ask(request: web.Request) -> web.Response:
    """Ask for a date, or confirm the one that somebody else asked for, and show the policy again."""
    service, name, policy = request.app[SERVICE], request.match_info["site"], request.match_info["policy"]
    grant_of(request).demand(name, "publish")
    site = await load_site(service.db, name)
    form = await read_form(request)
    given = {part: str(form.get(part, "")).strip() for part in ("label", "effective_at")}
    given["reason"] = await reason_of(request)
    try:
        said = _read(policy, given, site.time_zone)
        await override(
            service.db, site, policy, said.label, said.effective_at, said.reason, grant_of(request).name,
            service.clock.now(),
        )  # fmt: skip
    except Invalid as error:
        return await policy_page(request, given, error.faults, status=422)
    raise web.HTTPSeeOther(f"/console/sites/{name}/policies/{policy}#overrides")


def _read(policy: str, given: dict[str, str], zone: str) -> OverrideBody:
    """What the form says, read as the API would. A time without a zone is one of the site's."""
    try:
        at = datetime.fromisoformat(given["effective_at"])
    except ValueError as error:
        raise Invalid("nothing was recorded", [Fault("/effective_at", "not a date and time")]) from error
    try:
        when = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))
        return OverrideBody.model_validate({**given, "policy": policy, "effective_at": when})
    except ValidationError as error:
        raise Invalid("nothing was recorded", faults_of(error)) from error

"""Sites, as they were applied."""

from dataclasses import dataclass

from pydantic import BaseModel

from notifier.sites.site import Site, load_site
from notifier.web.api.paths import SitePath
from notifier.web.auth import Grant
from notifier.web.endpoint import Call, Endpoint


@dataclass(frozen=True)
class _Named:
    site: str


class SiteList(BaseModel):
    """The sites that a token is for."""

    sites: list[str]


async def all_sites(call: Call, grant: Grant) -> SiteList:
    """List the sites that this token is for."""
    return SiteList(sites=[s.site for s in await call.db.many(_Named, "web.sites") if grant.sees(s.site)])


async def one_site(call: Call, path: SitePath) -> Site:
    """Read a site as it was last applied.

    A site is changed with `notifier apply site.yaml`, which shows what will change first.
    """
    return await load_site(call.db, path.site)


ENDPOINTS = (
    Endpoint("GET", "/v1/sites", all_sites, "read"),
    Endpoint("GET", "/v1/sites/{site}", one_site, "read"),
)

"""The API, one module per kind of thing. Each ends in its table of routes; this is the table of tables."""

from notifier.web.api import (
    activities,
    campaigns,
    clock,
    health,
    hooks,
    inbox,
    sites,
    versions,
)
from notifier.web.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *sites.ENDPOINTS,
    *versions.ENDPOINTS,
    *campaigns.ENDPOINTS,
    *activities.ENDPOINTS,
    *inbox.ENDPOINTS,
    *hooks.ENDPOINTS,
    *clock.ENDPOINTS,
    *health.ENDPOINTS,
)

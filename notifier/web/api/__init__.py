"""The API, one module per kind of thing. Each ends in its table of routes; this is the table of tables."""

from notifier.web.api import (
    acceptances,
    activities,
    campaigns,
    clock,
    health,
    hooks,
    inbox,
    people,
    sites,
    versions,
)
from notifier.web.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *sites.ENDPOINTS,
    *versions.ENDPOINTS,
    *people.ENDPOINTS,
    *campaigns.ENDPOINTS,
    *activities.ENDPOINTS,
    *acceptances.ENDPOINTS,
    *inbox.ENDPOINTS,
    *hooks.ENDPOINTS,
    *clock.ENDPOINTS,
    *health.ENDPOINTS,
)

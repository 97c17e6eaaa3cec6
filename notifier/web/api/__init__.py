"""The API, one module per kind of thing. Each ends in its table of routes; this is the table of tables."""

from notifier.web.api import (
    acceptances,
    activities,
    campaigns,
    clock,
    compliance,
    health,
    hooks,
    inbox,
    letters,
    login,
    people,
    relays,
    reports,
    sites,
    sources,
    stop,
    suppressions,
    versions,
)
from notifier.web.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *sites.ENDPOINTS,
    *versions.ENDPOINTS,
    *sources.ENDPOINTS,
    *people.ENDPOINTS,
    *campaigns.ENDPOINTS,
    *stop.ENDPOINTS,
    *relays.ENDPOINTS,
    *reports.ENDPOINTS,
    *activities.ENDPOINTS,
    *acceptances.ENDPOINTS,
    *login.ENDPOINTS,
    *compliance.ENDPOINTS,
    *letters.ENDPOINTS,
    *suppressions.ENDPOINTS,
    *inbox.ENDPOINTS,
    *hooks.ENDPOINTS,
    *clock.ENDPOINTS,
    *health.ENDPOINTS,
)

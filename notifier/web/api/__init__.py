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
    posting,
    relays,
    reports,
    sites,
    sources,
    stop,
    suppressions,
    versions,
    widget,
)
from notifier.web.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *sites.ENDPOINTS,
    *versions.ENDPOINTS,
    *sources.ENDPOINTS,
    *posting.ENDPOINTS,
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
    *widget.ENDPOINTS,  # before the messages, whose numbers stand in the same place
    *inbox.ENDPOINTS,
    *hooks.ENDPOINTS,
    *clock.ENDPOINTS,
    *health.ENDPOINTS,
)

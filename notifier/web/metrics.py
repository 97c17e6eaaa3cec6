"""Figures for Prometheus: requests by route, and how far the campaigns are. No label ever names a person."""

from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from notifier.db import Db
from notifier.policies.posting import alarms


@dataclass(frozen=True)
class _States:
    site: str
    state: str
    count: int


@dataclass(frozen=True)
class _Stopped:
    site: str
    stopped: bool


@dataclass(frozen=True)
class _Paused:
    site: str
    relays: int


@dataclass(frozen=True)
class _Trips:
    site: str
    count: int


@dataclass(frozen=True)
class _Progress:
    site: str
    campaign_id: int
    channel: str
    kind: str
    count: int


def _registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


@dataclass
class Metrics:
    """The figures of one process; those of campaigns are read from the database when asked for."""

    registry: CollectorRegistry = field(default_factory=_registry)

    def __post_init__(self) -> None:
        # Finding a figure by its labels takes longer than counting: as many as there are routes and answers.
        self._at_hand: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.requests = Counter(
            "notifier_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "notifier_request_seconds", "Seconds until the answer was made", ["method", "route"], registry=self.registry
        )
        self.campaigns = Gauge("notifier_campaigns", "Campaigns by state", ["site", "state"], registry=self.registry)
        self.outcomes = Gauge(
            "notifier_campaign_outcomes",
            "Outcomes so far of the campaigns that are being told",
            ["site", "campaign", "channel", "kind"],
            registry=self.registry,
        )

        self.stopped = Gauge("notifier_stopped", "1 while all sending is stopped", ["site"], registry=self.registry)
        self.relays = Gauge(
            "notifier_relays_paused", "Relays left alone as receivers refuse them", ["site"], registry=self.registry
        )
        self.posting = Gauge(
            "notifier_posting_alarms",
            "1 while a page of the site's own does not show what was published",
            ["site", "policy", "locale", "alarm"],
            registry=self.registry,
        )
        self.trips = Gauge(
            "notifier_breaker_trips", "Times the breaker paused a campaign", ["site"], registry=self.registry
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        figures = self._at_hand.get((method, route, status))
        if figures is None:
            figures = self.requests.labels(method, route, status), self.seconds.labels(method, route)
            self._at_hand[method, route, status] = figures
        figures[0].inc()
        figures[1].observe(seconds)

    async def page(self, db: Db, now: datetime) -> bytes:
        """All figures in the text format of Prometheus."""
        self.campaigns.clear()
        for row in await db.many(_States, "web.campaign_states"):
            self.campaigns.labels(row.site, row.state).set(row.count)
        self.outcomes.clear()
        for found in await db.many(_Progress, "web.campaign_progress"):
            self.outcomes.labels(found.site, found.campaign_id, found.channel, found.kind).set(found.count)
        self.stopped.clear()
        for one in await db.many(_Stopped, "web.stopped_sites"):
            self.stopped.labels(one.site).set(one.stopped)
        for paused in await db.many(_Paused, "web.relays_paused", now=now):
            self.relays.labels(paused.site).set(paused.relays)
        self.posting.clear()
        for page in await alarms(db, None):
            self.posting.labels(page.site, page.policy, page.locale, page.alarm).set(1)
        for trips in await db.many(_Trips, "web.breaker_trips"):
            self.trips.labels(trips.site).set(trips.count)
        return generate_latest(self.registry)


METRICS = web.AppKey("metrics", Metrics)

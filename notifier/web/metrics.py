"""Figures for Prometheus: requests by route, and how far the campaigns are. No label ever names a person."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from notifier.compliance.coverage import coverage_of
from notifier.db import Db
from notifier.policies.posting import alarms

# Upper ends in seconds, as prometheus_client's own histograms have them; one more for what took longer.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# What is due within this time counts as due: a relay that is out of reach is asked again and again.
SOON = timedelta(minutes=5)


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
class _Due:
    site: str
    campaigns: int


@dataclass(frozen=True)
class _Paused:
    site: str
    relays: int


@dataclass(frozen=True)
class _Trips:
    site: str
    count: int


@dataclass(frozen=True)
class _Backlog:
    site: str
    many: int
    since: datetime


@dataclass(frozen=True)
class _Progress:
    site: str
    campaign_id: int
    channel: str
    kind: str
    count: int


class Requests(Collector):
    """Requests answered: plain numbers, made into Prometheus's own only when they are asked for.

    Its counters and histograms take a lock for every figure: 8 µs a request where these take 1.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int], int] = defaultdict(int)
        self._within: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._seconds: dict[tuple[str, str], float] = defaultdict(float)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._answers[method, route, status] += 1
        self._within[method, route][bisect_left(BUCKETS, seconds)] += 1
        self._seconds[method, route] += seconds

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily]:
        """The figures so far."""
        answers = CounterMetricFamily("notifier_requests", "Requests answered", labels=["method", "route", "status"])
        for (method, route, status), count in self._answers.items():
            answers.add_metric([method, route, str(status)], count)
        yield answers
        seconds = HistogramMetricFamily(
            "notifier_request_seconds", "Seconds until the answer was made", labels=["method", "route"]
        )
        ends = [*map(str, BUCKETS), "+Inf"]
        for labels, within in self._within.items():
            buckets = [(end, float(count)) for end, count in zip(ends, accumulate(within), strict=True)]
            seconds.add_metric(list(labels), buckets, self._seconds[labels])
        yield seconds


def _registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


@dataclass
class Metrics:
    """The figures of one process; those of campaigns are read from the database when asked for."""

    registry: CollectorRegistry = field(default_factory=_registry)

    def __post_init__(self) -> None:
        self.requests = Requests()
        self.registry.register(self.requests)
        self.campaigns = Gauge("notifier_campaigns", "Campaigns by state", ["site", "state"], registry=self.registry)
        self.outcomes = Gauge(
            "notifier_campaign_outcomes",
            "Outcomes so far of the campaigns that are being told",
            ["site", "campaign", "channel", "kind"],
            registry=self.registry,
        )

        self.uncovered = Gauge(
            "notifier_uncovered", "What is missing until everybody is told of a version; people, or 1",
            ["site", "policy", "version", "gap"], registry=self.registry,
        )  # fmt: skip
        self.stopped = Gauge("notifier_stopped", "1 while all sending is stopped", ["site"], registry=self.registry)
        self.due = Gauge(
            "notifier_campaigns_due",
            "Campaigns of which something is to be handed over now or within five minutes",
            ["site"],
            registry=self.registry,
        )
        self.relays = Gauge(
            "notifier_relays_paused", "Relays left alone as receivers refuse them", ["site"], registry=self.registry
        )
        self.posting = Gauge(
            "notifier_posting_alarms",
            "1 while a page of the site's own does not show what was published",
            ["site", "policy", "locale", "alarm"],
            registry=self.registry,
        )
        self.waiting = Gauge(
            "notifier_activities_waiting",
            "Activities acknowledged and not unfolded yet",
            ["site"],
            registry=self.registry,
        )
        self.waiting_seconds = Gauge(
            "notifier_activities_waiting_seconds",
            "Seconds since the oldest of them came",
            ["site"],
            registry=self.registry,
        )
        self.trips = Gauge(
            "notifier_breaker_trips", "Times the breaker paused a campaign", ["site"], registry=self.registry
        )

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
        for due in await db.many(_Due, "web.campaigns_due", soon=now + SOON):
            self.due.labels(due.site).set(due.campaigns)
        for paused in await db.many(_Paused, "web.relays_paused", now=now):
            self.relays.labels(paused.site).set(paused.relays)
        self.posting.clear()
        for page in await alarms(db, None):
            self.posting.labels(page.site, page.policy, page.locale, page.alarm).set(1)
        for gauge in (self.waiting, self.waiting_seconds):
            gauge.clear()
        for backlog in await db.many(_Backlog, "activity.backlog"):
            self.waiting.labels(backlog.site).set(backlog.many)
            self.waiting_seconds.labels(backlog.site).set((now - backlog.since).total_seconds())
        for trips in await db.many(_Trips, "web.breaker_trips"):
            self.trips.labels(trips.site).set(trips.count)
        self.uncovered.clear()
        for look in await coverage_of(db):
            for gap, people in look.gaps.items():
                self.uncovered.labels(look.site, look.policy, look.label, gap).set(people or 1)
        return generate_latest(self.registry)


METRICS = web.AppKey("metrics", Metrics)

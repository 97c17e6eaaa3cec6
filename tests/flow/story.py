"""A story told in rows: a site, a version, a campaign, people with notices, and what became of the letters.

Each step is one plain INSERT, so that the stages that read these rows are tested without the ones that write them.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from notifier.campaigns.rule import Rule
from notifier.db import Db
from notifier.lanes import lane_of, new_id
from notifier.sites.site import Audience
from tests.sites import KUMO

POSTED = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
RULE = Rule(
    preset="pop-japan", literal="posted and sent", channels=("email", "inbox"), telling="any", notice_days=30,
    bounce_window_hours=72, evidence="relay", evidence_hours=72,
    deems=True, activity_kinds=None, audience=Audience(), explicit=False,
)  # fmt: skip
PLANS = [
    ("email, then a private message", ["email"], ["inbox"]),
    ("a private message", ["inbox"], []),
    ("email only", ["email"], []),
]


@dataclass(frozen=True)
class Somebody:
    """A person of the story."""

    external_id: str
    lane: int
    person_id: UUID


@dataclass
class Story:
    """One site whose one policy has one version, told by one campaign."""

    db: Db
    site: str
    version_id: int
    campaign_id: int

    async def sql(self, sql: str, *values: object) -> Any:
        """Run one statement and return its first value."""
        async with self.db.connection() as connection:
            return await connection.fetchval(sql, *values)

    async def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Run one statement and return its rows."""
        async with self.db.connection() as connection:
            return [dict(row) for row in await connection.fetch(sql, *values)]

    async def person(self, name: str, *, reason: str | None = "in_scope", plan: int = 0, **more: Any) -> Somebody:
        """Somebody with a notice (or with none, when there is no ``reason``)."""
        somebody = Somebody(name, lane_of(self.site, name), new_id())
        await self.sql(
            "INSERT INTO person (lane, site, external_id, person_id, registered_at, changed_at, status, closed_at)"
            " VALUES ($1, $2, $3, $4, $5, $5, $6, $7)",
            somebody.lane, self.site, name, somebody.person_id, POSTED - 100 * DAY,
            more.get("status", "active"), more.get("closed_at"),
        )  # fmt: skip
        if reason is not None:
            await self.sql(
                "INSERT INTO notice VALUES ($1, $2, $3, $4, $5)",
                somebody.lane, somebody.person_id, self.campaign_id, reason, plan,
            )  # fmt: skip
        return somebody

    async def heard(
        self,
        who: Somebody,
        kind: str,
        at: datetime,
        channel: str = "email",
        attempt: int = 1,
        class_: str | None = None,
    ) -> None:
        """What became known of a letter."""
        key = who.lane, who.person_id, self.campaign_id, channel, attempt
        await self.sql(
            "INSERT INTO outcome (lane, person_id, campaign_id, channel, attempt, kind, at, class)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            *key, kind, at, class_,
        )  # fmt: skip
        await self.sql(
            "UPDATE outcome o SET tried_at = o.at, address = 'a@b.example', sha256 = 'x'"
            " WHERE (lane, person_id, campaign_id, channel, attempt) = ($1, $2, $3, $4, $5) AND kind = $6"
            " AND NOT EXISTS (SELECT FROM intent i"
            "     WHERE (i.lane, i.person_id, i.campaign_id, i.channel, i.attempt) = ($1, $2, $3, $4, $5))",
            *key, kind,
        )  # fmt: skip

    async def bounced(self, who: Somebody, at: datetime, attempt: int = 1, channel: str = "email") -> None:
        """A letter came back: what a report leaves."""
        await self.heard(who, "bounced", at, channel, attempt, "bad_address")
        await self.sql(
            "INSERT INTO doubt VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            who.lane, who.person_id, self.campaign_id, channel, attempt,
        )  # fmt: skip

    async def told(self, *people: Somebody, at: datetime = POSTED + HOUR) -> None:
        """Our relay accepted a letter to each."""
        for who in people:
            await self.heard(who, "accepted_by_relay", at)

    async def acceptances(self) -> list[dict[str, Any]]:
        """All acceptances with their people, in the order of revisions."""
        return await self.rows(
            "SELECT p.external_id, a.revision, a.kind::text, a.grade::text, a.accepted_at, a.counts_from, a.evidence"
            " FROM acceptance a JOIN person p USING (lane, person_id) ORDER BY 1, 2"
        )


async def begin(
    db: Db, rule: Rule = RULE, *, site: str = "kumo", label: str = "v2", effective_at: datetime = POSTED + 30 * DAY
) -> Story:
    """The site (unless applied), its policy, a published version and a campaign that was opened at once."""
    story = Story(db, site, 0, 0)
    settings = KUMO | {"site": site, "rule": {"preset": rule.preset}}
    await story.sql(
        "INSERT INTO site VALUES ($1, $2, 'x', 1, false, $3) ON CONFLICT DO NOTHING", site, settings, POSTED
    )
    await story.sql("INSERT INTO policy VALUES ($1, 'privacy', '{}', 'privacy') ON CONFLICT DO NOTHING", site)
    story.version_id = await story.sql(
        "INSERT INTO version (site, policy, label, state, ordinal, materiality, flags, source, sha256, received_at,"
        " published_at, effective_at) VALUES ($1, 'privacy', $2, 'published',"
        " (SELECT count(*) + 1 FROM version WHERE site = $1), 'material', '{}', 'command', 'x', $3, $3, $4)"
        " RETURNING version_id",
        site, label, POSTED, effective_at,
    )  # fmt: skip
    story.campaign_id = await story.sql(
        "INSERT INTO campaign (site, version_id, rule, state, created_at, frozen_at, opened_at, inbox_at)"
        " VALUES ($1, $2, $3, 'sending', $4, $4, $4, $4) RETURNING campaign_id",
        site, story.version_id, rule.model_dump(mode="json"), POSTED,
    )  # fmt: skip
    await db.execute(f"CREATE TABLE notice_{story.campaign_id} PARTITION OF notice FOR VALUES IN ({story.campaign_id})")
    await db.copy(
        "plan",
        ["campaign_id", "plan", "requested_locale", "preference", "email_usable", "locale", "channels", "fallback"],
        [(story.campaign_id, n, "en", [], n != 1, "en", at_once, then) for n, (_, at_once, then) in enumerate(PLANS)],
    )
    return story


def activity(who: Somebody | str, at: datetime, kind: str = "login", **more: str) -> bytes:
    """One line of NDJSON as a site sends it."""
    name = who if isinstance(who, str) else who.external_id
    return orjson.dumps({"external_id": name, "occurred_at": at, "kind": kind} | more)


def lines(*given: bytes) -> AsyncIterable[bytes]:
    """Lines as a request's body hands them over."""
    return _each(given)


async def _each(given: Iterable[bytes]) -> AsyncIterator[bytes]:
    for line in given:
        yield line

"""A site with a relay, people and a campaign, and a worker's delivery: what a test of delivering works with."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.steer import steer
from notifier.channels import email, inbox, webhook
from notifier.channels.channel import Feedback
from notifier.clock import MovableClock
from notifier.db import Db
from notifier.delivery.deliver import Delivery
from notifier.keys import Keys
from notifier.people.person import PersonInput
from notifier.people.roster import get_person, put_person
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.settings import Settings
from notifier.sites.apply import apply
from notifier.sites.site import Site
from tests.channels.smtp_server import SmtpServer, smtp_server

NO_STOP = bool  # bool() is False: nobody asks the worker to stop


@dataclass
class Office:
    """A site with its relay, a worker's delivery, and the clock that it all runs on."""

    db: Db
    keys: Keys
    clock: MovableClock
    site: Site
    server: SmtpServer
    delivery: Delivery
    campaign_id: int = 0

    async def person(self, name: str, **given: Any) -> None:
        """Take somebody in, or change them."""
        fields = {
            "external_id": name,
            "email": f"{name}@people.example",
            "registered_at": "2020-01-01T00:00:00Z",
        } | given
        await put_person(self.db, self.keys, self.site.site, PersonInput.model_validate(fields), self.clock.now())

    async def publish(self, label: str, texts: Mapping[str, Mapping[str, str]], **more: Any) -> int:
        """Publish a version of the privacy policy now. Returns its id."""
        body = {"policy": "privacy", "label": label, "materiality": "material", "texts": texts} | more
        version, _ = await publish(self.db, self.site, Submission.model_validate(body), "command", self.clock.now())
        return version.version_id

    async def tell(self, version_id: int, slice_size: int = 1000) -> None:
        """Approve the telling of a version and freeze its audience."""
        now = self.clock.now()
        self.campaign_id = await announce(self.db, self.site, version_id, now, "test")
        await steer(self.db, self.site.site, self.campaign_id, "approve", "test", "", now)
        assert await freeze_next(self.db, slice_size, now) == 1

    async def open(self, slice_size: int = 1000) -> None:
        """Publish a baseline and a version to be told, approve it and freeze its audience.

        The version takes effect as soon as the site's notice period allows, to the second.
        """
        await self.publish("one", {locale: {"body": f"# one {locale}"} for locale in ("en", "ja")})
        soonest = self.clock.now() + timedelta(days=self.site.notice_days([]))
        texts = {locale: {"body": f"# two {locale}"} for locale in ("en", "ja")}
        second = await self.publish("two", texts, effective_at=soonest.isoformat())
        await self.tell(second, slice_size)

    async def deliver(self) -> int:
        """Work until nothing is due. Returns how many slices that took."""
        slices = 0
        while await self.delivery.deliver_next(NO_STOP):
            slices += 1
        return slices

    async def rows(self, sql: str) -> list[Any]:
        """What lies in the database."""
        async with self.db.connection() as connection:
            return [tuple(row) for row in await connection.fetch(sql)]

    async def die_before_recording(self) -> None:
        """As if the worker had died before it recorded what came of the letters that it sent."""
        await self.db.execute("""
            INSERT INTO under_way
            SELECT o.campaign_id, o.channel, s.slice, min(o.tried_at), s.cursor_lane, s.cursor_person,
                   array_agg(o.lane), array_agg(o.person_id), array_agg(o.attempt), array_agg(o.address),
                   array_agg(o.sha256), array_agg(o.sheet), array_agg(coalesce(o.purpose, 'notice'))
            FROM outcome o
            JOIN slice s ON s.campaign_id = o.campaign_id AND s.channel = o.channel
                AND (o.lane, o.person_id) > (s.from_lane, s.from_person)
                AND (o.lane, o.person_id) <= (s.to_lane, s.to_person)
            WHERE o.tried_at IS NOT NULL
            GROUP BY o.campaign_id, o.channel, s.slice, s.cursor_lane, s.cursor_person;
            DELETE FROM outcome; DELETE FROM progress; DELETE FROM retry
        """)

    async def outcomes(self) -> list[tuple[Any, ...]]:
        """Person, channel, attempt and kind of every outcome, in order."""
        return await self.rows(
            "SELECT external_id, channel, attempt, kind::text FROM outcome JOIN person USING (lane, person_id)"
            " ORDER BY external_id, channel, attempt, kind"
        )

    async def statuses(self) -> dict[str, str]:
        """Where each person's notice stands."""
        rows = await self.rows("SELECT external_id, s.status FROM standing s JOIN person USING (lane, person_id)")
        return dict(rows)

    async def feedback(self, name: str, kind: Any, class_: str | None = None) -> Feedback:
        """News about somebody's first letter by email."""
        person = await get_person(self.db, self.keys, self.site.site, name)
        return Feedback(
            self.campaign_id,
            person.lane,
            person.person_id,
            "email",
            1,
            kind,
            class_,
            "550 gone",
            "mx",
            self.clock.now(),
        )


@asynccontextmanager
async def open_office(
    db: Db, keys: Keys, site: Site, relay: Mapping[str, Any] | None = None, batch_size: int = 10
) -> AsyncIterator[Office]:
    """The site with a relay that is a real SMTP server of this test's own, in-process delivery, a clock that moves.

    ``relay``: what its entry in the site says otherwise.
    """
    clock = MovableClock()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(smtp_server())
        named = {"host": "127.0.0.1", "port": server.port, "security": "none", "sessions": 2} | (relay or {})
        site = Site.model_validate(site.model_dump() | {"relays": [named]})
        await apply(db, site, clock.now())
        settings = Settings(
            _env_file=None, mode="test", lease_seconds=60, batch_size=batch_size, webhook_hosts=["127.0.0.1"]
        )
        channels = {
            "email": await stack.enter_async_context(email.open_channel(settings, keys)),
            "inbox": await stack.enter_async_context(inbox.open_channel(settings, keys)),
            "webhook": await stack.enter_async_context(webhook.open_channel(settings, keys)),
        }
        delivery = Delivery(db, clock, keys, channels, settings, "worker")
        yield Office(db, keys, clock, site, server, delivery)

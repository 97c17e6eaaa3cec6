"""A site asked over HTTP, its relay a real SMTP server, its workers' duties done when the test says so."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from aiohttp.test_utils import TestClient, TestServer

from notifier.acceptance.accept import accept
from notifier.acceptance.silence import accept_silence
from notifier.campaigns.announce import announce, freeze_next
from notifier.campaigns.join import join_late, reconcile
from notifier.compose import Service
from notifier.db import Db
from notifier.delivery.companions import tell_companions
from notifier.delivery.second import tell_by_second_channel
from notifier.keys import Keys
from notifier.outcomes.hear import hear
from notifier.policies.publish import load_version
from notifier.sites.site import Site
from notifier.sites.tokens import SCOPES, create_token
from notifier.web.app import build_app
from tests.office import Office, open_office
from tests.web.asking import Api, ndjson

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Town:
    """One site with everything that works for it."""

    def __init__(self, office: Office, api: Api) -> None:
        self.office, self.api = office, api
        self.clock, self.db, self.server = office.clock, office.db, office.server
        self.base = f"/v1/sites/{office.site.site}"
        self.campaign_id = 0

    async def person(self, name: str, expect: int = 200, **given: Any) -> Any:
        """Say of somebody what the site says."""
        fields = {"email": f"{name}@people.example", "registered_at": "2020-01-01T00:00:00Z"} | given
        status, answer = await self.api.ask("PUT", f"{self.base}/people/{name}", fields)
        assert status == expect, answer
        return answer

    async def newcomer(self, name: str, **given: Any) -> Any:
        """Somebody registers now."""
        return await self.person(name, registered_at=self.clock.now().isoformat(), **given)

    async def publish(self, label: str, **more: Any) -> int:
        """Publish a version. Returns its campaign, 0 where nobody is told."""
        texts = {locale: {"body": f"# {label} {locale}"} for locale in ("en", "ja")}
        version_id = await self.office.publish(label, texts, **more)
        version = await load_version(self.db, self.office.site.site, version_id)
        if not version.is_told:
            return 0
        self.campaign_id = await announce(self.db, self.office.site, version_id, self.clock.now(), "webhook")
        return self.campaign_id

    async def approve(self) -> None:
        """Let the telling begin."""
        await self.api.post(f"{self.base}/campaigns/{self.campaign_id}/approve", {})
        while await freeze_next(self.db, 1000, self.clock.now()):
            pass

    async def tell(self, label: str, **more: Any) -> int:
        """Publish a version to be told, approve it and freeze its audience."""
        await self.publish(label, **more)
        await self.approve()
        return self.campaign_id

    async def join(self) -> int:
        """Let those who arrived join."""
        looked = 0
        while found := await join_late(self.db, self.clock.now()):
            looked += found
        return looked

    async def work(self) -> None:
        """All that workers find to do now."""
        now = self.clock.now()
        while await reconcile(self.db, now):
            pass
        await self.join()
        while await tell_by_second_channel(self.db, now):
            pass
        await self.office.deliver()
        while await tell_companions(self.db, now):
            await self.office.deliver()
        while await accept(self.db, now):
            pass
        while await accept_silence(self.db, now):
            pass

    async def pass_time(self, by: timedelta) -> None:
        """Let time pass, and the workers work at its end."""
        self.clock.move(by)
        await self.work()

    async def use(self, name: str, at: datetime | None = None, kind: str = "login") -> None:
        """Somebody uses the site."""
        line = {"external_id": name, "occurred_at": (at or self.clock.now()).isoformat(), "kind": kind}
        await self.api.post(f"{self.base}/activities", ndjson(line))
        await self.work()

    async def bounce(self, name: str, kind: str = "bounced", class_: str | None = "bad_address") -> int:
        """News about somebody's first letter. Returns how much of it was news."""
        self.office.campaign_id = self.campaign_id
        return await hear(self.db, [await self.office.feedback(name, kind, class_)], self.clock.now())

    async def report(self) -> dict[str, Any]:
        """The campaign in numbers, which add up."""
        answer: dict[str, Any] = await self.api.get(f"{self.base}/campaigns/{self.campaign_id}")
        assert answer["gaps"] == []
        return answer

    async def notice(self, name: str) -> Mapping[str, Any]:
        """Somebody's notice of the campaign that is being told; empty: there is none."""
        answer = await self.api.get(f"{self.base}/people/{name}/notices")
        return next((one for one in answer["notices"] if one["campaign_id"] == self.campaign_id), {})

    async def stands(self, name: str) -> tuple[Any, Any]:
        """Reason and status of somebody's notice."""
        notice = await self.notice(name)
        return notice.get("reason"), notice.get("status")

    async def accepted(self, name: str) -> list[tuple[Any, ...]]:
        """Label, kind and grade of what somebody accepted, with all revisions."""
        answer = await self.api.get(f"{self.base}/people/{name}/acceptances")
        return [(one["label"], one["kind"], one["grade"]) for one in answer["acceptances"]]

    async def events(self, name: str) -> list[str]:
        """Somebody's timeline."""
        return [one["kind"] for one in (await self.api.get(f"{self.base}/people/{name}/timeline"))["events"]]

    def letters(self) -> list[str]:
        """To whom letters went, in their order."""
        return [got.address.partition("@")[0] for got in self.server.got]


@asynccontextmanager
async def open_town(db: Db, keys: Keys, site: Site, **more: Any) -> AsyncIterator[Town]:
    """The town of a site, whose version "one" is the baseline."""
    async with open_office(db, keys, site, **more) as office:
        delivery = office.delivery
        service = Service(delivery.settings, db, office.clock, keys, delivery.channels)
        async with TestClient(TestServer(build_app(service))) as client:
            api = Api(client, await create_token(db, None, "tester", sorted(SCOPES), office.clock.now()))
            town = Town(office, api)
            await town.publish("one")
            yield town

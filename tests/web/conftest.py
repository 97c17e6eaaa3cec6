"""A whole service on this test's own database, and clients that ask it over HTTP."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from standardwebhooks import Webhook

from notifier.channels.channel import Feedback
from notifier.clock import MovableClock
from notifier.compose import Service
from notifier.db import Db
from notifier.errors import Unauthenticated
from notifier.keys import Keys
from notifier.settings import Settings
from notifier.sites.apply import apply
from notifier.sites.site import Site
from notifier.sites.tokens import SCOPES, create_token, live_secrets
from notifier.web.app import build_app
from tests.web.asking import Api, Client

MARKET = {
    "site": "hata",
    "names": {"en": "Hata Market", "ja": "はた市場"},
    "home_url": "https://hata.example/",
    "contact": "privacy@hata.example",
    "time_zone": "Asia/Tokyo",
    "locales": ["en", "ja"],
    "senders": {"en": {"name": "Hata Market", "address": "privacy@hata.example"}},
    "policies": {
        "privacy": {"titles": {"en": "Privacy Policy"}, "part_of_terms": True},
        "terms": {"kind": "terms", "titles": {"en": "Terms of Use"}},
    },
    "review": {"incomplete": "fall_back"},
    "rule": {"preset": "imacocokara", "channels": ["inbox", "email"], "notice_days": 0, "reason": "as posted"},
}


@dataclass
class Echo:
    """A channel that reports what it is posted, when the sender knows the word."""

    name: str = "echo"
    heard: list[Feedback] = field(default_factory=list)

    def hear(self, headers: Mapping[str, str], body: bytes) -> Sequence[Feedback]:
        if headers.get("X-Word") != "please":
            raise Unauthenticated("the word is missing")
        return self.heard


@pytest.fixture
def settings() -> Settings:
    """Settings of a test service; nothing is read from the environment's .env."""
    return Settings(_env_file=None, mode="test", public_url="http://notices.example", body_limit=2 * 1024 * 1024)


@pytest.fixture
async def service(settings: Settings, db: Db, keys: Keys, clock: MovableClock, site: Site) -> Service:
    """A whole service with the site kumo."""
    channels: dict[str, Any] = {"echo": Echo()}
    return Service(settings, db, clock, keys, channels)


@pytest.fixture
async def market(service: Service) -> Site:
    """A second site: private messages first, letters where those fail; no notice period."""
    described = Site.model_validate(MARKET)
    await apply(service.db, described, service.clock.now())
    return described


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    """Asks without a token."""
    async with TestClient(TestServer(build_app(service))) as opened:
        yield opened


@pytest.fixture
def token(service: Service) -> Callable[..., Awaitable[str]]:
    """Makes API tokens: ``await token("read", site="kumo")``; without scopes, one that may do everything."""

    async def make(*scopes: str, site: str | None = None, name: str = "tester") -> str:
        return await create_token(service.db, site, name, scopes or sorted(SCOPES), service.clock.now())

    return make


@pytest.fixture
async def api(client: Client, token: Callable[..., Awaitable[str]]) -> Api:
    """Asks with a token that may do everything everywhere."""
    return Api(client, await token())


@pytest.fixture
def send_version(service: Service, client: Client) -> Callable[..., Awaitable[tuple[int, Any]]]:
    """Publishes by signed webhook: ``status, answer = await send_version("kumo", submission)``."""

    async def send(
        site: str, submission: Any, webhook_id: str = "msg_1", secret: str | None = None, age: float = 0
    ) -> tuple[int, Any]:
        body = submission if isinstance(submission, str) else json.dumps(submission)
        at = datetime.now(UTC) - timedelta(seconds=age)
        secret = secret or (await live_secrets(service.db, service.keys, site))[0]
        headers = {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign(webhook_id, at, body),
        }
        async with client.post(f"/v1/sites/{site}/hooks/versions", data=body.encode(), headers=headers) as answer:
            return answer.status, await answer.json(content_type=answer.content_type)

    return send

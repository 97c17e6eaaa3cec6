"""A database with a site, two versions and any number of people, for the benchmarks."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from notifier.db import Db, open_database
from notifier.keys import Keys
from notifier.lanes import lane_of, new_id
from notifier.migrations import migrate
from notifier.policies.publish import publish
from notifier.policies.version import Submission
from notifier.sites.apply import apply
from notifier.sites.site import Site

SECRET = "the secret of a benchmark, which is long enough"
BATCH = 20_000
LOCALES = ("en", "ja", "ja")


@dataclass(frozen=True)
class Ground:
    """An open database of its own, the site in it, and the version that is about to be told."""

    db: Db
    url: str
    keys: Keys
    site: Site
    version_id: int
    now: datetime


def described(relay_port: int = 25, channels: tuple[str, ...] = ("email",), sessions: int = 8) -> Site:
    """A site whose relay listens on this machine."""
    return Site.model_validate(
        {
            "site": "bench",
            "names": {"en": "Bench", "ja": "ベンチ"},
            "home_url": "https://bench.example/",
            "contact": "privacy@bench.example",
            "time_zone": "Asia/Tokyo",
            "locales": ["en", "ja"],
            "senders": {"en": {"name": "Bench", "address": "privacy@bench.example"}},
            "policies": {
                "privacy": {"titles": {"en": "Privacy Policy", "ja": "プライバシーポリシー"}, "part_of_terms": True}
            },
            "rule": {"preset": "imacocokara", "channels": list(channels), "notice_days": 0, "reason": "as posted"},
            "review": {"incomplete": "fall_back"},
            "relays": [{"host": "127.0.0.1", "port": relay_port, "security": "none", "sessions": sessions}],
        }
    )


@asynccontextmanager
async def database(server: str) -> AsyncIterator[tuple[Db, str]]:
    """A migrated database of its own, dropped at the end."""
    name = f"bench_{secrets.token_hex(4)}"
    base, _, query = server.partition("?")
    url = f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
    connection = await asyncpg.connect(server)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
        async with open_database(url) as db:
            await migrate(db)
            yield db, url
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()


@asynccontextmanager
async def ground(server: str, people: int, site: Site, locales: Sequence[str] = LOCALES) -> AsyncIterator[Ground]:
    """A site with ``people`` people in it, a baseline and a second version. ``locales``: people's, in turn."""
    now = datetime.now(UTC)
    async with database(server) as (db, url):
        await apply(db, site, now)
        await add_people(db, site.site, people, now - timedelta(days=400), locales)
        version_id = 0
        for label in ("one", "two"):
            version, _ = await publish(db, site, submission(label), "command", now)
            version_id = version.version_id
        yield Ground(db, url, Keys(SECRET.encode()), site, version_id, now)


def submission(label: str) -> Submission:
    """A version with two texts of a real policy's length and shape."""
    clause = "We keep what you give us for as long as you are with us, and tell you before we change this.\n\n"
    body = "".join(f"## Clause {n}{label if n % 7 == 0 else ''}\n\n{clause * 3}" for n in range(1, 25))
    texts = {
        locale: {
            "media_type": "text/markdown",
            "body": f"# {locale} {label}\n\n{body}",
            "summary": "Some clauses changed.",
        }
        for locale in ("en", "ja")
    }
    return Submission.model_validate({"policy": "privacy", "label": label, "materiality": "material", "texts": texts})


async def add_people(db: Db, site: str, count: int, registered_at: datetime, locales: Sequence[str] = LOCALES) -> None:
    """Load people straight into the table: importing them is not what is measured."""
    keys = Keys(SECRET.encode())
    columns = (
        "lane", "site", "external_id", "person_id", "email", "email_mac", "locale", "time_zone", "country",
        "registered_at", "changed_at",
    )  # fmt: skip
    for start in range(0, count, BATCH):
        rows = []
        for number in range(start, min(start + BATCH, count)):
            name, address = f"u{number}", f"user{number}@people.example"
            rows.append(
                (lane_of(site, name), site, name, new_id(), address, keys.address_mac(site, address),
                 locales[number % len(locales)], "Asia/Tokyo", "JP", registered_at, registered_at)
            )  # fmt: skip
        await db.copy("person", columns, rows)
    await db.execute("VACUUM ANALYZE person")

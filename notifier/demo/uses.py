"""What people of the demo do on the sites: the same at every run, but at other times. Pure."""

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

# Kind, where, and how many of a hundred. The last three are never use in the sense of a policy.
USES = (
    ("order_placed", "/orders/new", 30), ("page_viewed", "/catalogue?page=2", 45), ("message_sent", "/messages", 10),
    ("policy_viewed", "/privacy", 9), ("logout", "/logout", 4), ("password_reset", "/account/password", 2),
)  # fmt: skip
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36",
)


def uses(people: Iterable[str], share: float, before: datetime, within: timedelta) -> Iterator[dict[str, object]]:
    """One activity each for a ``share`` of the people, at some time ``within`` the last stretch ``before`` a moment."""
    for external_id in people:
        chance = random.Random(f"use/{external_id}/{share}")  # noqa: S311 - nobody has to be unable to guess them
        if chance.random() >= share:
            continue
        kind, url, _ = chance.choices(USES, [use[2] for use in USES])[0]
        yield {
            "external_id": external_id,
            "occurred_at": (before - within * chance.random()).isoformat(),
            "kind": kind,
            "url": url,
            "ip": f"{chance.choice(('192.0.2', '198.51.100', '203.0.113'))}.{chance.randrange(1, 255)}",  # RFC 5737
            "user_agent": chance.choice(AGENTS),
        }

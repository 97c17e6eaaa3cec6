"""People who do not exist, for the demo: the same ones at every run. Pure.

Person ``n`` of a site depends on the site and ``n`` alone, so a bigger crowd begins with the smaller one. All
addresses are under domains that are reserved for examples (RFC 2606, JPRS).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DOMAINS = ("example.com", "example.net", "example.org", "example.jp", "example.co.jp")
FIRST = (
    "aoi",
    "haruto",
    "yui",
    "sota",
    "hina",
    "ren",
    "mei",
    "riku",
    "emma",
    "liam",
    "mia",
    "noah",
    "lea",
    "paul",
    "ines",
)
LAST = (
    "sato",
    "suzuki",
    "takahashi",
    "tanaka",
    "ito",
    "yamamoto",
    "smith",
    "jones",
    "muller",
    "garcia",
    "nguyen",
    "kim",
)
# Where people live, how many of a hundred, and the language they asked for.
PLACES = (
    (52, "JP", "Asia/Tokyo", "ja"), (6, "JP", "Asia/Tokyo", "en"), (16, "US", "America/New_York", "en-US"),
    (6, "US", "America/Los_Angeles", "en-US"), (8, "GB", "Europe/London", "en-GB"), (6, "DE", "Europe/Berlin", "de"),
    (6, "FR", "Europe/Paris", "fr"),
)  # fmt: skip
STATUSES = ((88, "active"), (6, "dormant"), (3, "closed"), (3, "suspended"))
# What the mail catcher does with their mail: see manners.py.
TAGS = ((90, ""), (2, "+full"), (3, "+grey"), (2, "+gone"), (3, "+bounce"))
ROLES = ((68, ["buyer"]), (10, ["seller"]), (16, ["buyer", "seller"]), (6, ["reader"]))
FIRST_DAY, LAST_DAY = datetime(2018, 4, 1, tzinfo=UTC), datetime(2024, 3, 31, tzinfo=UTC)


@dataclass(frozen=True)
class Crowd:
    """The people of one site. ``market``: they have roles, and some like private messages better than email."""

    site: str
    market: bool

    def people(self, count: int) -> Iterator[dict[str, object]]:
        """The first ``count`` people, all registered long before anything is published."""
        for number in range(1, count + 1):
            yield self._person(f"{self.site[0]}{number:06d}")

    def newcomers(self, count: int, round_: int, label: str, now: datetime) -> Iterator[dict[str, object]]:
        """People who register just after version ``label`` came out. Four of five saw it when they did."""
        for number in range(1, count + 1):
            person = self._person(self.newcomer_id(number, round_))
            shown = {} if number % 5 == 0 else {"registration_version": label}
            yield person | shown | {"status": "active", "registered_at": now.isoformat()}

    def newcomer_id(self, number: int, round_: int) -> str:
        """The id of one who registered after version ``round_`` came out."""
        return f"{self.site[0]}-new-{round_}-{number:04d}"

    def _person(self, external_id: str) -> dict[str, object]:
        chance = random.Random(f"{self.site}/{external_id}")  # noqa: S311 - nobody has to be unable to guess them
        _, country, zone, locale = chance.choices(PLACES, [place[0] for place in PLACES])[0]
        registered = FIRST_DAY + (LAST_DAY - FIRST_DAY) * chance.random()
        person: dict[str, object] = {
            "external_id": external_id,
            "email": self._email(external_id, chance),
            "locale": locale,
            "time_zone": zone,
            "country": country,
            "status": _pick(STATUSES, chance),
            "registered_at": (registered - timedelta(microseconds=registered.microsecond)).isoformat(),
            "attributes": {"newsletter": chance.random() < 0.4},
        }
        if self.market:
            person["roles"] = _pick(ROLES, chance)
            if chance.random() < 0.15:
                person["channels"] = ["inbox", "email"]
        return person

    def _email(self, external_id: str, chance: random.Random) -> str | None:
        if chance.random() < 0.03:
            return None
        name = f"{chance.choice(FIRST)}.{chance.choice(LAST)}.{external_id}"
        return f"{name}{_pick(TAGS, chance)}@{chance.choice(DOMAINS)}"


def _pick(table: tuple[tuple[int, object], ...], chance: random.Random) -> object:
    return chance.choices([row[1] for row in table], [row[0] for row in table])[0]

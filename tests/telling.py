"""A campaign to write letters for, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from notifier.campaigns.rule import rule_of
from notifier.letters.letter import Letter, Recipient, Since, Telling, Words
from notifier.letters.write import Writer
from notifier.policies.digest import Changed, Digest
from notifier.sites.site import Site
from tests.sites import a_site

KNEW = 3  # the version that everybody here last knew
PUBLISHED = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)


def a_telling(site: Site | None = None, summary: str | None = None, **changes: Any) -> Telling:
    """A campaign of the site. ``rule``: fields of the frozen rule to replace."""
    site = site or a_site()
    rule = rule_of(site.rule, "material", frozenset(), is_terms=True).model_copy(update=changes.pop("rule", {}))
    since = {KNEW: Since("2025-01", Digest((Changed("5. Who else sees it", "edited"), Changed("9. Parcels", "added"))))}
    words = {
        "en": Words(summary or "We keep **messages** for one year.", "/p/kumo/privacy/2026-04/en", since),
        "ja": Words(summary or "保存する期間を**1年**にします。", "/p/kumo/privacy/2026-04/ja", since),
    }
    facts: dict[str, Any] = {
        "campaign_id": 7,
        "policy": "privacy",
        "label": "2026-04",
        "published_at": PUBLISHED,
        "effective_at": PUBLISHED + timedelta(days=31),
        "opened_at": PUBLISHED + timedelta(hours=3),
        "texts": words,
        "usual": KNEW,
    }
    return Telling(site=site, rule=rule, **(facts | changes))


def a_recipient(number: int = 1, **changes: Any) -> Recipient:
    """One person, numbered."""
    facts: dict[str, Any] = {
        "lane": number % 1024,
        "person_id": UUID(int=number),
        "address": f"person{number}@example.net",
        "locale": "en",
        "time_zone": "Europe/Berlin",
        "attempt": 1,
        "external_id": f"u-{number}",
        "knew": KNEW,
    }
    return Recipient(**(facts | changes))


def some_letters(writer: Writer, count: int, channel: str = "email") -> list[Letter]:
    """Letters to as many people, all different."""
    letters = writer.write(channel, [a_recipient(number) for number in range(1, count + 1)])
    return [letter for letter in letters if isinstance(letter, Letter)]

"""The site that tests work with: Kumo Store tells by email, in English and Japanese."""

from typing import Any

from notifier.sites.site import Site

KUMO: dict[str, Any] = {
    "site": "kumo",
    "names": {"en": "Kumo Store", "ja": "くもストア"},
    "home_url": "https://kumo.example/",
    "contact": "privacy@kumo.example",
    "time_zone": "Asia/Tokyo",
    "locales": ["en", "ja"],
    "senders": {
        "en": {"name": "Kumo Store", "address": "privacy@kumo.example"},
        "ja": {"name": "くもストア", "address": "privacy@kumo.example"},
    },
    "policies": {
        "privacy": {
            "titles": {"en": "Privacy Policy", "ja": "プライバシーポリシー"},
            "url": "https://kumo.example/privacy",
            "part_of_terms": True,
        }
    },
    "rule": {"preset": "pop-japan"},
    "review": {"incomplete": "fall_back"},  # few tests are about what a version says in which language
}


def a_site(**changes: Any) -> Site:
    """The site, with some of its settings replaced."""
    return Site.model_validate(KUMO | changes)

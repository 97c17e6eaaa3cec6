"""What people will read of a draft, before it is published: written by what writes letters, and sent to nobody.

Everything is as if the draft were published at its time: the dates, the rule, the list of what changed since the
version that people were last told of. Nothing is written down.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.campaigns.plan import choose_locale
from notifier.campaigns.rule import Rule, rule_of
from notifier.db import Db
from notifier.keys import Keys
from notifier.letters.letter import Preview, Since, Telling, Words
from notifier.letters.write import Writer
from notifier.policies.authoring import foresee
from notifier.policies.diff import compare
from notifier.policies.digest import digest
from notifier.policies.publish import Version, VersionText, load_version, texts_of
from notifier.sites.site import Site

# Whom a preview is written to: nobody, by RFC 2606.
NOBODY = "somebody@example.com"


@dataclass(frozen=True)
class Foreseen:
    """What people who asked for a locale will read. ``preview.locale`` is another one where there is no such text."""

    requested: str
    preview: Preview

    @property
    def is_fallback(self) -> bool:
        """Whether these people read a text in another locale than their own."""
        return self.requested != self.preview.locale


async def preview_letters(
    db: Db, keys: Keys, public_url: str, site: Site, version_id: int, now: datetime
) -> list[Foreseen]:
    """The letter for every locale of the site; none where nobody is told, or no text is there yet. Raises NotFound."""
    version = await foresee(db, site, await load_version(db, site.site, version_id), now)
    texts = await texts_of(db, version_id)
    if not version.is_told or not texts:
        return []
    last = await db.first(dict, "letters.last_told", site=site.site, policy=version.policy)
    earlier = await texts_of(db, last["version_id"]) if last else []
    return await asyncio.to_thread(_write, keys, public_url, site, version, texts, last, earlier)


def _write(
    keys: Keys, public_url: str, site: Site, version: Version,
    texts: Sequence[VersionText], last: dict[str, object] | None, earlier: Sequence[VersionText],
) -> list[Foreseen]:  # fmt: skip
    assert version.published_at is not None
    assert version.effective_at is not None
    since = (int(str(last["version_id"])), str(last["label"])) if last else None
    telling = Telling(
        campaign_id=0,
        site=site,
        policy=version.policy,
        label=version.label,
        published_at=version.published_at,
        effective_at=version.effective_at,
        opened_at=version.published_at,
        rule=_rule(site, version),
        texts={text.locale: _words(version, text, since, earlier) for text in texts},
        usual=since[0] if since else None,
    )
    writer = Writer(telling, keys, public_url)
    available = [text.locale for text in texts]
    used = {locale: choose_locale(locale, available, site.locales) for locale in site.locales}
    return [Foreseen(locale, writer.preview(of, NOBODY)) for locale, of in used.items()]


def _rule(site: Site, version: Version) -> Rule:
    is_terms = site.policies[version.policy].is_terms
    return rule_of(site.rule, version.materiality, version.flags, is_terms=is_terms)


def _words(version: Version, text: VersionText, since: tuple[int, str] | None, earlier: Sequence[VersionText]) -> Words:
    url = f"/p/{version.site}/{version.policy}/{version.label}/{text.locale}"
    known = {}
    for old in earlier:
        if since is not None and old.locale == text.locale:
            found = digest(compare(old.media_type, old.body, text.media_type, text.body, text.locale))
            known[since[0]] = Since(since[1], found)
    return Words(summary=text.summary, url=url, since=known)

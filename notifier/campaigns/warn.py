"""Look a published version over, before anybody is told of it."""

from notifier.campaigns.lint import Draft, Warn, all_of
from notifier.campaigns.rule import rules_of
from notifier.db import Db
from notifier.policies.publish import Version, texts_of
from notifier.sites.site import Site


async def warnings_of(db: Db, site: Site, version: Version) -> list[Warn]:
    """What a careful reader would stumble over in a published version, its letters and the site's rule."""
    policy = site.policies.get(version.policy)
    if policy is None or version.published_at is None or version.effective_at is None:
        return []
    texts = await texts_of(db, version.version_id)
    draft = Draft(
        materiality="editorial" if version.is_baseline else version.materiality,
        flags=tuple(version.flags),
        published_at=version.published_at,
        effective_at=version.effective_at,
        texts={text.locale: text.body.decode() for text in texts},
        summaries={text.locale: text.summary for text in texts},
    )
    rules = rules_of(site.rule, version.materiality, version.flags, is_terms=policy.is_terms)
    return all_of(site, rules, draft)

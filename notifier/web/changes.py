"""What a draft changes, language by language, and what that hints at."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from notifier.db import Db
from notifier.policies.diff import Comparison
from notifier.policies.hints import Hint, Proposal, hints_of, proposal_of
from notifier.policies.publish import Version, VersionText, latest_of, texts_of
from notifier.policies.redline import shown as changed_sections
from notifier.web.public.contents import compared, readable


@dataclass(frozen=True)
class Changed:
    """One text of a draft beside the newest version's in the same locale. ``found``: None where that has none."""

    text: VersionText
    found: Comparison | None
    hints: Sequence[Hint]


async def changes_of(db: Db, version: Version) -> list[Changed]:
    """Every text of a draft with what changed in it."""
    latest = await latest_of(db, version.site, version.policy)
    before = {text.locale: text for text in await texts_of(db, latest.version_id)} if latest else {}
    return [
        await asyncio.to_thread(_changed, before.get(text.locale), text)
        for text in await texts_of(db, version.version_id)
    ]


def proposed(changes: Sequence[Changed]) -> Proposal | None:
    """What all texts together hint at; None where there is nothing to compare with."""
    found = [change.found for change in changes if change.found is not None]
    hints = [hint for change in changes for hint in change.hints]
    return proposal_of(hints, meaning_changed=any(one.meaning_changed for one in found)) if found else None


async def shown_text(change: Changed) -> dict[str, Any]:
    """A text as it would be shown, with what changed since the newest version."""
    text, found = change.text, change.found
    made = await asyncio.to_thread(readable, text.media_type, text.body)
    return {
        "locale": text.locale,
        "html": made.html,
        "changes": found.changes if found else (),
        "sections": changed_sections(found) if found else (),
        "noise": found.noise if found else None,
    }


def _changed(old: VersionText | None, text: VersionText) -> Changed:
    if old is None:
        return Changed(text, None, ())
    found = compared(old.media_type, old.body, text.media_type, text.body, text.locale)
    return Changed(text, found, hints_of(found))

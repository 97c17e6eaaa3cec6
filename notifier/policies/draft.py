"""What authors change in a draft, who may review it, and what still keeps it from being published. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from notifier.errors import Fault, Invalid
from notifier.policies.version import Draft, Label, Latest, Materiality, Summary, Text
from notifier.sites.site import Locale, Moment, Site, Slug

# Fields of a draft that an amendment replaces as they are.
_PLAIN = ("label", "effective_at", "materiality", "flags", "corrects", "untranslated")


class Amendment(BaseModel):
    """What somebody says about a draft; what is left out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Label | None = Field(None, description="What this version is called, like 2026-03; needed to publish it.")
    effective_at: Moment | None = Field(None, description="When it takes effect; null: as the notice period allows.")
    materiality: Materiality = "material"
    flags: list[str] = Field([], max_length=20)
    corrects: Label | None = Field(None, description="The label of the newest version, whose typing mistake it mends.")
    untranslated: list[Locale] = Field([], max_length=100, description="Locales that have no text on purpose.")
    texts: dict[Locale, Text | None] = Field({}, description="Locale → text; null takes it out.")
    summaries: dict[Locale, Summary] = Field({}, description="Locale → what changed, without sending the text again.")


class NewDraft(Amendment):
    """A draft to begin with. Nothing but the policy need be known yet."""

    policy: Slug


def amended(draft: Draft, change: Amendment) -> Draft:
    """The draft with what was said about it. Raises Invalid for a summary of a text that is not there."""
    said = change.model_fields_set
    plain: dict[str, Any] = {name: getattr(change, name) for name in _PLAIN if name in said}
    if "label" in plain:
        plain["label"] = plain["label"] or ""
    texts = {locale: text for locale, text in (draft.texts | change.texts).items() if text is not None}
    return draft.model_copy(update={**plain, "texts": _summarised(texts, change.summaries)})


def _summarised(texts: Mapping[str, Text], summaries: Mapping[str, str]) -> dict[str, Text]:
    if strange := [locale for locale in summaries if locale not in texts]:
        detail = "there is no text in this locale to summarise; add the text, or leave the summary out"
        raise Invalid("the draft was left as it is", [Fault(f"/summaries/{locale}", detail) for locale in strange])
    return {
        locale: text.model_copy(update={"summary": summaries[locale]}) if locale in summaries else text
        for locale, text in texts.items()
    }


def incomplete(draft: Draft, site: Site, latest: Latest | None, summaries: str = "/summaries/{}") -> Iterator[Fault]:
    """What a draft still lacks. ``summaries``: where they stand.

    People are told of it where it is neither the first version nor editorial: then every locale of the site wants a
    text (or to be left out by name) and every text a summary.
    """
    if not draft.label:
        yield Fault("/label", "missing: say what this version is called, like 2026-03")
    for locale in draft.untranslated:
        if locale in draft.texts:
            yield Fault("/untranslated", f"{locale} is said to have no text, and has one")
        elif locale not in site.locales:
            yield Fault("/untranslated", f"{site.site} does not use {locale}")
    if latest is None or draft.materiality == "editorial":
        return
    for locale in site.locales:
        if locale not in draft.texts and locale not in draft.untranslated and locale != site.locales[0]:
            yield Fault(f"/texts/{locale}", "missing: add this text, or name the locale in untranslated")
        elif locale in draft.texts and not draft.texts[locale].summary.strip():
            yield Fault(summaries.format(locale), "missing: letters say in your words what changed")


def objection_to_review(site: Site, authors: list[str], actor: str) -> str | None:
    """Why somebody cannot review a draft, and what to do; None when they can."""
    if site.review.by == "another" and actor in authors:
        return f"{actor} wrote at this draft; somebody else must review it, with a token of another name"
    return None

"""What a publisher submits, and whether it can be published. Pure."""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from notifier.errors import Fault, Invalid, Malformed, faults_of
from notifier.policies.excess import excess
from notifier.sites.presets import ACT_FLAGS
from notifier.sites.site import Locale, Moment, Site, Slug

FLAGS = ACT_FLAGS | {
    "new_purpose",
    "unrelated_purpose",
    "new_recipient",
    "new_data_category",
    "retention",
    "beneficial",
}

TEXT_LIMIT = 10 * 1024 * 1024
_TOO_MUCH = {
    "tags": "the text has more than {:,} HTML tags; simplify it or split it",
    "nested": "more than {:,} HTML elements are open at once; close them",
    "brackets": "a paragraph has more than {:,} of [; part it by blank lines",
    "cells": "the tables have more than {:,} cells; a short row counts as a whole one",
}
# How far the publisher's clock may be behind ours when "now" is meant.
SKEW = timedelta(minutes=5)
# What the usual date of effect leaves at the least, beyond the notice period, for approving and sending.
MARGIN = timedelta(days=1)

# Part of a public address, so without anything that would have to be escaped there.
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Materiality = Literal["editorial", "material", "explicit"]
MediaType = Literal["text/markdown", "text/html"]
# What a watched place shows: locale → the mark of its text.
Seen = Mapping[str, str]
Summary = Annotated[str, StringConstraints(max_length=5000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(_Part):
    """One locale's text: its words in ``body``, or its bytes in ``body_base64`` (RFC 4648, 4)."""

    media_type: MediaType = "text/markdown"
    body: str | None = Field(None, description="The text. Kept as exactly the UTF-8 bytes of this string.")
    body_base64: str | None = Field(None, description="Instead of body: the exact bytes, which must be UTF-8.")
    summary: Summary = Field("", description="What changed, in your words. Letters carry it.")

    @model_validator(mode="after")
    def _one_readable_body(self) -> Self:
        if (self.body is None) == (self.body_base64 is None):
            raise PydanticCustomError("body", "give the text either as body or as body_base64")
        try:
            content = self.content
            words = content.decode("utf-8")
        except (UnicodeError, binascii.Error) as error:
            raise PydanticCustomError("body", "the text must be UTF-8 (in body_base64: as base64)") from error
        if len(content) > TEXT_LIMIT:
            raise PydanticCustomError("body", "the text has more than 10 MB; split it or publish less of it")
        if "\0" in words:
            raise PydanticCustomError("body", "the text contains a NUL character; remove it")
        if not words.strip("\ufeff \t\r\n"):
            raise PydanticCustomError("body", "the text is empty")
        if found := excess(words):
            raise PydanticCustomError("body", _TOO_MUCH[found.what].format(found.most))
        return self

    @property
    def content(self) -> bytes:
        """The exact bytes that are kept."""
        if self.body is not None:
            return self.body.encode("utf-8")
        return base64.b64decode(self.body_base64 or "", validate=True)


class Draft(_Part):
    """Everything that a version is published as, as far as it has been said."""

    policy: Slug
    label: Label | Literal[""] = ""
    effective_at: Moment | None = Field(
        None, description="When it takes effect. Left out: as soon as the site's notice period allows."
    )
    materiality: Materiality = Field(
        "material", description="editorial: posted only. material: people are told. explicit: they must act."
    )
    flags: list[str] = Field([], max_length=20, description="What is special about it; some make an act necessary.")
    corrects: Label | None = Field(
        None, description="Of an editorial version: the label of the newest version, whose typing mistake it mends."
    )
    untranslated: list[Locale] = Field(
        [], max_length=100, description="The site's locales that have no text on purpose: their people read another."
    )
    texts: dict[Locale, Text] = {}

    @property
    def sha256(self) -> bytes:
        """Over all of it, however it was written down: the same again is known by it, and a review is of exactly it."""
        return digest({
            "policy": self.policy,
            "label": self.label,
            "effective_at": self.effective_at and self.effective_at.astimezone(UTC).isoformat(),
            "materiality": self.materiality,
            "flags": sorted(set(self.flags)),
            "texts": {locale: [t.media_type, _hex(t.content), t.summary] for locale, t in self.texts.items()},
            **({"corrects": self.corrects} if self.corrects else {}),
            **({"untranslated": sorted(set(self.untranslated))} if self.untranslated else {}),
        })  # fmt: skip


class Submission(Draft):
    """One version of one policy, as it comes by webhook, from a terminal, or out of a draft that is published."""

    label: Label = Field(description="What you call this version, like 2026-03; part of its public address.")
    texts: dict[Locale, Text] = Field(min_length=1, description="Locale → text. The site's first locale must be there.")


@dataclass(frozen=True)
class Latest:
    """The published version that a new one will follow."""

    version_id: int
    ordinal: int
    label: str
    effective_at: datetime


def read_submission(body: bytes) -> Submission:
    """A submission from the JSON of a webhook. Raises Malformed (no JSON) or Invalid (with the fields at fault)."""
    try:
        return Submission.model_validate_json(body)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise Malformed(f"the body is not JSON in UTF-8: {error.errors()[0]['ctx']['error']}") from error
        raise Invalid("the version was not published: some fields need mending", faults_of(error)) from error


def check_submission(
    submission: Draft,
    site: Site,
    latest: Latest | None,
    now: datetime,
    more: Iterable[Fault] = (),
    *,
    overridden: bool = False,
) -> datetime:
    """When the version takes effect. ``latest`` None makes it the baseline: nobody was promised anything before.

    ``overridden``: two people let it take effect when it says, however soon or long ago that is.

    Raises Invalid with a fault per field: policy, flags, texts, corrects, effective_at, and ``more``.
    """
    faults = [*faults_of_draft(submission, site, latest), *_no_first_text(submission, site), *more]
    effective_at, fault = _effective_at(submission, site, latest, now)
    if fault and not overridden:
        faults.append(fault)
    if faults:
        raise Invalid("the version was not published: some fields need mending", faults)
    return effective_at


def foreseen_effect(draft: Draft, site: Site, latest: Latest | None, at: datetime) -> datetime:
    """When a draft would take effect if it were published at ``at``, as far as it says; it may be too soon."""
    return _effective_at(draft, site, latest, at)[0]


def unknown_policy(policy: str, site: Site) -> Fault:
    """What is wrong with a policy that the site does not have."""
    return Fault("/policy", f"{site.site} has no policy {policy!r}; it has {', '.join(site.policies)}")


def seen_in(texts: Mapping[str, Text]) -> Seen:
    """Which words are shown and in which locales, whatever they are called and summarised as."""
    return {locale: mark_of(text.media_type, hashlib.sha256(text.content).digest()) for locale, text in texts.items()}


def mark_of(media_type: str, sha256: bytes) -> str:
    """What tells two texts of a locale apart."""
    return f"{media_type} {sha256.hex()}"


def digest(content: Mapping[str, Any]) -> bytes:
    """SHA-256 over JSON with sorted keys and nothing between them."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def faults_of_draft(submission: Draft, site: Site, latest: Latest | None) -> Iterator[Fault]:
    """What is wrong with what is said already, whatever may still be missing."""
    if submission.policy not in site.policies:
        yield unknown_policy(submission.policy, site)
    for position, flag in enumerate(submission.flags):
        if flag not in FLAGS:
            yield Fault(f"/flags/{position}", f"{flag!r} is unknown; known are {', '.join(sorted(FLAGS))}")
    for locale in submission.texts:
        if locale not in site.locales:
            detail = f"{site.site} does not use this locale; add it to locales in site.yaml, or use {site.locales}"
            yield Fault(f"/texts/{locale}", detail)
    yield from _faults_of_correction(submission, latest)


def _no_first_text(submission: Draft, site: Site) -> Iterator[Fault]:
    if site.locales[0] not in submission.texts:
        yield Fault(f"/texts/{site.locales[0]}", "missing: this locale is shown to all whom no other fits")


def _faults_of_correction(submission: Draft, latest: Latest | None) -> Iterator[Fault]:
    if submission.corrects is None:
        return
    if latest is None or submission.corrects != latest.label:
        newest = f"the newest is {latest.label!r}" if latest else "nothing is published yet"
        yield Fault("/corrects", f"only the newest version can be corrected; {newest}")
    if submission.materiality != "editorial":
        yield Fault("/materiality", "a correction is editorial; what people must be told is a version of its own")


def usual_effect(notice_days: int, zone: ZoneInfo, now: datetime) -> datetime:
    """When a version takes effect that nobody named a date for: at a midnight of the site, after the notice period.

    At least ``MARGIN`` is left for approving and sending: whoever is told within it has the whole period before.
    """
    day = (now + timedelta(days=notice_days) + MARGIN).astimezone(zone).date()
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def _effective_at(submission: Draft, site: Site, latest: Latest | None, now: datetime) -> tuple[datetime, Fault | None]:
    notice_days = site.notice_days(submission.flags)
    told = latest is not None and submission.materiality != "editorial"
    earliest = now + timedelta(days=notice_days) if told else now
    wanted = submission.effective_at
    if wanted is None:
        if told:
            return usual_effect(notice_days, ZoneInfo(site.time_zone), now) if notice_days else now, None
        # A correction of a version that is still to come comes with it, not before it.
        return max(now, latest.effective_at) if latest else now, None
    if latest is None or wanted >= earliest - SKEW:
        return wanted, None
    when = earliest.isoformat(timespec="minutes")
    way_out = f"the earliest is {when}, or leave it out; two people with a reason may override this (POST …/overrides)"
    if wanted < now - SKEW:
        return wanted, Fault("/effective_at", f"lies in the past; {way_out}")
    detail = f"too soon: people are promised {notice_days} days; {way_out}"
    return wanted, Fault("/effective_at", detail)

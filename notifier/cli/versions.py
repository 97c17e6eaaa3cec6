"""Versions from the terminal: drafts that are written, previewed, reviewed, scheduled and published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from cyclopts import App, Parameter
from rich.text import Text

from notifier.cli.asking import DEFAULT_URL, Url, console, moment, service_at, site_path, table
from notifier.cli.files import summaries_of_files, texts_of_files
from notifier.cli.publish import say_published
from notifier.policies.version import Materiality

versions = App(name="versions", help="See versions; write, preview, review, schedule and publish drafts.")

Number = Annotated[int, Parameter(help="The version's number.")]
Several = Annotated[list[str] | None, Parameter(negative="")]
Reason = Annotated[str, Parameter(help="Why, for the record.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Said:
    """What is said about a draft; what is left out stays as it is.

    Parameters
    ----------
    label
        What it is called, like 2026-07.
    text
        LOCALE=FILE, once for every locale; Markdown (.md) or HTML (.html).
    summary
        LOCALE=FILE, once for every locale: what changed, in plain words, for the letters.
    effective_at
        When it takes effect, like 2026-07-01T00:00:00+09:00; left out: as soon as the notice period allows.
    materiality
        editorial: only posted. material: people are told. explicit: they must act.
    flag
        What is special about it, like new_recipient; may be given several times.
    corrects
        Of an editorial version: the label of the newest version, whose typing mistake it mends.
    untranslated
        A locale that has no text on purpose; may be given several times.
    """

    label: str | None = None
    text: Several = None
    summary: Several = None
    effective_at: datetime | None = None
    materiality: Materiality | None = None
    flag: Several = None
    corrects: str | None = None
    untranslated: Several = None

    def document(self) -> dict[str, Any]:
        """As the API takes it. Raises Invalid for files that cannot be read."""
        said = {
            "label": self.label,
            "effective_at": self.effective_at and self.effective_at.astimezone().isoformat(),
            "materiality": self.materiality,
            "flags": self.flag,
            "corrects": self.corrects,
            "untranslated": self.untranslated,
            "texts": texts_of_files(self.text or []) or None,
            "summaries": dict(summaries_of_files(self.summary or [])) or None,
        }
        return {name: value for name, value in said.items() if value is not None}


_NOTHING = Said()


@versions.command(name="list")
async def list_(site: str, *, policy: str | None = None, url: Url = DEFAULT_URL) -> None:
    """List published versions and drafts, the newest first."""
    async with service_at(url) as client:
        found = (await client.get(site_path(site, "versions"), policy=policy))["versions"]
    rows = table("#Version", "Policy", "Label", "Stage", "Kind", "Published", "In effect from")
    for one in found:
        rows.add_row(
            str(one["version_id"]), one["policy"], one["label"], one["stage"], _kind(one),
            moment(one["published_at"] or one["publish_at"]), moment(one["effective_at"]),
        )  # fmt: skip
    console.print(rows if found else f"{site} has no versions yet.")


@versions.command
async def show(site: str, version: Number, *, url: Url = DEFAULT_URL) -> None:
    """Show one version: what it says, what it hints at, and everything that was done to it."""
    async with service_at(url) as client:
        _show(await client.get(site_path(site, "versions", version)))


@versions.command
async def draft(site: str, policy: str, *, said: Said = _NOTHING, url: Url = DEFAULT_URL) -> None:
    """Begin a draft. Nothing but its policy need be known yet."""
    async with service_at(url) as client:
        _show(await client.post(site_path(site, "versions"), {"policy": policy, **said.document()}))


@versions.command
async def amend(site: str, version: Number, *, said: Said = _NOTHING, url: Url = DEFAULT_URL) -> None:
    """Change a draft: what is left out stays. Its review and its schedule are undone."""
    async with service_at(url) as client:
        _show(await client.patch(site_path(site, "versions", version), said.document()))


@versions.command
async def preview(
    site: str, version: Number, *, locale: str | None = None, into: Path | None = None, url: Url = DEFAULT_URL
) -> None:
    """Read the letters of a draft, word for word, before it is published. Nothing is sent.

    Parameters
    ----------
    locale
        Only for people of this locale.
    into
        A folder that gets letter, private message and page of every locale as files, for a browser.
    """
    here = site_path(site, "versions", version)
    async with service_at(url) as client:
        found = await client.get(f"{here}/preview", locale=locale)
        locales = [text["locale"] for text in (await client.get(here))["texts"] if locale in (None, text["locale"])]
        pages = {
            one: (await client.get_raw(f"{here}/preview/page", locale=one))[1] for one in locales if into is not None
        }
    for one in found["letters"]:
        _show_letter(one)
    if not found["told"]:
        console.print("Nobody is told of it: there is no letter.")
    if into is not None:
        _keep(into, found["letters"], pages)


@versions.command
async def review(site: str, version: Number, sha256: str, *, reason: Reason = "", url: Url = DEFAULT_URL) -> None:
    """Record that you reviewed exactly the draft with this SHA-256, which `versions show` prints.

    Parameters
    ----------
    sha256
        Of what you read: if it says anything else by now, nothing is recorded.
    """
    async with service_at(url) as client:
        _show(await client.post(site_path(site, "versions", version, "review"), {"sha256": sha256, "reason": reason}))


@versions.command
async def schedule(site: str, version: Number, at: str, *, url: Url = DEFAULT_URL) -> None:
    """Have a reviewed draft published at a time.

    Parameters
    ----------
    at
        On the clocks of the site's zone, like 2026-07-01T09:00; or with an offset of its own.
    """
    async with service_at(url) as client:
        _show(await client.post(site_path(site, "versions", version, "schedule"), {"publish_at": at}))


@versions.command
async def unschedule(site: str, version: Number, *, url: Url = DEFAULT_URL) -> None:
    """Take the time back. The draft stays reviewed."""
    async with service_at(url) as client:
        _show(await client.delete(site_path(site, "versions", version, "schedule")))


@versions.command
async def publish(site: str, version: Number, *, sha256: str | None = None, url: Url = DEFAULT_URL) -> None:
    """Publish a draft now. Nothing is sent before its campaign is approved.

    Parameters
    ----------
    sha256
        Of what you read, which `versions show` prints: if the draft says anything else by now, nothing is published.
    """
    async with service_at(url) as client:
        meant = f"?{urlencode({'sha256': sha256})}" if sha256 else ""
        say_published(site, await client.post(site_path(site, "versions", version, "publish") + meant, {}))


@versions.command
async def override(
    site: str,
    policy: str,
    label: str,
    *,
    effective_at: datetime,
    reason: Annotated[str, Parameter(help="Why it may not wait, for the record.")],
    url: Url = DEFAULT_URL,
) -> None:
    """Ask that a version may take effect sooner than people are promised; or confirm what somebody else asked for.

    It takes two people, each with a token of their own, who say the same date. What each person is promised stays.
    """
    asked = {"policy": policy, "label": label, "effective_at": effective_at.astimezone().isoformat(), "reason": reason}
    async with service_at(url) as client:
        _show_overrides([await client.post(site_path(site, "overrides"), asked)])


@versions.command
async def overrides(site: str, *, url: Url = DEFAULT_URL) -> None:
    """List earlier dates that were asked for, and by whom they were confirmed."""
    async with service_at(url) as client:
        _show_overrides((await client.get(site_path(site, "overrides")))["overrides"])


def _show_overrides(found: Sequence[Mapping[str, Any]]) -> None:
    rows = table("Version", "In effect from", "Asked for by", "Confirmed by", "Why")
    for one in found:
        confirmed = one["confirmed_by"] or "nobody yet: somebody else has to say the same"
        version, at = Text(f"{one['policy']} {one['label']}"), moment(one["effective_at"])
        rows.add_row(version, at, Text(one["asked_by"]), Text(confirmed), Text(one["reason"]))
    console.print(rows if found else "Nobody asked for an earlier date.")


@versions.command
async def discard(site: str, version: Number, *, reason: Reason = "", url: Url = DEFAULT_URL) -> None:
    """Give a draft up. It is kept, and what it was read from does not open it again."""
    async with service_at(url) as client:
        await client.post(site_path(site, "versions", version, "discard"), {"reason": reason})
    console.print(f"Draft {version} was discarded.")


def _show(one: Mapping[str, Any]) -> None:
    named = one["label"] or "(no label yet)"
    console.print(f"[bold]{one['version_id']} {one['policy']} {named}[/bold]: {one['stage']}, {_kind(one)}")
    console.print(f"SHA-256 {one['sha256']}", soft_wrap=True)
    if one["reviewed_by"]:
        console.print(f"Reviewed by {one['reviewed_by']} on {moment(one['reviewed_at'])}.")
    if one["publish_at"] and one["state"] == "pending":
        console.print(f"Published by itself on {moment(one['publish_at'])} (said in {one['publish_zone']}).")
    for text in one["texts"]:
        console.print(Text(f"  {text['locale']}  {text['size']:,} bytes  {text['summary'] or '(no summary)'}"))
    for hint in one["hints"]:
        gone = " (gone)" if hint["gone"] else ""
        console.print(Text(f"Perhaps {hint['kind']} ({hint['locale']}): {hint['section']}: “{hint['words']}”{gone}"))
    rows = table("When", "Who", "What", "Why")
    for event in one["events"]:
        rows.add_row(moment(event["at"]), event["actor"], event["action"], Text(event["reason"]))
    console.print(rows)


def _kind(one: Mapping[str, Any]) -> str:
    return f"{one['materiality']}, corrects {one['corrects']}" if one["corrects"] else str(one["materiality"])


def _show_letter(one: Mapping[str, Any]) -> None:
    other = "" if one["locale"] == one["text_locale"] else f" (no text in it: they read {one['text_locale']})"
    console.rule(f"{one['locale']}{other}", align="left")
    console.print(Text(f"From: {one['sender']}\nSubject: {one['subject']}\n\n{one['text']}"), soft_wrap=True)


def _keep(folder: Path, letters: list[Mapping[str, Any]], pages: Mapping[str, bytes]) -> None:
    files = {f"page.{locale}.html": page for locale, page in pages.items()}
    for one in letters:
        files[f"letter.{one['locale']}.txt"] = one["text"].encode()
        files[f"letter.{one['locale']}.html"] = one["html"].encode()
        files[f"message.{one['locale']}.html"] = one["message_html"].encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    console.print(f"{len(files)} files are in {folder}.")

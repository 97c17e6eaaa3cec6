"""What the two example sites publish: first their two versions, then one more at every further run. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SUMMARY = {
    "en": "The section “Note {n}” is new and says that nothing else has changed. The demo adds one at every run.",
    "ja": "「注記{n}」の項を加えました。ほかに変更がないことを記すもので、デモを再び実行するたびに一つ増えます。",
}
NOTE = {
    "en": "\n## Note {n}\n\nThis note was added in edition {n} of this policy. Nothing else has changed.\n",
    "ja": "\n## 注記{n}\n\nこの注記は本ポリシーの第{n}版で加えました。前の版からほかに変更はありません。\n",
}
# What the sites' second versions change, as the publisher would say it; later editions only add a note.
FLAGS = {
    "kumo-store": ["new_recipient", "retention"],
    "hanabi-market": ["new_recipient", "new_data_category", "retention"],
}


@dataclass(frozen=True)
class Edition:
    """The n-th version that the demo publishes of a site's policy."""

    label: str
    flags: list[str]
    texts: Mapping[str, Mapping[str, str]]


def edition(folder: Path, site: str, number: int) -> Edition:
    """Edition ``number`` (1, 2, …) of the example in ``folder``."""
    source = folder / str(min(number, 2))
    texts = {}
    for locale in ("en", "ja"):
        body = (source / f"privacy.{locale}.md").read_text("utf-8")
        body += "".join(NOTE[locale].format(n=n) for n in range(3, number + 1))
        texts[locale] = {"media_type": "text/markdown", "body": body, "summary": _summary(source, locale, number)}
    return Edition(str(number), FLAGS[site] if number == 2 else [], texts)


def _summary(source: Path, locale: str, number: int) -> str:
    if number == 1:
        return ""
    if number == 2:
        return (source / f"summary.{locale}.txt").read_text("utf-8").strip()
    return SUMMARY[locale].format(n=number)

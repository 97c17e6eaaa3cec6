"""Locales in the one form in which they are kept and compared. Pure."""

import re
from functools import lru_cache

_LOCALE = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|[0-9]{3}))?(?:[.@].*)?")


@lru_cache(4096)
def known_locale(value: str) -> str:
    """Like ja-JP, of ``ja_JP`` or ``JA-jp``; nothing stays nothing. Raises ValueError when it is none."""
    if not value:
        return ""
    match = _LOCALE.fullmatch(value)
    if match is None:
        raise ValueError("not a locale; write a language and perhaps a script and a region, like ja, en-GB, zh-Hant-TW")
    language, script, region = match.groups()
    return "-".join([language.lower(), *filter(None, [script and script.title(), region and region.upper()])])

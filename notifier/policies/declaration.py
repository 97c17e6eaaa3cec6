"""A declaration of Open Terms Archive as sources of ours, or why a type of terms cannot be one. Pure.

The format: https://docs.opentermsarchive.org/terms/reference/declaration/ and the engine's JSON Schema
(``scripts/declarations/validate``), as of engine 14.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from notifier.errors import Invalid
from notifier.sites.site import Source

_KNOWN = frozenset({"fetch", "select", "remove", "filter", "executeClientScripts", "combine"})
# What it does needs no doing here: such parameters of links are no change anyway (``links.py``).
_NEEDLESS_FILTERS = frozenset({"removeQueryParams"})
_PDF = re.compile(r"https?://[^?#]+\.pdf(?:[?#]|$)", re.IGNORECASE)


class Imported(NamedTuple):
    """The sources, as site.yaml has them, and for each type of terms that is none of them the reason."""

    sources: list[dict[str, Any]]
    refused: dict[str, str]


def sources_of(declared: Any, locale: str) -> Imported:
    """Read a declaration. Raises Invalid for what is none."""
    given = declared if isinstance(declared, dict) else {}
    terms = given.get("terms", given.get("documents"))
    if terms is None and given and all(isinstance(value, list) for value in given.values()):
        raise Invalid("this is the history of a declaration, which says how pages were read once; give the other file")
    if not isinstance(terms, dict):
        raise Invalid("this is no declaration of Open Terms Archive: it has no terms")
    imported = Imported([], {})
    for kind, one in terms.items():
        if reason := _objection(one):
            imported.refused[kind] = reason
            continue
        source = _source(kind, one, locale)
        try:
            Source.model_validate(source)
        except ValidationError as error:
            first = error.errors()[0]
            imported.refused[kind] = f"{'/'.join(map(str, first['loc']))}: {first['msg']}"
        else:
            imported.sources.append(source)
    return imported


def _objection(one: Any) -> str | None:
    """Why this cannot be a source here."""
    if not isinstance(one, Mapping):
        return "is no object"
    if unknown := sorted(one.keys() - _KNOWN):
        return f"{', '.join(unknown)}: not known; the format may be newer than this"
    if "combine" in one:
        return "combine: a text of several pages is not read here; watch the pages as policies of their own"
    if one.get("executeClientScripts"):
        return "executeClientScripts: no browser runs here; name a page that has the text without scripts"
    if not isinstance(one.get("fetch"), str):
        return "fetch: missing: where the text is"
    if _PDF.match(one["fetch"]):
        return "fetch: PDF is not read here; name the page as HTML or Markdown"
    for name in ("select", "remove"):
        chosen = _listed(one.get(name, []))
        if any(isinstance(selector, Mapping) for selector in chosen):
            return f"{name}: a range from one element to another is not read here; choose elements by CSS selectors"
        if not all(isinstance(selector, str) for selector in chosen):
            return f"{name}: neither a CSS selector nor a list of such"
    return _objection_to_filters(_listed(one.get("filter", [])))


def _objection_to_filters(filters: list[Any]) -> str | None:
    names = [next(iter(one), "") if isinstance(one, Mapping) else str(one) for one in filters]
    programs = [name for name in names if name not in _NEEDLESS_FILTERS]
    if programs:
        return f"filter: {', '.join(programs)}: programs of the collection are not run here; try it without them"
    return None


def _source(kind: str, one: Mapping[str, Any], locale: str) -> dict[str, Any]:
    policy = re.sub(r"[^a-z0-9]+", "-", kind.lower())[:40].strip("-")
    # What stands behind # is for a browser, and never sent.
    source = {"policy": policy, "locale": locale, "page": one["fetch"].partition("#")[0]}
    chosen = {ours: _listed(one.get(theirs, [])) for ours, theirs in (("keep", "select"), ("drop", "remove"))}
    return source | {name: selectors for name, selectors in chosen.items() if selectors}


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]

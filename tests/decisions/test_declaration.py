"""Declarations of Open Terms Archive: every form of their format is read, or refused with its reason."""

from typing import Any

import pytest

from notifier.errors import Invalid
from notifier.policies.declaration import sources_of

PAGE = "https://kumo.example/privacy"


def declared(one: Any) -> dict[str, Any]:
    return {"name": "Kumo", "terms": {"Privacy Policy": one}}


@pytest.mark.parametrize(
    ("one", "source"),
    [
        ({"fetch": PAGE, "select": "main"}, {"keep": ["main"]}),
        ({"fetch": PAGE, "select": [".a", ".b"], "remove": ".nav, .crumbs"},
         {"keep": [".a", ".b"], "drop": [".nav, .crumbs"]}),
        ({"fetch": PAGE, "select": "main", "remove": ["nav", ".ads"]}, {"keep": ["main"], "drop": ["nav", ".ads"]}),
        ({"fetch": PAGE}, {}),
        ({"fetch": PAGE + "#cookies"}, {}),
        ({"fetch": PAGE, "select": "main", "executeClientScripts": False}, {"keep": ["main"]}),
        ({"fetch": PAGE, "select": "main", "filter": [{"removeQueryParams": ["utm_source"]}]}, {"keep": ["main"]}),
    ],
)  # fmt: skip
def test_one_page_with_css_selectors_is_a_source(one: Any, source: dict[str, Any]) -> None:
    expected = {"policy": "privacy-policy", "locale": "en", "page": PAGE, **source}
    assert sources_of(declared(one), "en") == ([expected], {})


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        ({"combine": [{"fetch": PAGE, "select": "a"}, {"fetch": PAGE}]}, "combine: a text of several"),
        ({"fetch": PAGE, "select": {"startBefore": "h1", "endAfter": "footer"}}, "select: a range"),
        ({"fetch": PAGE, "select": ["main", {"startAfter": "h2", "endBefore": ".end"}]}, "select: a range"),
        ({"fetch": PAGE, "select": "main", "remove": {"startBefore": "#a", "endBefore": "#b"}}, "remove: a range"),
        ({"fetch": PAGE, "select": "main", "executeClientScripts": True}, "no browser runs here"),
        ({"fetch": PAGE, "select": "main", "filter": ["tidyLinks", {"cut": {"from": 1}}]}, "filter: tidyLinks, cut"),
        ({"fetch": "https://kumo.example/privacy.PDF?v=2"}, "PDF is not read here"),
        ({"fetch": "https://me@kumo.example/privacy", "select": "main"}, "page: "),
        ({"fetch": "ftp://kumo.example/privacy", "select": "main"}, "page: "),
        ({"fetch": PAGE, "select": "main["}, "keep/0: "),
        ({"fetch": PAGE, "select": [7]}, "select: neither"),
        ({"select": "main"}, "fetch: missing"),
        ({"fetch": PAGE, "select": "main", "newThing": 1}, "newThing: not known"),
        ("main", "is no object"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_here_is_left_out_with_its_reason(one: Any, reason: str) -> None:
    found = sources_of(declared(one), "en")
    assert found.sources == []
    assert reason in found.refused["Privacy Policy"]


def test_an_address_may_have_an_at_sign_in_its_path() -> None:
    [source] = sources_of(declared({"fetch": "https://docs.kumo.example/en/pro@latest/privacy"}), "en").sources
    assert source["page"] == "https://docs.kumo.example/en/pro@latest/privacy"


def test_what_can_be_read_is_a_source_beside_what_cannot() -> None:
    both = {"Terms of Service": {"fetch": PAGE, "select": "main"}, "Privacy Policy": {"combine": []}}
    found = sources_of({"name": "Kumo", "importedFrom": PAGE, "terms": both}, "ja")
    assert [(one["policy"], one["locale"]) for one in found.sources] == [("terms-of-service", "ja")]
    assert found.refused.keys() == {"Privacy Policy"}


def test_declarations_from_before_the_word_terms_are_read() -> None:
    assert len(sources_of({"name": "Kumo", "documents": {"Privacy Policy": {"fetch": PAGE}}}, "en").sources) == 1


@pytest.mark.parametrize("given", [[], "x", None, {"name": "Kumo"}, {"terms": []}])
def test_what_is_no_declaration_says_so(given: Any) -> None:
    with pytest.raises(Invalid, match="no declaration"):
        sources_of(given, "en")


def test_a_history_of_a_declaration_is_told_from_one() -> None:
    with pytest.raises(Invalid, match="the history of a declaration"):
        sources_of({"Privacy Policy": [{"fetch": PAGE, "select": "main", "validUntil": "2024-01-01T00:00:00Z"}]}, "en")

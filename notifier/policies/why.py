"""Why something that was fetched is not taken for the text: a code with its values, so that any page can say it in its
own language; here is what it says in English. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENGLISH: Mapping[str, str] = {
    # it is perhaps not the policy
    "stub": "it looks like a page that stands in for the real one",
    "login": "it looks like a login page",
    "error_page": "it looks like an error page",
    "short": "it has only {count} characters",
    "shrunk": "it has {new} characters, where it had {old}",
    "script": "it is written in {new} letters, where it was in {old}",
    "language": "it says that it is in {new}, where it said {old}",
    "other_text": "hardly a word of it is the same: another language, or another page",
    "backwards": "its date runs backwards, from {old} to {new}: another region's edition?",
    "flapping": "the page goes back and forth between editions",
    # it cannot be read
    "media_type": "it is {kind}, neither a page nor a text",
    "encoding": "it is not in the encoding that it claims ({encoding})",
    "nul": "it contains NUL characters",
    "tags": "it has more than {count} tags",
    "selectors": "nothing on it fits {selectors}",
    "nested": "it is nested too deeply",
    "brackets": "a paragraph of it has more than {count} of [",
    "cells": "its tables have more than {count} cells",
    # nothing could be had
    "slow": "it took too long to answer",
    "unpackable": "what it sent cannot be unpacked",
    "broken_off": "it broke off in the middle",
    "packed": "it is packed as {encoding}, although only gzip was asked for",
    "size": "it has more than {count} MB",
    "unreachable": "it could not be reached: {detail}",
    "inside": "{host} lies in our own network",
    "plain_http": "{scheme} is not used outside one's own network: use https",
    "elsewhere": "it leads to another host ({host}); name that address if it is yours",
    "round": "it leads on and on ({count} times)",
    "status": "it answered {status}",
    # a feed
    "feed_elsewhere": "its newest entry has no text, and links to another host or nowhere",
    "feed_doctype": "it is not read, as it declares a document type: an Atom feed has none",
    "feed_broken": "it is no Atom feed: {detail}",
    "feed_empty": "it is no Atom feed, or one without entries",
    # a repository
    "git_missing": "the command git is not installed here",
    "git_branch": "it has no branch {branch}",
    "git_failed": "git could not read it: {detail}",
    # a page that must show a version
    "shows_earlier": "it shows {shown}, and not {expected}",
    "shows_other": "it shows a text that is no version: {sections} sections differ from {expected}",
}


@dataclass(frozen=True)
class Why:
    """One reason: what it is, and its values (text and numbers). Pages look the code up in their own catalogue."""

    code: str
    values: Mapping[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        """The reason in English."""
        return ENGLISH[self.code].format_map({n: f"{v:,}" if type(v) is int else v for n, v in self.values.items()})

    @property
    def row(self) -> dict[str, Any]:
        """The reason as it is kept."""
        return {"code": self.code, **self.values}


def why(code: str, **values: str | int) -> Why:
    """A reason with its values."""
    return Why(code, values)


class Reasoned(Exception):
    """An error that says why by a code with its values."""

    def __init__(self, code: str, **values: str | int) -> None:
        self.why = why(code, **values)
        super().__init__(str(self.why))

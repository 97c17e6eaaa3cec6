"""Read a site.yaml. Pure. Whatever is wrong is said with its line, its field and what to do about it.

Only plain YAML is read: no tags, no anchors (a few bytes of them can unfold to gigabytes), no key twice. ``no`` and
``on`` stay words, so that Norwegian is a language.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from notifier.errors import Fault, Invalid
from notifier.sites.site import Site

_LARGEST = 64 * 1024
_DEEPEST = 20
_INTEGER = re.compile(r"[-+]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,15}\.[0-9]{1,15}")
_WORDS: Mapping[str, object] = {"true": True, "false": False, "null": None, "~": None, "": None}
_PLAIN = ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in _PLAIN)

Location = tuple[str | int, ...]


class _Found(Exception):
    """Something is wrong at a line (from 0); reading goes no further."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(detail)
        self.line, self.detail = line, detail


class _Composer(yaml.SafeLoader):
    """Builds the tree of the text and refuses what no site.yaml needs."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # types-PyYAML leaves this one untyped
        line = event.start_mark.line
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _Found(line, "anchors (&) and aliases (*) are not read; write the value out where it is needed")
        if self.depth == _DEEPEST:
            raise _Found(line, "nested too deeply; no field of a site lies this deep")
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def read_site(text: str | bytes, name: str = "site.yaml") -> Site:
    """The site that the text describes. Raises Invalid; each fault's pointer is ``name:line``."""
    lines: dict[Location, int] = {}
    try:
        text = _decoded(text) if isinstance(text, bytes) else text
        data = _plain(_tree(text), (), lines)
    except _Found as found:
        raise _invalid(name, [Fault(f"{name}:{found.line + 1}", found.detail)]) from found
    try:
        return Site.model_validate(data)
    except ValidationError as error:
        faults = [_fault(dict(found), lines, name) for found in error.errors(include_url=False)]
        raise _invalid(name, faults) from error


def _invalid(name: str, faults: Sequence[Fault]) -> Invalid:
    return Invalid(f"{name} describes no site yet; nothing was changed", faults)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        raise _Found(line, "not UTF-8; save the file as UTF-8 and apply it again") from error


def _tree(text: str) -> yaml.Node:
    if len(text) > _LARGEST:
        raise _Found(0, f"longer than {_LARGEST // 1024} KiB; texts of policies do not belong into it")
    try:
        node = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _Found(mark.line if mark else 0, f"not YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        raise _Found(line, f"the character U+{error.character:04X} cannot stand in YAML; remove it") from error
    if not isinstance(node, yaml.MappingNode):
        raise _Found(0, "must hold the fields of a site, one below the other, like `site: my-shop`")
    return node


def _plain(node: yaml.Node, at: Location, lines: dict[Location, int]) -> object:
    """The value of a node; ``lines`` learns where each value and key stands."""
    lines.setdefault(at, node.start_mark.line)
    if node.tag not in _PLAIN_TAGS:
        raise _Found(node.start_mark.line, f"{_field(at)}: tags ({node.tag}) are not read; write a plain value")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*at, n), lines) for n, child in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, at: Location, lines: dict[Location, int]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in node.value:
        line = key.start_mark.line
        if not isinstance(key, yaml.ScalarNode):
            raise _Found(line, f"{_field(at)}: a key must be a plain word")
        if key.value in found:
            raise _Found(line, f"{_field((*at, key.value))}: stands twice, first in line {lines[*at, key.value] + 1}")
        lines[*at, key.value] = line
        found[key.value] = _plain(value, (*at, key.value), lines)
    return found


def _scalar(node: yaml.Node) -> object:
    text = str(node.value)
    if getattr(node, "style", None) is not None:  # in quotes, or a block of text
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _fault(found: dict[str, Any], lines: Mapping[Location, int], name: str) -> Fault:
    at: Location = tuple(step for step in found["loc"] if step != "[key]")
    if found["type"] == "not_covered":
        at = (found["ctx"]["field"],)
    if found["type"] in ("less", "unclear"):
        at = (*at, *found["ctx"]["at"])
    known = at
    while known not in lines:
        known = known[:-1]
    return Fault(f"{name}:{lines[known] + 1}", f"{_field(at)}: {_remedy(found, at)}")


def _field(at: Location) -> str:
    return ".".join(str(step) for step in at) or "the file"


def _remedy(found: Mapping[str, Any], at: Location) -> str:
    """What pydantic says, and what to do about it."""
    said: str = found["msg"].removeprefix("Value error, ")
    match found["type"]:
        case "missing":
            return "is missing; add it"
        case "extra_forbidden":
            return f"there is no such field; {_nearest(str(at[-1]), _fields_beside(at))}"
        case "string_type":
            return "must be text; put it in quotes"
        case "string_pattern_mismatch":
            return f"{found['input']!r} is not written as it must be; {_how_to_write(found['ctx']['pattern'])}"
        case "list_type":
            return "must be a list, like [one, two]"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "must hold fields of its own, indented below it"
    return said


def _how_to_write(pattern: str) -> str:
    examples = {
        "^[a-z0-9]": "lower-case letters, digits and hyphens, at most 40, like my-shop",
        "^[a-z]{2,3}": "a language and perhaps a region, like en, ja or pt-BR",
        "^[a-z][a-z0-9_]": "the name of a channel, like email or inbox",
        "^(?:hosted|": "a whole address, like https://shop.example/privacy, or hosted",
        "^https?://": "a whole address, like https://shop.example/",
        "^[A-Z]{2}": "two capital letters, like JP",
        "^[^": "a single line without control characters",
    }
    return next((said for start, said in examples.items() if pattern.startswith(start)), f"it must match {pattern}")


def _nearest(given: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, known, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def _fields_beside(at: Location) -> list[str]:
    """The fields that may stand where an unknown one was found."""
    kind: Any = Site
    for step in at[:-1]:
        kind = _inside(kind, str(step))
    return list(_model(kind).model_fields)


def _inside(kind: Any, step: str) -> Any:
    """The type of what lies in a field of a model, or in a list or dictionary."""
    return get_args(kind)[-1] if get_origin(kind) in (list, dict) else _model(kind).model_fields[step].annotation


def _model(kind: Any) -> type[BaseModel]:
    """The model itself, or the one of ``Model | None``."""
    found: type[BaseModel] = next((one for one in get_args(kind) if one is not type(None)), kind)
    return found

"""Examples for the documentation, made from the JSON Schemas. Pure. A test checks each against its schema."""

from typing import Any

Schema = dict[str, Any]

# What a field of this name is like, wherever it occurs.
BY_NAME: dict[str, Any] = {
    "site": "kumo",
    "policy": "privacy",
    "label": "2026-03",
    "version": "2026-03",
    "external_id": "u-1001",
    "email": "aoi@example.jp",
    "locale": "ja",
    "time_zone": "Asia/Tokyo",
    "country": "JP",
    "roles": ["buyer"],
    "attributes": {"plan": "free"},
    "kind": "page_view",
    "url": "https://kumo.example/items/7",
    "ip": "203.0.113.9",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "reason": "checked with counsel",
    "texts": {"en": {"media_type": "text/markdown", "body": "# Privacy Policy\n\n…", "summary": "We name a new …"}},
    "materiality": "material",
    "flags": ["new_recipient"],
    "via": "settings page",
    "words": {"en": "We wrote that messages are kept for one month. It is **one year**."},
    "statement": "I do not agree.",
    "registration_version": "2026-03",
    "campaign_id": 7,
    "version_id": 12,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "channel": "email",
    "cursor": "",
}


def sample(schema: Schema, components: Schema, name: str = "") -> Any:
    """A value that fits the schema: only what is required of an object, and of a field what its name suggests."""
    if "$ref" in schema:
        return sample(components[schema["$ref"].rpartition("/")[2]], components, name)
    if "examples" in schema:
        return schema["examples"][0]
    if name in BY_NAME:
        return BY_NAME[name]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return sample(schema[union][0], components, name)
    return _of_type(schema, components)


def _of_type(schema: Schema, components: Schema) -> Any:
    match schema.get("type"):
        case "object":
            return _object(schema, components)
        case "array":
            return [sample(schema.get("items", {}), components)]
        case "integer" | "number":
            return max(schema.get("minimum", 0), schema.get("exclusiveMinimum", -1) + 1, 1)
        case "boolean":
            return True
        case "string":
            return "2026-03-01T09:00:00Z" if schema.get("format") == "date-time" else "…"
    return None


def _object(schema: Schema, components: Schema) -> Schema:
    fields = schema.get("properties", {})
    wanted = [name for name in fields if name in schema.get("required", ()) or name in SHOWN]
    return {name: sample(fields[name], components, name) for name in wanted}


# Shown in examples although they may be left out: without them the example would say little.
SHOWN = frozenset({
    "email", "locale", "time_zone", "country", "roles", "url", "ip", "reason", "label", "materiality", "flags", "texts",
})  # fmt: skip

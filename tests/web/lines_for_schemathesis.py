"""Teaches schemathesis NDJSON: whatever it makes up becomes one line each."""

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: Any, value: Any) -> bytes:
    """A body of lines."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


@schemathesis.serializer("*/*")
def anything(context: Any, value: Any) -> bytes:
    """A body of bytes."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()

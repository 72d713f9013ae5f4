"""The wire's name, its addresses, and the casing of its members."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

WIRE = "gemini"

API_VERSION = "v1beta"

Table = dict[str, Any]

_UNDERSCORE = re.compile(r"_([a-z0-9])")
# Inside these members names are the client's own.
_CLIENTS_NAMES = frozenset(
    {"args", "labels", "parametersJsonSchema", "partMetadata", "properties", "response", "responseJsonSchema"}
)


def path(model: str, api_version: str, method: str = "streamGenerateContent?alt=sse") -> str:
    """A model's path below the vendor's address. A tuned model is named with its collection."""
    named = model if "/" in model else f"models/{model}"
    return f"/{api_version}/{quote(named, safe='/-_.~@')}:{method}"


def camel(value: Any) -> Any:
    """The value with its members in the casing that is sent; the wire takes both."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, inner in value.items():
        name = camel_name(key)
        if name == "properties" and isinstance(inner, dict):
            out[name] = {own: camel(item) for own, item in inner.items()}
        else:
            out[name] = inner if name in _CLIENTS_NAMES else camel(inner)
    return out


def camel_name(name: str) -> str:
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name)

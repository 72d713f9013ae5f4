"""What the wire is called, where it is spoken, and how names are spelt on it: constants."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

WIRE = "gemini"

API_VERSION = "v1beta"

Table = dict[str, Any]

_UNDERSCORE = re.compile(r"_([a-z0-9])")
# Below these members names are the client's own.
_CLIENTS_NAMES = frozenset(
    {"args", "labels", "parametersJsonSchema", "partMetadata", "properties", "response", "responseJsonSchema"}
)


def path(model: str, api_version: str, method: str = "streamGenerateContent?alt=sse") -> str:
    """Where a model answers, below the vendor's address. A model of one's own is named with its collection."""
    named = model if "/" in model else f"models/{model}"
    return f"/{api_version}/{quote(named, safe='/-_.~@')}:{method}"


def camel(value: Any) -> Any:
    """The wire takes its members in both casings; this one is sent."""
    if isinstance(value, dict):
        return {name: _below(name, inner) for name, inner in ((camel_name(key), item) for key, item in value.items())}
    if isinstance(value, list):
        return [camel(item) for item in value]
    return value


def camel_name(name: str) -> str:
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name)


def _below(name: str, value: Any) -> Any:
    if name == "properties" and isinstance(value, dict):
        return {key: camel(item) for key, item in value.items()}
    return value if name in _CLIENTS_NAMES else camel(value)

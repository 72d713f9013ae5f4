"""JSON Schemas in one form: references replaced, different spellings of a keyword united. Pure."""

from __future__ import annotations

from typing import Any

Json = Any

_SILENT = frozenset({"$schema", "$id", "$defs", "definitions", "title", "propertyOrdering"})


def plain(schema: Json) -> Json:
    """The schema in that form; None for an empty one."""
    if not isinstance(schema, dict) or not schema:
        return None
    definitions = {**(schema.get("definitions") or {}), **(schema.get("$defs") or {})}
    return _plain(schema, definitions, ())


def arguments(schema: Json) -> Json:
    """The schema of a tool's arguments; None for a tool without any."""
    found = plain(schema) or {}
    silent = {"type", *(name for name in ("properties", "required", "additionalProperties") if not found.get(name))}
    return found if set(found) - silent else None


def _plain(schema: Json, definitions: Json, seen: tuple[str, ...]) -> Json:
    if not isinstance(schema, dict):
        return schema
    name = schema.get("$ref")
    if isinstance(name, str):
        short = name.rpartition("/")[2]
        if short in seen:
            return {"again": short}
        schema = {**(definitions.get(short) or {}), **{key: value for key, value in schema.items() if key != "$ref"}}
        seen = (*seen, short)
    out: dict[str, Json] = {}
    for key, value in schema.items():
        _member(key, value, definitions, seen, out)
    if schema.get("nullable"):
        out.pop("nullable")
        out = {"anyOf": [out, {"type": "null"}]}
    # A single alternative is no alternative.
    branches = out.get("anyOf")
    if isinstance(branches, list) and len(branches) == 1:
        return {**branches[0], **{key: value for key, value in out.items() if key != "anyOf"}}
    return out


def _member(key: str, value: Json, definitions: Json, seen: tuple[str, ...], out: dict[str, Json]) -> None:
    match key:
        case "properties" if isinstance(value, dict):
            out[key] = {name: _plain(inner, definitions, seen) for name, inner in value.items()}
        case "items" | "additionalProperties" if isinstance(value, dict):
            out[key] = _plain(value, definitions, seen)
        case "anyOf" | "oneOf" if isinstance(value, list):
            out["anyOf"] = [_plain(inner, definitions, seen) for inner in value]
        case "allOf" | "prefixItems" if isinstance(value, list):
            out[key] = [_plain(inner, definitions, seen) for inner in value]
        case "const":
            out["enum"] = [value]
        case "required":
            out[key] = sorted(value or ())
        case "type":
            out[key] = sorted(each.lower() for each in value) if isinstance(value, list) else str(value).lower()
        case _ if key not in _SILENT:
            out[key] = value

"""JSON Schemas as the wire takes them: the keywords it knows; the others become words, for the model to keep all the same.

Sources: the vendor's list of keywords at `responseJsonSchema` (googleapis.github.io/kotlin-genai) and its errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.contract.messages import Json

_KEPT = frozenset(
    {
        "$anchor",
        "$id",
        "additionalProperties",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "prefixItems",
        "propertyOrdering",
        "required",
        "title",
        "type",
    }
)
_NAMED = {"$defs": "$defs", "definitions": "$defs", "properties": "properties"}  # name -> schema
_LISTED = {"anyOf": "anyOf", "oneOf": "anyOf", "prefixItems": "prefixItems"}  # lists of schemas
_NESTED = frozenset({"items", "additionalProperties"})
_MEANINGLESS = frozenset(
    {"$schema", "$comment", "default", "deprecated", "discriminator", "example", "examples", "readOnly"}
)
_FORMATS = frozenset({"date-time", "date", "time", "duration", "int32", "int64", "float", "double", "enum"})
_OLD_REF, _REF = "#/definitions/", "#/$defs/"
_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
# Types in capitals are the older dialect of this vendor.
_CAPITALS = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})
_MERGED = frozenset({"properties", "$defs"})


def plain(schema: Json) -> Json:
    """The schema for `responseJsonSchema` and `parametersJsonSchema`. What is no schema object goes as it is."""
    return _plain(schema, _definitions(schema)) if isinstance(schema, Mapping) else schema


def parameters(schema: Json) -> Json | None:
    """A tool's arguments; None where it takes none: older models refuse an object without members."""
    if not isinstance(schema, Mapping) or not (
        set(schema) - {"type", "title", "description", "$schema"} - _empty(schema)
    ):
        return None
    told = "type" in schema or "properties" not in schema
    return plain(schema if told else {"type": "object", **schema})


def _empty(schema: Mapping[str, Json]) -> set[str]:
    """Members that say nothing: no properties, none required, no others allowed."""
    names = {name for name in ("properties", "required", "$defs") if not schema.get(name)}
    return names | (
        {"additionalProperties"} if not schema.get("properties") and not schema.get("additionalProperties") else set()
    )


def _definitions(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    """By the whole reference that leads to each."""
    groups = ((name, schema.get(name)) for name in ("$defs", "definitions"))
    return {
        f"#/{name}/{key}": inner for name, group in groups if isinstance(group, Mapping) for key, inner in group.items()
    }


def _plain(schema: Json, known: Mapping[str, Json]) -> Json:
    if not isinstance(schema, Mapping):
        return {} if isinstance(schema, bool) else schema
    if isinstance(schema.get("allOf"), list):
        schema = _united(schema, known, ())
    if "nullable" in schema:
        return _nullable(schema, known)
    if isinstance(schema.get("$ref"), str):
        return _reference(schema, known)
    out: dict[str, Json] = {}
    words: list[str] = []
    for name, value in schema.items():
        _member(name, value, known, out, words)
    if words:
        out["description"] = " ".join(filter(None, (out.get("description"), f"({'; '.join(words)})")))
    return out


def _nullable(schema: Mapping[str, Json], known: Mapping[str, Json]) -> Json:
    """The older way to say that null will do."""
    inner = _plain({name: value for name, value in schema.items() if name != "nullable"}, known)
    return {"anyOf": [inner, {"type": "null"}]} if schema["nullable"] is True else inner


def _member(name: str, value: Json, known: Mapping[str, Json], out: dict[str, Json], words: list[str]) -> None:
    if name in _NAMED and isinstance(value, Mapping):
        out.setdefault(_NAMED[name], {}).update({key: _plain(inner, known) for key, inner in value.items()})
    elif name in _LISTED and isinstance(value, list):
        out.setdefault(_LISTED[name], []).extend(_plain(inner, known) for inner in value)
    elif name in _NESTED:
        out[name] = value if isinstance(value, bool) and name == "additionalProperties" else _plain(value, known)
    elif name == "const":
        out["enum"] = [value]
        if type(value) in _TYPES:
            out.setdefault("type", _TYPES[type(value)])
    elif name == "type":
        out["type"] = _type(value)
    elif name in _KEPT and (name != "format" or value in _FORMATS):
        out[name] = value
    elif name not in _MEANINGLESS:
        words.append(f"{name}: {_text(value)}")


def _reference(schema: Mapping[str, Json], known: Mapping[str, Json]) -> Json:
    """A reference stands alone, or with what begins with `$`; its own description goes around it."""
    alone: dict[str, Json] = {"$ref": str(schema["$ref"]).replace(_OLD_REF, _REF)}
    inner: dict[str, Json] = {}
    for name in ("$defs", "definitions"):
        if isinstance(schema.get(name), Mapping):
            inner |= {key: _plain(value, known) for key, value in schema[name].items()}
    if inner:
        return alone | {"$defs": inner}
    return {"description": schema["description"], "anyOf": [alone]} if schema.get("description") else alone


def _united(schema: Mapping[str, Json], known: Mapping[str, Json], seen: tuple[str, ...]) -> Mapping[str, Json]:
    """`allOf` as one schema: members side by side, names and demands united; of two that disagree the first holds."""
    out: dict[str, Any] = {name: value for name, value in schema.items() if name != "allOf"}
    alone = len(schema["allOf"]) == 1 and not out.get("properties")
    for part in schema["allOf"]:
        for name, value in (part if alone and "allOf" not in part else _opened(part, known, seen)).items():
            if name in _MERGED and isinstance(value, Mapping):
                out[name] = {**value, **(out.get(name) or {})}
            elif name == "required" and isinstance(value, list):
                out[name] = list(dict.fromkeys([*(out.get(name) or ()), *value]))
            else:
                out.setdefault(name, value)
    return out


def _opened(part: Json, known: Mapping[str, Json], seen: tuple[str, ...]) -> Mapping[str, Json]:
    """One of `allOf`, with what it refers to in its place."""
    if not isinstance(part, Mapping):
        return {}
    target = part.get("$ref")
    if isinstance(target, str) and isinstance(known.get(target), Mapping):
        found = {} if target in seen else known[target]  # a circle says nothing new
        seen = (*seen, target)
        part = {**found, **{name: value for name, value in part.items() if name != "$ref"}}
    return _united(part, known, seen) if isinstance(part.get("allOf"), list) else part


def _type(value: Json) -> Json:
    if isinstance(value, list):
        return [_type(one) for one in value]
    return value.lower() if isinstance(value, str) and value in _CAPITALS else value


def _text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

"""JSON Schemas as the wire takes them: the keywords it knows. The others go into the description, for the model to follow.

Sources: the vendor's list of keywords at `responseJsonSchema` (googleapis.github.io/kotlin-genai) and its errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runtime.contract.codec import Unsupported
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


_MOST_OPENED = 1000  # references that one schema's `allOf` may follow


def plain(schema: Json, most_opened: int = _MOST_OPENED) -> Json:
    """The schema for `responseJsonSchema` and `parametersJsonSchema`. A schema that is no object stays as it is.

    most_opened: references followed to merge `allOf`. Each may hold two others, so that a short schema could grow without end.
    Raises Unsupported beyond it.
    """
    if not isinstance(schema, Mapping):
        return schema
    groups = ((name, schema.get(name)) for name in ("$defs", "definitions"))
    known = {
        f"#/{name}/{key}": inner for name, group in groups if isinstance(group, Mapping) for key, inner in group.items()
    }
    return _Writer(known, most_opened).plain(schema)


def parameters(schema: Json) -> Json | None:
    """The schema of a tool's arguments; None for a tool without any: older models refuse an object without members."""
    if not isinstance(schema, Mapping):
        return None
    empty = {name for name in ("properties", "required", "$defs") if not schema.get(name)}
    if not schema.get("properties") and not schema.get("additionalProperties"):
        empty.add("additionalProperties")
    if not set(schema) - {"type", "title", "description", "$schema"} - empty:
        return None
    typed = "type" in schema or "properties" not in schema
    return plain(schema if typed else {"type": "object", **schema})


class _Writer:
    """known: the schema behind each whole reference. left: references that may still be followed."""

    def __init__(self, known: Mapping[str, Json], left: int) -> None:
        self._known, self._left = known, left

    def plain(self, schema: Json) -> Json:
        if not isinstance(schema, Mapping):
            return {} if isinstance(schema, bool) else schema
        if isinstance(schema.get("allOf"), list):
            schema = self._united(schema, ())
        if "nullable" in schema:
            # OpenAPI's way to allow null.
            inner = self.plain({name: value for name, value in schema.items() if name != "nullable"})
            return {"anyOf": [inner, {"type": "null"}]} if schema["nullable"] is True else inner
        if isinstance(schema.get("$ref"), str):
            # A reference stands alone or beside names that begin with `$`; its description goes around it.
            alone: dict[str, Json] = {"$ref": str(schema["$ref"]).replace(_OLD_REF, _REF)}
            groups = [schema[name] for name in ("$defs", "definitions") if isinstance(schema.get(name), Mapping)]
            beside = {key: self.plain(value) for group in groups for key, value in group.items()}
            if beside:
                return alone | {"$defs": beside}
            return {"description": schema["description"], "anyOf": [alone]} if schema.get("description") else alone
        out: dict[str, Json] = {}
        words: list[str] = []
        for name, value in schema.items():
            self._member(name, value, out, words)
        if words:
            before, more = out.get("description"), f"({'; '.join(words)})"
            out["description"] = f"{before} {more}" if before and isinstance(before, str) else more
        return out

    def _member(self, name: str, value: Json, out: dict[str, Json], words: list[str]) -> None:
        """Adds one keyword to the schema, or to the words of its description."""
        if name in _NAMED and isinstance(value, Mapping):
            out.setdefault(_NAMED[name], {}).update({key: self.plain(inner) for key, inner in value.items()})
        elif name in _LISTED and isinstance(value, list):
            out.setdefault(_LISTED[name], []).extend(map(self.plain, value))
        elif name in _NESTED:
            out[name] = value if isinstance(value, bool) and name == "additionalProperties" else self.plain(value)
        elif name == "const":
            out["enum"] = [value]
            if type(value) in _TYPES:
                out.setdefault("type", _TYPES[type(value)])
        elif name == "type":
            out["type"] = _type(value)
        elif name in _KEPT and (name != "format" or value in _FORMATS):
            out[name] = value
        elif name not in _MEANINGLESS:
            words.append(f"{name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")

    def _united(self, schema: Mapping[str, Json], seen: tuple[str, ...]) -> Mapping[str, Json]:
        """`allOf` as one schema: members side by side, `required` united; of two values that disagree the first holds."""
        out: dict[str, Any] = {name: value for name, value in schema.items() if name != "allOf"}
        alone = len(schema["allOf"]) == 1 and not out.get("properties")
        for part in schema["allOf"]:
            opened = part if alone and isinstance(part, Mapping) and "allOf" not in part else self._opened(part, seen)
            for name, value in opened.items():
                if name in _MERGED and isinstance(value, Mapping):
                    out[name] = {**value, **(out.get(name) or {})}
                elif name == "required" and isinstance(value, list):
                    out[name] = list(dict.fromkeys([*(out.get(name) or ()), *value]))
                else:
                    out.setdefault(name, value)
        return out

    def _opened(self, part: Json, seen: tuple[str, ...]) -> Mapping[str, Json]:
        """One schema of `allOf`, with the schema it refers to in place of the reference."""
        if not isinstance(part, Mapping):
            return {}
        target = part.get("$ref")
        if isinstance(target, str) and isinstance(self._known.get(target), Mapping):
            self._left -= 1
            if self._left < 0:
                raise Unsupported("the schema refers to itself too often", "response_format")
            found = {} if target in seen else self._known[target]  # a circle adds nothing
            seen = (*seen, target)
            part = {**found, **{name: value for name, value in part.items() if name != "$ref"}}
        return self._united(part, seen) if isinstance(part.get("allOf"), list) else part


def _type(value: Json) -> Json:
    if isinstance(value, list):
        return [_type(one) for one in value]
    return value.lower() if isinstance(value, str) and value in _CAPITALS else value

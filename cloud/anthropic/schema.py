"""JSON Schema as structured output takes it: closed objects and few keywords. Other keywords move into the description.

Knows the dialect of schema that the vendor's own SDK writes. Does not validate answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_TYPES = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_COMBINED = ("anyOf", "oneOf", "allOf")
_DEFINITIONS = ("$defs", "definitions")
# Keywords that are left out without a word in the description.
_SILENT = frozenset({"$schema", "$id", "additionalProperties", "propertyOrdering", *_DEFINITIONS})


class Unshapable(ValueError):
    """Structured output cannot hold an answer to this schema: it is recursive, open at its root, or empty."""


def closed(schema: Any) -> dict[str, Any]:
    """The schema of an object in the terms of structured output. Raises Unshapable."""
    if not isinstance(schema, dict):
        raise Unshapable("the schema is not an object")
    try:
        definitions = _definitions(schema)
        root = _resolved(schema, definitions)
        open_root = root.get("additionalProperties") is not False and not root.get("properties")
        shaped = any(word in root for word in (*_COMBINED, "enum"))
        if open_root and root.get("type", "object") == "object" and not shaped:
            raise Unshapable("the root does not name the object's members")
        _refuse_cycles(definitions)
        inner = {name: _node(value) for name, value in definitions.items()}
        return ({"$defs": inner} if inner else {}) | _node(schema)
    except (AttributeError, TypeError) as error:
        raise Unshapable("the schema is not one") from error


def input_schema(schema: Any) -> dict[str, Any]:
    """The schema of a tool's arguments: an object at its root, its alternatives merged, because the wire takes no others."""
    if not isinstance(schema, dict) or not schema:
        return {"type": "object", "properties": {}}
    if any(word in schema for word in _COMBINED):
        try:
            return _merged(schema)
        except (AttributeError, TypeError, ValueError):
            schema = {word: value for word, value in schema.items() if word not in _COMBINED}
    return schema if schema.get("type") == "object" else {**schema, "type": "object"}


def _merged(schema: Schema) -> dict[str, Any]:
    """One object with the members of all alternatives; required are those that every one requires, or any of `allOf`."""
    rest = {name: value for name, value in schema.items() if name not in _COMBINED}
    properties, required = dict(rest.get("properties") or {}), list(rest.get("required") or ())
    definitions = _definitions(schema)
    for word in _COMBINED:
        branches = [_resolved(branch, definitions) for branch in schema.get(word) or () if isinstance(branch, dict)]
        for branch in branches:
            properties = {**(branch.get("properties") or {}), **properties}
        needed = [set(branch.get("required") or ()) for branch in branches] or [set()]
        both = set.union(*needed) if word == "allOf" else set.intersection(*needed)
        required += [name for name in properties if name in both and name not in required]
    return {**rest, "type": "object", "properties": properties} | ({"required": required} if required else {})


def _definitions(schema: Schema) -> dict[str, Any]:
    return {name: inner for word in _DEFINITIONS for name, inner in (schema.get(word) or {}).items()}


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    seen: set[str] = set()
    while isinstance(name := schema.get("$ref"), str):
        target = definitions.get(name.rpartition("/")[2])
        if name in seen or not isinstance(target, dict):
            raise Unshapable(f"the reference {name!r} leads nowhere")
        seen.add(name)
        schema = target
    return schema


def _refuse_cycles(definitions: Schema) -> None:
    """Raises Unshapable for a definition that refers to itself, on whatever way."""
    leads = {name: set(_references(inner)) for name, inner in definitions.items()}
    done: set[str] = set()

    def walk(name: str, above: frozenset[str]) -> None:
        if name in above:
            raise Unshapable(f"the definition {name!r} holds itself")
        if name in done:
            return
        for inner in leads.get(name, ()):
            walk(inner, above | {name})
        done.add(name)

    for name in leads:
        walk(name, frozenset())


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(name := node.get("$ref"), str):
            yield name.rpartition("/")[2]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _node(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise Unshapable("a schema that allows anything")
    if "nullable" in schema:
        # OpenAPI's way to allow null.
        inner = _node({word: value for word, value in schema.items() if word != "nullable"})
        return {"anyOf": [inner, {"type": "null"}]} if schema["nullable"] is True else inner
    if isinstance(name := schema.get("$ref"), str):
        if name == "#":
            raise Unshapable("the schema holds itself")
        return {"$ref": name.replace("#/definitions/", "#/$defs/")}
    kind = schema.get("type")
    if isinstance(kind, list):
        # A list of types is alternatives of one type each.
        if len(kind) == 1:
            return _node({**schema, "type": kind[0]})
        if "enum" in schema:
            return _node({word: value for word, value in schema.items() if word != "type"})
        around = {word: schema[word] for word in ("title", "description") if word in schema}
        inside = {word: value for word, value in schema.items() if word not in around}
        each = [_node({"type": "null"} if one == "null" else {**inside, "type": one}) for one in kind]
        return {"anyOf": each} | around
    left = {name: value for name, value in schema.items() if name not in _SILENT and name != "type"}
    out = _shape(kind, left, schema)
    for word in ("description", "title"):
        if isinstance(left.get(word), str):
            out[word] = left.pop(word)
    left.pop("description", None)
    # Keywords that the wire does not take go into the description: the model may still follow them.
    left = {name: value for name, value in left.items() if name != "default" or value is not None}
    if left:
        rest = "{" + ", ".join(f"{name}: {value}" for name, value in left.items()) + "}"
        out["description"] = f"{out['description']}\n\n{rest}" if "description" in out else rest
    return out


def _shape(kind: Any, left: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """The keywords that decide which values are allowed; they are taken out of `left`."""
    for word in _COMBINED:
        if isinstance(left.get(word), list):
            name = "allOf" if word == "allOf" else "anyOf"
            return {name: [_node(branch) for branch in left.pop(word)]}
    if _plain(values := left.get("enum")) and values:
        return {"enum": left.pop("enum")}
    if "const" in left and _plain([left["const"]]):
        return {"const": left.pop("const")}
    if kind is None:
        kind = "object" if "properties" in left else "array" if "items" in left else None
    if kind not in _TYPES:
        raise Unshapable("a schema without a type")
    out: dict[str, Any] = {"type": kind}
    if kind == "object":
        if not left.get("properties") and schema.get("additionalProperties"):
            raise Unshapable("a map: closed, it could only be empty")
        out["properties"] = {name: _node(inner) for name, inner in (left.pop("properties", None) or {}).items()}
        out["additionalProperties"] = False
        if isinstance(required := left.pop("required", None), list):
            out["required"] = required
    elif kind == "array":
        if "items" in left:
            out["items"] = _node(left.pop("items"))
        if left.get("minItems") in (0, 1):
            out["minItems"] = left.pop("minItems")
    elif kind == "string" and left.get("format") in _FORMATS:
        out["format"] = left.pop("format")
    return out


def _plain(values: Any) -> bool:
    return isinstance(values, list) and all(value is None or isinstance(value, str | int | float) for value in values)

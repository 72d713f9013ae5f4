"""Schemas are written as the vendor's own SDK writes them, without a loss of meaning."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cloud.anthropic.schema import Unshapable, closed, input_schema

NAME = {"type": "string"}

SCHEMAS: list[dict[str, Any]] = [
    {
        "type": "object",
        "properties": {"a": NAME, "b": {"type": "integer", "minimum": 1}},
        "required": ["a"],
        "title": "T",
    },
    {"type": "object", "properties": {"a": {"type": "string", "format": "date", "minLength": 2, "description": "D"}}},
    {"type": "object", "properties": {"a": {"type": "string", "format": "colour"}}, "additionalProperties": True},
    {
        "type": "object",
        "properties": {"a": {"type": "array", "items": NAME, "minItems": 1}, "b": {"enum": ["x", None, 3]}},
    },
    {"type": "object", "properties": {"a": {"type": "array", "items": NAME, "minItems": 3}, "b": {"const": "x"}}},
    {"type": "object", "properties": {"a": {"anyOf": [NAME, {"type": "null"}], "default": 3}, "b": {"oneOf": [NAME]}}},
    {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/$defs/n"}]}}, "$defs": {"n": NAME}},
    {"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {"a": NAME}}}},
    {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "null"}}}}},
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_is_closed_as_the_sdk_does_it(schema: dict[str, Any]) -> None:
    """Objects are closed, supported keywords kept, and the others moved into the description."""
    transform = pytest.importorskip("anthropic.lib._parse._transform")
    before = copy.deepcopy(schema)
    assert closed(schema) == transform.transform_schema(schema)
    assert schema == before


def test_what_the_sdk_cannot_read_is_read() -> None:
    """Lists of types, the older name of definitions, objects and lists without their type."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": ["string", "null"], "description": "D"},
            "b": {"$ref": "#/definitions/n"},
            "c": {"items": NAME},
        },
        "definitions": {"n": {"properties": {"x": {"type": ["integer"]}}}},
    }
    out = closed(schema)
    assert out["properties"]["a"] == {"anyOf": [NAME, {"type": "null"}], "description": "D"}
    assert out["properties"]["b"] == {"$ref": "#/$defs/n"}
    assert out["properties"]["c"] == {"type": "array", "items": NAME}
    assert out["$defs"]["n"]["additionalProperties"] is False
    assert out["$defs"]["n"]["properties"]["x"] == {"type": "integer"}


def test_an_older_dialect_is_read() -> None:
    """Null stays allowed; another vendor's order of members is left out."""
    members = {
        "a": {"type": "string", "nullable": True},
        "b": {"$ref": "#/$defs/n", "nullable": True},
        "c": {"type": "string", "nullable": False},
    }
    out = closed({"properties": members, "propertyOrdering": ["a", "b"], "$defs": {"n": NAME}})
    assert out["properties"]["a"] == {"anyOf": [NAME, {"type": "null"}]}
    assert out["properties"]["b"] == {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}
    assert out["properties"]["c"] == NAME
    assert "description" not in out


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"type": "object"},
        {"type": "object", "additionalProperties": NAME},
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/$defs/gone"},
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"anyOf": [{"$ref": "#/$defs/n"}]}},
        },
        {"type": "object", "properties": ["a"]},
        {"type": "object", "properties": {"a": {"type": "object", "additionalProperties": NAME}}},
        {
            "type": "object",
            "properties": {"a": {"type": "array", "items": {"type": "object", "additionalProperties": True}}},
        },
        {"type": "object", "properties": {"a": {"type": "any"}}},
    ],
)
def test_what_no_closed_schema_can_say_is_refused(schema: Any) -> None:
    """Such a schema is asked for in words."""
    with pytest.raises(Unshapable):
        closed(schema)


@pytest.mark.parametrize("schema", [None, {}, True])
def test_a_tool_without_a_schema_takes_no_arguments(schema: Any) -> None:
    """The wire requires an object."""
    assert input_schema(schema) == {"type": "object", "properties": {}}


def test_a_tools_schema_is_left_as_it_is_where_the_wire_takes_it() -> None:
    """Only the type of its root is added."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 2}}, "additionalProperties": True}
    assert input_schema(schema) == schema
    assert input_schema({"properties": {"a": NAME}}) == {"properties": {"a": NAME}, "type": "object"}


def test_alternatives_at_the_root_of_a_tools_schema_are_merged() -> None:
    """The wire takes none there: all members are allowed, and those that every alternative requires are required."""
    one, two = {"properties": {"a": NAME, "k": NAME}, "required": ["a", "k"]}, {"$ref": "#/$defs/two"}
    schema = {"anyOf": [one, two], "$defs": {"two": {"properties": {"b": NAME, "k": NAME}, "required": ["b", "k"]}}}
    out = input_schema(schema)
    assert set(out["properties"]) == {"a", "b", "k"}
    assert out["required"] == ["k"]
    assert out["type"] == "object"
    both = input_schema({"allOf": [one, {"properties": {"b": NAME}, "required": ["b"]}]})
    assert sorted(both["required"]) == ["a", "b", "k"]
    assert input_schema({"anyOf": [{"$ref": "#/$defs/gone"}], "properties": {"a": NAME}})["properties"] == {"a": NAME}

"""Schemas are written in the keywords the vendor knows, the others in the description."""

from __future__ import annotations

from typing import Any

import pytest

from cloud.gemini import schema


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"const": 3}, {"enum": [3], "type": "integer"}),
        ({"type": "string", "const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (
            {"type": "string", "pattern": "^a", "minLength": 2},
            {"type": "string", "description": "(pattern: ^a; minLength: 2)"},
        ),
        (
            {"type": "string", "format": "email", "description": "who"},
            {"type": "string", "description": "who (format: email)"},
        ),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        (
            {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}},
            {"type": "object", "properties": {"type": {"type": "string"}}},
        ),
        ({"properties": {"const": {"type": "string", "default": "x"}}}, {"properties": {"const": {"type": "string"}}}),
        ({"$ref": "#/$defs/A", "description": "d"}, {"description": "d", "anyOf": [{"$ref": "#/$defs/A"}]}),
        ({"$ref": "#/definitions/A", "title": "t"}, {"$ref": "#/$defs/A"}),
        (
            {"allOf": [{"$ref": "#/$defs/A"}], "description": "d"},
            {"description": "d", "anyOf": [{"$ref": "#/$defs/A"}]},
        ),
        ({"items": True, "additionalProperties": False}, {"items": {}, "additionalProperties": False}),
        ({"type": "string", "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"$ref": "#/$defs/A", "nullable": True}, {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        ({"prefixItems": [{"const": "a"}]}, {"prefixItems": [{"enum": ["a"], "type": "string"}]}),
    ],
)
def test_keywords(given: dict[str, Any], plain: dict[str, Any]) -> None:
    """Each keyword as the vendor has it."""
    assert schema.plain(given) == plain


def test_all_of_is_one_schema_of_all() -> None:
    """Members and requirements of all parts, referenced ones included, are in one object."""
    given = {
        "$defs": {"A": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}},
        "allOf": [{"$ref": "#/$defs/A"}, {"properties": {"b": {"type": "integer"}}, "required": ["b"]}],
    }
    plain = schema.plain(given)
    assert plain["properties"] == {"a": {"type": "string"}, "b": {"type": "integer"}}
    assert sorted(plain["required"]) == ["a", "b"]


def test_a_reference_at_the_root_keeps_its_definitions() -> None:
    """A recursive schema stays recursive."""
    tree = {"type": "object", "properties": {"next": {"$ref": "#/$defs/T"}}}
    given = {"$ref": "#/$defs/T", "$defs": {"T": tree}}
    assert schema.plain(given) == given


def test_all_of_that_refers_to_itself_ends() -> None:
    """A circle is cut, not followed."""
    given = {
        "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}, {"type": "object"}]}},
        "allOf": [{"$ref": "#/$defs/A"}, {}],
    }
    assert schema.plain(given)["type"] == "object"


@pytest.mark.parametrize("given", [None, {}, {"type": "object"}, {"type": "object", "properties": {}, "required": []}])
def test_no_arguments_are_no_schema(given: Any) -> None:
    """Older models refuse an object without members."""
    assert schema.parameters(given) is None


def test_arguments_are_an_object() -> None:
    """The type is added where the client left it out."""
    given = {"properties": {"a": {"type": "string"}}}
    assert schema.parameters(given) == {"type": "object"} | given


def test_open_arguments_stay_open() -> None:
    """An object that takes any member is not one that takes none."""
    given = {"type": "object", "additionalProperties": {"type": "string"}}
    assert schema.parameters(given) == given

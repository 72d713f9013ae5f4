"""A vendor's own request types as a closed JSON schema: members that the wire does not have are errors."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema


class _Generate(GenerateJsonSchema):
    """Classes that no JSON can be (iterables are arrays already) are left out of their unions."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Any:
        return {"not": {}}


def closed_schema(source: Any) -> dict[str, Any]:
    """The schema of a type of an SDK."""
    schema = TypeAdapter(source).json_schema(schema_generator=_Generate)
    _close(schema)
    return schema


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node["additionalProperties"] = False
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)

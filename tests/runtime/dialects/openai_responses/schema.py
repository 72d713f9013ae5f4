"""The vendor's own request types as a closed schema: members that the wire does not have are errors."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema


class _Generate(GenerateJsonSchema):
    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> Any:
        return {"not": {}}


@cache
def _validator() -> Any:
    schema = TypeAdapter(ResponseCreateParamsStreaming).json_schema(schema_generator=_Generate)
    _close(schema)
    return jsonschema.Draft202012Validator(schema)


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("type") == "object" and "properties" in node:
            node["additionalProperties"] = False
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def faults(body: Any) -> list[str]:
    """The faults of a request body; the best guess for each place."""
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in _validator().iter_errors(body)]

"""The vendor's own request types as a closed schema: members that the wire does not have are errors."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

from tests.fakes.sdk_schema import closed_schema


@cache
def _validator() -> Any:
    return jsonschema.Draft202012Validator(closed_schema(ResponseCreateParamsStreaming))


def faults(body: Any) -> list[str]:
    """The faults of a request body; the best guess for each place."""
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in _validator().iter_errors(body)]

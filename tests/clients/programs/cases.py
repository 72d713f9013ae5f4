"""What the Python client programs share: what to ask whom, and a report of every case as one line of JSON.

Runs in each client's own environment, which has pydantic, whatever the client.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable

from pydantic import BaseModel

URL = os.environ["HEARTH_URL"]
KEY = os.environ["HEARTH_KEY"]
MODEL = os.environ["HEARTH_ASK"]
CLIENT = os.environ["HEARTH_CLIENT"]

PARIS = "What is the capital of France?"
BOTH = 'call get_weather with {"city": "Paris"} and call get_weather with {"city": "Oslo"}'
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "Where."}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {"name": "get_weather", "description": "The weather in a city.", "parameters": SCHEMA}
_WEATHER = {"Paris": "sunny, 21 degrees", "Oslo": "snow"}


class City(BaseModel):
    """A city."""

    city: str
    inhabitants: int


def asked(case: str, text: str) -> str:
    """The prompt with the case's mark, so that its bodies can be told from others."""
    return f"[{CLIENT}/{MODEL}/{case}] {text}"


def get_weather(city: str) -> str:
    """The weather in a city."""
    return _WEATHER[city]


def report(*cases: Callable[[], object]) -> None:
    """Runs every case; a failed one does not stop the others."""
    outcomes = {}
    for case in cases:
        try:
            outcomes[case.__name__] = {"value": case()}
        except Exception:
            outcomes[case.__name__] = {"error": traceback.format_exc()}
    print(json.dumps(outcomes))

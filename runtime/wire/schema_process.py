"""Checks answers against schemas in child processes that are killed when a check takes too long.

The one place where schemas, with the regular expressions in them, of clients run (a single one is the schema `{"pattern": …}`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec

from runtime.wire import json_schema
from runtime.wire.child_pool import ChildPool, UncheckedError
from runtime.wire.json_schema import SchemaQuestion, SchemaViolation

_decode = msgspec.json.Decoder(SchemaViolation | None).decode


class SchemaProcess(ChildPool[SchemaViolation | None]):
    """The options are those of `ChildPool`. text_limit: bytes of schema and answer together."""

    def __init__(
        self,
        *,
        limit_s: float = 1.0,
        patience_s: float = 5.0,
        most_waiting: int = 64,
        text_limit: int = 16 << 20,
        children: int = 2,
        idle_s: float = 60.0,
        program: tuple[str, ...] = (sys.executable, "-P", json_schema.__file__),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            program,
            _decode,
            limit_s=limit_s,
            patience_s=patience_s,
            most_waiting=most_waiting,
            text_limit=text_limit,
            children=children,
            idle_s=idle_s,
            clock=clock,
        )

    async def violation(self, text: str, schema: Any) -> SchemaViolation | None:
        """Why the answer is not valid under the schema; None if it is. Raises UncheckedError."""
        if len(text) > self._text_limit:
            raise UncheckedError(f"the answer is longer than {self._text_limit} characters")
        try:
            question = msgspec.json.encode(SchemaQuestion(text, schema))
        except (RecursionError, UnicodeError) as error:
            raise UncheckedError(str(error)) from error
        return await self.asked(question)

"""Resumes a chat answer that was cut: the same conversation with the partial answer, for the same model to continue.

Only plain text is resumed. In a tool call, in reasoning, under a schema or with several answers at once, no second run can
take over where the first one stopped.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.dialects.meter import PartialAnswer
from runtime.wire.raw_body import RawBody

_NOT_WITH = ("tools", "functions", "response_format", "structured_outputs", "logprobs", "stop_token_ids", "min_tokens")
_LIMITS = ("max_completion_tokens", "max_tokens")


def continuation(body: RawBody, partial: PartialAnswer) -> RawBody | None:
    """The body that asks a model to resume the answer; None if it cannot be resumed.

    The engine is asked to continue the last message (`continue_final_message`) instead of beginning another.
    """
    data = body.data
    if not partial.text or (data.get("n") or 1) != 1 or any(data.get(name) for name in _NOT_WITH):
        return None
    if data["messages"][-1].get("role") == "assistant":
        return None
    messages = body.value("messages")
    answer = msgspec.json.encode({"role": "assistant", "content": partial.text})
    put = {
        "messages": messages[: messages.rindex(b"]")] + b"," + answer + b"]",
        "continue_final_message": b"true",
        "add_generation_prompt": b"false",
    }
    for name in _LIMITS:
        limit: Any = data.get(name)
        if isinstance(limit, int):
            if limit <= partial.tokens:
                return None
            put[name] = str(limit - partial.tokens).encode()
    return RawBody(body.spliced(put))

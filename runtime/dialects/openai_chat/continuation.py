"""Going on with a chat answer that was cut: the same conversation with what was said so far, for the same model to continue.

Only plain text goes on: in a tool call, in reasoning, under a schema or with several answers at once, nobody can say where a
second run would take over, so there is no continuation.
"""

from __future__ import annotations

from typing import Any

import msgspec

from runtime.wire.raw_body import RawBody

_NOT_WITH = ("tools", "functions", "response_format", "structured_outputs", "logprobs", "stop_token_ids", "min_tokens")
_LIMITS = ("max_completion_tokens", "max_tokens")


def continuation(body: RawBody, said: str, tokens: int) -> RawBody | None:
    """The body that asks a model to go on after `said` (about `tokens` tokens); None where that cannot be asked.

    The engine is asked to continue the last message (`continue_final_message`) instead of beginning another.
    """
    data = body.data
    if not said or (data.get("n") or 1) != 1 or any(data.get(name) for name in _NOT_WITH):
        return None
    messages = data["messages"]
    if messages[-1].get("role") == "assistant":
        return None
    put = {
        "messages": _with_answer(body.value("messages"), said),
        "continue_final_message": b"true",
        "add_generation_prompt": b"false",
    }
    for name in _LIMITS:
        limit: Any = data.get(name)
        if isinstance(limit, int):
            if limit <= tokens:
                return None
            put[name] = str(limit - tokens).encode()
    return RawBody(body.spliced(put))


def _with_answer(messages: bytes, said: str) -> bytes:
    answer = msgspec.json.encode({"role": "assistant", "content": said})
    return messages[: messages.rindex(b"]")] + b"," + answer + b"]"

"""An engine that streams log probabilities, and a map that reads nothing but their mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from runtime.routing.confidence import FEATURES, ConfidenceMap
from tests.fakes.upstream import DONE, USAGE, Piece

# The confidence is exp(mean log probability), roughly: a mean of 0 gives 1, of -4 and below 0.
BY_MEAN = ConfidenceMap(
    model="small",
    revision="",
    center=(0.0,) * len(FEATURES),
    scale=(1.0,) * len(FEATURES),
    weights=(1.0, *(0.0,) * (len(FEATURES) - 1)),
    bias=0.0,
    scores=(-4.0, 0.0),
    shares=(0.0, 1.0),
)
SURE, UNSURE = -0.1, -3.0


def entry(token: str, logprob: float, rivals: int = 5) -> dict[str, Any]:
    """One token in the shape of the chat wire, itself the likeliest of its alternatives."""
    top = [{"token": token, "logprob": logprob, "bytes": list(token.encode())}]
    top += [{"token": f"~{n}", "logprob": logprob - n, "bytes": [126]} for n in range(1, rivals)]
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": top}


def logged(text: str, logprob: float, finish: str | None = None, **delta: Any) -> bytes:
    """One chat chunk with the log probabilities of its one token."""
    given = {"content": text, **delta} if text or not delta else delta
    logprobs = {"content": [entry(text, logprob)]} if text else None
    choice = {"index": 0, "delta": given, "logprobs": logprobs, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "m", "choices": [choice]}, separators=(",", ":")).encode() + b"\n\n"


def logged_text(text: str, logprob: float, finish: str | None = None) -> bytes:
    """The same on the completions wire."""
    logprobs = {
        "text_offset": [0],
        "token_logprobs": [logprob],
        "tokens": [text],
        "top_logprobs": [{text: logprob, "~": logprob - 1}],
    }
    choice = {"index": 0, "text": text, "logprobs": logprobs if text else None, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() + b"\n\n"


def sayings(tokens: Sequence[str], logprob: float, *, usage: bool = True) -> tuple[Piece, ...]:
    """A whole stream that says these tokens, each as sure as the other."""
    said = [logged(token, logprob) for token in tokens]
    return (logged("", 0.0, role="assistant"), *said, logged("", 0.0, "stop"), *((USAGE,) if usage else ()), DONE)

"""What a runtime answers to `hearth classify`: labels of a toy decoder, in vLLM's shape, and troubles on request.

A text may ask for trouble: "busy" is refused once with 429, "toolong" is too long, "odd" gets an answer that is no
label, "broken" an error every time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local_models.classification.answer import Answer
from tests.local_models.classification.engine import ToyEngine
from tests.runtime.cli.fake_runtime import Asked, Reply, as_json

PIECES = ("spam", "-like", "ham", "New", " York", "ark")


@dataclass
class LabelRuntime:
    """model: who answers. texts: those asked about, in order, the probe included."""

    model: str = "local/toy"
    texts: list[str] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Reply:
        text = asked.body["messages"][-1]["content"].removeprefix("Text:\n")
        first = text not in self.texts
        self.texts.append(text)
        self.rooms.append(asked.body["max_tokens"])
        if "busy" in text and first:
            return error(429, "queue full", {"retry-after": "0.2"})
        if "toolong" in text:
            return error(400, "This model's maximum context length is 9 tokens.", param="input_tokens")
        if "broken" in text:
            return error(500, "no luck")
        choice = asked.body["structured_outputs"]["choice"]
        answer = ToyEngine(PIECES, seed=len(text)).answer(choice, asked.body["max_tokens"])
        return as_json(
            completion(answer, "odd" if "odd" in text else answer.text), headers={"x-hearth-target": self.model}
        )


def error(status: int, message: str, headers: dict[str, str] | None = None, param: str | None = None) -> Reply:
    return as_json({"error": {"message": message, "type": "x", "param": param, "code": status}}, status, headers or {})


def completion(answer: Answer, text: str) -> dict[str, Any]:
    content = [
        {
            "token": step.taken.text,
            "logprob": step.taken.logprob,
            "top_logprobs": [{"token": t.text, "logprob": t.logprob} for t in (step.taken, *step.others)],
        }
        for step in answer.steps
    ]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": content},
        "finish_reason": "stop" if answer.ended else "length",
    }
    return {"id": "x", "model": "toy", "choices": [choice]}

"""What a runtime answers to `hearth classify`: labels of a toy decoder, in vLLM's shape, and troubles on request.

A text may ask for trouble: "busy" is refused once with 429, "toolong" is too long, "odd" gets an answer that is no
label, "broken" an error every time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from local_models.classification.answer import ScoredAnswer, Spelling
from tests.local_models.classification.engine import ToyEngine
from tests.runtime.cli.fake_runtime import Asked, Reply, as_json

PIECES = ("spam", "-like", "ham", "New", " York", "ark", "eggs")


@dataclass
class LabelRuntime:
    """model: who answers. texts: those asked about, in order, the probe included. rooms: tokens allowed for each."""

    model: str = "local/toy"
    texts: list[str] = field(default_factory=list)
    rooms: list[int] = field(default_factory=list)

    def __call__(self, asked: Asked) -> Reply:
        body = asked.body
        if "prompt_logprobs" in body:
            return self._said(spelling(ToyEngine(PIECES, 0).spelling(body["messages"][-1]["content"])))
        begun = body["messages"][-1]["content"] if body.get("continue_final_message") else None
        text = body["messages"][-1 if begun is None else -2]["content"].removeprefix("Text:\n")
        engine = ToyEngine(PIECES, seed=len(text))
        if begun is not None:
            labels = [begun + left for left in body["structured_outputs"]["choice"]]
            return self._said(completion(engine.below(begun, labels, body.get("logprob_token_ids", ()))))
        first = text not in self.texts
        self.texts.append(text)
        self.rooms.append(body["max_tokens"])
        if "busy" in text and first:
            return error(429, "queue full", {"retry-after": "0.2"})
        if "toolong" in text:
            return error(400, "This model's maximum context length is 9 tokens.", param="input_tokens")
        if "broken" in text:
            return error(500, "no luck")
        choice = body["structured_outputs"]["choice"]
        answer = engine.answer(choice, body.get("logprob_token_ids", ()), body["max_tokens"])
        return self._said(completion(replace(answer, text="odd") if "odd" in text else answer))

    def _said(self, body: dict[str, Any]) -> Reply:
        return as_json(body, headers={"x-hearth-target": self.model})


def error(status: int, message: str, headers: dict[str, str] | None = None, param: str | None = None) -> Reply:
    return as_json({"error": {"message": message, "type": "x", "param": param, "code": status}}, status, headers or {})


def completion(answer: ScoredAnswer) -> dict[str, Any]:
    content = [
        {
            "token": f"token_id:{step.taken}",
            "logprob": step.listed[step.taken],
            "top_logprobs": [{"token": f"token_id:{token}", "logprob": value} for token, value in step.listed.items()],
        }
        for step in answer.steps
    ]
    message = {"role": "assistant", "content": answer.text}
    choice = {"index": 0, "message": message, "logprobs": {"content": content}, "finish_reason": "length"}
    return {"id": "x", "model": "toy", "choices": [choice]}


def spelling(found: Spelling) -> dict[str, Any]:
    scored = [
        {str(token): {"logprob": -1.0, "decoded_token": text}}
        for token, text in zip(found.ids, found.texts, strict=True)
    ]
    choice = {"index": 0, "message": {"content": "x"}, "logprobs": None, "finish_reason": "length"}
    return {"id": "x", "model": "toy", "choices": [choice], "prompt_logprobs": [None, *scored]}

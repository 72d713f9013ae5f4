"""A chat completion's body, as vLLM 0.32 writes it and as it must not be trusted."""

import json
from typing import Any

import pytest

from local_models.classification.answer import AnswerError, decode, decode_prompt


def body(content: list[dict[str, Any]] | None, finish: str = "stop", text: str | None = "ham", **more: object) -> bytes:
    logprobs = None if content is None else {"content": content}
    choice = {"index": 0, "message": {"content": text}, "logprobs": logprobs, "finish_reason": finish}
    return json.dumps({"id": "x", "model": "m", "choices": [choice], "usage": {}, **more}).encode()


def token(name: str, logprob: float, *top: tuple[int, float]) -> dict[str, Any]:
    listed = [{"token": f"token_id:{number}", "logprob": value, "bytes": None} for number, value in top]
    return {"token": name, "logprob": logprob, "bytes": None, "top_logprobs": listed}


def test_forbidden_tokens_are_left_out() -> None:
    """vLLM lists what its grammar forbids at -9999."""
    answer = decode(body([token("token_id:5", -0.1, (5, -0.1), (6, -2.4), (7, -9999.0))]))
    assert answer.steps[0].taken == 5
    assert answer.steps[0].listed == {5: -0.1, 6: -2.4}
    assert (answer.text, answer.model) == ("ham", "m")


def test_a_prompts_tokens_come_with_their_texts() -> None:
    """The first has no probability and is not listed; the others' own token is the first of each entry."""
    scored = [None, {"17": {"logprob": -1.0, "decoded_token": "a"}, "3": {"logprob": 0.0}}, {"4": {"logprob": -2.0}}]
    found = decode_prompt(body(None, prompt_logprobs=scored))
    assert (found.ids, found.texts, found.model) == ((17, 4), ("a", ""), "m")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"<html>", "not a chat completion"),
        (b'{"choices": []}', "without choices"),
        (body(None), "no logprobs"),
        (body([], text=None), "no logprobs"),
        (body([token("token_id:5", -0.1)], finish="abort"), "broke the answer off"),
        (body([token("spam", -0.1)]), "return_tokens_as_token_ids"),
    ],
)
def test_what_cannot_be_scored_says_why(given: bytes, said: str) -> None:
    """An aborted answer comes with status 200 too."""
    with pytest.raises(AnswerError, match=said):
        decode(given)


def test_an_engine_without_prompt_logprobs_is_told() -> None:
    """The labels' tokens would be guesses."""
    with pytest.raises(AnswerError, match="prompt_logprobs"):
        decode_prompt(body(None))

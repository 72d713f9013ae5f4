"""A chat completion's body, as vLLM 0.32 writes it and as it must not be trusted."""

import json
from typing import Any

import pytest

from local_models.classification.answer import AnswerError, Token, decode


def body(content: list[dict[str, Any]] | None, finish: str = "stop", text: str | None = "ham") -> bytes:
    logprobs = None if content is None else {"content": content}
    choice = {"index": 0, "message": {"content": text}, "logprobs": logprobs, "finish_reason": finish}
    return json.dumps({"id": "x", "model": "m", "choices": [choice], "usage": {}}).encode()


def token(text: str, logprob: float, *top: tuple[str, float]) -> dict[str, Any]:
    listed = [{"token": name, "logprob": value, "bytes": None} for name, value in top]
    return {"token": text, "logprob": logprob, "bytes": None, "top_logprobs": listed}


def test_forbidden_tokens_are_left_out_and_the_taken_one_stands_alone() -> None:
    """vLLM lists what its grammar forbids at -9999, and the taken token among the others."""
    answer = decode(body([token("h", -0.1, ("h", -0.1), ("s", -2.4), ("<pad>", -9999.0))]))
    assert answer.steps[0].taken == Token("h", -0.1)
    assert answer.steps[0].others == (Token("s", -2.4),)
    assert (answer.text, answer.ended, answer.model) == ("ham", True, "m")


def test_tokens_inside_a_character_share_an_empty_text() -> None:
    """Only one of them is the taken one."""
    answer = decode(body([token("", -0.7, ("", -0.7), ("", -1.3))]))
    assert answer.steps[0].others == (Token("", -1.3),)


def test_an_answer_cut_by_the_token_limit_did_not_end() -> None:
    """It may still be decided."""
    assert not decode(body([token("h", -0.1)], finish="length")).ended


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"<html>", "not a chat completion"),
        (b'{"choices": []}', "without choices"),
        (body(None), "no logprobs"),
        (body([], text=None), "no logprobs"),
        (body([token("h", -0.1)], finish="abort"), "broke the answer off"),
    ],
)
def test_what_cannot_be_scored_says_why(given: bytes, said: str) -> None:
    """An aborted answer comes with status 200 too."""
    with pytest.raises(AnswerError, match=said):
        decode(given)

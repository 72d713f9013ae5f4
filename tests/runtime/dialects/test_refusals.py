"""Subjects of refusals, on sentences that servers really sent."""

from __future__ import annotations

import pytest

from runtime.dialects.refusals import Subject, subject_of

OVERFLOWS = {
    "vllm, old": "This model's maximum context length is 16384 tokens. However, you requested 19591 tokens (9591 in the "
    "messages, 10000 in the completion). Please reduce the length of the messages or completion. None",
    "vllm, 0.5": "max_tokens must be at least 1, got -1532.",
    "vllm, new": "'max_tokens' or 'max_completion_tokens' is too large: 3000. This model's maximum context length is 2048 "
    "tokens and your request has 500 input tokens (3000 > 2048 - 500).",
    "vllm, engine": "The decoder prompt (length 40000) is longer than the maximum model length of 32768.",
    "sglang": "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
    "sglang, total": "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total "
    "of 5000 tokens: 4000 tokens from the input messages and 1000 tokens for the completion.",
    "sglang, queue": "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens). Use a shorter input.",
    "tgi": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000 `inputs` tokens and 20",
    "tgi, input": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1050",
    "llama.cpp": "the request exceeds the available context size. try increasing the context size or enable context shift",
    "llama.cpp, new": "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "llama-cpp-python": "Requested tokens (516) exceed context window of 512",
    "ollama": "the input length exceeds the context length",
    "ollama, cloud": "prompt too long; exceeded max context length by 511 tokens",
    "lm studio": "Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context "
    "length of only 4096 tokens, which is not enough. Try to load the model with a larger context length",
    "lm studio, new": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)",
    "lm studio, mlx": "Context size has been exceeded.",
    "lm studio, keep": "The number of tokens to keep from the initial prompt is greater than the context length.",
}


@pytest.mark.parametrize("server", OVERFLOWS)
def test_overflow_in_every_servers_words(server: str) -> None:
    """Each attached or remote server says it in a sentence of its own."""
    assert subject_of(OVERFLOWS[server]) is Subject.OVERFLOW


@pytest.mark.parametrize(
    ("words", "subject"),
    [
        ("Content Exists Risk", Subject.FILTER),
        ("Output blocked by content filtering policy", Subject.FILTER),
        ("Your credit balance is too low to access the API", Subject.ACCOUNT),
        ("This organization has been disabled.", Subject.ACCOUNT),
        ("Incorrect API key provided: sk-…", Subject.ACCOUNT),
        ("The model `x` does not exist or you do not have access to it.", Subject.MODEL),
        ('model "llama9" not found, try pulling it first', Subject.MODEL),
        ("No models loaded. Please load a model in the developer page", Subject.MODEL),
        ("registry.ollama.ai/library/gemma:2b does not support tools", Subject.PARAMETER),
        ("This model does not support effort level 'xhigh'. Supported levels: high, low.", Subject.PARAMETER),
        ("thinking.budget_tokens: Extra inputs are not permitted", Subject.PARAMETER),
        ("Unknown name \"penalty\" at 'generation_config': Cannot find field.", Subject.PARAMETER),
        ('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', Subject.PARAMETER),
        ("Requested sample logprobs of 25, which is greater than max allowed: 20", Subject.PARAMETER),
        ("could not find real modelID for gpt-4", Subject.MODEL),
        ("max_tokens must be at least 1", None),
        ("temperature must be at most 2", None),
        ("messages[1].tool_call_id is required", None),
        ("'messages' must not be empty", None),
        ("", None),
    ],
)
def test_other_subjects(words: str, subject: Subject | None) -> None:
    """Account, model, parameter and filter; a fault of the body has no subject."""
    assert subject_of(words) is subject


def test_only_the_head_is_searched() -> None:
    """A message of any length costs a bounded search."""
    assert subject_of("x" * 4000 + " prompt is too long") is None
    for words in ("model ", "exceed", "context size ", "account "):
        assert subject_of(words * 200_000) is None

"""What each server of one's own says when it refuses, attached as the engine or as a target behind a base URL.

Sentences and types from the servers' sources: vLLM 0.5 and 0.32 (entrypoints/openai), SGLang 0.5 (managers/tokenizer_manager,
entrypoints/openai), TGI 3 (router/src/infer, validation), llama.cpp (tools/server), Ollama (server/routes.go,
openai/openai.go), LM Studio (its server's answers in user reports).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from cloud.openai.faults import classify
from local_models.wire.codec import EngineCodec
from runtime.contract.failures import Disposition, Kind

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LONG, ABILITY, MODEL, BUSY, DOWN, CALLER = "too long", "ability", "model", "busy", "down", "caller"


def openai(message: str, kind: str = "BadRequestError", code: Any = 400, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def older(message: str, code: int = 400, kind: str = "BadRequestError") -> dict[str, Any]:
    """vLLM before 0.10, and SGLang."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def tgi(message: str, kind: str = "validation") -> dict[str, Any]:
    return {"error": message, "error_type": kind}


NO_TOOLS = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
VLLM_LONG = (
    "This model's maximum context length is 2048 tokens. However, you requested 100 output tokens and your prompt contains "
    "at least 2000 input tokens, for a total of at least 2100 tokens. Please reduce the length of the input prompt or the "
    "number of requested output tokens. (parameter=input_tokens, value=2000)"
)
OLD_LONG = (
    "This model's maximum context length is 2048 tokens. However, you requested 2100 tokens (2000 in the messages, 100 in "
    "the completion). Please reduce the length of the messages or completion."
)
LLAMA_LONG = "request (9001 tokens) exceeds the available context size (4096 tokens), try increasing it"
NEEDS_MEMORY = "model requires more system memory (5.6 GiB) than is available (3.1 GiB)"
LM_LOAD = 'Failed to load model "x". Error: Model loading was stopped due to insufficient system resources.'
SERVERS: list[tuple[str, int, Any, str]] = [
    ("vllm", 400, openai(VLLM_LONG, param="input_tokens"), LONG),
    ("vllm", 404, openai("The model `x` does not exist.", "NotFoundError", 404, param="model"), MODEL),
    ("vllm", 400, openai(NO_TOOLS), ABILITY),
    ("vllm", 400, openai("qwen3-8b is not a multimodal model"), ABILITY),
    ("vllm", 400, openai("At most 0 image(s) may be provided in one prompt."), ABILITY),
    ("vllm", 400, openai("The model does not support Chat Completions API"), ABILITY),
    ("vllm", 400, openai("Grammar error: Unimplemented keys: ['patternProperties']"), ABILITY),
    ("vllm", 400, openai("Requested sample logprobs of 25, which is greater than max allowed: 20"), ABILITY),
    ("vllm", 400, openai("temperature must be non-negative, got -1.0.", param="temperature"), CALLER),
    (
        "vllm",
        503,
        openai("The engine is currently busy and cannot accept new requests.", "Service Unavailable", 503),
        BUSY,
    ),
    ("vllm, old", 400, older(OLD_LONG), LONG),
    ("vllm, old", 400, older("max_tokens must be at least 1, got -1532."), LONG),
    ("vllm, old", 404, older("The model `x` does not exist.", 404, "NotFoundError"), MODEL),
    (
        "vllm, old",
        400,
        older(
            "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template"
        ),
        ABILITY,
    ),
    ("sglang", 400, older("The input (61709 tokens) is longer than the model's context length (40960 tokens)."), LONG),
    ("sglang", 400, openai("Requested token count exceeds the model's maximum context length of 4096 tokens."), LONG),
    ("sglang", 400, older("Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens)."), LONG),
    ("sglang", 503, older("The request queue is full.", 503, "ServiceUnavailable"), BUSY),
    ("sglang", 400, older("Failed to compile the grammar: unsupported regex"), ABILITY),
    ("tgi", 422, tgi("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000"), LONG),
    ("tgi", 422, tgi("Input validation error: `inputs` must have less than 1024 tokens. Given: 1050"), LONG),
    ("tgi", 422, tgi("Template error: template not found", "template_error"), ABILITY),
    ("tgi", 422, tgi("Input validation error: grammar is not supported"), ABILITY),
    ("tgi", 422, tgi("Input validation error: `temperature` must be strictly positive"), CALLER),
    ("tgi", 429, tgi("Model is overloaded", "overloaded"), BUSY),
    ("tgi", 424, tgi("Request failed during generation: Server error", "generation"), DOWN),
    ("llama.cpp", 400, openai(LLAMA_LONG, "exceed_context_size_error", n_ctx=4096), LONG),
    ("llama.cpp", 500, openai("tools param requires --jinja flag", "server_error", 500), ABILITY),
    ("llama.cpp", 400, openai("Failed to parse grammar", "invalid_request_error"), ABILITY),
    ("llama.cpp", 500, openai("image input is not supported - you may need to provide the mmproj", "x", 500), ABILITY),
    ("llama.cpp", 501, openai("This server does not support embeddings.", "not_supported_error", 501), ABILITY),
    ("llama.cpp", 503, openai("Loading model", "unavailable_error", 503), DOWN),
    ("ollama", 404, openai('model "x" not found, try pulling it first', "not_found_error", None), MODEL),
    ("ollama", 400, openai("registry.ollama.ai/library/gemma:2b does not support tools", "api_error", None), ABILITY),
    ("ollama", 400, openai('"llama3.2" does not support thinking', "invalid_request_error", None), ABILITY),
    ("ollama", 500, openai("this model is missing data required for image input", "api_error", None), ABILITY),
    ("ollama", 500, openai(NEEDS_MEMORY, "api_error", None), MODEL),
    ("ollama", 400, {"error": "the input length exceeds the context length"}, LONG),
    (
        "ollama",
        503,
        openai("server busy, please try again.  maximum pending requests exceeded", "api_error", None),
        BUSY,
    ),
    ("lm studio", 400, {"error": "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}, LONG),
    ("lm studio", 400, {"error": "Context size has been exceeded."}, LONG),
    (
        "lm studio",
        404,
        {"error": {"message": LM_LOAD, "type": "invalid_request_error", "code": "model_not_found"}},
        MODEL,
    ),
    ("lm studio", 400, {"error": LM_LOAD}, MODEL),
    ("lm studio", 400, {"error": "Model does not support images. Please use a model that does."}, ABILITY),
    ("lm studio", 400, {"error": "'messages' field is required"}, CALLER),
]
KINDS = {
    LONG: {(Kind.TOO_LONG, Disposition.NEXT_CANDIDATE)},
    ABILITY: {(Kind.REJECTED, Disposition.NEXT_CANDIDATE)},
    # An engine's model is not the account's: nothing is denied there.
    MODEL: {(Kind.REJECTED, Disposition.NEXT_CANDIDATE), (Kind.DENIED, Disposition.NEXT_CANDIDATE)},
    BUSY: {(Kind.BUSY, Disposition.NEXT_CANDIDATE), (Kind.BUSY, Disposition.RETRY_HERE)},
    DOWN: {(Kind.DOWN, Disposition.NEXT_CANDIDATE), (Kind.DOWN, Disposition.RETRY_HERE)},
    CALLER: {(Kind.REJECTED, Disposition.TELL_CALLER)},
}


@pytest.mark.parametrize(
    ("server", "status", "body", "meant"),
    SERVERS,
    ids=[f"{server} {status} {meant} {place}" for place, (server, status, _, meant) in enumerate(SERVERS)],
)
def test_a_refusal_means_the_same_attached_and_behind_a_base_url(
    server: str, status: int, body: Any, meant: str
) -> None:
    """Length, ability and model lead to the next candidate; a fault of the body is the caller's."""
    raw = json.dumps(body).encode()
    for failure in (EngineCodec().classify(status, {}, raw), classify(status, {}, raw, lambda: NOW)):
        assert (failure.kind, failure.disposition) in KINDS[meant], failure

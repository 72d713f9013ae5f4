"""Names of spans, attributes and instruments: the one place that knows the conventions.

`gen_ai.*` is OpenTelemetry's semantic conventions for generative AI 0.1.0, which are in development: a newer version changes
this module and its schema's address, and nothing else. https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from collections.abc import Mapping

from runtime.contract.targets import LOCAL

SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai/0.1.0"
SCOPE = "hearth"

# By dialect: the path that requests come to, and the operation.
ROUTES = {
    "openai_chat": ("/v1/chat/completions", "chat"),
    "openai_responses": ("/v1/responses", "chat"),
    "openai_completions": ("/v1/completions", "text_completion"),
    "openai_embeddings": ("/v1/embeddings", "embeddings"),
    "rerank": ("/v1/rerank", "rerank"),
    "anthropic_messages": ("/v1/messages", "chat"),
}

HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
URL_PATH = "url.path"
URL_SCHEME = "url.scheme"
HTTP_STATUS = "http.response.status_code"
ERROR = "error.type"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"  # seconds
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
CONVERSATION = "gen_ai.conversation.id"

DECISION = "hearth.decision.id"
REASON = "hearth.reason"
WORDS = "hearth.words"
SCORE = "hearth.score"
TASK = "hearth.task"
DEGRADED = "hearth.degraded"
CANDIDATES = "hearth.candidates"
COST_USD = "hearth.cost_usd"
SAMPLED_BY = "hearth.sampled_by"
LANE = "hearth.lane"
# Nearly every request has another value of these; those of the others repeat.
VARYING = frozenset(
    {DECISION, CONVERSATION, SCORE, COST_USD, FIRST_CHUNK, INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS, REASONING_TOKENS}
)
ENGINE = "vllm"  # the provider of local answers, a value of our own

# Families of `/metrics` that the conventions have a name for; the others keep theirs.
INSTRUMENTS = {
    "hearth_request_seconds": "gen_ai.server.request.duration",
    "hearth_ttft_seconds": "gen_ai.server.time_to_first_token",
}
# The family of tokens is a counter for each of its kinds. Cached and reasoning tokens are parts of the other two.
TOKENS_FAMILY, TOKENS_KIND = "hearth_tokens", "kind"
TOKENS = {
    "prompt": "gen_ai.client.inference.usage.input_tokens",
    "completion": "gen_ai.client.inference.usage.output_tokens",
    "cached": "gen_ai.client.inference.usage.cache_read.input_tokens",
    "reasoning": "gen_ai.client.inference.usage.reasoning.output_tokens",
}
TOKEN_UNIT = "{token}"
MODALITY = "gen_ai.token.modality"
UNKNOWN = "unknown"  # vendors do not count tokens by modality alike
UNITS = {"_seconds": "s", "_bytes": "By"}  # by the end of a family's name; "1" for any other


def provider_and_model(target: str, providers: Mapping[str, str]) -> tuple[str, str]:
    """The provider of a target's label, by the name of the conventions, and the model."""
    provider, _, model = target.partition("/")
    return ENGINE if provider == LOCAL else providers.get(provider, provider), model

"""The providers: base URL, wires, codec, and the header of the key.

Constants from the vendors' own documentation, as of 2026-11.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from cloud.anthropic.codec import AUTHORIZATION as ANTHROPIC_KEY
from cloud.anthropic.codec import AnthropicCodec
from cloud.anthropic.names import COUNTING as ANTHROPIC_COUNTING
from cloud.anthropic.names import WIRE as ANTHROPIC_MESSAGES
from cloud.anthropic.pauses import Pauses
from cloud.gemini.codec import AUTHORIZATION as GEMINI_KEY
from cloud.gemini.codec import GeminiCodec
from cloud.gemini.files import Files
from cloud.openai.compatible import OpenAICodec
from cloud.openai.two_wires import OpenAITwoWires
from runtime.contract.backend import Uploads
from runtime.contract.codec import Codec
from runtime.contract.hop import Hop
from runtime.dialects.openai_chat.profile import EFFORTS, PLAIN, ChatProfile
from runtime.dialects.openai_responses.words import NAME as OPENAI_RESPONSES

OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS = "openai_chat", "openai_completions", "openai_embeddings"
RERANK = "rerank"
BEARER = "authorization"

Now = Callable[[], datetime]
MakeCodec = Callable[[Now, str | None], Codec]
"""(the time, for a Retry-After that is a date; API version or None) -> the codec."""
MakeUploads = Callable[[Hop, str, str | None], Uploads]
"""(the hop to the account, its base URL, API version or None) -> uploads of large media."""


@dataclass(frozen=True, slots=True)
class Provider:
    """base_url: the default of the vendor's own SDK. dialects: wires it speaks, on which bytes pass through.

    key_header: "authorization" takes the key as a bearer token, any other as it is. around: wraps the hop of its lanes.
    elsewhere: the codec of other servers of the dialect, behind a base URL of the settings.
    """

    name: str
    base_url: str
    dialects: frozenset[str]
    codec: MakeCodec
    key_header: str = BEARER
    uploads: MakeUploads | None = None
    around: Callable[[Hop], Hop] | None = None
    elsewhere: MakeCodec | None = None


def _openai(profile: ChatProfile = PLAIN) -> MakeCodec:
    return lambda now, version: OpenAICodec(now, profile)


_ALL = frozenset({OPENAI_CHAT, OPENAI_COMPLETIONS, OPENAI_EMBEDDINGS, RERANK})
_CHAT = frozenset({OPENAI_CHAT})

# github.com/openai/openai-openapi, CreateChatCompletionRequest; any other member is refused as an unknown parameter.
_OPENAI_MEMBERS = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "n",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "response_format",
        "reasoning_effort",
        "verbosity",
        "user",
        "safety_identifier",
        "service_tier",
        "metadata",
        "stream",
        "stream_options",
        "audio",
        "modalities",
        "prediction",
        "store",
        "web_search_options",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "moderation",
    }
)
# console.groq.com/docs/api-reference: any other property is refused as unsupported.
_GROQ_MEMBERS = frozenset(
    {
        "model",
        "messages",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "n",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "response_format",
        "reasoning_effort",
        "user",
        "service_tier",
        "metadata",
        "stream",
        "stream_options",
        "store",
        "include_reasoning",
        "reasoning_format",
        "citation_options",
        "compound_custom",
        "documents",
        "disable_tool_validation",
        "exclude_domains",
        "include_domains",
        "search_settings",
    }
)
# The same sources, of a message of any role. Groq: "property 'reasoning_content' is unsupported" (janhq/jan#8136), and the
# same of `reasoning` (karthink/gptel#774).
_GROQ_MESSAGE = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "function_call"})
_OPENAI_MESSAGE = _GROQ_MESSAGE | {"refusal", "audio"}
OPENAI = ChatProfile(
    limit="max_completion_tokens",
    efforts=EFFORTS,
    verbosity=True,
    metadata=True,
    refusals=True,
    allowed_tools=True,
    tiers=frozenset({"auto", "default", "flex", "priority"}),
    files=True,
    file_ids=True,
    developer=True,
    members=_OPENAI_MEMBERS,
    message_members=_OPENAI_MESSAGE,
)
ELSEWHERE = replace(OPENAI, developer=False, renames=False, members=None, message_members=None)
"""A server of one's own behind a base URL: it may know more members, and fewer roles."""
GROQ = ChatProfile(
    limit="max_completion_tokens",
    members=_GROQ_MEMBERS,
    message_members=_GROQ_MESSAGE,
    efforts=("none", "low", "medium", "high"),
)
DEEPSEEK = ChatProfile(schema=False, echo="reasoning_content", efforts=("none", "low", "medium", "high", "max"))
OPENROUTER = ChatProfile(efforts=EFFORTS, marks=True, files=True, top_k=True)

PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider(
            "anthropic",
            "https://api.anthropic.com",
            frozenset({ANTHROPIC_MESSAGES, ANTHROPIC_COUNTING}),
            AnthropicCodec,
            ANTHROPIC_KEY,
            around=Pauses,
        ),
        Provider(
            "gemini",
            "https://generativelanguage.googleapis.com",
            frozenset(),
            lambda now, version: GeminiCodec(version),
            GEMINI_KEY,
            lambda hop, base_url, version: Files(hop, base_url, time.time, version=version),
        ),
        Provider(
            "openai",
            "https://api.openai.com/v1",
            _ALL | {OPENAI_RESPONSES},
            lambda now, version: OpenAITwoWires(now, OPENAI),
            elsewhere=lambda now, version: OpenAITwoWires(now, ELSEWHERE),
        ),
        Provider("groq", "https://api.groq.com/openai/v1", _CHAT, _openai(GROQ)),
        Provider("together", "https://api.together.xyz/v1", _ALL, _openai()),
        Provider("fireworks", "https://api.fireworks.ai/inference/v1", _ALL, _openai()),
        Provider("deepseek", "https://api.deepseek.com/v1", _CHAT, _openai(DEEPSEEK)),
        Provider("openrouter", "https://openrouter.ai/api/v1", _CHAT | {OPENAI_COMPLETIONS}, _openai(OPENROUTER)),
    )
}

NAMES = frozenset(PROVIDERS)

# Providers that the conventions of OpenTelemetry call otherwise.
TELEMETRY_NAMES = {"gemini": "gcp.gemini"}

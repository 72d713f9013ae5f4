"""Differences between servers of OpenAI's chat wire, as data for `write_request`.

The default is the plain wire as most imitators speak it. Knows no server by name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from runtime.contract.messages import Cache
from runtime.contract.targets import Capabilities

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the least to the most reasoning."""


@dataclass(frozen=True, slots=True)
class ChatProfile:
    """Facts about a server, or about one model of it.

    limit: the member that bounds the answer.
    system: the role of instructions. late_system: whether they may stand after the first other message; if not, they
    are sent as the user's.
    efforts: the values of `reasoning_effort` it takes; none if it has no such member.
    echo: the member in which earlier reasoning goes back, None if it does not; echo_turns: all turns, or only those that
    called tools.
    schema, json_mode: what `response_format` may ask for.
    sampling: temperature and top_p may be set; penalties: presence and frequency penalties too.
    top_k, seed, biases, logprobs, verbosity, metadata, refusals, allowed_tools, parallel, strict: whether it knows the
    member.
    stops: most stop sequences, None for any number. tiers: values of `service_tier`.
    longest: most tokens of an answer, None where not known.
    marks: whether parts and tools may carry `cache_control`.
    text_parts: whether a message of several texts may be a list.
    files: documents may be sent; file_ids, file_urls: by id, by URL. videos: `video_url` is known.
    sounds: formats of `input_audio`, empty for any.
    developer: whether it knows that role. renames: whether `limit` is the only name it knows for the bound. members: those
    of a body that it knows, if it refuses others; None if it does not. message_members: the same of a message.
    """

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    system: Literal["system", "developer"] = "system"
    late_system: bool = True
    efforts: tuple[str, ...] = ()
    echo: str | None = None
    echo_turns: Literal["all", "tools"] = "tools"
    schema: bool = True
    json_mode: bool = True
    sampling: bool = True
    penalties: bool = True
    top_k: bool = False
    seed: bool = True
    biases: bool = True
    logprobs: bool = True
    verbosity: bool = False
    metadata: bool = False
    refusals: bool = False
    allowed_tools: bool = False
    parallel: bool = True
    strict: bool = True
    stops: int | None = 4
    longest: int | None = None
    tiers: frozenset[str] = frozenset()
    marks: bool = False
    text_parts: bool = True
    files: bool = False
    file_ids: bool = False
    file_urls: bool = False
    videos: bool = False
    sounds: frozenset[str] = frozenset({"wav", "mp3"})
    developer: bool = False
    renames: bool = True
    members: frozenset[str] | None = None
    message_members: frozenset[str] | None = None


PLAIN = ChatProfile()

VLLM = ChatProfile(
    limit="max_completion_tokens",
    efforts=EFFORTS,
    echo="reasoning",
    echo_turns="all",
    top_k=True,
    stops=None,
    videos=True,
    sounds=frozenset(),
    renames=False,
)
"""The local engine. Its chat templates decide which reasoning the model sees again."""


def cache_mark(cache: Cache | None, profile: ChatProfile) -> dict[str, Any]:
    if cache is None or not profile.marks:
        return {}
    return {"cache_control": {"type": "ephemeral"} | ({"ttl": cache.ttl} if cache.ttl else {})}


def fitted(profile: ChatProfile, can: Capabilities) -> ChatProfile:
    """The profile of a server, narrowed by the capabilities of one of its models."""
    off = ("none",) if can.thinking_off else ()
    return replace(
        profile,
        sampling=profile.sampling and can.sampling,
        penalties=profile.penalties and can.penalties,
        efforts=(*off, *can.thinking_levels) if can.thinking_levels else profile.efforts,
        late_system=profile.late_system and can.mid_system,
        schema=profile.schema and can.structured_output,
        logprobs=profile.logprobs and can.logprobs,
        longest=can.max_output_tokens,
        stops=profile.stops if can.stops else 0,
    )

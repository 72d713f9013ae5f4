"""Differences between servers of the responses wire, as facts without names of vendors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runtime.contract.targets import Capabilities


@dataclass(frozen=True, slots=True)
class ResponsesProfile:
    """One server's answers to what the wire leaves open. The defaults are OpenAI's own, for a model that takes sampling.

    system: the role of instructions. sampling: takes temperature and top_p. efforts: values of `reasoning.effort`, weakest
    first; empty: any. thinking: takes `reasoning`. sealed: reasoning comes encrypted and goes back so; plain_thinking: it goes
    back in words. least_output: smallest `max_output_tokens`. breakpoints: takes explicit cache marks on parts. file_ids:
    stores files. schemas: structured output. forced_tools: a choice that makes the model call; allowed_tools: one that names
    some tools. longest: most tokens of an answer, None if not known.
    """

    system: str = "developer"
    sampling: bool = True
    thinking: bool = True
    efforts: tuple[str, ...] = ()
    sealed: bool = True
    plain_thinking: bool = False
    least_output: int = 1
    breakpoints: bool = False
    file_ids: bool = False
    schemas: bool = True
    forced_tools: bool = True
    allowed_tools: bool = True
    verbosity: bool = True
    longest: int | None = None


def fitted(profile: ResponsesProfile, can: Capabilities) -> ResponsesProfile:
    """A server's profile narrowed to the capabilities of one of its models."""
    off = (can.thinking_off,) if can.thinking_off else ()
    return replace(
        profile,
        sampling=profile.sampling and can.sampling,
        efforts=(*off, *can.thinking_levels) if can.thinking_levels else profile.efforts,
        schemas=profile.schemas and can.structured_output,
        forced_tools=profile.forced_tools and can.forced_tools,
        longest=can.max_output_tokens,
    )

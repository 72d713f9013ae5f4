"""What a server of the responses wire takes, where servers differ. Facts, no names of vendors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runtime.contract.targets import Capabilities


@dataclass(frozen=True, slots=True)
class ResponsesProfile:
    """The defaults are the wire as its inventor speaks it, for a model without sampling of its own.

    system: the role of instructions. sampling: temperature and top_p. efforts: what `reasoning.effort` may be, weakest first;
    empty: whatever the client says. thinking: whether there is a `reasoning` member at all. sealed: reasoning comes sealed
    and goes back so; plain_thinking: it goes back in words. least_output: smallest `max_output_tokens`. breakpoints: explicit
    cache marks on parts. file_ids: files stored at the server. schemas: structured output. forced_tools: a choice that
    leaves the model none; allowed_tools: one among some. longest: most tokens of an answer, None where not known.
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
    """The profile of a server narrowed to what is known of one of its models."""
    off = (can.thinking_off,) if can.thinking_off else ()
    return replace(
        profile,
        sampling=profile.sampling and can.sampling,
        efforts=(*off, *can.thinking_levels) if can.thinking_levels else profile.efforts,
        schemas=profile.schemas and can.structured_output,
        forced_tools=profile.forced_tools and can.forced_tools,
        longest=can.max_output_tokens,
    )

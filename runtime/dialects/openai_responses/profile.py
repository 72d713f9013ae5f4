"""What a server of the responses wire takes, where servers differ. Facts, no names of vendors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """The defaults are the wire as its inventor speaks it, for a model without sampling of its own.

    system: the role of instructions. sampling: temperature and top_p. efforts: what `reasoning.effort` may be, weakest first;
    empty: whatever the client says. thinking: whether there is a `reasoning` member at all. sealed: reasoning comes sealed
    and goes back so; plain_thinking: it goes back in words. least_output: smallest `max_output_tokens`. breakpoints: explicit
    cache marks on parts. file_ids: files stored at the server. schemas, json_mode: structured output.
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
    strict: bool = True
    forced_tools: bool = True
    allowed_tools: bool = True
    verbosity: bool = True

"""Targets: the facts about a model that can answer, never its state."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from runtime.contract.guard import LOCAL_ONLY
from runtime.contract.prices import Price

LOCAL = "local"  # the provider of the box's own engine

FLEET = "fleet"  # the caller's id of requests that another Hearth sends
PEER = "peer/"  # begins the name of another Hearth as a target, and of its lane
TEXT = "text"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities of a model. None means not known, which never excludes it."""

    modalities: frozenset[str] = frozenset({TEXT})  # text, image, audio, video, pdf
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool = True
    structured_output: bool = True
    structured_with_tools: bool = True  # takes a schema of the answer beside tools
    logprobs: bool = True
    chat: bool = True
    completions: bool = False
    embeddings: bool = False
    rerank: bool = False
    continues: bool = False  # continues a partial answer (`continue_final_message`)
    priorities: bool = False  # takes a `priority` with each request and serves the lowest first
    sessions: bool = False  # a balancer before several engines that keeps a session (`x-session-id`) on one of them
    sampling: bool = True  # temperature, top_p, top_k
    tools_over: str | None = None  # the one wire that takes tools while the model thinks; None: any it speaks
    forced_tools: bool = True  # a tool choice that leaves the model none: required, or one by name
    prefill: bool = True  # continues a conversation that ends with the model's own turn
    mid_system: bool = True  # takes instructions in the middle of a conversation as such
    thinking: Literal["level", "budget"] | None = (
        None  # the form in which the amount of thinking is set; None: it cannot be set
    )
    thinking_levels: tuple[str, ...] = ()  # weakest first, values of `Thinking.effort`
    thinking_off: str | None = None  # the wire's word for not thinking; None: it has none
    thinking_budget: tuple[int, int] | None = None  # fewest and most tokens, if thinking is set as a budget
    thinks_unasked: bool = False
    thinking_bound: bool = False  # rejects replayed reasoning if earlier turns were edited
    penalties: bool = True  # presence and frequency
    stops: bool = True  # stop sequences
    media_results: bool = True  # media inside a tool's result
    media_urls: bool = True  # fetches media by their address itself
    media_addresses: tuple[str, ...] = ()  # prefixes, lower case, of the addresses it takes if it fetches no others
    signed_calls: bool = False  # rejects replayed tool calls without their thought signature
    cache_minimum: int | None = None  # tokens; a shorter prefix is not cached
    retires_on: date | None = None  # after it the provider no longer answers


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: float = 5.0
    first_token: float = 15.0
    idle: float = 20.0
    total: float = 300.0


@dataclass(frozen=True, slots=True)
class Target:
    """One configured model: the unit of a plan.

    name: its name in the settings, or PROVIDER/MODEL for one that is not configured.
    model: the id sent upstream.
    certified: what the account's contract allows ("hipaa", "zdr"), never LOCAL_ONLY. region: where it runs, "" if unsaid.
    on_box: data sent to it never leaves this machine.
    dialects: wires it speaks itself, so that bytes pass through.
    served: the engine's id of a model it serves beside the one that `local` means; None: each lane's own.
    price: None: not known. Of the box's own engine, what its tokens cost at the throughput measured last.
    peer: another Hearth, whose engine serves the same model: it decides itself whether it takes a request.
    label: PROVIDER/MODEL, as `x-hearth-target` shows it. local: True for the box's own engine, and for a peer's.
    """

    name: str
    provider: str
    model: str
    capabilities: Capabilities = Capabilities()
    certified: frozenset[str] = frozenset()
    on_box: bool = False
    dialects: frozenset[str] = frozenset()
    timeouts: Timeouts = Timeouts()
    price: Price | None = None
    notes: tuple[str, ...] = field(default=())
    served: str | None = None
    region: str = ""
    peer: bool = False
    label: str = field(init=False, compare=False, default="")
    local: bool = field(init=False, compare=False, default=False)

    def __post_init__(self) -> None:
        if LOCAL_ONLY in self.certified:
            object.__setattr__(self, "certified", self.certified - {LOCAL_ONLY})
        object.__setattr__(self, "label", f"{self.provider}/{self.model}")
        object.__setattr__(self, "local", self.provider == LOCAL)

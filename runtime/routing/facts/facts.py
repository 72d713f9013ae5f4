"""The facts of a request: the numbers and names a decision is made from, and all that may be kept of it.

They hold no text of the prompt, no header and no value of the client's metadata: those are in `query.PromptText`. A decision
can be recorded, compared and replayed from facts alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from runtime.contract.targets import TEXT
from runtime.routing.facts.hints import NO_HINTS, Hints
from runtime.routing.facts.scan import PromptScan
from runtime.routing.facts.tokens import TokenEstimate
from runtime.wire import limits

_HEAD = 512  # characters of a prompt's beginning
_WORTH = 256  # tokens; a shorter prompt is read in no time, wherever it goes
LONGEST_NAME = 256  # characters of a model's name; a longer one is kept cut, with an ellipsis
_CONVERSATIONS = frozenset({"openai_chat", "anthropic_messages", "openai_responses"})
_COUNTS = "anthropic_count_tokens"
_FORMATS = frozenset({"response_format", "output_config", "text", "output_format"})  # members that may ask for a format
_MOST_TOKENS = 1 << 40  # a number in a body can have a thousand digits


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """Serialisable as it stands.

    model: as the client wrote it, bounded. prompt_tokens: estimated, media and tools included. max_tokens: the limit the
    client set. labelled: the answer is one of a closed list. tool_result: the last message is one. media_asked: the user's
    last message holds media. attached: characters of text files. plain: tokens of the text for an average tokenizer, which
    is what `TokenEstimate.learn` takes. prefix: a hash, the same in every process, of the session's name or else of the
    prompt's beginning: requests that have it in common share a cached prefix. 0: none is worth keeping. session: a hash of the
    conversation's name and its caller's id, 0 for what is no conversation. restricted: the same, also of a count of its tokens
    and of anything else that names its session: what one of them demands, the later ones demand too. continued: an earlier
    turn of it may have been answered. signed: it holds what a model signed or encrypted for itself.
    longest: tokens of the longest of several prompts that are read each for itself; 0 for one prompt.
    """

    dialect: str
    model: str
    prompt_tokens: int
    max_tokens: int | None = None
    modalities: frozenset[str] = frozenset({TEXT})
    tools: bool = False
    structured: bool = False
    logprobs: bool = False
    n: int = 1
    stream: bool = False
    labelled: bool = False
    tool_result: bool = False
    media_asked: bool = False
    attached: int = 0
    hints: Hints = NO_HINTS
    plain: float = 0.0
    prefix: int = 0
    session: int = 0
    restricted: int = 0
    continued: bool = False
    signed: bool = False
    longest: int = 0

    @property
    def media(self) -> bool:
        """True if there is more than text."""
        return len(self.modalities) > 1


class Within(NamedTuple):
    """The place of a request among others: its caller's id, and the name of the stored chain of responses that it continues."""

    caller: str = ""
    chain: str = ""

    @property
    def chained(self) -> int:
        """`Facts.session` of every turn of the chain."""
        return hash((self.caller, "chain", self.chain))


ALONE = Within()


def facts_of(
    dialect: str,
    body: Mapping[str, Any],
    hints: Hints,
    scan: PromptScan,
    tokens: TokenEstimate,
    within: Within = ALONE,
) -> Facts:
    """The facts of a body whose prompt was read as `scan`."""
    # A name that is too long ends in a character no valid name has, so that it stays unknown.
    name = body.get("model")
    name = name if isinstance(name, str) else ""
    outputs, included = body.get("structured_outputs"), body.get("include")
    # The session's name: the caller's own, else the chain's, else the beginning of the conversation.
    if hints.session:
        session = hash((within.caller, "hint", hints.session))
    elif within.chain:
        session = within.chained
    else:
        session = hash((within.caller, scan.opening))
    converses = dialect in _CONVERSATIONS
    named = converses or bool(hints.session) or dialect == _COUNTS
    listed = isinstance(included, list) and "message.output_text.logprobs" in included
    return Facts(
        dialect=dialect,
        model=name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…",
        prompt_tokens=tokens.of(scan.plain) + scan.media_tokens,
        max_tokens=next((n for each in limits.MEMBERS if each in body and (n := _whole(body[each])) is not None), None),
        modalities=scan.modalities,
        tools=bool(body.get("tools") or body.get("functions")),
        structured=bool(outputs) or (not _FORMATS.isdisjoint(body) and _has_format(body)),
        logprobs=bool(body.get("logprobs") or body.get("top_logprobs") or listed),
        n=(_whole(body["n"]) if "n" in body else None) or 1,
        stream=body.get("stream") is True,
        labelled=bool(body.get("guided_choice")) or (isinstance(outputs, dict) and bool(outputs.get("choice"))),
        tool_result=scan.answered,
        media_asked=scan.media_asked,
        attached=scan.attached,
        hints=hints,
        plain=scan.plain,
        prefix=_hash(hints.session or scan.first[:_HEAD]) if hints.session or scan.plain >= _WORTH else 0,
        session=session if converses else 0,
        restricted=session if named else 0,
        continued=named and bool(scan.continued or scan.signed or hints.session or within.chain),
        signed=scan.signed,
        longest=tokens.of(scan.longest) if scan.longest else 0,
    )


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return min(value, _MOST_TOKENS)


def _hash(text: str) -> int:
    return crc32(text.encode(errors="replace"))


def _has_format(body: Mapping[str, Any]) -> bool:
    """True if a JSON schema or JSON mode is asked for, in the words of any dialect."""
    wanted = body.get("response_format")
    for config in (body.get("output_config"), body.get("text")):
        if not wanted and config and isinstance(config, dict):
            wanted = config.get("format")
    wanted = wanted or body.get("output_format")
    return isinstance(wanted, dict) and wanted.get("type") in ("json_schema", "json_object")

"""The seams a request passes, and a fault put into one of them.

the door        ids, body, head of the answer, bytes of the answer, its end
reading         the planner's facts and plan, the fleet's picture
choosing        backend, lane, claim, ledger
calling         codec (path, headers, fit, encode, decoder, classify), hop, reply
translating     dialect (check, streams, passing, read_request, write_answer, error_body, error_event), meters, writers
settling        learning, the record's store, the metrics, stored responses
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from cloud.anthropic.codec import AnthropicCodec
from cloud.gemini.codec import GeminiCodec
from cloud.openai.compatible import OpenAICodec
from local_models.wire.codec import EngineCodec
from runtime.conversations.store import ResponseStore
from runtime.dialects.anthropic_messages.counting import CountMeter, CountTokens
from runtime.dialects.anthropic_messages.dialect import AnthropicMessages
from runtime.dialects.meter import StreamMeter, WholeMeter
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dialects.openai_completions import CompletionsDialect
from runtime.dialects.openai_responses.dialect import ResponsesDialect
from runtime.dialects.translating import TranslatingMeter
from runtime.fleet.fleet import LiveFleet
from runtime.fleet.lanes import Lanes
from runtime.life.planning import Planner
from runtime.load.ledger import InFlight, Ledger
from runtime.record.counters import RequestCounters
from runtime.record.decisions import DecisionIds
from runtime.record.store import Store
from runtime.routing.facts.tokens import TokenEstimate
from runtime.server.asgi import ClientRequest
from runtime.server.sink import ClientSink
from tests.fakes.upstream import ScriptedHop, ScriptedReply

Seam = tuple[type, str]

_DIALECTS = (ChatDialect, CompletionsDialect, ResponsesDialect, AnthropicMessages, CountTokens)
_CODECS = (OpenAICodec, AnthropicCodec, GeminiCodec, EngineCodec)

# Before anything is known of a request there is nothing to record.
BEFORE_LIFE: tuple[Seam, ...] = (
    (DecisionIds, "next"),
    (ClientRequest, "body"),
    (ResponseStore, "resume"),
    *((dialect, "check") for dialect in _DIALECTS),
)
IN_LIFE: tuple[Seam, ...] = (
    (Planner, "read"),
    (Planner, "plan"),
    (TokenEstimate, "learn"),
    (LiveFleet, "picture"),
    (LiveFleet, "backend"),
    (LiveFleet, "lane"),
    (LiveFleet, "claim"),
    (Lanes, "ledger"),
    (LiveFleet, "room_in"),
    (Ledger, "claim"),
    (Ledger, "backlog_s"),
    (InFlight, "first_token"),
    (InFlight, "done"),
    *((codec, name) for codec in _CODECS for name in ("path", "headers", "fit", "encode", "decoder", "classify")),
    (ScriptedHop, "open"),
    (ScriptedReply, "chunk"),
    *(
        (dialect, name)
        for dialect in _DIALECTS
        for name in ("streams", "passing", "read_request", "write_answer", "error_body", "error_event")
    ),
    (StreamMeter, "feed"),
    (StreamMeter, "end"),
    (WholeMeter, "feed"),
    (WholeMeter, "end"),
    (CountMeter, "read"),
    (TranslatingMeter, "feed"),
    (TranslatingMeter, "end"),
    (ClientSink, "start"),
    (ClientSink, "write"),
    (ClientSink, "close"),
    (ClientRequest, "start"),
    (ResponseStore, "add"),
    (Store, "add"),
    (RequestCounters, "settled"),
)
SEAMS = BEFORE_LIFE + IN_LIFE

ERRORS: tuple[Callable[[], BaseException], ...] = (
    lambda: RuntimeError("a planted fault: SECRET-PROMPT"),
    lambda: OSError(28, "No space left on device"),
    lambda: UnicodeEncodeError("ascii", "SECRET-PROMPT", 0, 1, "planted"),
    lambda: KeyError("SECRET-PROMPT"),
    lambda: RecursionError("maximum recursion depth exceeded"),
    MemoryError,
    asyncio.CancelledError,
)


class Planted:
    """fired: the seam was reached often enough and raised."""

    def __init__(self) -> None:
        self.fired = False
        self.calls = 0


@contextlib.contextmanager
def planted(seam: Seam, nth: int, error: Callable[[], BaseException], *, late: bool = False) -> Iterator[Planted]:
    """The `nth` call of the seam raises, before it does anything; late: after it has done all its work."""
    owner, name = seam
    original = inspect.getattr_static(owner, name)
    fault = Planted()
    if error is asyncio.CancelledError and not inspect.iscoroutinefunction(original):
        error = ERRORS[0]  # a cancellation arrives only where something is awaited

    def due() -> bool:
        fault.calls += 1
        fault.fired = fault.fired or fault.calls == nth
        return fault.calls == nth

    replacement: Any
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def replacement(*arguments: Any, **named: Any) -> Any:
            raises = due()
            if raises and not late:
                raise error()
            result = await original(*arguments, **named)
            if raises:
                raise error()
            return result

    else:

        @functools.wraps(original)
        def replacement(*arguments: Any, **named: Any) -> Any:
            raises = due()
            if raises and not late:
                raise error()
            result = original(*arguments, **named)
            if raises:
                raise error()
            return result

    inherited = name not in vars(owner)
    setattr(owner, name, replacement)
    try:
        yield fault
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)

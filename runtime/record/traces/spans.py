"""The spans of a settled request: one for the request, one for each exchange with a model. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from runtime.record.decisions import CANCELLED, OK, Decision, Exchange
from runtime.record.traces import names
from runtime.record.traces.context import TraceContext

Value = str | bool | int | float | tuple[str, ...]


class SpanKind(IntEnum):
    """As OTLP numbers them."""

    SERVER = 2
    CLIENT = 3


class Span(NamedTuple):
    """Ids are hex digits, parent "" at the root; times are unix nanoseconds.

    error: a few words of the runtime's own, never an upstream's; "" where all went well.
    """

    trace_id: str
    span_id: str
    parent: str
    name: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    error: str = ""


def kept_for(decision: Decision, context: TraceContext, slow_ms: float) -> str:
    """Why a request's spans are sent: its outcome, its parent's flag or the ratio; "" where they are not.

    slow_ms: a first token later than this is worth a look.
    """
    if decision.status >= 400:
        return "error"
    if any(each.outcome not in (OK, CANCELLED) for each in decision.attempts):
        return "failover"
    if decision.degraded:
        return "degraded"
    if decision.ttft_ms is not None and decision.ttft_ms > slow_ms:
        return "slow"
    if context.sampled:
        return "parent" if context.parent else "ratio"
    return ""


def spans_of(decision: Decision, context: TraceContext, why: str, providers: Mapping[str, str]) -> list[Span]:
    """The request's span and those of its exchanges. providers: names by the first segment of a target's label."""
    path, operation = names.ROUTES.get(decision.dialect, (decision.dialect, "chat"))
    root = f"{context.span:016x}"
    own: dict[str, Value | None] = {
        names.HTTP_METHOD: "POST",
        names.HTTP_ROUTE: path,
        names.URL_PATH: path,
        names.URL_SCHEME: "http",
        names.HTTP_STATUS: decision.status,
        names.ERROR: str(decision.status) if decision.status >= 500 else None,
        names.DECISION: decision.id,
        names.REASON: decision.reason,
        names.WORDS: decision.words or None,
        names.SCORE: decision.score,
        names.TASK: decision.task,
        names.DEGRADED: decision.degraded or None,
        names.CANDIDATES: tuple(each.target for each in decision.considered) or None,
        names.COST_USD: decision.cost_usd,
        names.SAMPLED_BY: why,
    }
    server = Span(
        context.trace_id,
        root,
        context.parent,
        f"POST {path}",
        SpanKind.SERVER,
        _ns(decision.at, 0.0),
        _ns(decision.at, decision.total_ms),
        {name: value for name, value in own.items() if value is not None},
        f"answered with {decision.status}" if decision.status >= 500 else "",
    )
    exchanges = [*decision.attempts, *((decision.judged,) if decision.judged is not None else ())]
    return [server, *(_of_exchange(each, decision, context, operation, providers) for each in exchanges)]


def _of_exchange(
    exchange: Exchange, decision: Decision, context: TraceContext, operation: str, providers: Mapping[str, str]
) -> Span:
    provider, model = names.provider_and_model(exchange.target, providers)
    answered = exchange.ok and exchange.target == decision.target
    first = exchange.first_token_ms
    found: dict[str, Value | None] = {
        names.OPERATION: operation,
        names.PROVIDER: provider,
        names.REQUEST_MODEL: model,
        names.REQUEST_STREAM: decision.stream or None,
        names.FINISH_REASONS: (decision.finish,) if answered and decision.finish else None,
        names.FIRST_CHUNK: None if first is None else round((first - exchange.started_ms) / 1000, 6),
        names.INPUT_TOKENS: exchange.prompt_tokens or None,
        names.OUTPUT_TOKENS: exchange.completion_tokens or None,
        names.CACHED_TOKENS: exchange.cached_tokens or None,
        names.REASONING_TOKENS: exchange.reasoning_tokens or None,
        names.CONVERSATION: decision.session,
        names.HTTP_STATUS: exchange.status,
        names.ERROR: None if exchange.ok else exchange.outcome,
        names.COST_USD: exchange.cost_usd,
        names.LANE: exchange.lane,
    }
    return Span(
        context.trace_id,
        context.exchange(exchange.started_ms),
        f"{context.span:016x}",
        f"{operation} {model}",
        SpanKind.CLIENT,
        _ns(decision.at, exchange.started_ms),
        _ns(decision.at, exchange.ended_ms),
        {name: value for name, value in found.items() if value is not None},
        "" if exchange.ok else exchange.outcome,
    )


def _ns(at: float, ms: float) -> int:
    """Unix nanoseconds. at: unix seconds. ms: after it."""
    return round(at * 1_000_000) * 1000 + round(ms * 1_000_000)

"""What one attempt sends and what reads its answer: the client's own bytes, or a translation of them. No I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from runtime.contract.codec import Codec, Unsupported
from runtime.contract.hop import HttpCall
from runtime.contract.messages import Media, Request, ToolResult
from runtime.contract.targets import Target
from runtime.dialects.format import CheckedMeter
from runtime.dialects.meter import Meter, PartialAnswer
from runtime.dialects.openai_chat.early_tokens import TOP, EarlyTokens, with_logprobs
from runtime.dialects.openai_chat.message_members import fitted_messages
from runtime.dialects.roles import developer_as_system
from runtime.dialects.translating import TranslatingMeter
from runtime.dialects.wire_choice import must_translate
from runtime.dispatch.job import Job
from runtime.wire import limits
from runtime.wire.raw_body import RawBody

_CONVERSATIONS = {"openai_chat": "messages", "openai_responses": "input"}  # members that hold items with roles
_JSON = ("content-type", "application/json")
_RANKS = {"interactive": b"-1", "batch": b"1"}  # values of `priority`; 0, the default, need not be sent
_SESSION, _MOST_SESSION = "x-session-id", 256  # Ray Serve's and vllm-router's name; characters
_FORMAT = "response_format"  # among the dropped: the model was only told of it in words


class Asked(NamedTuple):
    """dropped: the client's parameters that the target could not be given. early: takes the first tokens out of the answer.

    streamed: the answer comes as a stream, whatever the client wants.
    """

    call: HttpCall
    meter: Meter
    dropped: tuple[str, ...] = ()
    early: EarlyTokens | None = None
    streamed: bool = True


def passes(job: Job, target: Target) -> bool:
    """Whether the target speaks the client's wire itself, keeps to a schema where one is asked for, and takes tools there."""
    if job.dialect.name not in target.dialects:
        return False
    can = target.capabilities
    if job.facts.structured and not can.structured_output:
        return False
    return can.tools_over is None or not must_translate(job.dialect.name, job.body.data, can)


def stays(job: Job) -> None:
    """Raises Unsupported if the engine itself would fetch a part of a request that demands certificates.

    An address is a part of the prompt, and a stranger's host is certified for nothing.
    """
    for message in job.dialect.read_request(job.body).messages:
        inside = [one for part in message.parts if isinstance(part, ToolResult) for one in part.content]
        for part in (*message.parts, *inside):
            if isinstance(part, Media) and (part.url or "").lower().startswith(("http://", "https://")):
                demanded = ", ".join(sorted(job.facts.hints.requires))
                raise Unsupported(
                    f"media by address are not fetched for a request that requires {demanded}: send the bytes"
                )


def passed(
    job: Job,
    target: Target,
    codec: Codec,
    model: str,
    before: PartialAnswer | None,
    *,
    pinned: bool = False,
    look: bool = False,
) -> Asked:
    """The client's own bytes (with no limit above the model's), and what reads an answer of its own wire.

    model: what this lane calls it. pinned: the client named the target, and its members stay. look: the answer's first
    tokens are wanted, where its wire shows them.
    """
    can = target.capabilities
    most = can.max_output_tokens
    body = job.body if most is None else limits.lowered(job.body, most)
    lowered = () if body is job.body else (limits.NAME,)
    fit = codec.fit(job.dialect.name, body.data, target, pinned=pinned)
    rank = _RANKS.get(job.facts.hints.priority or "") if can.priorities else None
    if fit.put or fit.drop or rank:
        put = {name: msgspec.json.encode(value) for name, value in fit.put.items()}
        body = RawBody(body.spliced(put, fit.drop))
        body = body if rank is None else RawBody(body.spliced({"priority": rank}))
    if not fit.developer and b'"developer"' in body.raw and (member := _CONVERSATIONS.get(job.dialect.name)):
        body = developer_as_system(body, member)
    if fit.known is not None or fit.echo is not None:
        body = fitted_messages(body, fit.known, fit.echo)
    logged = with_logprobs(body, job.dialect.name) if look else None
    body = body if logged is None else logged.body
    # From a cloud every answer that can be is fetched as a stream, so that its silence is noticed.
    passing = job.dialect.passing(body, model, keep_text=can.continues, partial=before, fold=not target.local)
    kept = _kept(job, target) if can.sessions or target.peer else ()
    call = HttpCall(codec.path(job.dialect.name), passing.body, (_JSON, *codec.headers(job.headers), *kept))
    early = EarlyTokens(logged.shown) if logged is not None else None
    return Asked(call, passing.meter, (*lowered, *fit.dropped), early, streamed=passing.streamed)


def translated(job: Job, target: Target, codec: Codec, request: Request, *, look: bool = False) -> Asked:
    """The request in the target's wire, and what writes its answer in the client's. Raises Unsupported.

    look: the answer's first tokens are wanted.
    """
    asked = replace(request, logprobs=max(TOP, request.logprobs or 0)) if look else request
    encoded = codec.encode(asked, target)
    call, rank = encoded.call, _RANKS.get(job.facts.hints.priority or "")
    if rank is not None and target.capabilities.priorities:
        call = msgspec.structs.replace(call, body=RawBody(call.body).spliced({"priority": rank}))
    if target.capabilities.sessions or target.peer:
        call = msgspec.structs.replace(call, headers=(*call.headers, *_kept(job, target)))
    decoder = codec.decoder(request)
    writer = job.dialect.write_answer(replace(request, prompt_tokens=job.facts.prompt_tokens))
    told_in_words = request.format is not None and _FORMAT in encoded.dropped
    meter = CheckedMeter(decoder, writer, request) if told_in_words else TranslatingMeter(decoder, writer)
    early = EarlyTokens(request.logprobs) if look else None
    return Asked(call, meter, tuple(dict.fromkeys((*request.dropped, *encoded.dropped))), early)


def _kept(job: Job, target: Target) -> tuple[tuple[str, str], ...]:
    """Headers by which a peer decides before it reads the body; for a balancer the session: the client's own header, else
    its hint.
    """
    if target.peer:
        hints = job.facts.hints
        headers = {
            "x-hearth-hop": "1",
            "x-hearth-tokens": str(job.facts.prompt_tokens),
            "x-hearth-model": target.model,
            "x-hearth-decision": job.id,
            "x-hearth-within-ms": str(round((job.deadline - job.arrived) * 1000)),
            "x-hearth-requires": ",".join(sorted(hints.requires)),
            "x-hearth-priority": hints.priority or "",
        }
        return tuple((name, value) for name, value in headers.items() if value)
    own = job.headers.get(_SESSION, "")
    if 0 < len(own) <= _MOST_SESSION and own.isascii() and own.isprintable():
        return ((_SESSION, own),)
    hint = quote(job.facts.hints.session or "", safe="/:@")[:_MOST_SESSION]
    return ((_SESSION, hint),) if hint else ()

"""Verdicts over the errors of vendors that speak OpenAI's dialect: by code, then by words, then by status.

    code     says what was refused, whatever the status: Groq reports a retired model as 400, OpenAI spent quota as 429
    words    the same for servers without codes (`runtime.dialects.refusals`)
    status   for everything else; what is neither 400 nor 422 is never about the caller's body alone

Sources, as of 2026-11: platform.openai.com/docs/guides/error-codes, learn.microsoft.com (Azure OpenAI content filter),
console.groq.com/docs/errors and docs/flex-processing, api-docs.deepseek.com/quick_start/error_codes,
openrouter.ai/docs/api/reference/errors-and-debugging, docs.fireworks.ai/guides/inference-error-codes,
docs.together.ai/docs/error-codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from cloud.errors import Table, error_of, message_of
from runtime.contract.failures import Disposition, Failure, Kind
from runtime.dialects.refusals import Subject, subject_of
from runtime.wire.retry_after import retry_after

_HERE, _NEXT, _TELL = Disposition.RETRY_HERE, Disposition.NEXT_CANDIDATE, Disposition.TELL_CALLER
_Verdict = tuple[Kind, Disposition]

_ACCOUNT: _Verdict = (Kind.DENIED, _NEXT)  # of the settings: nothing the caller can mend in this body
_MODEL: _Verdict = (Kind.DENIED, _NEXT)
_NOT_HERE: _Verdict = (Kind.REJECTED, _NEXT)  # this target alone refuses it; no breaker counts it
_CALLERS: _Verdict = (Kind.REJECTED, _TELL)
_TOO_LONG: _Verdict = (Kind.TOO_LONG, _NEXT)
_FILTERED: _Verdict = (Kind.FILTERED, _TELL)
_FULL: _Verdict = (Kind.BUSY, _HERE)
_NO_ROOM: _Verdict = (Kind.BUSY, _NEXT)
_DOWN: _Verdict = (Kind.DOWN, _NEXT)
_DOWN_ONCE: _Verdict = (Kind.DOWN, _HERE)
_GARBLED: _Verdict = (Kind.GARBLED, _HERE)  # the model wrote no valid answer: another try may do better

_OPENAI: dict[str, _Verdict] = {
    "insufficient_quota": _ACCOUNT,
    "billing_hard_limit_reached": _ACCOUNT,
    "billing_not_active": _ACCOUNT,
    "account_deactivated": _ACCOUNT,
    "invalid_api_key": _ACCOUNT,
    "unsupported_country_region_territory": _ACCOUNT,
    "model_not_found": _MODEL,
    "unsupported_parameter": _NOT_HERE,
    "unsupported_value": _NOT_HERE,
    "unknown_parameter": _NOT_HERE,
    "context_length_exceeded": _TOO_LONG,
    "string_above_max_length": _TOO_LONG,
    "content_filter": _FILTERED,  # Azure's too
    "content_policy_violation": _FILTERED,
    "cyber_policy_violation": _FILTERED,
    "moderation_blocked": _FILTERED,
    "rate_limit_exceeded": _FULL,  # Groq's too
    "server_is_overloaded": _FULL,
    "slow_down": _FULL,
}
_GROQ: dict[str, _Verdict] = {
    "model_decommissioned": _MODEL,  # 400
    "model_not_active": _MODEL,
    "model_permission_blocked_org": _MODEL,
    "model_permission_blocked_project": _MODEL,
    "model_terms_required": _ACCOUNT,  # 400
    "organization_restricted": _ACCOUNT,  # 400
    "blocked_api_access": _ACCOUNT,  # the spend limit
    "capacity_exceeded": _NO_ROOM,  # 498: the flex tier
    "over_capacity": _FULL,
    "tool_use_failed": _GARBLED,  # 400
    "json_validate_failed": _GARBLED,  # 400
}
_OTHERS: dict[str, _Verdict] = {
    "model_not_available": _MODEL,  # Together, 400: only on an endpoint of one's own
    "invalid_model": _MODEL,
    "payment_required": _ACCOUNT,  # OpenRouter and Together
    "insufficient_credits": _ACCOUNT,
    "credit_limit": _ACCOUNT,
    "max_tokens_exceeded": _TOO_LONG,  # OpenRouter
    "token_limit_exceeded": _TOO_LONG,
    "exceed_context_size_error": _TOO_LONG,  # llama.cpp
    "refusal": _FILTERED,  # OpenRouter, 403
    "invalid_prompt": _FILTERED,  # OpenAI, 400, and OpenRouter
    "data_inspection_failed": _FILTERED,  # Alibaba
    "overloaded": _FULL,  # TGI, 429
    "overloaded_error": _FULL,
}
_BY_CODE = _OPENAI | _GROQ | _OTHERS
_BY_SUBJECT: dict[Subject, _Verdict] = {
    Subject.FILTER: _FILTERED,
    Subject.OVERFLOW: _TOO_LONG,
    Subject.FULL: _FULL,
    Subject.ACCOUNT: _ACCOUNT,
    Subject.PARAMETER: _NOT_HERE,
    Subject.MODEL: _MODEL,
}
_BY_STATUS: dict[int, _Verdict] = {
    400: _CALLERS,
    401: _ACCOUNT,
    402: _ACCOUNT,
    403: _ACCOUNT,
    404: _MODEL,
    405: _ACCOUNT,  # an address that is none
    408: _DOWN_ONCE,
    409: _DOWN_ONCE,
    410: _MODEL,
    412: _ACCOUNT,  # Fireworks: suspended
    413: _TOO_LONG,
    422: _CALLERS,
    424: _DOWN,  # Groq, TGI, Bedrock: something behind the server failed
    425: _DOWN_ONCE,
    429: _FULL,
    451: _ACCOUNT,
    498: _NO_ROOM,
    499: _DOWN_ONCE,
}
# Wordings count under these; elsewhere they describe limits that a status says better.
_WORDED = frozenset({400, 403, 404, 413, 422, 500, 501, 503})
_TOO_MUCH_AT_ONCE = 413  # with this code: Groq's tokens per minute, which this request alone goes past
_RATE = "rate_limit_exceeded"
_STATUS = re.compile(r"[45][0-9]{2}")


def classify(status: int, headers: Mapping[str, str], body: bytes, now: Callable[[], datetime]) -> Failure:
    """status 200: an error inside a stream, `body` its data, which may name a status itself (OpenRouter's and Groq's do)."""
    error, whole = error_of(body)
    metadata, inner = error.get("metadata"), error.get("innererror")  # OpenRouter's, Azure's
    about: Table = metadata if isinstance(metadata, dict) else {}
    # The machine-readable names, the most exact first. The last but one is TGI's.
    named = [error.get("code"), error.get("type"), about.get("error_type"), error.get("error_type")]
    named += [whole.get("error_type"), inner.get("code") if isinstance(inner, dict) else None]
    names = [name for name in named if isinstance(name, str)]
    message, given = message_of(error), status
    if status == 200:
        numbers = (str(error.get(member))[:4] for member in ("status_code", "code", "status"))
        given = next((int(number) for number in numbers if _STATUS.fullmatch(number)), 500)
    verdict = _verdict(given, names, f"{error.get('message') or message} {about.get('raw') or ''}", about)
    if verdict[1] is _HERE and headers.get("x-should-retry") == "false":
        verdict = verdict[0], _NEXT
    code = error.get("code") or error.get("type") or next(iter(names), None)
    waits = verdict[0] not in (Kind.DENIED, Kind.REJECTED)
    return Failure(
        *verdict,
        f"HTTP {status}: {message or 'no message'}",
        status=status,
        retry_after=retry_after(headers, now) if waits else None,
        code=None if code is None else str(code)[:200],
        body=body,
    )


def _verdict(status: int, names: list[str], words: str, about: Table) -> _Verdict:
    if status == _TOO_MUCH_AT_ONCE and _RATE in names:
        return _NOT_HERE
    if about.get("reasons") or about.get("flagged_input"):
        return _FILTERED  # OpenRouter's moderation, 403
    if known := next((_BY_CODE[name] for name in names if name in _BY_CODE), None):
        return known
    if status in _WORDED and (subject := subject_of(words)):
        return _BY_SUBJECT[subject]
    if status >= 500 or status < 400:
        return _DOWN_ONCE
    return _BY_STATUS.get(status, _NOT_HERE)

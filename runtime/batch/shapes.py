"""Files, batches and results in the words of the two wires that have them: files and batches on the chat wire, message
batches on the messages wire. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from runtime.batch.values import Batch, BatchUsage, LineResult, StoredFile

_encode = msgspec.json.Encoder().encode
_STAMPS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
_WORDS = {
    "expired": ("batch_expired", "This request could not be executed before the completion window expired."),
    "canceled": ("batch_cancelled", "This request was not executed because the batch was cancelled."),
}


def file_object(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Counted(msgspec.Struct, frozen=True):
    """Usage as chat, completions and embeddings spell it, and as responses do."""

    prompt_tokens: int = 0
    input_tokens: int = 0
    completion_tokens: int = 0
    output_tokens: int = 0
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Answered(msgspec.Struct, frozen=True):
    model: str = ""
    usage: _Counted | None = None


_answered = msgspec.json.Decoder(_Answered).decode
_NOTHING = _Details()


class BatchTally:
    """The tokens of a batch's answers and the models that gave them. An answer of another shape counts nothing."""

    def __init__(self) -> None:
        self._usage = BatchUsage()
        self._models: set[str] = set()

    def seen(self, result: LineResult) -> LineResult:
        """Counts a line's end, and gives it back. What was never answered, or failed, counts nothing."""
        if result.outcome != "succeeded":
            return result
        try:
            found = _answered(result.answer)
        except msgspec.MsgspecError:
            return result
        self._models.add(found.model)
        used, sums = found.usage or _Counted(), self._usage
        self._usage = BatchUsage(
            sums.prompt + used.prompt_tokens + used.input_tokens,
            sums.cached + ((used.prompt_tokens_details or used.input_tokens_details or _NOTHING).cached_tokens or 0),
            sums.completion + used.completion_tokens + used.output_tokens,
            sums.reasoning
            + ((used.completion_tokens_details or used.output_tokens_details or _NOTHING).reasoning_tokens or 0),
        )
        return result

    def of(self, batch: Batch) -> Batch:
        """The batch with what was added."""
        return msgspec.structs.replace(
            batch, usage=self._usage, model=next(iter(self._models)) if len(self._models) == 1 else ""
        )


def batch_object(batch: Batch) -> dict[str, Any]:
    """OpenAI's `batch`."""
    errors = [{"code": e.code, "message": e.message, "param": e.param, "line": e.line} for e in batch.errors]
    counts, used = batch.counts, batch.usage
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.model or None,
        "errors": {"object": "list", "data": errors} if errors else None,
        "input_file_id": batch.input_file,
        "completion_window": batch.window,
        "status": batch.status,
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        **{f"{name}_at": batch.stamps.get(name) for name in _STAMPS},
        "request_counts": {"total": counts.total, "completed": counts.succeeded, "failed": counts.failed},
        "usage": {
            "input_tokens": used.prompt,
            "input_tokens_details": {"cached_tokens": used.cached},
            "output_tokens": used.completion,
            "output_tokens_details": {"reasoning_tokens": used.reasoning},
            "total_tokens": used.prompt + used.completion,
        }
        if used is not None
        else None,
        "metadata": batch.metadata,
    }


def output_line(batch_id: str, result: LineResult) -> bytes:
    """A line of the output or of the error file."""
    response, error = None, None
    if result.outcome in _WORDS:
        code, words = _WORDS[result.outcome]
        error = {"code": code, "message": words}
    else:
        answer = msgspec.Raw(result.answer or b"{}")
        response = {"status_code": result.status, "request_id": result.request_id, "body": answer}
    id = f"batch_req_{batch_id.removeprefix('batch_')}_{result.number}"
    return _encode({"id": id, "custom_id": result.custom_id, "response": response, "error": error}) + b"\n"


def message_batch_object(batch: Batch, base: str) -> dict[str, Any]:
    """the messages wire's `message_batch`. base: this server's address, for the results."""
    counts = batch.counts
    ended = batch.ended
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "canceling" if "cancelling" in batch.stamps else "in_progress",
        "request_counts": {
            "processing": counts.left,
            "succeeded": counts.succeeded,
            "errored": counts.failed,
            "canceled": counts.canceled,
            "expired": counts.expired,
        },
        "created_at": _iso(batch.created_at),
        "expires_at": _iso(batch.expires_at),
        "ended_at": _iso(batch.stamps[batch.status]) if ended else None,
        "archived_at": None,
        "cancel_initiated_at": _iso(batch.stamps["cancelling"]) if "cancelling" in batch.stamps else None,
        "results_url": f"{base}/v1/messages/batches/{batch.id}/results" if ended else None,
    }


def message_result(result: LineResult) -> bytes:
    """A line of the messages wire's results."""
    found: dict[str, Any]
    if result.outcome == "succeeded":
        found = {"type": "succeeded", "message": msgspec.Raw(result.answer)}
    elif result.outcome == "failed":
        found = {"type": "errored", "error": msgspec.Raw(result.answer)}
    else:
        found = {"type": result.outcome}
    return _encode({"custom_id": result.custom_id, "result": found}) + b"\n"


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")

"""Files, batches and results in the words of the two wires that have them: files and batches on the chat wire, message
batches on the messages wire. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from runtime.batch.values import Batch, LineResult, StoredFile

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


def batch_object(batch: Batch) -> dict[str, Any]:
    """OpenAI's `batch`."""
    errors = [{"code": e.code, "message": e.message, "param": e.param, "line": e.line} for e in batch.errors]
    counts = batch.counts
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
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

"""`/openapi.json`: the document of every path, made from the same table that says who may use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import msgspec

from runtime import __version__
from runtime.routing.facts.hints import Delivery, Priority
from runtime.server.asgi import JSON, ClientRequest, Page, Pairs
from runtime.trust.caller import Scope

PATH = "/openapi.json"

_TEXT = {"type": "string"}
_STREAM = {"type": "boolean", "default": False}
_MODEL = {"type": "string", "description": "auto, local, local/NAME, PROVIDER/MODEL, a target's name, an alias"}
_CONTENT = {"anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}}]}
_TURNS = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["role", "content"],
        "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": _CONTENT},
    },
}
_HINTS = {
    "type": "object",
    "description": "What this server reads; never sent on.",
    "properties": {
        "requires": {"type": "array", "items": _TEXT},
        "max_cost_usd": {"type": "number", "minimum": 0},
        "ttft_ms": {"type": "number", "exclusiveMinimum": 0},
        "priority": {"enum": list(get_args(Priority))},
        "session": _TEXT,
        "delivery": {"enum": list(get_args(Delivery))},
        "explain": {"type": "boolean"},
        "sample": {"type": "boolean"},
    },
    "additionalProperties": False,
}

_KEY_PATH = {"type": "array", "items": {"type": ["string", "integer"]}}
_CHANGE = {
    "set": {
        "type": "array",
        "items": {"type": "object", "required": ["key", "value"], "properties": {"key": _KEY_PATH, "value": {}}},
    },
    "unset": {"type": "array", "items": _KEY_PATH},
}


def _body(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    """A generating body. Members that are not described go through to the target."""
    known = {"model": _MODEL, **properties, "hearth": _HINTS}
    return {"type": "object", "required": ["model", *required], "properties": known}


_COMMAND = {name: {"type": "boolean", "default": False} for name in ("dry", "save")}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "Chat": _body(("messages",), messages=_TURNS, stream=_STREAM, max_tokens={"type": "integer", "minimum": 1}),
    "Completion": _body(("prompt",), prompt=_TEXT, stream=_STREAM),
    "Embedding": _body(("input",), input={"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
    "Rerank": _body(
        ("query", "documents"),
        query=_TEXT,
        documents={"type": "array", "items": _TEXT},
        top_n={"type": "integer", "minimum": 0},
    ),
    "Response": _body(("input",), input=_CONTENT, stream=_STREAM, store={"type": "boolean"}),
    "Message": _body(
        ("messages", "max_tokens"), messages=_TURNS, stream=_STREAM, max_tokens={"type": "integer", "minimum": 1}
    ),
    "Count": _body(("messages",), messages=_TURNS),
    "File": {
        "type": "object",
        "required": ["file", "purpose"],
        "properties": {"file": {"type": "string", "format": "binary"}, "purpose": {"enum": ["batch"]}},
    },
    "Batch": {
        "type": "object",
        "required": ["input_file_id", "endpoint", "completion_window"],
        "properties": {
            "input_file_id": _TEXT,
            "endpoint": {"enum": ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"]},
            "completion_window": {"enum": ["24h"]},
            "metadata": {"type": "object", "additionalProperties": _TEXT},
        },
    },
    "MessageBatch": {
        "type": "object",
        "required": ["requests"],
        "properties": {
            "requests": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["custom_id", "params"],
                    "properties": {"custom_id": _TEXT, "params": {"$ref": "#/components/schemas/Message"}},
                },
            }
        },
    },
    "SettingsChange": {"type": "object", "properties": {**_CHANGE, "dry": {"type": "boolean", "default": False}}},
    "WhatIf": {"type": "object", "properties": {**_CHANGE, "limit": {"type": "integer", "minimum": 1}}},
    "ModelCommand": {"type": "object", "properties": _COMMAND},
    "ModelSwap": {"type": "object", "properties": {"to": _TEXT, **_COMMAND}, "required": ["to"]},
    "AdapterLoad": {
        "type": "object",
        "required": ["folder"],
        "properties": {"folder": _TEXT, "model": _TEXT, "save": _COMMAND["save"]},
    },
    "AdapterUnload": {"type": "object", "properties": {"save": _COMMAND["save"]}},
    "Hold": {"type": "object", "properties": {"seconds": {"type": "number", "exclusiveMinimum": 0}}},
    "Key": {"type": "object", "required": ["name"], "properties": {"name": _TEXT}},
    "Evaluation": {
        "type": "object",
        "properties": {
            "targets": {"type": "array", "items": _TEXT},
            "names": {"type": "array", "items": _TEXT},
            "sets": {"type": "array", "items": {"type": "object"}},
            "repeats": {"type": "integer", "minimum": 1, "maximum": 20},
            "kind": {"enum": ["demand", "reference"]},
            "alike": {"type": "boolean"},
        },
        "additionalProperties": False,
    },
    "QualityAct": {
        "type": "object",
        "required": ["kind", "target"],
        "properties": {"kind": _TEXT, "target": _TEXT, "set": _TEXT, "note": _TEXT},
        "additionalProperties": False,
    },
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type"],
                "properties": {
                    "message": _TEXT,
                    "type": _TEXT,
                    "code": {"type": ["string", "null"]},
                    "param": {"type": ["string", "null"]},
                },
            }
        },
    },
}


class Operation(NamedTuple):
    """One method of one path. path: as the document writes it, with `{id}`. body: its schema. query: its parameters.

    media: of the answer; two where a client may ask for a stream.
    """

    method: str
    path: str
    summary: str
    body: str = ""
    query: tuple[str, ...] = ()
    media: tuple[str, ...] = ("application/json",)

    @property
    def route(self) -> tuple[str, str]:
        """Its entry in the table of scopes, where "/" at the end stands for all that is below."""
        head, parameter, _ = self.path.partition("{")
        return self.method, head if parameter else self.path


_ANSWER = ("application/json", "text/event-stream")
_PAGE = ("limit", "after", "order")

OPERATIONS: tuple[Operation, ...] = (
    Operation("POST", "/v1/chat/completions", "A chat completion", "Chat", media=_ANSWER),
    Operation("POST", "/v1/completions", "A plain completion", "Completion", media=_ANSWER),
    Operation("POST", "/v1/embeddings", "Embeddings", "Embedding"),
    Operation("POST", "/v1/rerank", "Documents in the order in which they answer a query", "Rerank"),
    Operation("POST", "/v1/responses", "A response", "Response", media=_ANSWER),
    Operation("GET", "/v1/responses/{id}", "A stored response"),
    Operation("DELETE", "/v1/responses/{id}", "Forgets a stored response"),
    Operation("POST", "/v1/responses/{id}/cancel", "Refused: nothing runs in the background"),
    Operation("GET", "/v1/responses/{id}/input_items", "The items that a stored response answered", query=_PAGE),
    Operation("POST", "/v1/messages", "A message", "Message", media=_ANSWER),
    Operation("POST", "/v1/messages/count_tokens", "The tokens of a message", "Count"),
    Operation("POST", "/v1/files", "Keeps an input file of batches", "File"),
    Operation("GET", "/v1/files", "The caller's files", query=("purpose", *_PAGE)),
    Operation("GET", "/v1/files/{id}", "A file's description"),
    Operation("GET", "/v1/files/{id}/content", "A file's bytes", media=("application/octet-stream",)),
    Operation("DELETE", "/v1/files/{id}", "Deletes a file"),
    Operation("POST", "/v1/batches", "Starts a batch", "Batch"),
    Operation("GET", "/v1/batches", "The caller's batches", query=("limit", "after")),
    Operation("GET", "/v1/batches/{id}", "A batch"),
    Operation("POST", "/v1/batches/{id}/cancel", "Cancels a batch; what is done is kept"),
    Operation("POST", "/v1/messages/batches", "Starts a batch of messages", "MessageBatch"),
    Operation("GET", "/v1/messages/batches", "The caller's message batches", query=("limit", "after_id", "before_id")),
    Operation("GET", "/v1/messages/batches/{id}", "A message batch"),
    Operation("GET", "/v1/messages/batches/{id}/results", "Its results", media=("application/x-jsonl",)),
    Operation("POST", "/v1/messages/batches/{id}/cancel", "Cancels a message batch"),
    Operation("DELETE", "/v1/messages/batches/{id}", "Deletes a message batch that has ended"),
    Operation("GET", "/v1/models", "Every name that can be asked for"),
    Operation("GET", "/v1/models/{id}", "One model"),
    Operation("GET", "/", "The dashboard", media=("text/html",)),
    Operation("GET", "/ui/{id}", "Its files", media=("text/javascript", "text/css")),
    Operation("GET", "/health/live", "The process runs"),
    Operation("GET", "/health/ready", "A candidate of `auto` can answer"),
    Operation("GET", "/metrics", "Prometheus", media=("text/plain", "application/openmetrics-text")),
    Operation("GET", PATH, "This document"),
    Operation("GET", "/hearth/status", "Engine, load, targets, breakers, last decisions"),
    Operation("POST", "/hearth/explain", "The plan of a body, with its reasons; generates nothing", "Chat"),
    Operation(
        "GET",
        "/hearth/decisions",
        "Decision records, newest first",
        query=("limit", "before", "target", "reason", "status", "since", "until"),
    ),
    Operation("GET", "/hearth/decisions/{id}", "A decision record"),
    Operation("GET", "/hearth/keys", "Every created key, without its secret"),
    Operation("POST", "/hearth/keys", "Creates a key; its secret is shown this once", "Key"),
    Operation("POST", "/hearth/keys/{id}/rotate", "Gives a key a new secret"),
    Operation("DELETE", "/hearth/keys/{id}", "Revokes a key"),
    Operation("GET", "/hearth/fleet", "This Hearth and the others, as each sees them"),
    Operation("GET", "/hearth/events", "What changes, as it does", query=("topics",), media=("text/event-stream",)),
    Operation("GET", "/hearth/series", "The last hour in steps of five seconds"),
    Operation("GET", "/hearth/log", "The engine's last lines", query=("limit",)),
    Operation("GET", "/hearth/settings", "The settings in force, each with its origin"),
    Operation("PUT", "/hearth/settings", "Changes the settings file; If-Match has the etag", "SettingsChange"),
    Operation("POST", "/hearth/whatif", "Recorded decisions made again under other settings", "WhatIf"),
    Operation("GET", "/hearth/models", "The catalogue of models: what fits this box, is on its disk, is served"),
    Operation("POST", "/hearth/models/{id}/load", "Loads a local model", "ModelCommand"),
    Operation(
        "POST",
        "/hearth/models/{id}/unload",
        "Unloads a local model when its running requests have ended",
        "ModelCommand",
    ),
    Operation("POST", "/hearth/models/{id}/swap", "Exchanges a local model for another", "ModelSwap"),
    Operation("GET", "/hearth/adapters", "The LoRA adapters of the local models"),
    Operation("POST", "/hearth/adapters/{id}/load", "Loads a LoRA adapter of a local model", "AdapterLoad"),
    Operation("POST", "/hearth/adapters/{id}/unload", "Unloads a LoRA adapter", "AdapterUnload"),
    Operation("POST", "/hearth/running/{id}/cancel", "Ends a request that runs"),
    Operation("POST", "/hearth/targets/{id}/probe", "One small request to a target, now"),
    Operation("POST", "/hearth/targets/{id}/hold", "Sends nothing to a target for a time", "Hold"),
    Operation("POST", "/hearth/targets/{id}/close", "Closes a target's breaker"),
    Operation("GET", "/hearth/cost", "Money and reliability, from hourly sums", query=("by", "from", "to", "days")),
    Operation("GET", "/hearth/summary", "The traffic of the last hours, from hourly sums", query=("window",)),
    Operation("GET", "/hearth/quality", "Golden sets, runs under way, events, the next night"),
    Operation("GET", "/hearth/quality/replay", "Events that would have been under another `tolerance`"),
    Operation("GET", "/hearth/quality/runs", "Runs over golden sets, newest first"),
    Operation("GET", "/hearth/quality/runs/{id}", "One run; `latest` is the latest closed one"),
    Operation("GET", "/hearth/quality/runs/{id}/report", "A run beside the one before it: flips, classes, measures"),
    Operation("GET", "/hearth/quality/runs/{id}/results", "Every answer of a run with its grade"),
    Operation("GET", "/hearth/quality/runs/{id}/compare", "The first two targets of a run side by side"),
    Operation("POST", "/hearth/quality/estimate", "The expected cost of a run", "Evaluation"),
    Operation("POST", "/hearth/quality/runs", "Begins a run", "Evaluation"),
    Operation("POST", "/hearth/quality/runs/{id}/cancel", "Ends a run; what is answered is kept"),
    Operation("POST", "/hearth/quality/acts", "Accepts, demotes, promotes or holds a target", "QualityAct"),
    Operation("GET", "/hearth/audit", "Where answers were made, and what left", query=("limit", "before", "decision")),
    Operation("GET", "/hearth/audit/verify", "Follows the chain of the audit log"),
)


class OpenApiPage:
    """scopes: those of which a caller must hold one, by route; without any the route is open."""

    def __init__(self, scopes: Mapping[tuple[str, str], tuple[Scope, ...]]) -> None:
        self._document = msgspec.json.encode(document(scopes))

    def table(self) -> dict[tuple[str, str], Page]:
        return {("GET", PATH): self.show}

    async def show(self, request: ClientRequest, extra: Pairs) -> None:
        await request.answer(200, self._document, (JSON, *extra))


def document(scopes: Mapping[tuple[str, str], tuple[Scope, ...]]) -> dict[str, Any]:
    """OpenAPI 3.1. Raises KeyError for an operation that the table of scopes does not know."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        needed = scopes[operation.route]
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, needed)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hearth", "version": __version__},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _described(operation: Operation, scopes: tuple[Scope, ...]) -> dict[str, Any]:
    needed = " or ".join(scopes)
    error = {"description": "an error in the client's dialect", "content": _content(("application/json",), "Error")}
    whole = {"description": operation.summary, "content": _content(operation.media)}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [
            *([{"name": "id", "in": "path", "required": True, "schema": _TEXT}] if "{id}" in operation.path else []),
            *({"name": name, "in": "query", "schema": _TEXT} for name in operation.query),
        ],
        "responses": {"200": whole, "default": error},
    }
    if operation.body:
        media = "multipart/form-data" if operation.body == "File" else "application/json"
        described["requestBody"] = {"required": True, "content": _content((media,), operation.body)}
    if needed:
        described |= {"description": f"Scope: {needed}.", "security": [{"bearer": []}, {"key": []}]}
    return described


def _content(media: tuple[str, ...], schema: str = "") -> dict[str, Any]:
    return {each: {"schema": {"$ref": f"#/components/schemas/{schema}"} if schema else {}} for each in media}

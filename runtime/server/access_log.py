"""One log line for each request, if the settings ask for it. Holds no body, no header value of the client and no query."""

from __future__ import annotations

import logging

from runtime.server.asgi import ClientRequest, Message, Send

LOGGER = "hearth.access"
log = logging.getLogger(LOGGER)  # at INFO where the settings ask for it
_MOST_PATH = 200
_SHOWN = {b"x-hearth-decision": "decision", b"x-hearth-target": "target"}


class Counted:
    """A `send` that counts what passes through it."""

    __slots__ = ("bytes", "send", "shown", "status")

    def __init__(self, send: Send) -> None:
        self.send = send
        self.status = 0
        self.bytes = 0
        self.shown: dict[str, str] = {}

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.shown = {_SHOWN[name]: value.decode("latin-1") for name, value in message["headers"] if name in _SHOWN}
        else:
            self.bytes += len(message.get("body", b""))
        await self.send(message)

    def write(self, request: ClientRequest, seconds: float) -> None:
        """status: 0 if the client hung up before the head."""
        path = request.scope.get("raw_path", b"")[:_MOST_PATH].decode("latin-1")  # still percent-encoded: one line
        fields = {
            "method": request.method,
            "path": path,
            "status": self.status,
            "bytes": self.bytes,
            "ms": round(seconds * 1000, 1),
            "decision": self.shown.get("decision", ""),
            "target": self.shown.get("target", ""),
            "caller": request.caller.id[:8],
            "client": request.peer or "",
        }
        words = " ".join(str(value) for value in fields.values() if value != "")
        log.info("%s", words, extra={"fields": fields})

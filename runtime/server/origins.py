"""Which web pages may call the endpoint: none but our own, unless the settings name others (CORS).

A page of another origin that sends a plain POST is refused here too: a browser would deliver it without asking first.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from runtime.wire.api_error import ApiError

_EXPOSED = b"x-hearth-decision, x-hearth-target, x-hearth-attempts, x-hearth-reason, x-hearth-degraded, x-request-id"


class Origins:
    """`allowed`: origins as browsers write them ("https://app.example.com"), or "*"."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)

    def check(self, headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
        """The CORS headers owed to this request. Raises ApiError 403 for a page that may not call."""
        origin = headers.get("origin")
        if origin is None or self._same(origin, headers):
            return ()
        if "*" not in self._allowed and origin.lower() not in self._allowed:
            raise ApiError(403, f"pages of {origin[:200]} may not call this server (server.cors)", "origin_not_allowed")
        return (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        )

    def preflight(self, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        """The answer's headers to an OPTIONS request. Raises ApiError 403."""
        asked = headers.get("access-control-request-headers", "content-type, authorization, x-api-key")
        return [
            *self.check(headers),
            (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-max-age", b"600"),
        ]

    @staticmethod
    def _same(origin: str, headers: Mapping[str, str]) -> bool:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()

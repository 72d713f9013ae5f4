"""Who may come in: bearer tokens or `x-api-key`, compared in constant time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from runtime.wire.api_error import ApiError


class Keys:
    """The keys of the door. None at all: everybody on this machine may come in (another address is refused at start).

    Only digests are kept; looking a digest up in a set says nothing about a key that is nearly right.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = frozenset(map(_digest, keys))

    def check(self, headers: Mapping[str, str]) -> None:
        """Raises ApiError 401."""
        if not self._digests:
            return
        key = presented(headers)
        if key is None:
            raise ApiError(401, "no key: send `Authorization: Bearer KEY` or `x-api-key: KEY`", "missing_api_key")
        if _digest(key) not in self._digests:
            raise ApiError(401, "the key is not one of this server's (server.keys)", "invalid_api_key")


def owner_of(headers: Mapping[str, str]) -> str:
    """Who is asking, told by the key they show and nothing of it; "" where none is shown."""
    key = presented(headers)
    return _digest(key).hex() if key else ""


def presented(headers: Mapping[str, str]) -> str | None:
    if key := headers.get("x-api-key"):
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()

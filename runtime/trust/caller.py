"""The caller of a request: an id and the scopes of the key it showed. Knows no HTTP and no secret."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """generate: `/v1/*` and the caller's own decisions. read: metrics, status, decisions, explain. admin: everything."""

    GENERATE = "generate"
    READ = "read"
    ADMIN = "admin"


class RateLimits(msgspec.Struct, frozen=True):
    """Limits on a key's requests to `/v1/*`, on the tokens of its answers, and on its requests at a time. None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None


class Caller(msgspec.Struct, frozen=True):
    """id: the key's id, which owns what is stored; "" without a key. scopes: what the key may do.

    requires: certificates that the key demands of every request made with it. targets, models, priorities: the only ones
    that the key may use; empty: all. daily_usd, monthly_usd: its budgets. limits: its rates. None: no limit. revoked: it is no
    longer good.
    """

    id: str
    scopes: frozenset[Scope]
    requires: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    priorities: frozenset[str] = frozenset()
    daily_usd: float | None = None
    monthly_usd: float | None = None
    limits: RateLimits | None = None
    revoked: bool = False

    def may(self, scope: Scope) -> bool:
        """True if the caller holds the scope; `admin` holds every scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


NOBODY = Caller("", frozenset({Scope.GENERATE, Scope.READ}))
"""The caller where no keys are set and none is shown: somebody on this machine."""

STRANGER = Caller("", frozenset())
"""The caller of a request whose key was not checked."""

"""The prefix ledger: which target answered a conversation last, and how much of it each target's prompt cache holds.

A cached prefix is worth money at a cloud, which reads it for less, and seconds on the engine, whose KV cache holds it. A
conversation that moves to another target throws that away, so a decision takes it into account (`runtime.contract.session`).

Conversations are named by hashes that their caller's id is part of, so that no key sees another's. Memory only, and bounded:
an entry has a fixed size but for the targets it names, and of those the ones asked last are kept. Not thread-safe.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from runtime.contract.session import Session
from runtime.contract.targets import Target
from runtime.contract.usage import Usage

IDLE_S = 3_600.0  # a conversation without an answer for so long is forgotten
WARM_S = 300.0  # a prompt cache is believed in this long: the shortest that vendors promise
MOST_SESSIONS = 10_000
MOST_TARGETS = 8  # of one conversation

_NOTHING = Usage()


class _Prefix(msgspec.Struct, frozen=True):
    """Tokens in a target's cache, as of its latest answer at `at`, monotonic seconds."""

    label: str
    tokens: int
    at: float


class PrefixLedger:
    """most: conversations. idle_s, warm_s: see `IDLE_S` and `WARM_S`."""

    def __init__(
        self,
        most: int = MOST_SESSIONS,
        *,
        most_targets: int = MOST_TARGETS,
        idle_s: float = IDLE_S,
        warm_s: float = WARM_S,
    ) -> None:
        self._most, self._most_targets = most, most_targets
        self._idle_s, self._warm_s = idle_s, warm_s
        self._sessions: OrderedDict[int, dict[str, _Prefix]] = OrderedDict()  # the latest answer last, in both

    def __len__(self) -> int:
        return len(self._sessions)

    def answered(self, session: int, target: Target, usage: Usage | None, now: float) -> None:
        """A whole answer of a target in a conversation. now: monotonic seconds."""
        places = self._sessions.setdefault(session, {})
        self._sessions.move_to_end(session)
        places.pop(target.name, None)
        places[target.name] = _Prefix(target.label, cached_after(target, usage or _NOTHING), now)
        if len(places) > self._most_targets:
            del places[next(iter(places))]
        # The oldest conversations go: those past the bound, and those that have been idle for too long.
        while self._sessions:
            oldest = next(iter(self._sessions.values()))
            if len(self._sessions) <= self._most and now - oldest[next(reversed(oldest))].at <= self._idle_s:
                break
            self._sessions.popitem(last=False)

    def session(self, session: int, now: float) -> Session | None:
        """A conversation as it is now; None if it is not known or has been idle for too long. Changes nothing."""
        places = self._sessions.get(session)
        if places is None:
            return None
        home = next(reversed(places))
        if now - places[home].at > self._idle_s:
            return None
        warm = {name: each.tokens for name, each in places.items() if each.tokens and now - each.at <= self._warm_s}
        return Session(home, places[home].label, warm)


def cached_after(target: Target, usage: Usage) -> int:
    """Tokens of a conversation that a target's cache is likely to hold after an answer.

    The engine keeps all it read and wrote. A vendor that charges for writing caches what the client marks, and counts it; one
    that does not caches every prompt from its least length on.
    """
    if target.local:
        return usage.prompt + usage.completion
    price = target.price
    if price is None or price.cache_read is None or price.cache_write is not None:
        return usage.cached + usage.cache_write
    return usage.prompt if usage.prompt >= (target.capabilities.cache_minimum or 0) else usage.cached

"""Limits on stored responses: of one place they are stored in, and of one conversation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Of the memory, or of the file; the least recently used responses are dropped first.

    age_s: since a response, or one that continues it, was last used. size: bytes of all responses with their input.
    owner_share: the part of both numbers that one owner may hold, so that nobody can push out everybody else's.
    """

    age_s: float
    responses: int
    size: int
    owner_share: float = 0.5

    @property
    def per_owner(self) -> tuple[int, int]:
        """Responses and bytes of one owner."""
        return int(self.responses * self.owner_share), int(self.size * self.owner_share)


@dataclass(frozen=True, slots=True)
class ConversationLimits:
    """response_size: bytes of one response with its input; larger ones are not stored.

    turns, items, size: of a whole conversation; a longer one cannot be continued. items also bounds the references of one body.
    """

    response_size: int = 16 << 20
    turns: int = 1_000
    items: int = 10_000
    size: int = 32 << 20


IN_MEMORY = StoreLimits(age_s=3_600.0, responses=10_000, size=128 << 20)
ON_DISK = StoreLimits(age_s=30 * 86_400.0, responses=100_000, size=256 << 20)

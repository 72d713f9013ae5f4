"""The tables of one replica's ledger: its requests in flight, those of other Hearths, and the learned speeds.

What other Hearths are told of them, and what is taken over from theirs and from the engine's gauges. Predicts nothing and moves
no request; the ledger does (`runtime.load.ledger`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import msgspec

from runtime.contract.engine import EngineSpeed, Telemetry
from runtime.load.others import FlightRow, OtherFlights
from runtime.load.rates import CachedShares, FirstTokens, Lengths, Margin, Plane, Quantile

_PREFILL_LEAN = (0.2, 100.0)  # requests, tokens
_DECODE_LEAN = (0.1, 1.0)
_KV_LEARN_SHARE = 0.05  # of the capacity in our count, before it is compared with the engine's gauge
_KV_WEIGHT = 0.1
_KV_TIGHT = 0.9
_TAUGHT = 3  # observations that another Hearth's speeds count as
_UNKNOWN = EngineSpeed(0.0, 0.0, 0.0, 0.0, 0.0)
_MOVES = 64


class Flight(msgspec.Struct, eq=False, gc=False):
    """One request on the replica.

    prompt: tokens to be read, cached ones left out. limit: most tokens of its answer, None if not known.
    whole: its answer comes in one piece, so that its first token is never seen.
    expected: seconds to its first token as predicted when it was sent; 0.0 if nothing was before it.
    beside: the others' requests when it was sent. first: when its first token came, None while it waits.
    area: integral of the batch at `first`. behind: until when an answer to an earlier request was generated while it waited;
    0.0 if none has ended. batch: it is batch work, sent where a slot was free.
    """

    clock: Callable[[], float]
    prompt: int
    limit: int | None
    whole: bool
    prefix: int = 0
    admitted: float = 0.0
    expected: float = 0.0
    beside: OtherFlights | None = None
    first: float | None = None
    last: float = 0.0
    out: int = 0
    area: float = 0.0
    behind: float = 0.0
    batch: bool = False


class ReplicaTables:
    """slots: sequences it runs at a time (`max_num_seqs`), None until learned. kv_capacity: tokens, None: learned from its
    gauges. alone: True if all its work comes from this process; if not, its own gauge of waiting requests counts too.
    running: own requests whose answer has begun. others: those of other Hearths on the same engine; None where nobody tells.
    learned: the speeds of reading and of generating are known, so that the prediction can be believed. ttft: of a cloud, whose
    attempts teach it. cached: by prefix, the share of the latest prompt that was found in the engine's cache. name: of
    its lane.
    """

    def __init__(
        self, slots: int | None = None, kv_capacity: int | None = None, *, alone: bool = True, name: str = ""
    ) -> None:
        self.name = name.encode()
        self.alone, self.slots, self._slots_given = alone, slots, slots is not None
        self.running = 0
        self.others: OtherFlights | None = None
        self._flights: set[Flight] = set()
        self._queue: dict[Flight, None] = {}  # those without a first token, oldest first
        self._ahead = 0  # prompt tokens of the queue
        self._batch_queued = 0  # batch work in the queue
        self._capacity = kv_capacity
        self._kv = 0  # tokens our requests hold in the KV cache, or will once read
        self._kv_ratio = 1.0  # the engine's own count over ours: prefixes are shared
        self._limited = self._limits = 0  # requests in flight with a limit to their answer, and the sum of those limits
        self._begun = self._read = 0  # requests that left the queue for the batch, and the tokens of their prompts
        self._unseen = 0  # of the running ones, those whose first token was assumed
        self._beside = 0  # others' answers in the batch
        self._most = self._full_again = 0  # answers that ever ran at once, and how often again in this queue
        self._area = 0.0  # integral of the batch over time
        self._area_at = 0.0
        self._served_at = 0.0  # when a first token last came
        # When others' requests began, how many and with how many tokens: the latest. And when nothing was heard of them last.
        self._moves: deque[tuple[float, int, int]] = deque(maxlen=_MOVES)
        self._moved_at = 0.0
        self._unheard_at = -math.inf
        self._full_until = 0.0  # when the last slot last became free
        self._batch: FirstTokens | None = None
        self.learned = False
        self._prefill = Plane(_PREFILL_LEAN)
        self._decode = Plane(_DECODE_LEAN)
        self._wholes = Plane(_DECODE_LEAN)  # answers in one piece: seconds before the first token, seconds per token
        self._lengths = Lengths()
        self._margin = Margin()
        self.ttft = Quantile()
        self.cached = CachedShares()
        self._typical = 0.0
        self._batched = 0.0
        self._last: Telemetry | None = None
        self._counted_at = 0.0  # when its own counters of tokens were last seen to have moved

    @property
    def waiting(self) -> int:
        """Own requests without a first token."""
        return len(self._queue)

    def _queued(self) -> tuple[int, int]:
        """Requests without a first token and the tokens of their prompts, the others' included."""
        if self.others is None:
            return len(self._queue), self._ahead
        return self.others.queue(len(self._queue), self._ahead)

    @property
    def decoding(self) -> int:
        """Answers that have begun, the others' included."""
        return self.running if self.others is None else self.others.batch(self.running, 0)[0]

    def given(self, slots: int) -> None:
        """Takes the sequences that its engine was started with for its slots. They are learned no more."""
        self.slots, self._slots_given = slots, True

    def observe(self, telemetry: Telemetry) -> None:
        """Takes in the engine's gauges. The same telemetry a second time teaches nothing."""
        before = self._last
        if before is not None and telemetry.at <= before.at:
            return
        self._last = telemetry
        if before is not None and telemetry.generation_tokens > before.generation_tokens:
            self._counted_at = telemetry.at
        if telemetry.kv_tokens:
            self._capacity = telemetry.kv_tokens
        held, counted = self._kv - self._ahead, True
        if self.others is not None:  # the engine's gauge counts theirs too
            held, counted = held + self.others.kv, self.others.times == 1
        if self._capacity and counted and held >= _KV_LEARN_SHARE * self._capacity:
            seen = min(1.0, telemetry.kv_cache * self._capacity / held)
            self._kv_ratio += _KV_WEIGHT * (seen - self._kv_ratio)
        if before is None or self._slots_given:
            return
        # Requests wait although there is KV room, twice with as many running: that many are its slots.
        steady = before.running == telemetry.running > 0
        if steady and min(before.waiting, telemetry.waiting) > 0 and telemetry.kv_cache < _KV_TIGHT:
            self.slots = telemetry.running

    def row(self, now: float) -> FlightRow:
        """The row that this Hearth publishes of the replica."""
        speed, us = self.speed or _UNKNOWN, 1e6
        return FlightRow(
            len(self._queue),
            self._ahead,
            self.running,
            self._kv - self._ahead,
            self._begun,
            self._read,
            self.slots or 0,
            round(self._lengths.mean),
            round(speed.prompt),
            round(speed.read_s * us),
            round(speed.fixed_s * us),
            round(speed.per_sequence_s * us),
            round(speed.batch),
            round((now - self._served_at) * us) if self._begun else 0,
            self._batch_queued,
        )

    def take_over(self, row: FlightRow) -> None:
        """Believes the speeds that another Hearth has measured, until there are own ones."""
        speed = row.speed
        if speed is None or self.learned or self._prefill.seen or self._decode.seen:
            return
        for n in range(1, _TAUGHT + 1):
            self._prefill.learn(n, n * speed.prompt, n * speed.read_s)
            self._decode.learn(1.0, n, speed.step_s(n))
            self._lengths.ended(row.answer)
        self._typical, self._batched, self.learned = float(speed.prompt), float(speed.batch), True
        if self.slots is None and row.slots:
            self.slots = row.slots

    @property
    def speed(self) -> EngineSpeed | None:
        """As measured so far; None before reading and generating are both known."""
        if not self.learned:
            return None
        typical, step = max(1.0, self._typical), self._decode
        read, fixed, each = self._prefill.at(1, typical), step.at(1.0, 0.0), step.at(0.0, 1.0)
        return EngineSpeed(fixed, each, read, typical, max(1.0, self._batched))

"""The token ledger of one replica: what of ours is in flight there, and what that means for the next request.

The runtime sees every request it sends, at once and truly, where the engine's gauges are late and sometimes false. So
this ledger leads, and gauges only correct it (`observe`). It learns online how fast prompts are read, how long a
decoding step takes at what batch, how long answers are, and how many sequences run at a time. Nothing is predicted
before there is evidence, so that nothing leaves the box for a guess.

Clocks are arguments: seconds, monotonic. Not thread-safe; one event loop owns it.

    predicted TTFT = max(reading the prompts ahead, waiting for a slot or for KV room) + reading this prompt
                     + what nine predictions in ten were short of the truth by, where there is anything to wait for
"""

from __future__ import annotations

import msgspec

from runtime.contract.engine import Telemetry
from runtime.contract.usage import Usage
from runtime.load.rates import Lengths, Margin, Plane

FRESH_S = 2.0  # seconds; older words of the engine are not listened to

_SAME_STEP_S = 0.003  # first tokens this close came out of one step of the engine
_PREFILL_LEAN = (0.2, 100.0)  # requests, tokens
_DECODE_LEAN = (0.1, 1.0)
_LEAST_ANSWER = 8  # tokens: shorter answers say little about the length of a step,
_LEAST_WHOLE = 32  # and less where the first token was not seen
_UNSEEN_S = 0.2  # seconds to a first token nobody sees, before anything was learned
_TYPICAL = 0.05  # weight of one prompt in the mean prompt
_BELIEVED_S = 10.0  # an idle engine's speeds are believed this long,
_HALF_LIFE_S = 30.0  # then they are forgotten by half every so often: somebody must try again


class _Flight(msgspec.Struct, gc=False):
    """prompt: tokens to be read, cached ones left out. limit: tokens its answer may have, None where not known.

    whole: its answer comes in one piece, so that its first token is never seen. first: when it came, None while it
    waits.
    """

    prompt: int
    limit: int | None
    admitted: float
    whole: bool
    expected: float  # seconds to its first token as predicted when it was sent; 0.0 where nothing stood before it
    first: float | None = None
    last: float = 0.0
    out: int = 0
    area: float = 0.0  # integral of the batch at `first`


class _Batch(msgspec.Struct, gc=False):
    """First tokens of one step: `count` prompts of `tokens` in all, read between `start` and `end`."""

    start: float
    end: float
    count: int
    tokens: int


class Ledger:
    """One replica's in-flight work.

    slots: sequences it runs at a time (`max_num_seqs`), None: learned. kv_capacity: tokens, None: learned from its
    gauges.
    alone: whether all its work is ours; where not, its own gauge of waiting requests counts too.
    """

    def __init__(self, slots: int | None = None, kv_capacity: int | None = None, *, alone: bool = True) -> None:
        self.alone = alone
        self._slots = slots
        self._slots_given = slots is not None
        self._capacity = kv_capacity
        self._flights: dict[str, _Flight] = {}
        self._queue: dict[str, _Flight] = {}  # those without a first token, oldest first
        self._ahead = 0
        self._kv = 0
        self._kv_ratio = 1.0  # what the engine holds over what we count: prefixes are shared
        self._limited = 0  # requests in flight with a limit to their answer,
        self._limits = 0  # and the sum of those limits
        self._running = 0
        self._unseen = 0  # of them, those whose first token was taken for granted
        self._area = 0.0  # integral of the batch over time
        self._area_at = 0.0
        self._served_at = 0.0  # when a first token last came
        self._full_until = 0.0  # when the last slot last became free
        self._batch: _Batch | None = None
        self._prefill = Plane(_PREFILL_LEAN)
        self._decode = Plane(_DECODE_LEAN)
        self._wholes = Plane(_DECODE_LEAN)  # answers in one piece: seconds before the first token, seconds per token
        self._lengths = Lengths()
        self._margin = Margin()
        self._typical = 0.0
        self._last: Telemetry | None = None

    # What happens to requests

    def admit(
        self, id: str, prompt_tokens: int, expected_output: int | None, now: float, *, whole: bool = False
    ) -> None:
        """A request is sent.

        prompt_tokens: those it must read, without what its prefix cache is expected to hold. expected_output: at most
        so many, None where not known. whole: its answer will come in one piece, without a visible first token.
        """
        self._settle(now)
        backlog = self._backlog_s(prompt_tokens, now) if self._prefill.known else 0.0
        expected = backlog + self._prefill.at(1, prompt_tokens) if backlog else 0.0
        flight = _Flight(prompt_tokens, expected_output, now, whole, expected)
        self._flights[id] = self._queue[id] = flight
        self._ahead += prompt_tokens
        self._kv += prompt_tokens
        self._limit(expected_output, +1)
        self._typical += (_TYPICAL if self._typical else 1.0) * (prompt_tokens - self._typical)

    def first_token(self, id: str, now: float) -> None:
        """Its first token came. Repeated or unknown ids change nothing."""
        flight = self._queue.get(id)
        if flight is None:
            return
        self._pass(id, now)
        if flight.expected:
            self._margin.learn(now - flight.admitted - flight.expected)
        self._read(flight, now)
        self._begin(id, flight, now)
        self._more_slots()
        self._kv += 1
        flight.out += 1
        self._lengths.generated(1)

    def tokens(self, id: str, n: int, now: float) -> None:
        """`n` more tokens of an answer. The one call per chunk: it only adds."""
        flight = self._flights.get(id)
        if flight is not None:
            flight.out += n
            flight.last = now
            self._kv += n
            self._lengths.generated(n)

    def finish(self, id: str, now: float, usage: Usage | None = None) -> None:
        """Its answer is whole. `usage`, where known, corrects the count of chunks."""
        self._settle(now)
        flight = self._remove(id, now)
        if flight is None or flight.first is None:
            return
        out = usage.completion if usage and usage.completion else flight.out
        self._lengths.generated(out - flight.out)
        if flight.whole:
            self._wholes.learn(1.0, out, now - flight.admitted)
        self._learn_step(flight, out, now if flight.whole else flight.last)

    def cancel(self, id: str, now: float) -> None:
        """It ended otherwise: the client left, it failed, it was replaced. Teaches nothing but that its place is
        free.
        """
        self._remove(id, now)

    def observe(self, telemetry: Telemetry) -> None:
        """The engine's own word. Hearing the same word again teaches nothing."""
        before = self._last
        if before is not None and telemetry.at <= before.at:
            return
        self._last = telemetry
        if telemetry.kv_tokens:
            self._capacity = telemetry.kv_tokens
        if self._capacity and self._kv >= _KV_LEARN_SHARE * self._capacity:
            seen = min(1.0, telemetry.kv_cache * self._capacity / self._kv)
            self._kv_ratio += _KV_WEIGHT * (seen - self._kv_ratio)
        if before is not None and not self._slots_given:
            self._learn_slots(before, telemetry)

    # What is in flight

    @property
    def waiting(self) -> int:
        """Requests without a first token."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Requests whose answer has begun."""
        return self._running

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    @property
    def prefill_ahead(self) -> int:
        """Prompt tokens of requests without a first token."""
        return self._ahead

    @property
    def kv_tokens(self) -> int:
        """Tokens our requests hold, or will once read, in its KV cache."""
        return round(self._kv * self._kv_ratio)

    @property
    def slots(self) -> int | None:
        return self._slots

    @property
    def typical_prompt(self) -> int:
        """Mean prompt of late, tokens."""
        return round(self._typical)

    def kv_share(self, now: float) -> float | None:
        """Share of the KV cache in use: ours where the capacity is known, else the engine's word while fresh."""
        if self._capacity:
            return (self._kv - self._ahead) * self._kv_ratio / self._capacity
        return self._last.kv_cache if self._last and now - self._last.at <= FRESH_S else None

    def waiting_now(self, now: float) -> int:
        """`waiting`; where that may not be all (others' requests, answers in one piece) the engine's fresh word too."""
        all_seen = self.alone and not self._unseen
        if all_seen or self._last is None or now - self._last.at > FRESH_S:
            return self.waiting
        return max(self.waiting, self._last.waiting)

    # What that means

    def predicted_ttft(self, uncached_prompt_tokens: int, now: float) -> float:
        """Seconds to the first token of a request sent now, long enough for nine in ten; 0.0 while there is no
        evidence.
        """
        return self.backlog_s(uncached_prompt_tokens, now) + self.reading_s(uncached_prompt_tokens, now)

    def reading_s(self, uncached_prompt_tokens: int, now: float) -> float:
        """Seconds to read a prompt, once it is begun; 0.0 while there is no evidence."""
        return self._prefill.at(1, uncached_prompt_tokens) * self._belief(now) if self._prefill.known else 0.0

    def backlog_s(self, prompt_tokens: int, now: float) -> float:
        """Seconds until a request sent now would begin to be read, long enough for nine in ten; 0.0 where nothing is
        before it.
        """
        backlog = self._backlog_s(prompt_tokens, now)
        return backlog + self._margin.seconds if backlog else 0.0

    def backlogs_s(self, one: int, other: int, now: float) -> tuple[float, float]:
        """`backlog_s` of two prompts. What stands before both is worked out once."""
        if not self._flights:
            return 0.0, 0.0
        if not self._capacity:  # then the length of a prompt makes no difference
            same = self.backlog_s(one, now)
            return same, same
        return self.backlog_s(one, now), self.backlog_s(other, now)

    def _backlog_s(self, prompt_tokens: int, now: float) -> float:
        return max(self._ahead_s(now), self._room_s(prompt_tokens)) if self._flights else 0.0

    def wait_estimate(self, now: float) -> float:
        """Seconds until there is room again, at least 1: for Retry-After."""
        return max(1.0, self.backlog_s(self.typical_prompt, now))

    def _ahead_s(self, now: float) -> float:
        """Seconds to read the prompts ahead. A head that is overdue may stay so as long again as it already was."""
        head = next(iter(self._queue.values()), None)
        if head is None:
            return 0.0
        elapsed = 0.0 if self._full else max(0.0, now - self._service_start(head))
        expected = self._prefill.at(1, head.prompt)
        work = self._prefill.at(len(self._queue), self._ahead) - min(elapsed, expected)
        return max(work, elapsed - expected)

    def _room_s(self, prompt_tokens: int) -> float:
        """Seconds until enough answers have ended for one more sequence, and for its KV."""
        ends = max(self._ends_for_slot(), self._ends_for_kv(prompt_tokens))
        if ends <= 0 or not self._running:
            return 0.0
        batch = float(self._running)
        return ends * self._mean_answer * self._decode.at(1.0, batch) / batch

    @property
    def _mean_answer(self) -> float:
        """Tokens of one answer: what a batch generates until as many of its answers end. Limits bound it where all
        have one.
        """
        mean = self._lengths.mean
        return min(mean, self._limits / self._limited) if self._limited == len(self._flights) else mean

    def _ends_for_slot(self) -> float:
        return 0.0 if self._slots is None else len(self._flights) - self._slots + 1.0

    def _ends_for_kv(self, prompt_tokens: int) -> float:
        """Answers that must end for this prompt to fit, each taking with it the mean of what one holds."""
        if not self._capacity or not self._flights:
            return 0.0
        missing = (self._kv + prompt_tokens) * self._kv_ratio - self._capacity
        return missing / max(1.0, self._kv * self._kv_ratio / len(self._flights))

    @property
    def _full(self) -> bool:
        return self._slots is not None and self._running >= self._slots

    def _belief(self, now: float) -> float:
        """1.0 while the speeds are fresh or there is work; falls on an idle engine."""
        idle = now - self._served_at - _BELIEVED_S if not self._queue else 0.0
        return 1.0 if idle <= 0 else float(0.5 ** (idle / _HALF_LIFE_S))

    # How it learns

    def _service_start(self, flight: _Flight) -> float:
        """When the engine could begin to read it: sent, those before it done, a slot free."""
        return max(flight.admitted, self._served_at, self._full_until)

    def _settle(self, now: float) -> None:
        """Lets those at the head of the queue whose first token nobody will see begin when it is due."""
        while (head := next(iter(self._queue.items()), None)) is not None and head[1].whole and not self._full:
            due = self._due(head[1])
            if due > now:
                return
            self._served_at = max(self._served_at, due)
            self._begin(*head, max(due, self._area_at))

    def _due(self, flight: _Flight) -> float:
        """When a first token that nobody sees is taken to have come. Where none was ever seen, as whole answers suggest."""
        if self._prefill.known:
            return self._service_start(flight) + self._prefill.at(1, flight.prompt)
        return flight.admitted + (self._wholes.at(1.0, 0.0) if self._wholes.known else _UNSEEN_S)

    def _pass(self, id: str, now: float) -> None:
        """The engine reads in order: what stood before this one and comes in one piece has begun too."""
        for other, flight in list(self._queue.items()):
            if other == id:
                return
            if flight.whole:
                self._begin(other, flight, now)

    def _begin(self, id: str, flight: _Flight, now: float) -> None:
        """A flight leaves the queue and joins the batch."""
        del self._queue[id]
        self._turn(now, +1)
        flight.first = flight.last = now
        flight.area = self._area
        self._unseen += flight.whole
        self._ahead -= flight.prompt

    def _learn_step(self, flight: _Flight, out: int, end: float) -> None:
        """The mean step of an answer against the mean batch it ran in."""
        lasted = end - (flight.first or 0.0)
        if out < (_LEAST_WHOLE if flight.whole else _LEAST_ANSWER) or lasted <= 0:
            return
        self._decode.learn(1.0, max(1.0, (self._area - flight.area) / lasted), lasted / (out - 1))

    def _read(self, flight: _Flight, now: float) -> None:
        """One observation per step of the engine: the prompts whose first tokens came together, and the time they
        took.
        """
        batch = self._batch
        if batch is not None and now - batch.end <= _SAME_STEP_S:
            batch.count += 1
            batch.tokens += flight.prompt
        else:
            if batch is not None:
                self._prefill.learn(batch.count, batch.tokens, batch.end - batch.start)
            self._batch = _Batch(self._service_start(flight), now, 1, flight.prompt)
        self._served_at = now

    def _turn(self, now: float, change: int) -> None:
        """The batch grows or shrinks by one."""
        self._area += self._running * (now - self._area_at)
        self._area_at = now
        if self._full and change < 0:
            self._full_until = now
        self._running += change

    def _limit(self, limit: int | None, count: int) -> None:
        if limit is not None:
            self._limited += count
            self._limits += count * limit

    def _remove(self, id: str, now: float) -> _Flight | None:
        flight = self._flights.pop(id, None)
        if flight is None:
            return None
        self._kv -= flight.prompt + flight.out
        self._limit(flight.limit, -1)
        if self._queue.pop(id, None) is not None:
            self._ahead -= flight.prompt
        else:
            self._turn(now, -1)
            self._unseen -= flight.whole
            self._lengths.ended()
        return flight

    def _more_slots(self) -> None:
        """More answers seen to run than there were thought to be slots: there are more slots."""
        if self._slots is not None and not self._slots_given:
            self._slots = max(self._slots, self._running - self._unseen)

    def _learn_slots(self, before: Telemetry, after: Telemetry) -> None:
        """Requests wait although there is KV room, twice with as many running: that many are its slots."""
        steady = before.running == after.running > 0
        if steady and min(before.waiting, after.waiting) > 0 and after.kv_cache < _KV_TIGHT:
            self._slots = after.running


_KV_LEARN_SHARE = 0.05  # of the capacity in our count, before the engine's word is compared with it
_KV_WEIGHT = 0.1
_KV_TIGHT = 0.9

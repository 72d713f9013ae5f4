"""The token ledger of one replica: the requests this process has in flight there, and what that means for the next one.

The runtime sees every request it sends, at once and truly, where the engine's gauges are late and sometimes false. So
this ledger leads, and gauges only correct it (`observe`). It learns online how fast prompts are read, how long a
decoding step takes at what batch, how long answers are, and how many sequences run at a time. Nothing is predicted
before there is evidence, so that nothing leaves the box for a guess.

A request is entered by a `with` (`claim`), so that none stays behind: the tables hold the requests in flight and nothing
else. Clocks are arguments: seconds, monotonic. Not thread-safe; one event loop owns it.

    predicted TTFT = max(reading the prompts ahead, waiting for a slot or for KV room) + reading this prompt
                     + the margin by which nine predictions in ten were too short, if there is anything to wait for
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import msgspec

from runtime.contract.engine import EngineSpeed, Telemetry
from runtime.contract.usage import Usage
from runtime.load.rates import CachedShares, FirstTokens, Lengths, Margin, Plane, Quantile

FRESH_S = 2.0  # seconds; older gauges of the engine are not used

_SAME_STEP_S = 0.003  # first tokens this close came out of one step of the engine
_PREFILL_LEAN = (0.2, 100.0)  # requests, tokens
_DECODE_LEAN = (0.1, 1.0)
_LEAST_ANSWER = 8  # tokens: shorter answers say little about the length of a step,
_LEAST_WHOLE = 32  # and less if the first token was not seen
_UNSEEN_S = 0.2  # seconds to a first token that is not seen, before anything was learned
_TYPICAL = 0.05  # weight of one prompt in the mean prompt
_BELIEVED_S = 10.0  # an idle engine's speeds are believed this long,
_HALF_LIFE_S = 30.0  # then they are forgotten by half every so often: somebody must try again
_KV_LEARN_SHARE = 0.05  # of the capacity in our count, before it is compared with the engine's gauge
_KV_WEIGHT = 0.1
_KV_TIGHT = 0.9
_KV_SPARE_BELOW = 0.9  # of the capacity; above it batch work does not start
_SLOTS_UNKNOWN = 8
_SLOTS_AFTER = 4  # times in one queue that the most answers ever seen at once ran again


class InFlight(msgspec.Struct, eq=False, gc=False):
    """One request on the replica, from `with` to its end.

    Left without `done` (cancelled, failed, replaced) it teaches nothing about answers: its place is free again, no more.

    prompt: tokens to be read, cached ones left out. limit: most tokens of its answer, None if not known.
    whole: its answer comes in one piece, so that its first token is never seen.
    expected: seconds to its first token as predicted when it was sent; 0.0 if nothing was before it.
    first: when its first token came, None while it waits. area: integral of the batch at `first`. behind: until when an
    answer to an earlier request was generated while it waited; 0.0 if none has ended.
    """

    ledger: Ledger
    clock: Callable[[], float]
    prompt: int
    limit: int | None
    whole: bool
    prefix: int = 0
    admitted: float = 0.0
    expected: float = 0.0
    first: float | None = None
    last: float = 0.0
    out: int = 0
    area: float = 0.0
    behind: float = 0.0

    def __enter__(self) -> InFlight:
        ledger, now = self.ledger, self.clock()
        if ledger._queue:
            ledger._begin_due(now)
        backlog = 0.0
        if ledger._flights and ledger._prefill.known:
            backlog = ledger._backlog_s(self.prompt, now, len(ledger._queue), ledger._ahead)
        self.admitted = now
        self.expected = backlog + ledger._prefill.at(1, self.prompt) if backlog else 0.0
        ledger._flights.add(self)
        ledger._queue[self] = None
        ledger._ahead += self.prompt
        ledger._kv += self.prompt
        if self.limit is not None:
            ledger._limited += 1
            ledger._limits += self.limit
        ledger._typical += (_TYPICAL if ledger._typical else 1.0) * (self.prompt - ledger._typical)
        return self

    def first_token(self, now: float) -> None:
        """Its first token came. A second call changes nothing."""
        ledger = self.ledger
        if self not in ledger._queue:
            return
        # (1) The engine reads in order: whole answers queued before this one have begun too.
        for other in list(ledger._queue):
            if other is self:
                break
            if other.whole:
                ledger._begin(other, now)
        if self.expected:
            ledger._margin.learn(now - self.admitted - self.expected, now)
        # (2) One observation per step of the engine: the prompts whose first tokens came together, and their time.
        batch = ledger._batch
        if batch is not None and now - batch.end <= _SAME_STEP_S:
            batch.count += 1
            batch.tokens += self.prompt
        else:
            if batch is not None:
                ledger._prefill.learn(batch.count, batch.tokens, batch.end - batch.start)
            ledger._batch = FirstTokens(ledger._service_start(self), now, 1, self.prompt)
        ledger._served_at = now
        ledger._begin(self, now)
        # (3) As many as ran at most run again and again, and others wait: those are its slots, until more are seen to run.
        if not ledger._slots_given:
            running = ledger.running - ledger._unseen
            if running > ledger._most or not ledger._queue:
                ledger._most, ledger._full_again = max(ledger._most, running), 0
            elif running == ledger._most:
                ledger._full_again += 1
            if ledger._full_again >= _SLOTS_AFTER or (ledger.slots is not None and ledger._most > ledger.slots):
                ledger.slots = ledger._most
        ledger._kv += 1
        self.out += 1
        ledger._lengths.generated(1)

    def given_up(self, left_s: float, now: float) -> None:
        """It leaves because it would wait `left_s` longer. The prediction was short by that: else only those that did not
        leave would teach how good predictions are.
        """
        if self.expected:
            self.ledger._margin.learn(now - self.admitted + left_s - self.expected, now)

    def tokens(self, n: int, now: float) -> None:
        """`n` more tokens of its answer."""
        ledger = self.ledger
        if self in ledger._flights:
            self.out += n
            self.last = now
            ledger._kv += n
            ledger._lengths.generated(n)

    def done(self, usage: Usage | None = None) -> None:
        """Its answer is whole: teaches its length, and the mean step against the mean batch it ran in.

        `usage` corrects the count of chunks.
        """
        ledger, now = self.ledger, self.clock()
        if ledger._queue:
            ledger._begin_due(now)
        if not ledger._remove(self, now) or self.first is None:
            return
        out = usage.completion if usage and usage.completion else self.out
        ledger._lengths.ended(out - self.out)
        if usage is not None and usage.prompt and self.prefix:
            ledger.cached.learn(self.prefix, min(1.0, usage.cached / usage.prompt))
        if self.whole:
            ledger._wholes.learn(1.0, out, now - self.admitted)
        lasted = (now if self.whole else self.last) - self.first
        if out >= (_LEAST_WHOLE if self.whole else _LEAST_ANSWER) and lasted > 0:
            batch = max(1.0, (ledger._area - self.area) / lasted)
            ledger._batched += (_TYPICAL if ledger._batched else 1.0) * (batch - ledger._batched)
            ledger._decode.learn(1.0, batch, lasted / (out - 1))
            ledger.learned = ledger._prefill.known and ledger._decode.known

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Its place is free. Tokens it generated without an end leave the mean length again: they teach nothing of it."""
        ledger = self.ledger
        if self in ledger._flights:
            ledger._remove(self, self.clock())
            ledger._lengths.retracted(self.out)


class Ledger:
    """One replica's requests in flight.

    slots: sequences it runs at a time (`max_num_seqs`), None until learned. kv_capacity: tokens, None: learned from its
    gauges. alone: True if all its work comes from this process; if not, its own gauge of waiting requests counts too.
    running: answers that have begun. learned: the speeds of reading and generating are known. ttft: a cloud's, by its attempts.
    """

    def __init__(self, slots: int | None = None, kv_capacity: int | None = None, *, alone: bool = True) -> None:
        self.alone = alone
        self.slots = slots
        self._slots_given = slots is not None
        self._capacity = kv_capacity
        self._flights: set[InFlight] = set()
        self._queue: dict[InFlight, None] = {}  # those without a first token, oldest first
        self._ahead = 0  # prompt tokens of the queue
        self._kv = 0  # tokens our requests hold in the KV cache, or will once read
        self._kv_ratio = 1.0  # the engine's own count over ours: prefixes are shared
        self._limited = self._limits = 0  # requests in flight with a limit to their answer, and the sum of those limits
        self.running = 0
        self.learned = False  # the speed of reading and of generating are known: the prediction can be believed
        self._unseen = 0  # of them, those whose first token was assumed
        self._most = self._full_again = 0  # answers that ever ran at once, and how often again in this queue
        self._area = self._area_at = 0.0  # integral of the batch over time, and up to when
        self._served_at = 0.0  # when a first token last came
        self._full_until = 0.0  # when the last slot last became free
        self._batch: FirstTokens | None = None
        self._prefill = Plane(_PREFILL_LEAN)
        self._decode = Plane(_DECODE_LEAN)
        self._wholes = Plane(_DECODE_LEAN)  # answers in one piece: seconds before the first token, seconds per token
        self._lengths = Lengths()
        self._margin = Margin()
        self.ttft = Quantile()
        self.cached = CachedShares()
        self._typical = self._batched = 0.0
        self._last: Telemetry | None = None
        self._counted_at = 0.0  # when its own counters of tokens were last seen to have moved

    def claim(
        self,
        prompt_tokens: int,
        expected_output: int | None,
        clock: Callable[[], float],
        *,
        whole: bool = False,
        prefix: int = 0,
    ) -> InFlight:
        """A request that is sent when its `with` begins.

        prompt_tokens: those it must read, without the prefix that is expected to be cached. prefix: what names that, 0: it is
        not known. expected_output: most tokens, None if not known. whole: it comes in one piece, without a first token.
        """
        return InFlight(self, clock, prompt_tokens, expected_output, whole, prefix)

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
        held = self._kv - self._ahead
        if self._capacity and held >= _KV_LEARN_SHARE * self._capacity:
            seen = min(1.0, telemetry.kv_cache * self._capacity / held)
            self._kv_ratio += _KV_WEIGHT * (seen - self._kv_ratio)
        if before is None or self._slots_given:
            return
        # Requests wait although there is KV room, twice with as many running: that many are its slots.
        steady = before.running == telemetry.running > 0
        if steady and min(before.waiting, telemetry.waiting) > 0 and telemetry.kv_cache < _KV_TIGHT:
            self.slots = telemetry.running

    # What is in flight

    @property
    def waiting(self) -> int:
        """Requests without a first token."""
        return len(self._queue)

    @property
    def typical_prompt(self) -> int:
        """Mean of the latest prompts, tokens."""
        return round(self._typical)

    def spare(self, now: float, *, beside: bool = False) -> int:
        """Requests that may start while one slot and a tenth of the KV cache stay free for others.

        While the slots are unknown, a few more than run are tried: as long as they begin at once there are more slots.
        beside: others are about. Prompts that are read together lengthen the step that the next of them has to wait for, so
        that they may take no longer than a step; one alone may.
        """
        self._begin_due(now)
        share = self.kv_share(now)
        if share is not None and share > _KV_SPARE_BELOW:
            return 0
        slots = self.slots or max(_SLOTS_UNKNOWN, self.running + 2 + self.running // _SLOTS_UNKNOWN)
        free = max(1, slots - 1) - len(self._flights)
        if free <= 1 or not beside or not self.learned:
            return free
        step, waiting, most = self._decode.at(1.0, max(1.0, self.running)), len(self._queue), 0
        while most < free and self._prefill.at(waiting + most + 1, self._ahead + (most + 1) * self._typical) <= step:
            most += 1
        return most or int(not waiting)

    def kv_share(self, now: float) -> float | None:
        """Share of the KV cache in use: our count if the capacity is known, else the engine's gauge while fresh."""
        if self._capacity:
            return (self._kv - self._ahead) * self._kv_ratio / self._capacity
        return self._last.kv_cache if self._last and now - self._last.at <= FRESH_S else None

    def waiting_now(self, now: float) -> int:
        """`waiting`, or the engine's fresh gauge if that is more and may know more (others' requests, whole answers)."""
        all_seen = self.alone and not self._unseen
        if all_seen or self._last is None or now - self._last.at > FRESH_S:
            return len(self._queue)
        return max(len(self._queue), self._last.waiting)

    @property
    def speed(self) -> EngineSpeed | None:
        """As measured so far; None before reading and generating are both known."""
        if not self.learned:
            return None
        typical, step = max(1.0, self._typical), self._decode
        read, fixed, each = self._prefill.at(1, typical), step.at(1.0, 0.0), step.at(0.0, 1.0)
        return EngineSpeed(fixed, each, read, typical, max(1.0, self._batched))

    # What that means

    def predicted_ttft(self, uncached_prompt_tokens: int, now: float) -> float:
        """Seconds to the first token of a request sent now, long enough for nine in ten; 0.0 without evidence."""
        return self.backlog_s(uncached_prompt_tokens, now) + self.reading_s(uncached_prompt_tokens, now)

    def reading_s(self, uncached_prompt_tokens: int, now: float) -> float:
        """Seconds to read a prompt, once it is begun; 0.0 without evidence."""
        if not self._prefill.known:
            return 0.0
        # Speeds are believed while they are fresh or there is work, and less and less on an idle engine.
        idle = now - self._served_at - _BELIEVED_S if not self._queue else 0.0
        belief = 1.0 if idle <= 0 else float(0.5 ** (idle / _HALF_LIFE_S))
        return self._prefill.at(1, uncached_prompt_tokens) * belief

    def backlog_s(self, prompt_tokens: int, now: float) -> float:
        """Seconds until the engine would begin to read a request sent now, long enough for nine in ten; 0.0 if nothing is
        before it.
        """
        backlog = self._backlog_s(prompt_tokens, now, len(self._queue), self._ahead) if self._flights else 0.0
        if not backlog:
            return 0.0
        # What the oldest one waits longer than was predicted for it, the next one must expect too.
        head = next(iter(self._queue), None)
        late = now - head.admitted - head.expected if head is not None and head.expected else 0.0
        return backlog + max(late, self._margin.at(now))

    def backlogs_s(self, one: int, other: int, now: float) -> tuple[float, float]:
        """`backlog_s` of two prompts. What is before both is computed once."""
        if not self._flights:
            return 0.0, 0.0
        first = self.backlog_s(one, now)  # without a known capacity the length of a prompt makes no difference
        return first, self.backlog_s(other, now) if self._capacity else first

    def remaining_s(self, flight: InFlight, now: float) -> float:
        """Seconds until the first token of a request that waits, as it looks now; 0.0 without evidence, or if it has come."""
        if flight not in self._queue or not self._prefill.known:
            return 0.0
        up_to = tokens = 0
        for other in self._queue:
            up_to, tokens = up_to + 1, tokens + other.prompt
            if other is flight:
                break
        left = max(self._prefill.at(1, flight.prompt), self._backlog_s(flight.prompt, now, up_to, tokens))
        # What the oldest one waits longer than was predicted for it, those behind it must expect too.
        oldest = next(iter(self._queue))
        late = now - oldest.admitted - (oldest.expected or left)
        return left + late if late > self._margin.at(now) else left

    def waited_s(self, now: float) -> float:
        """Seconds that the oldest request without a first token has waited for it; 0.0 if none waits."""
        self._begin_due(now)
        return now - next(iter(self._queue)).admitted if self._queue else 0.0

    def queued_until(self, flight: InFlight, heard_at: float | None, now: float) -> float:
        """When the engine was last seen at work on what was sent before a request that waits; 0.0: it was not.

        heard_at: when a piece of any answer last came.
        """
        self._begin_due(now)
        goes_on = any(each.first is not None and each.admitted <= flight.admitted for each in self._flights)
        return min(now if goes_on else flight.behind, max(self._counted_at, heard_at or 0.0))

    def _backlog_s(self, prompt_tokens: int, now: float, before: int, tokens: int) -> float:
        """The same without the margin, behind so many of the queue with so many tokens."""
        # (1) The prompts ahead. A head that is overdue may stay so as long again as it already was.
        ahead = 0.0
        head = next(iter(self._queue), None)
        if head is not None:
            elapsed = 0.0 if self._full else max(0.0, now - self._service_start(head))
            expected = self._prefill.at(1, head.prompt)
            work = self._prefill.at(before, tokens) - min(elapsed, expected)
            ahead = max(work, elapsed - expected)
        # (2) Answers that must end first: for one more sequence, and for its KV, where each frees the mean of what one holds.
        flights, kv = self.running + before, self._kv - self._ahead + tokens
        ends = 0.0 if self.slots is None else flights - self.slots + 1.0
        if self._capacity and flights:
            missing = (kv + prompt_tokens) * self._kv_ratio - self._capacity
            ends = max(ends, missing / max(1.0, kv * self._kv_ratio / flights))
        if ends <= 0 or not self.running:
            return ahead
        # (3) A batch generates the mean answer once for each of them; limits bound the mean if all answers have one.
        mean, batch = self._lengths.mean, float(self.running)
        if self._limited == len(self._flights):
            mean = min(mean, self._limits / self._limited)
        return max(ahead, ends * mean * self._decode.at(1.0, batch) / batch)

    # Places

    @property
    def _full(self) -> bool:
        return self.slots is not None and self.running >= self.slots

    def _service_start(self, flight: InFlight) -> float:
        """When the engine could begin to read it: sent, those before it done, a slot free."""
        return max(flight.admitted, self._served_at, self._full_until)

    def _begin_due(self, now: float) -> None:
        """Lets whole answers at the head of the queue begin when their unseen first token is due."""
        while (head := next(iter(self._queue), None)) is not None and head.whole and not self._full:
            if self._prefill.known:
                due = self._service_start(head) + self._prefill.at(1, head.prompt)
            else:  # no first token was ever seen: as whole answers suggest
                due = head.admitted + (self._wholes.at(1.0, 0.0) if self._wholes.known else _UNSEEN_S)
            if due > now:
                return
            self._served_at = max(self._served_at, due)
            self._begin(head, max(due, self._area_at))

    def _begin(self, flight: InFlight, now: float) -> None:
        """A request leaves the queue and joins the batch."""
        del self._queue[flight]
        self._grow(now, +1)
        flight.first = flight.last = now
        flight.area = self._area
        self._unseen += flight.whole
        self._ahead -= flight.prompt

    def _remove(self, flight: InFlight, now: float) -> bool:
        """Takes a request out of every table. False if it was in none."""
        if flight not in self._flights:
            return False
        self._flights.remove(flight)
        self._kv -= flight.prompt + flight.out
        if flight.limit is not None:
            self._limited -= 1
            self._limits -= flight.limit
        if flight in self._queue:
            del self._queue[flight]
            self._ahead -= flight.prompt
        else:
            self._grow(now, -1)
            self._unseen -= flight.whole
            for other in self._queue:
                if other.admitted >= flight.admitted:
                    other.behind = now
        return True

    def _grow(self, now: float, change: int) -> None:
        """The batch grows or shrinks by one."""
        self._area += self.running * (now - self._area_at)
        self._area_at = now
        if self._full and change < 0:
            self._full_until = now
        self.running += change

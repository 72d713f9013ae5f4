"""The token ledger of one replica: the requests this process has in flight there, and what that means for the next one.

The runtime sees every request it sends, at once and truly, where the engine's gauges are late and sometimes false. So
this ledger leads, and gauges only correct it (`observe`). What other Hearths have in flight there counts like our own
(`hear`). It learns online how fast prompts are read, how long a decoding step takes at what batch, how long answers are, and
how many sequences run at a time. Nothing is predicted before there is evidence, so that nothing leaves the box for a guess.

A request is entered by a `with` (`claim`), so that none stays behind: the tables hold the requests in flight and nothing
else. Clocks are arguments: seconds, monotonic. Not thread-safe; one event loop owns it.

    predicted TTFT = max(reading the prompts ahead, waiting for a slot or for KV room) + reading this prompt
                     + the margin by which nine predictions in ten were too short, if there is anything to wait for,
                       and a small one if that is prompts alone
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType

from runtime.contract.usage import Usage
from runtime.load.others import OtherFlights
from runtime.load.rates import FirstTokens
from runtime.load.tables import Flight, ReplicaTables

FRESH_S = 2.0  # seconds; older gauges of the engine are not used

_SAME_STEP_S = 0.003  # first tokens this close came out of one step of the engine
_HEARD_S = 0.1  # after a step everybody has told of it,
_TOGETHER_S = 0.01  # and first tokens this close came out of it
_LEAST_ANSWER = 8  # tokens: shorter answers say little about the length of a step,
_LEAST_WHOLE = 32  # and less if the first token was not seen
_PROMPTS_LATE = 4.0  # times as long as thought: prompts take no longer to read,
_PROMPTS_LATE_S = 2.0  # or not this much longer, in seconds
_UNSEEN_S = 0.2  # seconds to a first token that is not seen, before anything was learned
_TYPICAL = 0.05  # weight of one prompt in the mean prompt
_BELIEVED_S = 10.0  # an idle engine's speeds are believed this long,
_HALF_LIFE_S = 30.0  # then they are forgotten by half every so often: somebody must try again
_KV_SPARE_BELOW = 0.9  # of the capacity; above it batch work does not start
_SLOTS_UNKNOWN = 8
_SLOTS_AFTER = 4  # times in one queue that the most answers ever seen at once ran again


class InFlight(Flight, eq=False, gc=False, kw_only=True):
    """One request on the replica, from `with` to its end.

    Left without `done` (cancelled, failed, replaced) it teaches nothing about answers: its place is free again, no more.
    """

    ledger: Ledger

    def __enter__(self) -> InFlight:
        ledger, now = self.ledger, self.clock()
        if ledger._queue:
            ledger._begin_due(now)
        backlog, others = 0.0, ledger.others
        if (ledger._flights or others is not None) and ledger._prefill.known:
            backlog, _ = ledger._backlog(self.prompt, now, *ledger._queued())
        self.admitted, self.beside = now, others
        self.expected = backlog + ledger._prefill.at(1, self.prompt) if backlog else 0.0
        ledger._flights.add(self)
        ledger._queue[self] = None
        ledger._batch_queued += self.batch
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
            if batch is not None and ledger.others is not None:
                ledger._learn_step(batch, now)
            elif batch is not None:
                ledger._prefill.learn(batch.count, batch.tokens, batch.end - batch.start)
            ledger._batch = FirstTokens(ledger._service_start(self), now, 1, self.prompt)
        ledger._served_at = now
        ledger._begin(self, now)
        # (3) As many as ran at most run again and again, and others wait: those are its slots, until more are seen to run.
        # Others' answers are heard of a little late: their count alone never raises it. Of whole answers nobody knows which
        # run and which wait.
        if not ledger._slots_given and (self.beside is None or self.beside.times == 1):
            running = ledger.running - ledger._unseen + ledger._beside
            waits = ledger._queue and not all(each.whole for each in ledger._queue)
            if running > ledger._most or not (waits or (self.beside is not None and self.beside.waiting)):
                ledger._most, ledger._full_again = max(ledger._most, running), 0
            elif running == ledger._most and not ledger._unseen:
                ledger._full_again += 1
            seen_more = ledger.slots is not None and ledger._most > ledger.slots and not ledger._beside
            if ledger._full_again >= _SLOTS_AFTER or seen_more:
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
        known = self.beside is None or self.beside.times == 1 or not ledger._decode.known
        if known and out >= (_LEAST_WHOLE if self.whole else _LEAST_ANSWER) and lasted > 0:
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


class Ledger(ReplicaTables):
    """One replica's requests in flight."""

    def claim(
        self,
        prompt_tokens: int,
        expected_output: int | None,
        clock: Callable[[], float],
        *,
        whole: bool = False,
        prefix: int = 0,
        batch: bool = False,
    ) -> InFlight:
        """A request that is sent when its `with` begins.

        prompt_tokens: those it must read, without the prefix that is expected to be cached. prefix: what names that, 0: it is
        not known. expected_output: most tokens, None if not known. whole: it comes in one piece, without a first token.
        batch: it is batch work, for which a slot is free.
        """
        return InFlight(clock, prompt_tokens, expected_output, whole, prefix, batch=batch, ledger=self)

    def hear(self, others: OtherFlights, now: float) -> None:
        """Takes in what the other Hearths have in flight now, and learns from a step of which everything was heard."""
        before = self.others
        self._grow(now, 0)
        if others.times > 1 or (before is not None and before.times > 1):
            self._unheard_at = now
        if before is not None and others.begun > before.begun:
            self._moved_at = now - others.ago_s
            self._moves.append((self._moved_at, others.begun - before.begun, others.read - before.read))
        if self._full and others.running < self._beside:
            self._full_until = now
        self.others, self._beside = others, others.running
        if self._batch is not None and now - self._batch.end >= _HEARD_S:
            self._learn_step(self._batch, now)
            self._batch = None

    def _learn_step(self, step: FirstTokens, now: float) -> None:
        """Learns how fast prompts are read from a step, the others' prompts in it included.

        Where these are not known they would be learned as slowness: then only what little is needed to begin is learned.
        """
        if self.others is not None and self._prefill.known:
            about = self.others.waiting or self.others.running or self._moved_at > step.start
            unheard = self.others.times > 1 or step.start <= self._unheard_at
            if unheard or (about and now - step.end < _HEARD_S):
                return
            for at, requests, tokens in self._moves:
                if abs(at - step.end) <= _TOGETHER_S:
                    step.count, step.tokens = step.count + requests, step.tokens + tokens
                elif step.start < at < step.end:
                    step.start = at
        self._prefill.learn(step.count, step.tokens, step.end - step.start)

    # What is in flight

    @property
    def typical_prompt(self) -> int:
        """Mean of the latest prompts, tokens."""
        return round(self._typical)

    def spare(self, now: float, *, beside: bool = False) -> int:
        """Requests that may start while one slot and a tenth of the KV cache stay free for others.

        Prompts that were sent and hold no room yet count as if they did, or a hundred would be sent for the room of ten. While
        the slots are unknown, a few more than run are tried: as long as they begin at once there are more slots.
        beside: others are about. Prompts that are read together lengthen the step that the next of them has to wait for, so
        that they may take no longer than a step; one alone may.
        """
        self._begin_due(now)
        share = self.kv_share(now)
        if share is not None and share > _KV_SPARE_BELOW:
            return 0
        running, (waiting, tokens) = self.decoding, self._queued()
        slots = self.slots or max(_SLOTS_UNKNOWN, running + 2 + running // _SLOTS_UNKNOWN)
        free = max(1, slots - 1) - running - waiting
        if self._capacity:
            free = min(free, self._fit(self._capacity))
        if free <= 1 or not beside or not self.learned:
            return free
        step, most = self._decode.at(1.0, max(1.0, running)), 0
        while most < free and self._prefill.at(waiting + most + 1, tokens + (most + 1) * self._typical) <= step:
            most += 1
        return most or int(not waiting)

    def _fit(self, capacity: int) -> int:
        """Requests of the usual prompt and answer for which there is KV room beside those in flight; one always beside none."""
        usual = (self._typical + self._lengths.mean) * self._kv_ratio
        if not usual:
            return _SLOTS_UNKNOWN
        held = self._kv if self.others is None else self.others.batch(0, self._kv)[1]
        return max(int(not self._flights), int((_KV_SPARE_BELOW * capacity - held * self._kv_ratio) / usual))

    def kv_share(self, now: float) -> float | None:
        """Share of the KV cache in use: our count if the capacity is known, else the engine's gauge while fresh."""
        if self._capacity:
            held = self._kv - self._ahead
            if self.others is not None:
                held = self.others.batch(0, held)[1]
            return held * self._kv_ratio / self._capacity
        return self._last.kv_cache if self._last and now - self._last.at <= FRESH_S else None

    def waiting_now(self, now: float) -> int:
        """Requests without a first token, or the engine's fresh gauge if that is more and may know more (requests of callers
        that no Hearth sees, whole answers). Batch work is none of them: it is sent where a slot is free.
        """
        waiting, lines = len(self._queue), self._batch_queued
        if self.others is not None:
            waiting, lines = self._queued()[0], lines * self.others.times + self.others.lines
        all_seen = self.alone and not self._unseen
        if all_seen or self._last is None or now - self._last.at > FRESH_S:
            return waiting - lines
        return max(waiting, self._last.waiting) - lines

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
        if not self._flights and self.others is None:
            return 0.0
        if self._batch_queued:
            self._begin_due(now)
        backlog, most = self._backlog(prompt_tokens, now, *self._queued())
        if not backlog:
            return 0.0
        # What the oldest one waits longer than was predicted for it, the next one must expect too.
        head = next(iter(self._queue), None)
        late = now - head.admitted - head.expected if head is not None and head.expected else 0.0
        return backlog + max(late, min(self._margin.at(now), most))

    def remaining_s(self, flight: InFlight, now: float) -> float:
        """Seconds until the first token of a request that waits, as it looks now; 0.0 without evidence, or if it has come."""
        if flight not in self._queue or not self._prefill.known:
            return 0.0
        up_to = tokens = 0
        for other in self._queue:
            up_to, tokens = up_to + 1, tokens + other.prompt
            if other is flight:
                break
        if self.others is not None:
            up_to, tokens = up_to * self.others.times, tokens * self.others.times
            if flight.beside is not None:
                more, their = self.others.ahead_of(flight.beside)
                up_to, tokens = up_to + more, tokens + their
        backlog, _ = self._backlog(flight.prompt, now, up_to, tokens)
        left = max(self._prefill.at(1, flight.prompt), backlog)
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
        earlier = (each.first is not None and each.admitted <= flight.admitted for each in self._flights)
        goes_on = self._beside > 0 or any(earlier)
        return min(now if goes_on else flight.behind, max(self._counted_at, heard_at or 0.0))

    def _backlog(self, prompt_tokens: int, now: float, before: int, tokens: int) -> tuple[float, float]:
        """The same without the margin, behind so many requests without a first token, with so many tokens; and the
        largest margin: where no answer must end first, only prompts can take longer than thought, and not by as much.
        """
        # (1) The prompts ahead. A head that is overdue may stay so as long again as it already was.
        ahead = 0.0
        head = next(iter(self._queue), None)
        if head is not None:
            elapsed = 0.0 if self._full else max(0.0, now - max(self._service_start(head), self._moved_at))
            expected = self._prefill.at(1, head.prompt)
            work = self._prefill.at(before, tokens) - min(elapsed, expected)
            ahead = max(work, elapsed - expected)
        elif before:
            ahead = self._prefill.at(before, tokens)
        # (2) Answers that must end first: for one more sequence, and for its KV, where each frees the mean of what one holds.
        running, kv, limited = self.running, self._kv - self._ahead, self._limited == len(self._flights)
        if self.others is not None:
            running, kv = self.others.batch(running, kv)
            limited &= running == self.running
        flights, kv = running + before, kv + tokens
        ends = 0.0 if self.slots is None else flights - self.slots + 1.0
        if self._capacity and flights:
            missing = (kv + prompt_tokens) * self._kv_ratio - self._capacity
            ends = max(ends, missing / max(1.0, kv * self._kv_ratio / flights))
        if ends <= 0 and self.slots is not None:  # while these are unknown, what waits may wait for one
            return ahead, max(_PROMPTS_LATE * ahead, _PROMPTS_LATE_S)
        if ends <= 0:
            return ahead, math.inf
        # (3) A batch generates the mean answer once for each of them; limits bound the mean if all answers have one. Of a
        # burst on an idle engine, as many as it has slots will be that batch.
        mean, batch = self._lengths.mean, float(running or min(before, self.slots or before))
        if limited and self._limited:
            mean = min(mean, self._limits / self._limited)
        return max(ahead, ends * mean * self._decode.at(1.0, batch) / batch), math.inf

    def _begin_due(self, now: float) -> None:
        """Lets whole answers at the head of the queue begin when their unseen first token is due."""
        while (head := next(iter(self._queue), None)) is not None and head.whole and not self._full:
            if self._prefill.known:
                due = self._service_start(head) + self._prefill.at(1, head.prompt)
            else:  # no first token was ever seen: as whole answers suggest, which wait for slots as batch work does not
                guess = self._wholes.at(1.0, 0.0) if self._wholes.known else _UNSEEN_S
                due = head.admitted + (min(guess, _UNSEEN_S) if head.batch else guess)
            if due > now:
                return
            self._served_at = max(self._served_at, due)
            self._begin(head, max(due, self._area_at))

    # Places

    @property
    def _full(self) -> bool:
        return self.slots is not None and self.running + self._beside >= self.slots

    def _service_start(self, flight: Flight) -> float:
        """When the engine could begin to read it: sent, those before it done, a slot free."""
        return max(flight.admitted, self._served_at, self._full_until)

    def _begin(self, flight: Flight, now: float) -> None:
        """A request leaves the queue and joins the batch."""
        del self._queue[flight]
        self._batch_queued -= flight.batch
        self._grow(now, +1)
        flight.first = flight.last = now
        flight.area = self._area
        self._unseen += flight.whole
        self._ahead -= flight.prompt
        self._begun += 1
        self._read += flight.prompt

    def _remove(self, flight: Flight, now: float) -> bool:
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
            self._batch_queued -= flight.batch
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
        self._area += (self.running + self._beside) * (now - self._area_at)
        self._area_at = now
        if change < 0 and self._full:
            self._full_until = now
        self.running += change

"""The requests that other Hearths have in flight on an engine that nobody owns, and their sum for this one's ledger.

Each Hearth publishes a row for each engine it is attached to (`runtime.shared.flights` carries them). While nothing is heard
at all, each other Hearth is taken to have as much in flight as this one. Pure; knows Hearths by name and no clock.

The counts since the start (`begun`, `read`) tell the order of prompts. An engine reads first come, first served: of the
others' prompts that were there when one of ours was sent, those are still ahead of it that have not been read since.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from runtime.contract.engine import EngineSpeed

_Whole = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
_US = 1e6


class FlightRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One Hearth's requests on one engine, and the speeds it has measured there: 0 before they are known.

    waiting: requests without a first token; tokens: of their prompts. running: answers that have begun; kv: tokens they hold.
    begun, read: requests whose answer has begun since the process started, and the tokens of their prompts.
    slots: sequences at a time. answer: mean tokens of one. read_us: to read a prompt of `prompt` tokens, the usual one.
    A step takes fixed_us + each_us x sequences; batch: their mean number. ago_us: since an answer last began.
    lines: batch work among `waiting`. Members are added at the end.
    """

    waiting: _Whole = 0
    tokens: _Whole = 0
    running: _Whole = 0
    kv: _Whole = 0
    begun: _Whole = 0
    read: _Whole = 0
    slots: _Whole = 0
    answer: _Whole = 0
    prompt: _Whole = 0
    read_us: _Whole = 0
    fixed_us: _Whole = 0
    each_us: _Whole = 0
    batch: _Whole = 0
    ago_us: _Whole = 0
    lines: _Whole = 0

    @property
    def speed(self) -> EngineSpeed | None:
        """The measured speed; None before it is known."""
        if not self.prompt or not self.batch:
            return None
        return EngineSpeed(self.fixed_us / _US, self.each_us / _US, self.read_us / _US, self.prompt, self.batch)


class OtherFlights(msgspec.Struct, frozen=True, gc=False):
    """The others' rows of one engine, summed. times: own requests count so often; more than 1 while the others are not heard.

    ago_s: since the latest of `begun` began. lines: batch work among `waiting`.
    """

    waiting: int = 0
    tokens: int = 0
    running: int = 0
    kv: int = 0
    begun: int = 0
    read: int = 0
    times: int = 1
    ago_s: float = 0.0
    lines: int = 0

    def queue(self, waiting: int, tokens: int) -> tuple[int, int]:
        """Requests without a first token and the tokens of their prompts: own ones as given, and the others'."""
        return waiting * self.times + self.waiting, tokens * self.times + self.tokens

    def batch(self, running: int, kv: int) -> tuple[int, int]:
        """Answers that have begun and the tokens they hold: own ones as given, and the others'."""
        return running * self.times + self.running, kv * self.times + self.kv

    def ahead_of(self, sent: OtherFlights) -> tuple[int, int]:
        """The others' requests and prompt tokens that wait and were there when one of ours was sent."""
        requests, tokens = sent.begun + sent.waiting - self.begun, sent.read + sent.tokens - self.read
        return min(self.waiting, max(0, requests)), min(self.tokens, max(0, tokens))


class EngineOthers:
    """The latest row of each other Hearth for one engine.

    last: how many Hearths had the engine when the others were last heard, this one included; before that as many as are given.
    """

    def __init__(self, hearths: int = 1) -> None:
        self.last = hearths
        self.rows: dict[str, FlightRow] = {}
        self._begun = self._read = 0  # by the others, since they were first heard
        self._ago_s = 0.0

    def heard(self, name: str, row: FlightRow) -> None:
        """Takes a Hearth's row in. Its counts since its start begin with the first row that is heard."""
        before = self.rows.get(name)
        if before is not None:
            self._begun += max(0, row.begun - before.begun)
            self._read += max(0, row.read - before.read)
        self._ago_s = row.ago_us / _US
        self.rows[name] = row

    def gone(self, name: str) -> bool:
        """Drops a Hearth that is away, or is no longer attached to the engine. False if there was none."""
        return self.rows.pop(name, None) is not None

    def flights(self, *, certain: bool = True) -> OtherFlights:
        """The sum of the rows. certain: those without a row are gone; else it may be the store that is silent."""
        rows = self.rows.values()
        if certain:
            self.last = len(rows) + 1
        return OtherFlights(
            sum([each.waiting for each in rows]),
            sum([each.tokens for each in rows]),
            sum([each.running for each in rows]),
            sum([each.kv for each in rows]),
            self._begun,
            self._read,
            ago_s=self._ago_s,
            lines=sum([each.lines for each in rows]),
        )

    def unheard(self) -> OtherFlights:
        """The stand-in while nothing is heard: each of them has as much as this one. Their rows are dropped."""
        self.rows.clear()
        return OtherFlights(begun=self._begun, read=self._read, times=self.last)

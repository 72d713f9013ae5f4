"""Warnings from everyday traffic: refused, cut and malformed answers, and the length of answers, by target and task. Pure.

Each is held against its own history with the bound of the golden sets: a reference of the first days, an upper bound and a
tolerance, evidence that restarts. Read from decision records once a day, off the hot path. It warns and never demotes, because
traffic changes by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from runtime.quality.drift.bounds import wilson_upper
from runtime.quality.drift.evidence import STEPS, fallen
from runtime.record.decisions import Decision

DAYS = 7  # of the reference
FEWEST = 30  # answers of a day that is counted
_TOLERANCE = 0.03
_BAR = 10_000.0
_REFUSED = frozenset({"content_filter", "refusal", "safety"})
_MALFORMED = "garbled"  # an attempt's outcome: among others, a structure that was not kept
_CUT = frozenset({"length", "max_tokens"})
SHARES = ("refused", "cut", "malformed", "long", "short")


class TrafficStream(NamedTuple):
    """target: a label. task: "" where it was not read."""

    target: str
    task: str


class DayCounts(msgspec.Struct, frozen=True):
    """Answers of one day, and how many of them were each of SHARES. tokens: of each answer."""

    answers: int = 0
    refused: int = 0
    cut: int = 0
    malformed: int = 0
    tokens: tuple[int, ...] = ()


class SignalState(msgspec.Struct, frozen=True):
    """days: in the reference. counts: by share, over the reference. length: a tenth and nine tenths of its answers are shorter.
    m: evidence by share. warned: shares that were warned of since the evidence began.
    """

    days: int = 0
    answers: int = 0
    counts: Mapping[str, int] = {}
    lengths: tuple[int, ...] = ()
    m: Mapping[str, tuple[float, ...]] = {}
    warned: tuple[str, ...] = ()


class SignalWarning(msgspec.Struct, frozen=True):
    """words: one sentence."""

    target: str
    task: str
    share: str
    words: str


def counted(decisions: Iterable[Decision]) -> dict[TrafficStream, DayCounts]:
    """One day's answers. Evaluation, failures and cancelled requests count for nothing."""
    found: dict[TrafficStream, list[Decision]] = {}
    for each in decisions:
        if each.status == 200 and each.target is not None and not each.origin:
            found.setdefault(TrafficStream(each.target, each.task or ""), []).append(each)
    return {
        stream: DayCounts(
            len(own),
            sum(each.finish in _REFUSED for each in own),
            sum(each.finish in _CUT for each in own),
            sum(any(attempt.outcome == _MALFORMED for attempt in each.attempts) for each in own),
            tuple([each.completion_tokens for each in own]),
        )
        for stream, own in found.items()
    }


def observed(stream: TrafficStream, state: SignalState, day: DayCounts) -> tuple[SignalState, list[SignalWarning]]:
    """The state after one more day, and what is new to be warned of. A day with few answers changes nothing."""
    if day.answers < FEWEST:
        return state, []
    if state.days < DAYS:
        own = {share: state.counts.get(share, 0) + getattr(day, share) for share in SHARES[:3]}
        return replace(
            state,
            days=state.days + 1,
            answers=state.answers + day.answers,
            counts=own,
            lengths=tuple(sorted((*state.lengths, *day.tokens[:500]))),
        ), []
    tenth = len(state.lengths) // 10
    short, long = state.lengths[tenth], state.lengths[-1 - tenth]
    base = {**state.counts, "long": round(0.1 * state.answers), "short": round(0.1 * state.answers)}
    tonight = {share: getattr(day, share) for share in SHARES[:3]}
    tonight |= {"long": sum(each > long for each in day.tokens), "short": sum(each < short for each in day.tokens)}
    m: dict[str, tuple[float, ...]] = {}
    warnings, warned = [], []
    for share in SHARES:
        floor = 1 - (wilson_upper(base[share], state.answers) + _TOLERANCE)
        scores = {1.0: day.answers - tonight[share], 0.0: tonight[share]}
        m[share] = fallen(state.m.get(share, (0.0,) * len(STEPS)), scores, floor, log(_BAR / 10))
        evidence = sum(m[share]) / len(STEPS)
        if evidence >= 1 and share in state.warned:
            warned.append(share)
        elif evidence >= _BAR:
            warned.append(share)
            was, now = base[share] / state.answers, tonight[share] / day.answers
            task = f" for {stream.task}" if stream.task else ""
            words = f"{stream.target}{task}: {_WORDS[share]} were {was:.0%} and are {now:.0%} of {day.answers} answers"
            warnings.append(SignalWarning(stream.target, stream.task, share, words))
    return replace(state, m=m, warned=tuple(warned)), warnings


_WORDS = {
    "refused": "refusals",
    "cut": "answers cut by their limit",
    "malformed": "malformed structured answers",
    "long": "answers longer than nine in ten used to be",
    "short": "answers shorter than one in ten used to be",
}

"""Demotion, return and alarms as they follow from stored runs and people's acts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runtime.quality.drift.fold import Tolerated, demotions, fold_act, read_states, replayed
from runtime.quality.values import Grade, PersonAct, Stream
from tests.runtime.quality.drift.nights import Life, results

CLOUD = Stream("openai/gpt", "invoices")
OTHER = Stream("anthropic/claude", "invoices")
BOX = Stream("local/smol", "invoices")


def learned(*streams: Stream, fails: int = 6, cases: int = 80) -> Life:
    """Five nights that make the reference."""
    life = Life()
    for night in range(5):
        life.night(night, [row for each in streams for row in results(each, fails, cases)])
    return life


def test_a_drop_is_demoted_on_its_second_night_and_says_by_how_much() -> None:
    """64 of 80 where 74 are usual, and the class that grew."""
    life = learned(CLOUD, OTHER)
    for night in (5, 6, 7):
        life.night(night, [*results(CLOUD, 22, grade=Grade.MALFORMED), *results(OTHER, 6)])
        if "demoted" in life.events:
            break
    (gone,) = demotions(read_states(life.states))
    assert (gone.target, gone.task) == ("openai/gpt", "extraction")
    assert gone.words.startswith("demoted for extraction since ")
    assert "58 of 80 against 74, evidence " in gone.words
    assert "malformed 0 -> 22" in life.words[-1]
    assert night >= 6


def test_one_night_of_any_content_demotes_nobody() -> None:
    """Three runs with nothing but failures, then the usual."""
    life = learned(CLOUD, OTHER)
    for number in range(3):
        life.night(5, [*results(CLOUD, 80), *results(OTHER, 6)], number)
    for night in range(6, 30):
        life.night(night, [*results(CLOUD, 6), *results(OTHER, 6)])
    assert not demotions(read_states(life.states))
    assert set(life.events) == {"reference"}


def test_a_target_that_recovers_is_let_back_after_two_nights() -> None:
    """The evidence for it is over both parts."""
    life = learned(CLOUD, OTHER)
    for night in range(5, 10):
        life.night(night, [*results(CLOUD, 30), *results(OTHER, 6)])
    assert demotions(read_states(life.states))
    back = 0
    for night in range(10, 15):
        for number in range(3):
            life.night(night, [*results(CLOUD, 6)], number)
        if not demotions(read_states(life.states)):
            back = back or night
    assert back in (11, 12)
    assert life.events[-1] == "promoted"


def test_a_second_demotion_within_a_month_is_harder_to_leave() -> None:
    """The bar is ten times as high."""
    life = learned(CLOUD, OTHER)
    bars = []
    for night in range(5, 40):
        bad = night % 10 < 5
        for number in range(3):
            life.night(night, results(CLOUD, 40 if bad else 6), number)
        gone = read_states(life.states)[CLOUD].demotion
        if gone is not None:
            bars.append(gone.bar)
    assert sorted(set(bars)) == pytest.approx([300, 3_000, 30_000, 300_000][: len(set(bars))])
    assert len(set(bars)) >= 2


def test_missing_verdicts_pass_for_a_demotion_and_fail_for_a_return() -> None:
    """A night with a few time-outs is no evidence; one with too few verdicts changes nothing."""
    life = learned(CLOUD, OTHER)
    for night in range(5, 40):
        life.night(night, [*results(CLOUD, 6, silent=12), *results(OTHER, 6)])
    assert not demotions(read_states(life.states))
    before = dict(life.states)
    life.night(40, results(CLOUD, 40, silent=30))
    assert life.states == before
    for night in (41, 42, 43):
        life.night(night, results(CLOUD, 40))
    assert demotions(read_states(life.states))
    for night in range(44, 54):
        life.night(night, results(CLOUD, 6, silent=16))
    assert demotions(read_states(life.states))


def test_what_falls_everywhere_in_one_night_is_one_alarm_and_no_demotion() -> None:
    """Three targets of three providers."""
    life = learned(CLOUD, OTHER, BOX)
    for night in range(5, 25):
        life.night(night, [row for each in (CLOUD, OTHER, BOX) for row in results(each, 25)])
    assert not demotions(read_states(life.states))
    assert life.events.count("common_cause") == 1
    assert "3 of 3 watched targets" in life.words[-1]


def test_half_of_the_targets_is_no_common_cause() -> None:
    """One of two is demoted."""
    life = learned(CLOUD, OTHER)
    for night in range(5, 9):
        life.night(night, [*results(CLOUD, 25), *results(OTHER, 6)])
    assert [gone.target for gone in demotions(read_states(life.states))] == ["openai/gpt"]


def test_few_cases_are_advice() -> None:
    """Thirty cases all fail: nobody is demoted."""
    life = learned(CLOUD, OTHER, fails=2, cases=30)
    for night in range(5, 10):
        life.night(night, [*results(CLOUD, 30, 30), *results(OTHER, 2, 30)])
    assert "advice" in life.events
    assert not demotions(read_states(life.states))


def test_an_edited_case_counts_once_it_has_its_own_reference() -> None:
    """Twenty cases are edited and fail from then on: that is their reference, and no alarm."""
    life = learned(CLOUD, OTHER)
    edited = dict.fromkeys(range(20), "b")
    for night in range(5, 25):
        life.night(night, [*results(CLOUD, 20, hashes=edited), *results(OTHER, 6)])
    assert not demotions(read_states(life.states))
    assert set(life.events) == {"reference"}
    assert read_states(life.states)[CLOUD].cases == 80


def test_another_model_behind_the_name_is_an_event_and_no_new_reference() -> None:
    """The chart shows where it changed."""
    life = Life()
    for night in range(8):
        life.night(night, results(CLOUD, 6, served="gpt-1" if night < 6 else "gpt-2"))
    assert life.events == ["reference", "served"]
    assert "gpt-2" in life.words[-1]
    assert read_states(life.states)[CLOUD].references["case-0"].runs == 5


def test_steady_cases_that_break_while_others_mend_are_told_and_demote_nobody() -> None:
    """The rate is what it was."""
    life = Life()
    for night in range(40):
        first = range(10) if night < 5 else range(10, 20)
        rows = [
            row if number not in first else results(CLOUD, 80)[number] for number, row in enumerate(results(CLOUD, 0))
        ]
        life.night(night, rows)
    assert life.events.count("changed") == 1
    assert "demoted" not in life.events


def test_a_floor_of_the_set_binds_a_model_that_never_was_better() -> None:
    """60 of 80 in the reference and ever since, where the set wants 80 %."""
    life = Life()
    for night in range(20):
        life.night(night, [*results(CLOUD, 24), *results(OTHER, 6)], floor=0.8)
    assert [gone.target for gone in demotions(read_states(life.states))] == ["openai/gpt"]


def act(life: Life, kind: str, stream: Stream = CLOUD) -> None:
    folded = fold_act(PersonAct(kind, stream.target, stream.set, {"by": "kim", "note": "seen"}, 1.0), life.states)
    life.states.update(folded.states)
    life.events += [each.kind for each in folded.events]
    life.words += [each.words for each in folded.events]


def test_a_persons_word_wins_over_every_run() -> None:
    """Demoted by hand it stays so while it passes; held it stays undemoted while it fails; released it is judged again."""
    life = learned(CLOUD, OTHER)
    act(life, "demote")
    for night in range(5, 20):
        life.night(night, [*results(CLOUD, 0), *results(OTHER, 6)])
    (gone,) = demotions(read_states(life.states))
    assert gone.words == "demoted for extraction by kim: seen"
    assert life.words[-1] == "demote by kim: seen"
    act(life, "promote")
    assert not demotions(read_states(life.states))
    act(life, "hold")
    for night in range(20, 30):
        life.night(night, [*results(CLOUD, 60), *results(OTHER, 6)])
    assert not demotions(read_states(life.states))
    act(life, "release")
    life.night(30, [*results(CLOUD, 60), *results(OTHER, 6)])
    assert demotions(read_states(life.states))


def test_accept_makes_the_next_runs_the_reference() -> None:
    """What was a drop is the usual from then on."""
    life = learned(CLOUD, OTHER)
    act(life, "accept")
    for night in range(5, 30):
        life.night(night, [*results(CLOUD, 30), *results(OTHER, 6)])
    assert not demotions(read_states(life.states))
    assert read_states(life.states)[CLOUD].cases == 80


def test_a_target_without_any_set_is_demoted_for_all_tasks_by_a_person() -> None:
    """It needs no run."""
    life = Life()
    act(life, "demote", Stream("gemini/pro", ""))
    (gone,) = demotions(read_states(life.states))
    assert (gone.target, gone.task, gone.rate) == ("gemini/pro", "", None)


@pytest.mark.parametrize(("cycle", "demoted"), [((0.0, 0.5, 1.0), False), ((0.0, 0.5, 0.0), True)])
def test_answers_against_earlier_ones_are_judged_by_themselves(cycle: tuple[float, ...], demoted: bool) -> None:
    """Scores about one half change nothing; a clear loss is a demotion."""
    life = Life()
    for night in range(40):
        rows = enumerate([*results(CLOUD, 0), *results(OTHER, 0)])
        life.night(night, [replace(row, versus=cycle[(number + night) % 3]) for number, row in rows])
    assert ("demoted" in life.events or "common_cause" in life.events) == demoted


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 20), st.integers(1, 3)), min_size=1, max_size=15))
def test_replay_gives_the_same_states_and_one_night_never_demotes(nights: list[tuple[int, int, int]]) -> None:
    """Whatever happened: states follow from what is stored, and no night demotes alone."""
    life = learned(CLOUD, OTHER)
    for night, (fails, silent, runs) in enumerate(nights, 5):
        for number in range(runs):
            life.night(night, [*results(CLOUD, fails, silent=silent), *results(OTHER, 6)], number)
        if night == 5:
            assert "demoted" not in life.events
    states, events = replayed(life.journal, life.tolerated)
    assert states == life.states
    assert [each.kind for each in events] == life.events


def test_another_tolerance_says_when_it_would_have_demoted() -> None:
    """Seven points down: demoted at three, not at ten."""
    life = learned(CLOUD, OTHER)
    for night in range(5, 40):
        life.night(night, [*results(CLOUD, 13), *results(OTHER, 6)])
    assert "demoted" in [each.kind for each in replayed(life.journal, Tolerated(0.03, 0.1))[1]]
    assert "demoted" not in [each.kind for each in replayed(life.journal, Tolerated(0.10, 0.1))[1]]

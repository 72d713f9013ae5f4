"""Label probabilities against a decoder whose whole distribution is known."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_models.classification.answer import AnswerError, ScoredAnswer, ScoredToken
from local_models.classification.scoring import LabelTally, Scores
from local_models.classification.tree import Labels
from tests.local_models.classification.engine import ToyEngine

CITIES = ("New York", "New Jersey", "Newark", "Boston")
CITY_PIECES = ("New", " York", " Jersey", "ark", "Boston", "N", "ew", "B", "oston", "Ne", "w")
NEW, YORK, JERSEY, ARK, BOSTON = range(5)


def scored(engine: ToyEngine, labels: Labels, tolerance: float = 0.0) -> tuple[Scores, int]:
    """The scores, and how many questions they took."""
    tree = engine.tree(labels)
    tally, asked = LabelTally(tree, tolerance), 1
    tally.read(engine.answer(labels, tree.ids, tree.room))
    while (node := tally.next_question()) is not None:
        assert node.text is not None
        tally.take(node, engine.below(node.text, node.labels, tree.ids_at(node)).steps[0])
        asked += 1
    return tally.scores(), asked


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_labels_that_share_their_first_token_are_told_apart_where_they_part(seed: int, masked: bool) -> None:
    """Whether the shared token is taken, left, or spelled otherwise ("N", "ew"), with one further question at most."""
    engine = ToyEngine(CITY_PIECES, seed, masked=masked)
    scores, asked = scored(engine, CITIES)
    assert scores.probabilities == pytest.approx(engine.distribution(CITIES), abs=1e-3)
    assert sum(scores.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    assert scores.coverage == pytest.approx(1.0, abs=1e-3)
    assert asked <= 2


@pytest.mark.parametrize("seed", range(20))
def test_a_label_that_begins_another_is_told_from_it_by_the_end_of_the_answer(seed: int) -> None:
    """The end is a token like any other there."""
    labels = ("spam", "spam-like", "ham")
    engine = ToyEngine(("sp", "am", "-", "like", "ham", "s", "p", "h"), seed)
    scores, _ = scored(engine, labels)
    assert scores.probabilities == pytest.approx(engine.distribution(labels), abs=1e-3)


def test_labels_with_first_tokens_of_their_own_need_one_token_of_one_answer() -> None:
    """The common case."""
    engine = ToyEngine(("spam", "ham", "eggs", "s", "e"), seed=1)
    assert engine.tree(("spam", "ham", "eggs")).room == 1
    scores, asked = scored(engine, ("spam", "ham", "eggs"))
    assert asked == 1
    assert scores.coverage == 1.0


def cities(*steps: ScoredToken, text: str, tolerance: float = 0.01) -> LabelTally:
    tally = LabelTally(ToyEngine(CITY_PIECES, 0).tree(CITIES), tolerance)
    tally.read(ScoredAnswer(text, steps, "m"))
    return tally


def step(taken: int, **shares: float) -> ScoredToken:
    names = {"new": NEW, "york": YORK, "jersey": JERSEY, "ark": ARK, "boston": BOSTON}
    return ScoredToken(taken, {names[name]: math.log(share) for name, share in shares.items()})


def test_the_greedy_answer_is_not_always_the_likeliest_label() -> None:
    """A shared first token gathers mass that its labels then divide."""
    tally = cities(step(NEW, new=0.55, boston=0.45), step(YORK, york=0.5, jersey=0.4, ark=0.1), text="New York")
    assert tally.next_question() is None
    assert tally.scores().label == "Boston"
    assert tally.scores().probabilities == pytest.approx(
        {"New York": 0.275, "New Jersey": 0.22, "Newark": 0.055, "Boston": 0.45}
    )


def test_within_the_tolerance_nothing_further_is_asked() -> None:
    """What is not known is divided evenly, and coverage says how much it is."""
    tally = cities(step(BOSTON, new=0.009, boston=0.991), text="Boston")
    assert tally.next_question() is None
    assert tally.scores().coverage == pytest.approx(0.991)
    assert tally.scores().probabilities["Newark"] == pytest.approx(0.003)


def test_open_mass_that_could_change_the_label_is_asked_for_whatever_the_tolerance() -> None:
    """A label must not hang on a guess."""
    tally = cities(step(BOSTON, new=0.45, boston=0.55), text="Boston", tolerance=0.99)
    assert tally.next_question() is None
    tally = cities(step(NEW, new=0.55, boston=0.45), text="New", tolerance=0.99)
    node = tally.next_question()
    assert node is not None
    assert (node.labels, node.text) == (("New York", "New Jersey", "Newark"), "New")


def test_a_token_that_is_not_listed_has_at_most_the_least_that_is() -> None:
    """Nor more than the list leaves of 1; coverage says how much was bounded."""
    labels = ("a", "b", "c")
    tally = LabelTally(ToyEngine(("a", "b", "c"), 0).tree(labels), 0.01)
    tally.read(ScoredAnswer("a", (ScoredToken(0, {0: math.log(0.7), 1: math.log(0.1), 9: math.log(0.1)}),), "m"))
    assert tally.scores().probabilities == pytest.approx({"a": 7 / 9, "b": 1 / 9, "c": 1 / 9})
    assert tally.scores().coverage == pytest.approx(8 / 9)
    tally.read(ScoredAnswer("a", (ScoredToken(0, {0: math.log(0.8), 1: math.log(0.2)}),), "m"))
    assert tally.scores().probabilities == pytest.approx({"a": 0.8, "b": 0.2, "c": 0.0})
    assert tally.scores().coverage == pytest.approx(1.0)


@pytest.mark.parametrize("text", ["Paris", "New Yorker"])
def test_an_answer_that_is_no_label_is_an_error(text: str) -> None:
    """An engine without structured outputs must not pass for one with them."""
    with pytest.raises(AnswerError, match="structured_outputs"):
        cities(step(NEW, new=1.0), text=text)


def test_an_answer_that_lists_no_tokens_of_the_labels_is_an_error() -> None:
    """Nothing can be read off it."""
    with pytest.raises(AnswerError, match="logprobs under its grammar"):
        cities(ScoredToken(77, {77: -0.1}), text="N")


def test_many_labels_have_their_tokens_listed_by_name() -> None:
    """More than the twenty an engine lists by itself."""
    labels = tuple(f"{letter}{number}" for letter in "abcdefgh" for number in range(5))
    engine = ToyEngine((*labels, *"abcdefgh", *"01234"), seed=3, spread=0.5)
    assert len(engine.tree(labels).ids) == 40
    scores, asked = scored(engine, labels)
    assert scores.probabilities == pytest.approx(engine.distribution(labels), abs=1e-9)
    assert (scores.coverage, asked) == (1.0, 1)


@given(
    labels=st.lists(st.text("abc", min_size=1, max_size=5), min_size=2, max_size=8, unique=True).map(tuple),
    pieces=st.lists(st.text("abc", min_size=2, max_size=4), max_size=12, unique=True),
    seed=st.integers(0, 1000),
    masked=st.booleans(),
    tolerance=st.sampled_from([0.0, 0.01, 0.2]),
)
@settings(max_examples=300, deadline=None)
def test_any_labels_over_any_vocabulary_get_their_distribution(
    labels: Labels, pieces: list[str], seed: int, masked: bool, tolerance: float
) -> None:
    """Always every label, always sum 1, off by the tolerance at most, and always an end to the questions."""
    engine = ToyEngine(("a", "b", "c", *pieces), seed, masked=masked)
    scores, asked = scored(engine, labels, tolerance)
    wanted = engine.distribution(labels)
    assert tuple(scores.probabilities) == labels
    assert sum(scores.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
    assert scores.probabilities == pytest.approx(wanted, abs=tolerance + 1e-3)
    assert asked <= len(labels)
    assert wanted[scores.label] == pytest.approx(max(wanted.values()), abs=2e-3)

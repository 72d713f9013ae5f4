"""Label probabilities against a decoder whose whole distribution is known, and against answers recorded from vLLM."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_models.classification.answer import Answer, AnswerError, Step, Token
from local_models.classification.scoring import Labels, Scores, Tally, read
from tests.local_models.classification.engine import ToyEngine

CITIES = ("New York", "New Jersey", "Newark", "Boston")
CITY_PIECES = ("New", " York", " Jersey", "ark", "Boston")  # one way to cut each
LETTERS = tuple("abc")


def scored(engine: ToyEngine, labels: Labels, tolerance: float = 0.0) -> tuple[Scores, int]:
    """The scores, and how many questions they took."""
    tally, asked = Tally(labels, tolerance), 1
    tally.add(read(engine.answer(labels), labels), labels)
    while (further := tally.next_question()) is not None:
        tally.add(read(engine.answer(further), further), further)
        asked += 1
    return tally.scores(), asked


@pytest.mark.parametrize("seed", range(20))
def test_labels_that_share_their_first_token_get_the_decoders_own_probabilities(seed: int) -> None:
    """Whether the shared token is taken or not, with one further question at most."""
    engine = ToyEngine(CITY_PIECES, seed)
    scores, asked = scored(engine, CITIES)
    assert scores.probabilities == pytest.approx(engine.distribution(CITIES), abs=1e-3)
    assert sum(scores.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    assert asked <= 2


@pytest.mark.parametrize("seed", range(20))
def test_a_label_that_begins_another_ends_with_its_own_probability(seed: int) -> None:
    """The end of the answer is a token like any other there."""
    labels = ("spam", "spam-like", "ham")
    engine = ToyEngine(("sp", "am", "-", "like", "ham"), seed)
    scores, _ = scored(engine, labels)
    assert scores.probabilities == pytest.approx(engine.distribution(labels), abs=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_an_engine_that_lists_unmasked_probabilities_gives_the_same(seed: int) -> None:
    """Tokens that lead to no label are left out and the rest scaled."""
    labels = ("spam", "spam-like", "ham")
    pieces = ("sp", "am", "-", "like", "ham", "eggs", "bacon")
    engine = ToyEngine(pieces, seed, masked=False)
    scores, _ = scored(engine, labels)
    wanted = ToyEngine(pieces, seed).distribution(labels)
    assert scores.probabilities == pytest.approx(wanted, abs=1e-3)


def test_the_greedy_answer_is_not_always_the_likeliest_label() -> None:
    """A shared first token gathers mass that its labels then divide."""
    taken = Step(Token("New", math.log(0.55)), (Token("Boston", math.log(0.45)),))
    then = Step(Token(" York", math.log(0.6)), (Token(" Jersey", math.log(0.4)),))
    labels = ("New York", "New Jersey", "Boston")
    tally = Tally(labels, 0.01)
    tally.add(read(Answer("New York", (taken, then), True, "m"), labels), labels)
    assert tally.scores().label == "Boston"
    assert tally.scores().probabilities == pytest.approx({"New York": 0.33, "New Jersey": 0.22, "Boston": 0.45})


def test_other_cuts_of_the_same_letters_are_divided_in_proportion() -> None:
    """Recorded from vLLM 0.32: "N" and "Ne" stand beside "New" and tell nothing new."""
    first = Step(Token("New", -0.074), (Token("N", -2.699), Token("Ne", -5.449)))
    second = Step(Token(" York", -0.069), (Token(" Jersey", -2.819), Token(" Y", -5.194), Token("ark", -6.944)))
    labels = ("New York", "New Jersey", "Newark")
    tally = Tally(labels, 0.01)
    tally.add(read(Answer("New York", (first, second), True, "m"), labels), labels)
    scores = tally.scores()
    assert tally.next_question() is None
    assert scores.coverage == pytest.approx(0.929, abs=2e-3)
    assert scores.probabilities["New York"] == pytest.approx(math.exp(-0.069) + math.exp(-5.194), abs=1e-3)
    assert sum(scores.probabilities.values()) == pytest.approx(1.0, abs=1e-12)


def test_more_labels_than_the_engine_lists_are_asked_for_in_turn() -> None:
    """What the list leaves of 1 belongs to the labels it does not name."""
    labels = tuple(f"{letter}{number}" for letter in "abcdefgh" for number in range(5))
    engine = ToyEngine(labels, seed=3, spread=0.5)
    scores, asked = scored(engine, labels)
    assert scores.probabilities == pytest.approx(engine.distribution(labels), abs=1e-3)
    assert asked == 2


def test_within_the_tolerance_nothing_further_is_asked() -> None:
    """The common case is one question a row."""
    first = Step(Token("Boston", math.log(0.992)), (Token("New", math.log(0.008)),))
    tally = Tally(CITIES, 0.01)
    tally.add(read(Answer("Boston", (first,), True, "m"), CITIES), CITIES)
    assert tally.next_question() is None
    scores = tally.scores()
    assert scores.label == "Boston"
    assert scores.coverage == pytest.approx(0.992)
    assert sum(scores.probabilities.values()) == pytest.approx(1.0)


def test_open_mass_that_could_change_the_label_is_asked_for_whatever_the_tolerance() -> None:
    """A label must not hang on a guess."""
    first = Step(Token("a", math.log(0.4)), (Token("b", math.log(0.39)), Token("New", math.log(0.21))))
    labels = ("a", "b", "New York", "Newark")
    tally = Tally(labels, 1.0)
    tally.add(read(Answer("a", (first,), True, "m"), labels), labels)
    assert tally.next_question() == ("New York", "Newark")


def test_tokens_that_end_inside_a_character_go_to_the_other_labels() -> None:
    """Their text does not tell which; a further question held to those labels does."""
    first = Step(Token("", math.log(0.5)), (Token("", math.log(0.3)), Token("中", math.log(0.2))))
    second = Step(Token("正", 0.0), ())
    labels = ("正面", "负面", "中性")
    reading = read(Answer("正面", (first, second), True, "m"), labels)
    assert reading.settled == pytest.approx({"正面": 0.5, "中性": 0.2})
    assert [fork.labels for fork in reading.forks] == [("负面", "中性")]
    assert reading.forks[0].mass == pytest.approx(0.3)


def test_an_answer_cut_before_it_is_decided_says_so() -> None:
    """Then the question is put again with room for the whole label."""
    first = Step(Token("New", 0.0), ())
    reading = read(Answer("New", (first,), False, "m"), CITIES)
    assert reading.answered is None
    decided = read(Answer("Bos", (Step(Token("Bos", 0.0), ()),), False, "m"), CITIES)
    assert decided.answered == "Boston"


@pytest.mark.parametrize("answer", ["Paris", "", "New Yorker"])
def test_an_answer_that_is_no_label_is_an_error(answer: str) -> None:
    """An engine without structured outputs must not pass for one with them."""
    with pytest.raises(AnswerError, match="structured_outputs"):
        read(Answer(answer, (Step(Token(answer, 0.0), ()),), True, "m"), CITIES)


@given(
    labels=st.lists(st.text("abc", min_size=1, max_size=5), min_size=2, max_size=8, unique=True).map(tuple),
    pieces=st.lists(st.text("abc", min_size=2, max_size=4), max_size=12, unique=True),
    seed=st.integers(0, 1000),
    masked=st.booleans(),
    most=st.integers(1, 20),
)
@settings(max_examples=300, deadline=None)
def test_any_labels_over_any_vocabulary_get_a_distribution(
    labels: Labels, pieces: list[str], seed: int, masked: bool, most: int
) -> None:
    """Always every label, always sum 1, never negative, and always an end to the questions."""
    engine = ToyEngine((*LETTERS, *pieces), seed, masked=masked, most=most)
    scores, asked = scored(engine, labels, tolerance=0.01)
    assert tuple(scores.probabilities) == labels
    assert sum(scores.probabilities.values()) == pytest.approx(1.0, abs=1e-9)
    assert all(0.0 <= share <= 1.0 + 1e-12 for share in scores.probabilities.values())
    assert 0.0 <= scores.coverage <= 1.0
    assert asked <= len(labels) + 1


@given(
    labels=st.lists(st.text("abc", min_size=1, max_size=5), min_size=2, max_size=6, unique=True).map(tuple),
    seed=st.integers(0, 1000),
)
@settings(max_examples=200, deadline=None)
def test_with_one_way_to_cut_every_label_the_distribution_is_exact(labels: Labels, seed: int) -> None:
    """Letters as the only pieces: all forks can be asked for, and none is another cut."""
    engine = ToyEngine(LETTERS, seed)
    scores, _ = scored(engine, labels)
    assert scores.probabilities == pytest.approx(engine.distribution(labels), abs=1e-3)

"""Labels laid together by their tokens."""

import pytest

from local_models.classification.answer import AnswerError, Spelling
from local_models.classification.tree import SENTINELS, Cut, LabelTree, cuts_from
from tests.local_models.classification.engine import ToyEngine


def test_places_where_labels_part_know_the_way_to_them() -> None:
    """And the text of that way, with which an answer can be begun."""
    engine = ToyEngine(("New", " York", " Jersey", "ark", "Boston"), 0)
    tree = engine.tree(("New York", "New Jersey", "Newark", "Boston"))
    assert (tree.root.path, tree.root.text) == ((), "")
    assert tree.root.children == {0: ("New York", "New Jersey", "Newark"), 4: ("Boston",)}
    news = tree.nodes["New York", "New Jersey", "Newark"]
    assert (news.path, news.text) == ((0,), "New")
    assert tree.room == 2
    assert tree.ids == tree.ids_at(tree.root) == ()


def test_labels_that_all_begin_alike_part_later() -> None:
    """The first place then is not the first token."""
    tree = ToyEngine(("un", "safe", "sure"), 0).tree(("unsafe", "unsure"))
    assert (tree.root.path, tree.root.text, tree.room) == ((0,), "un", 2)


def test_a_label_that_begins_another_parts_from_it_at_its_end() -> None:
    """By the end of the answer."""
    engine = ToyEngine(("spam", "-like"), 0)
    tree = engine.tree(("spam", "spam-like"))
    assert tree.root.children == {engine.end: ("spam",), 1: ("spam-like",)}


def test_a_way_that_ends_inside_a_character_cannot_be_said() -> None:
    """Nobody can begin an answer with half a character."""
    cuts = {"中性": Cut((1, 2, 9), ("", "中性")), "中立": Cut((1, 3, 9), ("", "中立"))}
    assert LabelTree(cuts).root.text is None


def test_at_most_as_many_tokens_are_listed_as_vllm_allows() -> None:
    """The upper places first; the others are asked about by themselves."""
    cuts = {f"{a}.{b}": Cut((a, 1000 + 20 * a + b, 5), (f"{a}", f".{b}")) for a in range(10) for b in range(12)}
    tree = LabelTree(cuts)
    assert set(tree.root.children) <= set(tree.ids)
    assert tree.ids_at(tree.root) == tuple(tree.root.children)
    assert len(tree.ids) <= 128


def test_a_template_that_changes_a_label_is_told() -> None:
    """The label could not be scored as it stands."""
    engine = ToyEngine(("spam", "ham"), 0)
    spellings = {text: engine.spelling(text) for text in (*SENTINELS, "spam", "ham")}
    spellings["ham"] = Spelling((7, 7, 7), ("", "", ""), "toy")
    with pytest.raises(AnswerError, match="'ham'"):
        cuts_from(spellings, ("spam", "ham"))

"""What may be a label, and what is said to whoever typed a wrong one."""

import pytest

from local_models.classification.labels import MOST_LABELS, LabelError, descriptions_from, labels_from


def test_commas_divide_joined_labels_and_not_single_ones() -> None:
    """`--label` is there for labels with commas."""
    assert labels_from(["spam, ham"], ["New York, NY"]) == ("spam", "ham", "New York, NY")


@pytest.mark.parametrize(
    ("joined", "said"),
    [
        (["spam"], "at least two labels"),
        ([], "at least two labels"),
        (["spam,,ham"], "empty label"),
        (["spam,ham,"], "trailing comma"),
        (["spam,ham,spam"], "'spam' is given twice"),
        ([",".join(str(n) for n in range(MOST_LABELS + 1))], "classify in two stages"),
        (["spam," + "h" * 300], "shorten it"),
        (["spam,ham\x07"], "control character"),
        (["spam,ha\u2028m"], "control character"),
        (["caf\u00e9,cafe\u0301"], "given twice"),
    ],
)
def test_a_wrong_label_says_what_to_do(joined: list[str], said: str) -> None:
    """Every refusal names the fault in the user's words."""
    with pytest.raises(LabelError, match=said):
        labels_from(joined, [])


@pytest.mark.parametrize(
    "label", ["می\u200cخواهم", "क्\u200dष", "👩\u200d👩\u200d👧", "良い\u3000品", "5\u00a0€", "שלום", "ไม่ดี", "ok ✅"]
)
def test_a_label_may_be_in_any_script(label: str) -> None:
    """Joiners between letters and wide spaces are spelling, not control characters."""
    assert labels_from([f"{label},ham"], []) == (label, "ham")


def test_a_description_belongs_to_the_longest_label_it_begins_with() -> None:
    """A label may itself hold an equals sign."""
    assert descriptions_from(["a=b=both", "a=only  a"], ("a", "a=b")) == {"a=b": "both", "a": "only a"}


@pytest.mark.parametrize("given", [["c=what"], ["a"], ["a=x", "a=y"]])
def test_a_description_of_no_label_or_a_second_one_is_refused(given: list[str]) -> None:
    """A mistyped label must not silently go undescribed."""
    with pytest.raises(LabelError):
        descriptions_from(given, ("a", "b"))

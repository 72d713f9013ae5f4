"""The question put to the model: a stable beginning, the text last, the choice of labels."""

import json

import pytest

from local_models.classification.labels import LabelError
from local_models.classification.question import LabelQuestion, Prompt

LABELS = ("spam", "ham")


def test_all_rows_share_everything_before_their_text() -> None:
    """The engine computes a shared beginning once."""
    prompt = Prompt(LABELS, {"spam": "unwanted"})
    one, two = (json.dumps(prompt.messages(text)) for text in ("AAA", "BBB"))
    assert one.index("AAA") == two.index("BBB") > len(one) - 20
    assert "- spam: unwanted" in prompt.messages("x")[0]["content"]


def test_a_template_stands_for_the_whole_prompt_and_braces_of_the_text_stay() -> None:
    """The text is put in as it is, whatever it holds."""
    prompt = Prompt(LABELS, template="One of\n{labels}\n{text}\nLabel:")
    assert prompt.messages("{labels} {x}") == [
        {"role": "user", "content": "One of\n- spam\n- ham\n{labels} {x}\nLabel:"},
    ]


@pytest.mark.parametrize("template", ["no place", "{text} and {text}"])
def test_a_template_without_one_place_for_the_text_is_refused(template: str) -> None:
    """Nothing would be classified."""
    with pytest.raises(LabelError, match="exactly once"):
        Prompt(LABELS, template=template)


def test_the_fingerprint_changes_with_all_that_the_model_is_told() -> None:
    """A resumed run must ask the same question."""
    told = [
        Prompt(LABELS),
        Prompt(("ham", "spam")),
        Prompt(LABELS, {"spam": "x"}),
        Prompt(LABELS, instructions="Sort."),
        Prompt(LABELS, template="{text}"),
    ]
    assert len({prompt.fingerprint for prompt in told}) == len(told)
    assert Prompt(LABELS).fingerprint == told[0].fingerprint


def test_a_rows_question_is_greedy_pinned_and_held_to_the_labels() -> None:
    """What the engine needs to answer a label with its probabilities."""
    body = json.loads(LabelQuestion(Prompt(LABELS), "local").row('say "hi" \\ ü', (4, 5), 2))
    assert body["model"] == "local"
    assert body["temperature"] == 0
    assert body["max_tokens"] == 2
    assert body["logprobs"] is True
    assert body["logprob_token_ids"] == [4, 5]
    assert body["structured_outputs"] == {"choice": ["spam", "ham"]}
    assert body["messages"][-1]["content"].endswith('say "hi" \\ ü')


def test_a_further_question_begins_the_answer() -> None:
    """The model goes on from there, held to what is left of the labels; nothing, where one ends there."""
    labels = ("sp", "spam")
    body = json.loads(LabelQuestion(Prompt(labels), "local").below("a text", "sp", labels, ()))
    assert body["messages"][-1] == {"role": "assistant", "content": "sp"}
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert body["max_tokens"] == 1
    assert body["structured_outputs"] == {"choice": ["", "am"]}
    assert "logprob_token_ids" not in body


def test_a_labels_spelling_is_asked_for_as_a_whole_answer() -> None:
    """So that the end of the answer is seen behind it."""
    body = json.loads(LabelQuestion(Prompt(LABELS), "local").spelled("spam"))
    assert body["messages"][-1] == {"role": "assistant", "content": "spam"}
    assert body["add_generation_prompt"] is False
    assert body["prompt_logprobs"] == 1

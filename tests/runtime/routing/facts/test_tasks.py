"""The task of a request: the kinds as people write them, in every dialect, and in whatever wraps a question."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.routing.boxes import chat, query_of
from tests.runtime.routing.facts.prompts import PROMPTS

LEAST = 0.9  # of the prompts of a task
DATA = "data:{};base64,AAAA"


def task(body: dict[str, Any], dialect: str = "openai_chat") -> str:
    return query_of(body, dialect=dialect).task


@pytest.mark.parametrize("kind", PROMPTS)
def test_each_kind_is_known_as_people_write_it(kind: str) -> None:
    """At least 25 prompts each, in several languages."""
    wrong = [prompt for prompt in PROMPTS[kind] if task(chat(prompt)) != kind]
    assert len(PROMPTS[kind]) >= 25
    assert len(wrong) <= (1 - LEAST) * len(PROMPTS[kind]), wrong


def _media(text: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return chat([{"type": "text", "text": text}, *parts] if text else list(parts))


IMAGE = {"type": "image_url", "image_url": {"url": DATA.format("image/png")}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
VIDEO = {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": DATA.format("application/pdf")}}
ASKED = (
    "",
    "What is in it?",
    "Summarize it.",
    "Extract all names.",
    "Write the code that draws this.",
    "Solve the equation shown.",
    "Was ist hier zu sehen?",
)


@pytest.mark.parametrize("part", [IMAGE, AUDIO, VIDEO, PDF])
@pytest.mark.parametrize("asked", ASKED)
def test_media_in_the_last_turn_are_multimodal(asked: str, part: dict[str, Any]) -> None:
    """Whatever is asked of them."""
    assert task(_media(asked, part)) == "multimodal"


def test_media_of_the_other_dialects_are_multimodal() -> None:
    """Anthropic's blocks and the items of responses."""
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    for block in ({"type": "image", "source": source}, {"type": "document", "source": source}):
        assert task(chat([block, {"type": "text", "text": "?"}]), "anthropic_messages") == "multimodal"
    item = {"role": "user", "content": [{"type": "input_image", "image_url": DATA.format("image/png")}]}
    assert task({"model": "auto", "input": [item]}, "openai_responses") == "multimodal"


def test_an_earlier_image_leaves_the_next_question_its_own_task() -> None:
    """Talk about it stays multimodal; code is code."""
    before = [*_media("What is this?", IMAGE)["messages"], {"role": "assistant", "content": "A dog."}]
    for text, kind in (
        ("And what colour is it?", "multimodal"),
        ("Write a Python function that sorts a list.", "code"),
    ):
        assert task({"messages": [*before, {"role": "user", "content": text}]}) == kind


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


@pytest.mark.parametrize("asked", ["Is it raining?", "Write a Python script that checks the weather", "What is 3 + 4?"])
def test_a_tools_result_in_the_last_turn_is_tool(asked: str) -> None:
    """In every dialect, whatever was asked before; the question after it is its own."""
    user = {"role": "user", "content": asked}
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    for role in ("tool", "function"):
        messages = [user, called, {"role": role, "tool_call_id": "c1", "name": "weather", "content": "rain"}]
        assert task({"messages": messages}) == "tool"
        more = [
            *messages,
            {"role": "assistant", "content": "It rains."},
            {"role": "user", "content": "Tell me a joke."},
        ]
        assert task({"messages": more}) == "chat"
    used = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "rain"}]}
    assert task({"messages": [user, used, result]}, "anthropic_messages") == "tool"
    items = [
        user,
        {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "rain"},
    ]
    assert task({"input": items}, "openai_responses") == "tool"


def test_tools_on_offer_are_no_task() -> None:
    """Only their results are."""
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    assert task(chat("Hello there", tools=tools)) == "chat"


@pytest.mark.parametrize(
    "system",
    [
        "You are a senior Python developer. Write code.",
        "Classify each message of the user as spam or not spam.",
        "You summarize what the user sends.",
        "You solve equations and prove theorems.",
    ],
)
def test_a_system_prompt_alone_never_decides(system: str) -> None:
    """The user's own words do, in every dialect."""
    for words, kind in (("Hi, my name is Ann and I like gardening.", "chat"), (PROMPTS["math"][0], "math")):
        user = {"role": "user", "content": words}
        assert task({"messages": [{"role": "system", "content": system}, user]}) == kind
        assert task({"system": system, "messages": [user]}, "anthropic_messages") == kind
        assert task({"instructions": system, "input": words}, "openai_responses") == kind


@pytest.mark.parametrize(
    ("turns", "kind"),
    [
        (["Write a Python function that sorts a list.", "Now make it faster."], "code"),
        (["Write a Python function that sorts a list.", "Thanks! What is a good recipe for pancakes?"], "chat"),
        (["Write a Python function that sorts a list.", "Thanks!"], "chat"),
        (["What is the capital of France?", "Classify this review as positive or negative: great phone"], "extraction"),
        ([PROMPTS["document"][0], "And what about the accident?"], "document"),
        (["Tell me a story about a fox.", "Summarize it in one sentence."], "summary"),
        (["Solve 3x + 5 = 20.", "Why?"], "math"),
        ([PROMPTS["code"][1], "Explain quantum entanglement to a ten-year-old."], "chat"),
    ],
)
def test_the_last_turn_decides_unless_it_goes_on_with_an_earlier_one(turns: list[str], kind: str) -> None:
    """Answers stand between them."""
    messages: list[dict[str, str]] = []
    for turn in turns:
        messages += [{"role": "user", "content": turn}, {"role": "assistant", "content": "Certainly."}]
    assert task({"messages": messages[:-1]}) == kind


def test_a_text_file_is_a_document_to_ask_about() -> None:
    """Its text counts as given, though nobody reads it for the decision."""
    source = {"type": "text", "media_type": "text/plain", "data": "The board met in May. " * 200}
    block = {"type": "document", "source": source}
    body = chat([block, {"type": "text", "text": "Why did the board meet?"}])
    assert task(body, "anthropic_messages") == "document"
    assert task(chat([block, {"type": "text", "text": "Extract all dates."}]), "anthropic_messages") == "extraction"


def test_a_closed_list_of_answers_is_labelling() -> None:
    """Both of the engine's ways of asking for one."""
    assert task(chat("Great phone", structured_outputs={"choice": ["good", "bad"]})) == "extraction"
    assert task(chat("Great phone", guided_choice=["good", "bad"])) == "extraction"


def test_labelling_needs_a_given_text() -> None:
    """A question about labelling, or a program for it, is none."""
    assert task(chat("How do I classify images with a neural network?")) != "extraction"
    assert task(chat("Write a Python function that extracts all e-mail addresses from a string.")) == "code"
    assert task(chat("What is sentiment analysis?")) == "chat"


STYLES: dict[str, Callable[[int, str], str]] = {
    "A)": lambda at, text: f"{'ABCDEFGH'[at]}) {text}",
    "(A)": lambda at, text: f"({'ABCDEFGH'[at]}) {text}",
    "1.": lambda at, text: f"{at + 1}. {text}",
    "a.": lambda at, text: f"{'abcdefgh'[at]}. {text}",
    "-": lambda at, text: f"- {text}",
    "none": lambda at, text: text,
}
WRAPPERS = (
    "{}",
    "{}\nAnswer:",
    "Question: {}\nAnswer:",
    "Choose the best answer.\n\n{}",
    "{}\n\nChoose the best answer.",
)


def _question(prompt: str) -> tuple[str, list[str]]:
    """The stem and the options of a question of the open set."""
    stem, _, rest = prompt.removesuffix("\nAnswer:").partition("\nA. ")
    first, _, rest = rest.partition("\nB. ")
    second, _, rest = rest.partition("\nC. ")
    return stem, [first, second, *rest.split("\nD. ")]


def test_a_question_has_the_task_of_its_stem_in_every_wrapper(shared: Path) -> None:
    """At least 95 % of questions, in each option style and wrapper, and in all of them together."""
    lines = (shared / "routing" / "mmlu_open.jsonl").read_text(encoding="utf-8").split("\n")[:-1:40]
    same: dict[str, int] = dict.fromkeys((*STYLES, *WRAPPERS), 0)
    in_all = 0
    for line in lines:
        stem, options = _question(json.loads(line)["prompt"])
        kind = task(chat(stem))
        styled = {name: "\n".join([stem, *map(mark, range(9), options)]) for name, mark in STYLES.items()}
        found = {name: task(chat(text)) == kind for name, text in styled.items()}
        found |= {wrapper: task(chat(wrapper.format(styled["A)"]))) == kind for wrapper in WRAPPERS}
        in_all += all(found.values())
        for name, agreed in found.items():
            same[name] += agreed
    assert {name: count for name, count in same.items() if count < 0.97 * len(lines)} == {}
    assert in_all >= 0.95 * len(lines)


@pytest.mark.parametrize(
    ("name", "group", "kinds", "least"),
    [
        ("gsm8k_open", "gsm8k", {"math"}, 0.95),
        ("ulab_train_open", "math", {"math"}, 0.9),
        ("ulab_train_open", "mbpp", {"code"}, 0.97),
        ("ulab_train_open", "human_eval", {"code"}, 0.97),
        ("ulab_train_open", "natural_qa", {"chat"}, 0.97),
        ("ulab_train_open", "commonsense_qa", {"chat"}, 0.97),
        ("mmlu_open", "sociology", {"chat"}, 0.95),
        ("mmlu_open", "world_religions", {"chat"}, 0.95),
        ("mtbench_open", "coding", {"code"}, 0.9),
        ("mtbench_open", "extraction", {"extraction", "document"}, 0.7),
    ],
)
def test_open_sets_have_the_task_they_were_made_for(
    shared: Path, name: str, group: str, kinds: set[str], least: float
) -> None:
    """Word problems are math, programming exercises code, trivia chat."""
    rows = map(json.loads, (shared / "routing" / f"{name}.jsonl").read_text(encoding="utf-8").strip().split("\n"))
    found = [task(chat(row["prompt"])) for row in rows if row["group"] == group][:200]
    assert sum(each in kinds for each in found) >= least * len(found)

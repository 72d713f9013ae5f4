"""Facts read off a body: what is seen, what it costs, and that nothing strange stops the reading."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.routing.facts.hints import Hints
from runtime.routing.facts.query import read_query
from runtime.routing.facts.tokens import TokenEstimate
from tests.runtime.routing.boxes import CALM, CLAUDE, GEMINI, chat, facts_of, fleet_of, planned, policy_of, query_of


def test_a_plain_chat() -> None:
    """Text alone, estimated at about four characters a token."""
    query = query_of(chat("word " * 400, stream=True, max_tokens=50), {"x-team": "web"})
    facts = query.facts
    assert 480 <= facts.prompt_tokens <= 530
    assert (facts.model, facts.stream, facts.max_tokens, facts.media) == ("auto", True, 50, False)
    assert query.text.headers["x-team"] == "web"


def test_the_newer_limit_wins() -> None:
    """`max_completion_tokens` before `max_tokens`."""
    assert facts_of(chat(max_tokens=10, max_completion_tokens=20)).max_tokens == 20


@pytest.mark.parametrize(
    ("part", "modality"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "audio"),
        ({"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}, "video"),
        ({"type": "file", "file": {"file_id": "f"}}, "pdf"),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}}, "pdf"),
        ({"type": "file", "file": {"file_data": "AAAA", "filename": "speech.mp3"}}, "audio"),
    ],
)
def test_media_are_seen_in_content_parts(part: dict[str, Any], modality: str) -> None:
    """Each counts as what it is."""
    facts = facts_of(
        {"model": "auto", "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, part]}]}
    )
    assert facts.modalities == {"text", modality}


def test_a_text_file_is_text() -> None:
    """A document every model reads is no medium."""
    part = {"type": "file", "file": {"file_data": "data:text/plain;base64,QUJD", "filename": "a.txt"}}
    assert facts_of({"messages": [{"role": "user", "content": [part]}]}).modalities == {"text"}


def test_tools_schemas_and_logprobs_are_seen() -> None:
    """Capabilities that a request needs of a target."""
    body = chat(
        tools=[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
        response_format={"type": "json_schema", "json_schema": {"schema": {}}},
        logprobs=True,
        n=3,
    )
    facts = facts_of(body)
    assert (facts.tools, facts.structured, facts.logprobs, facts.n) == (True, True, True, 3)
    assert facts.prompt_tokens > facts_of(chat()).prompt_tokens


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Write a Python function that reverses a list", "code"),
        ("```\nint main() {}\n```", "code"),
        ("Classify the following review: great phone", "extraction"),
        ("Extract all names from the text: Ann met Bob", "extraction"),
        ("How many apples does Ann have if she buys 3 and eats 1?", "math"),
        ("Tell me about the history of Venice", "chat"),
    ],
)
def test_the_task_gate(text: str, task: str) -> None:
    """Cheap signs separate the four tasks."""
    assert query_of(chat(text)).task == task


def test_an_answer_out_of_a_list_is_extraction() -> None:
    """Structured choice is classification whatever the words."""
    assert query_of(chat("Great phone", structured_outputs={"choice": ["good", "bad"]})).task == "extraction"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the capital of France and how do I get to it?", "en"),
        ("Wie heißt die Hauptstadt von Frankreich und wie komme ich zu ihr?", "de"),
        ("¿Cuál es la capital de Francia y cómo llego con el tren?", "es"),
        ("法国的首都是哪里？", "zh"),
        ("フランスの首都はどこですか", "ja"),
        ("프랑스의 수도는 어디입니까", "ko"),
        ("Какая столица Франции?", "ru"),
        ("7", None),
    ],
)
def test_the_language(text: str, language: str | None) -> None:
    """By script, then by common words; None where there is too little."""
    assert query_of(chat(text)).language == language


def test_completions_and_embeddings_are_read() -> None:
    """Texts and token ids alike."""
    assert facts_of({"prompt": ["a b c d", "e f g h"]}, dialect="openai_completions").prompt_tokens == 4
    assert facts_of({"prompt": [1, 2, 3]}, dialect="openai_completions").prompt_tokens == 3
    assert facts_of({"input": [[1, 2], [3]]}, dialect="openai_embeddings").prompt_tokens == 3


@pytest.mark.parametrize(
    ("dialect", "body", "tokens", "longest"),
    [
        ("openai_embeddings", {"input": "a b c d"}, 2, 0),
        ("openai_embeddings", {"input": [[1, 2], [3]]}, 3, 2),
        ("openai_completions", {"prompt": [1, 2, 3]}, 3, 0),
        ("rerank", {"query": "a b c d", "documents": ["e f g h i j k l", {"text": "m n o p"}]}, 9, 6),
        ("rerank", {"query": None, "documents": [7, None, []]}, 1, 0),
    ],
)
def test_prompts_that_are_read_each_for_itself(dialect: str, body: dict[str, Any], tokens: int, longest: int) -> None:
    """A window holds the longest of them; a query is read with each document."""
    facts = facts_of(body, dialect=dialect)
    assert (facts.prompt_tokens, facts.longest) == (tokens, longest)


def test_the_estimate_learns_a_models_ratio() -> None:
    """After some answers the estimate is what the model counts."""
    tokens = TokenEstimate()
    body = chat("palabras y más palabras " * 200)
    plain = read_query("openai_chat", body, Hints(), {}, tokens).facts.plain
    for _ in range(200):
        tokens.learn(plain, round(plain * 1.4))
    assert read_query("openai_chat", body, Hints(), {}, tokens).facts.prompt_tokens == pytest.approx(
        plain * 1.4, rel=0.02
    )


def test_one_odd_count_does_not_spoil_the_estimate() -> None:
    """Observations are bounded and averaged."""
    tokens = TokenEstimate()
    tokens.learn(100.0, 1_000_000)
    assert tokens.ratio < 1.2


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_PART = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("type", "text", "image_url", "input_audio", "file", "file_data"), _JSON)
)
_MESSAGE = st.fixed_dictionaries(
    {}, optional={"role": _JSON, "content": _JSON | st.lists(_PART, max_size=3), "tool_calls": _JSON}
)
_FIELDS = ("model", "tools", "functions", "response_format", "structured_outputs", "logprobs", "n", "max_tokens")
_BODY = st.fixed_dictionaries(
    {},
    optional={
        "messages": _JSON | st.lists(_MESSAGE | _JSON, max_size=4),
        "prompt": _JSON,
        "input": _JSON,
        "metadata": _JSON,
        **dict.fromkeys(_FIELDS, _JSON),
    },
)


@settings(max_examples=60, **CALM)
@given(_BODY, st.sampled_from(["openai_chat", "openai_completions", "openai_embeddings", "rerank"]))
def test_no_body_stops_the_reading(body: dict[str, Any], dialect: str) -> None:
    """Facts are always read, finite and in their ranges."""
    query = read_query(dialect, body, Hints(), {}, TokenEstimate())
    facts = query.facts
    assert math.isfinite(query.score)
    assert 0.0 <= query.score < 1.0
    assert facts.prompt_tokens >= 0
    assert facts.n >= 1
    assert isinstance(facts.model, str)


@settings(max_examples=60, **CALM)
@given(st.text())
def test_the_score_of_any_text_is_in_range(text: str) -> None:
    """A percentile, always."""
    score = query_of(chat(text)).score
    assert math.isfinite(score)
    assert 0.0 <= score < 1.0


@pytest.mark.parametrize(("size", "seconds"), [(2_000, 0.002), (100_000, 0.01)])
def test_a_decision_is_cheap(size: int, seconds: float) -> None:
    """Facts and plan: the median stays far inside bounds that are loose, since the machine is shared."""
    body = chat(("Please say who is late with the quarterly report and why that is. " * 2000)[:size])
    fleet, policy = fleet_of(CLAUDE, GEMINI), policy_of()
    taken = []
    for _ in range(50):
        start = time.perf_counter()
        planned(query_of(body), fleet, policy, 0.0)
        taken.append(time.perf_counter() - start)
    assert sorted(taken)[25] < seconds

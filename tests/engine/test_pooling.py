"""An embedding model on a real vLLM: vectors, and documents in the order in which they answer a query."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.engine.encoder import encoder
from tests.engine.serving import Serving, free_port

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

FACTS = ["Bananas are yellow.", "Paris is the capital of France.", "France makes wine."]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    served = Serving(tmp_path_factory.mktemp("pooling"), free_port(), model=str(encoder()))
    try:
        served.wait_ready()
        yield served
    finally:
        served.end()


def test_embeddings_through_the_openai_sdk(serving: Serving) -> None:
    """One vector a text, of the same length; what is alike is near."""
    with openai.OpenAI(base_url=f"{serving.url}/v1", api_key="none", max_retries=0) as client:
        made = client.embeddings.create(model="auto", input=["a cat", "a kitten", "the stock market"])
    cat, kitten, market = (row.embedding for row in made.data)
    assert len(cat) == len(market) == 384 and made.usage.prompt_tokens > 0
    assert _dot(cat, kitten) > _dot(cat, market) + 0.2


def test_a_query_orders_documents(serving: Serving) -> None:
    """The answer of an embedding model is by likeness; tokens are counted in the record."""
    asked = {"model": "auto", "query": "What is the capital of France?", "documents": FACTS, "top_n": 2}
    answer = serving.http.post("/v1/rerank", json=asked)
    assert answer.status_code == 200 and answer.headers["x-hearth-target"] == "local/model"
    assert [row["index"] for row in answer.json()["results"]] == [1, 2]
    decision = serving.http.get(f"/hearth/decisions/{answer.headers['x-hearth-decision']}").json()
    assert decision["prompt_tokens"] == answer.json()["usage"]["prompt_tokens"] > 10


def test_many_texts_that_each_fit_are_one_request(serving: Serving) -> None:
    """More tokens together than the model's 256."""
    texts = [f"{number} sheep jump over the fence and sleep until the morning comes." for number in range(64)]
    answer = serving.http.post("/v1/embeddings", json={"model": "auto", "input": texts})
    assert answer.status_code == 200 and len(answer.json()["data"]) == 64
    assert answer.json()["usage"]["prompt_tokens"] > 512


def test_what_it_cannot_is_refused_with_a_reason(serving: Serving) -> None:
    """It generates nothing."""
    answer = serving.chat(model="local")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "unsupported"
    assert "no chat" in answer.json()["error"]["message"]


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))

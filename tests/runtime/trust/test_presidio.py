"""Names by presidio: a stand-in for its modules, and what holds where it is missing, late or broken."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runtime.settings import Privacy
from runtime.trust import presidio
from runtime.trust.presidio import MOST_CHARACTERS, Presidio, load, without_presidio


class StandIn:
    """presidio's and spaCy's modules, as far as they are called. asked: the text, language and entities of each call."""

    def __init__(self, models: list[str]) -> None:
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self.made: list[Any] = []
        stand_in = self

        class NlpEngineProvider:
            def __init__(self, nlp_configuration: dict[str, Any]) -> None:
                stand_in.made.append(nlp_configuration["models"])

            def create_engine(self) -> str:
                return "engine"

        class AnalyzerEngine:
            def __init__(self, nlp_engine: str, supported_languages: list[str]) -> None:
                stand_in.made.append((nlp_engine, supported_languages))

            def analyze(self, text: str, language: str, entities: list[str]) -> list[str]:
                stand_in.asked.append((text, language, tuple(entities)))
                return ["a result"] if "Maria" in text and language == "en" else []

        self.modules = {
            "presidio_analyzer": types.SimpleNamespace(AnalyzerEngine=AnalyzerEngine),
            "presidio_analyzer.nlp_engine": types.SimpleNamespace(NlpEngineProvider=NlpEngineProvider),
            "spacy": types.SimpleNamespace(__spec__=object()),
            "spacy.util": types.SimpleNamespace(get_installed_models=lambda: models),
        }


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[StandIn], None]]:
    def installed(stand_in: StandIn) -> None:
        for name, module in stand_in.modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(presidio, "installed", lambda: True)

    yield installed


async def test_names_are_found_in_each_language_that_has_a_model(put: Callable[[StandIn], None]) -> None:
    """The largest model of a language, once; people alone are asked for, and nothing is downloaded."""
    stand_in = StandIn(["de_core_news_sm", "en_core_web_sm", "en_core_web_lg"])
    put(stand_in)
    names = Presidio()
    assert await names.names("Maria Kowalska called", 30) == {"name"}
    assert await names.names("the weather in spring", 30) == frozenset()
    models, (engine, languages) = stand_in.made
    assert {each["lang_code"]: each["model_name"] for each in models} == {
        "en": "en_core_web_lg",
        "de": "de_core_news_sm",
    }
    assert engine == "engine" and sorted(languages) == ["de", "en"]
    assert {entities for _, _, entities in stand_in.asked} == {("PERSON",)}


async def test_where_it_is_missing_nothing_was_looked_into(put: Callable[[StandIn], None]) -> None:
    """The package, or a model for it."""
    assert await Presidio(lambda: None).names("Maria", 30) == {"unread"}
    put(StandIn([]))
    assert load() is None


def test_a_setting_that_has_no_force_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is wanted, and not installed."""
    wanted = Privacy(detect="warn", names="presidio")
    monkeypatch.setattr(presidio, "installed", lambda: False)
    assert "presidio-analyzer" in without_presidio(wanted)[0]
    assert without_presidio(Privacy(names="presidio")) == without_presidio(Privacy(detect="warn", names="engine")) == []
    monkeypatch.setattr(presidio, "installed", lambda: True)
    assert without_presidio(wanted) == []


async def test_late_or_broken_it_says_that_nothing_was_looked_into() -> None:
    """The request is not held up by a load that takes longer, and the next one finds it loaded."""
    free, began = threading.Event(), threading.Event()

    def slow() -> Callable[[str], bool]:
        began.set()
        assert free.wait(30)
        return lambda text: "Maria" in text

    names = Presidio(slow)
    assert await names.names("Maria", 0.02) == {"unread"}
    assert began.wait(30)
    free.set()
    assert await names.names("Maria", 30) == {"name"}

    def broken(text: str) -> bool:
        raise ValueError(text)

    assert await Presidio(lambda: broken).names("Maria", 30) == {"unread"}


async def test_only_so_much_of_a_text_is_looked_into() -> None:
    """The rest is named; what was found in the beginning counts all the same."""
    seen: list[int] = []

    def analyzer(text: str) -> bool:
        seen.append(len(text))
        return text.startswith("Maria")

    names = Presidio(lambda: analyzer)
    assert await names.names("x" * (MOST_CHARACTERS + 1), 30) == {"unread"}
    assert await names.names("Maria" + "x" * MOST_CHARACTERS, 30) == {"name", "unread"}
    assert seen == [MOST_CHARACTERS] * 2

"""Names found by presidio, where its package `presidio-analyzer` and a spaCy model are installed. It is never a dependency.

It is loaded when it is first asked, which takes seconds, in its own thread, which also does its work: a request waits for it
as long as the settings allow. Nothing is downloaded: presidio would fetch a model that is missing, so it is given those alone
that are there.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runtime.settings import Privacy
from runtime.trust.personal import NAME, UNREAD

MOST_CHARACTERS = 32_000  # of one request that are looked at
_PACKAGES = ("presidio_analyzer", "spacy")
_SIZES = ("_lg", "_trf", "_md", "_sm")  # of spaCy's models, best first
_PERSON = "PERSON"
Analyzer = Callable[[str], bool]  # True if a text names a person


def installed() -> bool:
    """True if both packages are; whether spaCy has a model is known when it is loaded."""
    return all(importlib.util.find_spec(each) is not None for each in _PACKAGES)


def without_presidio(privacy: Privacy) -> list[str]:
    """The sentence for a `names = "presidio"` where it is not installed."""
    if privacy.names != "presidio" or privacy.detect == "off" or installed():
        return []
    words = "presidio-analyzer and spacy are not installed"
    return [f"privacy.names has no force ({words}): under enforce each request counts as one with personal data"]


def load() -> Analyzer | None:
    """The analyzer over one installed model of each language; None where anything is missing."""
    if not installed():
        return None
    presidio, engines = (
        importlib.import_module("presidio_analyzer"),
        importlib.import_module("presidio_analyzer.nlp_engine"),
    )
    models: dict[str, str] = {}
    for name in sorted(importlib.import_module("spacy.util").get_installed_models(), key=_rank):
        models.setdefault(name[:2], name)
    if not models:
        return None
    listed = [{"lang_code": language, "model_name": name} for language, name in models.items()]
    provider = engines.NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": listed})
    analyzer: Any = presidio.AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=list(models))

    def names(text: str) -> bool:
        return any(analyzer.analyze(text, language=each, entities=[_PERSON]) for each in models)

    return names


def _rank(model: str) -> tuple[int, str]:
    return next((at for at, size in enumerate(_SIZES) if size in model), len(_SIZES)), model


class Presidio:
    """The one analyzer of the process. load: makes it, in its thread."""

    def __init__(self, load: Callable[[], Analyzer | None] = load) -> None:
        self._load = load
        self._thread = ThreadPoolExecutor(1, "hearth: presidio")
        self._analyzer: Analyzer | None = None
        self._loaded = False

    def _names(self, text: str) -> bool | None:
        if not self._loaded:
            self._loaded = True  # a load that fails is not tried again
            self._analyzer = self._load()
        return None if self._analyzer is None else self._analyzer(text)

    async def names(self, text: str, within_s: float) -> frozenset[str]:
        """NAME where one is found; UNREAD where presidio is missing, failed, was late, or saw only a part of the text."""
        unread = frozenset({UNREAD}) if len(text) > MOST_CHARACTERS else frozenset[str]()
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._names, text[:MOST_CHARACTERS])
        try:
            found = await asyncio.wait_for(work, within_s)
        except Exception:  # noqa: BLE001 - a foreign program's: whatever it raises, nothing was found out
            return frozenset({UNREAD})
        if found is None:
            return frozenset({UNREAD})
        return unread | {NAME} if found else unread

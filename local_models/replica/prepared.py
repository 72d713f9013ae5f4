"""A model that is ready to be served, and how it is prepared. Knows no hub, no catalogue and no process."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from local_models.replica.canary import EMBEDS
from runtime.contract.targets import Capabilities

Notice = Callable[[str], None]
"""Takes one line of progress."""

_log = logging.getLogger(__name__)


def safe(notice: Notice) -> Notice:
    """`notice` without its exceptions: a closed stderr or a caller's fault is logged and never ends a supervisor."""

    def tell(line: str) -> None:
        try:
            notice(line)
        except Exception as error:  # noqa: BLE001 - whatever a caller's function raises
            _log.warning("a line of progress could not be shown (%s): %s", type(error).__name__, line)

    return tell


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A model whose weights are on this machine.

    path: the folder vLLM is pointed at.
    name: the id the engine serves it under.
    max_model_len: tokens of context the engine is started with; None leaves it to the engine.
    args: what the catalogue adds to the command line (tool-call parser, reasoning parser, tensor parallel size).
    pools: see `Served.pools`.
    """

    path: Path
    name: str
    max_model_len: int | None = None
    args: tuple[str, ...] = ()
    pools: str = ""
    capabilities: Capabilities = field(default_factory=Capabilities)


def pooling(can: Capabilities, pools: str) -> Capabilities:
    """Those of a model that answers with vectors or scores. vLLM scores with vectors too, by their likeness."""
    return replace(can, tools=False, chat=False, completions=False, embeddings=pools == EMBEDS, rerank=True)


class PrepareError(Exception):
    """The weights cannot be had. `cause` says what to do; `deterministic`: trying again alone will not help."""

    def __init__(self, cause: str, *, deterministic: bool) -> None:
        super().__init__(cause)
        self.cause = cause
        self.deterministic = deterministic


Prepare = Callable[[str, Notice], Awaitable[PreparedModel]]
"""(the model as the settings name it, where to tell of progress) -> the model on disk. Raises PrepareError."""

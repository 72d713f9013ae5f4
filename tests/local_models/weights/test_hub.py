"""Downloads from a hub on loopback: whole, cut, ended half-way and resumed, refused, and without network."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_models.weights import hub
from local_models.weights.errors import (
    AccessDeniedError,
    DownloadError,
    NoSpaceError,
    NoSuchModelError,
    NotAModelError,
    OfflineError,
)
from local_models.weights.weights import prepare
from tests.fakes.guard import GUARD
from tests.local_models.fake_hub import REPO, FakeHub
from tests.local_models.weights.safetensors import safetensors_head

CONFIG = json.dumps({"model_type": "llama", "max_position_embeddings": 4096}).encode()
_NUMBERS = bytes(range(256)) * 4096 * 24  # 24 MiB
WEIGHTS = safetensors_head(len(_NUMBERS) + 208) + _NUMBERS
HALF = 20 << 20  # two of the pieces the downloader writes


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    files = {"config.json": CONFIG, "model.safetensors": WEIGHTS, "README.md": b"#", "original/params.json": b"{}"}
    with FakeHub(files | {"modeling.py": b"raise SystemExit"}) as running:
        yield running


@pytest.fixture
def environ(fake: FakeHub, tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return {**kept, "HF_ENDPOINT": fake.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}


def _ignore(at: hub.DownloadProgress) -> None: ...


async def test_a_download_brings_weights_and_config_and_no_code(fake: FakeHub, environ: dict[str, str]) -> None:
    """Only what vLLM needs is fetched, progress reaches the total, and the result is known to be whole."""
    seen: list[hub.DownloadProgress] = []
    assert hub.cached(REPO, environ) is None
    folder = await hub.download(REPO, environ=environ, progress=seen.append, guard=GUARD)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert seen[-1] == hub.DownloadProgress(len(WEIGHTS) + len(CONFIG), len(WEIGHTS) + len(CONFIG))
    assert hub.cached(REPO, environ) == folder


async def test_a_download_that_was_ended_is_resumed(fake: FakeHub, environ: dict[str, str]) -> None:
    """The second run asks for the rest only, and the file is right."""
    fake.stall = HALF
    first = asyncio.create_task(hub.download(REPO, environ=environ, progress=_ignore, guard=GUARD))
    await asyncio.to_thread(fake.stalled.wait, 30)
    partial = hub.cache_folder(environ) / "models--org--model" / "blobs"
    while not any(path.stat().st_size >= HALF for path in partial.glob("*.part")):
        await asyncio.sleep(0.02)  # what the server wrote is not yet on disk, and nothing tells when it is
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert hub.cached(REPO, environ) is None
    fake.release.set()
    folder = await hub.download(REPO, environ=environ, progress=_ignore, guard=GUARD)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert fake.ranges == [f"bytes={HALF}-"]


async def test_bytes_other_than_the_hubs_are_refused(fake: FakeHub, environ: dict[str, str]) -> None:
    """A spoilt part of an earlier run is found out and thrown away; the next run begins the file anew."""
    spoilt = hub.cache_folder(environ) / "models--org--model" / "blobs" / f"{hashlib.sha256(WEIGHTS).hexdigest()}.part"
    spoilt.parent.mkdir(parents=True)
    spoilt.write_bytes(b"x" * HALF)
    with pytest.raises(DownloadError, match="other bytes than the hub announced"):
        await hub.download(REPO, environ=environ, progress=_ignore, guard=GUARD)
    folder = await hub.download(REPO, environ=environ, progress=_ignore, guard=GUARD)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


async def test_a_cut_connection_is_taken_up_again(fake: FakeHub, environ: dict[str, str]) -> None:
    """A cut in the middle of a file costs no byte twice."""
    fake.cut = HALF
    folder = await hub.download(REPO, environ=environ, progress=_ignore, guard=GUARD)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert fake.ranges == [f"bytes={HALF}-"]


async def test_a_start_with_whole_weights_asks_nobody(fake: FakeHub, environ: dict[str, str]) -> None:
    """A hub that is down keeps no engine from starting, offline or not; `pull` (refresh) asks again."""
    folder = await hub.download(REPO, environ=environ, progress=_ignore, guard=GUARD)
    fake.asked.clear()
    fake.refuse = (404, "RepoNotFound")
    for offline in (False, True):
        made = await prepare(REPO, notice=lambda line: None, offline=offline, environ=environ, guard=GUARD)
        assert (made.path, made.name) == (folder, REPO)
        assert made.capabilities.context_tokens == 4096
    assert fake.asked == []
    with pytest.raises(DownloadError):
        await prepare(REPO, notice=lambda line: None, environ=environ, refresh=True, guard=GUARD)


async def test_what_is_not_cached_says_so_offline(environ: dict[str, str]) -> None:
    """Offline and absent is an answer, not a time-out."""
    with pytest.raises(OfflineError, match="not \\(wholly\\) in the hub's cache"):
        await hub.download(REPO, environ=environ, progress=_ignore, offline=True, guard=GUARD)


@pytest.mark.parametrize(
    ("refuse", "error", "words"),
    [
        ((403, "GatedRepo"), AccessDeniedError, "licence must be accepted"),
        ((401, "RepoNotFound"), NoSuchModelError, "has no model org/model, or it is private"),
        ((404, "RepoNotFound"), NoSuchModelError, "has no model org/model"),
    ],
)
async def test_a_refusal_says_what_to_do(
    fake: FakeHub, environ: dict[str, str], refuse: tuple[int, str], error: type[Exception], words: str
) -> None:
    """Gated, private and absent are told apart as far as the hub tells them apart."""
    fake.refuse = refuse
    with pytest.raises(error, match=words):
        await hub.download(REPO, environ=environ, progress=_ignore, guard=GUARD)


async def test_a_hub_that_is_not_reached_says_so(environ: dict[str, str]) -> None:
    """It may pass by itself, so it is not final."""
    with pytest.raises(DownloadError, match="could not be reached") as caught:
        await hub.download(
            REPO, environ={**environ, "HF_ENDPOINT": "http://127.0.0.1:9"}, progress=_ignore, guard=GUARD
        )
    assert not caught.value.deterministic


async def test_a_repository_without_safetensors_is_no_model(fake: FakeHub, environ: dict[str, str]) -> None:
    """Nothing is downloaded that vLLM could not be given."""
    del fake.files["model.safetensors"]
    with pytest.raises(NotAModelError, match="safetensors"):
        await hub.download(REPO, environ=environ, progress=_ignore, guard=GUARD)


async def test_the_facts_of_an_unknown_model_cost_no_download(fake: FakeHub, environ: dict[str, str]) -> None:
    """Config and size are enough to judge whether it fits."""
    config, weights = await hub.facts(REPO, environ=environ, guard=GUARD)
    assert config["max_position_embeddings"] == 4096
    assert weights == len(WEIGHTS)
    assert hub.cached(REPO, environ) is None


async def test_the_weights_of_an_unknown_model_are_those_of_its_index(fake: FakeHub, environ: dict[str, str]) -> None:
    """A file that the index does not name is not counted."""
    fake.files["extra.safetensors"] = b"x" * 1000
    fake.files["model.safetensors.index.json"] = json.dumps({"weight_map": {"w": "model.safetensors"}}).encode()
    _, weights = await hub.facts(REPO, environ=environ, guard=GUARD)
    assert weights == len(WEIGHTS)


async def test_a_file_of_the_index_that_the_hub_lacks_is_named(fake: FakeHub, environ: dict[str, str]) -> None:
    """It is not counted as nothing."""
    fake.files["model.safetensors.index.json"] = json.dumps({"weight_map": {"w": "gone.safetensors"}}).encode()
    with pytest.raises(NotAModelError, match=r"names gone\.safetensors"):
        await hub.facts(REPO, environ=environ, guard=GUARD)


def test_a_full_disk_is_told_in_gibibytes() -> None:
    """How much is needed, how much is free, and where."""
    words = json.dumps({"need": 16 << 30, "free": 4 << 30, "folder": "/models"})
    error = hub.explain(REPO, "space", words)
    assert isinstance(error, NoSpaceError)
    assert "16.0 GiB needed, 4.0 GiB free in /models" in error.cause


def test_a_snapshot_with_a_shard_missing_is_not_whole(tmp_path: Path) -> None:
    """The index says which files there must be."""
    environ = {"HF_HUB_CACHE": str(tmp_path)}
    snapshot = tmp_path / "models--org--model" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--org--model" / "refs").mkdir()
    (tmp_path / "models--org--model" / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")
    (snapshot / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "1.safetensors"}}))
    assert hub.cached(REPO, environ) is None
    (snapshot / "1.safetensors").write_text("")
    assert hub.cached(REPO, environ) == snapshot

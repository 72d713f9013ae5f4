"""Measured speeds of the engine, kept for its next start."""

from __future__ import annotations

from pathlib import Path

from runtime.compose.speeds import SpeedFile
from runtime.contract.engine import EngineSpeed
from runtime.settings import EngineSettings

SLOW, FAST = EngineSpeed(0.1, 0.01, 0.2, 500, 60), EngineSpeed(0.01, 0.001, 0.1, 500, 60)
ENGINE = EngineSettings(model="llama")


def test_the_fastest_replica_now_and_then(tmp_path: Path) -> None:
    """The first only after the pause, then one a pause; the next process reads them."""
    kept = SpeedFile(tmp_path / "speeds.json", ENGINE, every_s=10.0)
    for now in (5.0, 6.0, 14.0, 15.0, 16.0, 25.0):
        kept.learn([SLOW, FAST], now)
    kept.learn([], 99.0)
    assert SpeedFile(tmp_path / "speeds.json", ENGINE).speeds == (FAST, FAST)


def test_the_latest_are_kept(tmp_path: Path) -> None:
    """The file does not grow."""
    kept = SpeedFile(tmp_path / "speeds.json", ENGINE, every_s=1.0)
    for now in range(100):
        kept.learn([SLOW if now < 99 else FAST], float(now))
    assert len(kept.speeds) == 12 and kept.speeds[-1] == FAST


def test_another_engine_has_another_speed(tmp_path: Path) -> None:
    """A model or an argument that changed makes the file void; so does damage."""
    file = tmp_path / "speeds.json"
    kept = SpeedFile(file, ENGINE, every_s=0.0)
    kept.learn([FAST], 1.0)
    assert SpeedFile(file, ENGINE).speeds == (FAST,)
    for other in (EngineSettings(model="other"), EngineSettings(model="llama", args=("--quantization", "fp8"))):
        assert SpeedFile(file, other).speeds == ()
    for garbage in ("", "[1]", '{"key": 3}', "\x00"):
        file.write_text(garbage)
        assert SpeedFile(file, ENGINE).speeds == ()

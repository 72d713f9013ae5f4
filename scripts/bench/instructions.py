"""Instructions that `hearth serve` runs for one request, counted: a figure that other work on the machine cannot move.

    python -m scripts.bench.instructions [--requests 600] [--against TREE] [--golden] [--json]

Valgrind's callgrind counts every instruction of the process outside the kernel, while the load of the gateway benchmark
goes through it: whole answers, and streams of 64 in a burst. The same code differs by less than one in a hundred from run
to run. `--against` counts another checkout of Hearth beside this one and shows the ratio. `--golden` counts this one also with
golden sets configured, of which a night has just been run. Needs valgrind.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from scripts.bench import contenders
from scripts.bench.contenders import Place
from scripts.bench.gateway import BURST, WHOLE, Phase
from scripts.bench.processes import ROOT, Running, free_port
from scripts.bench.stub import MODEL

_WARM = 300
_CASES = 80
_NIGHT_S = 300.0
_TOTALS = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)


def count(tree: Path, phase: Phase, requests: int, *, golden: bool = False) -> float:
    """Instructions for a request of that phase, in the mean. golden: beside golden sets."""
    with tempfile.TemporaryDirectory() as name:
        folder, door, upstream = Path(name), free_port(), free_port()
        stub = (sys.executable, "-m", "scripts.bench.stub", "--port", str(upstream))
        start = contenders.hearth(Place(door, f"http://127.0.0.1:{upstream}", folder))
        counts = folder / "counts"
        if golden:
            cases = "".join(
                f'[[case]]\nprompt = "Question {number}?"\nchecks = [{{ words = 5 }}]\n' for number in range(_CASES)
            )
            (folder / "golden").mkdir()
            (folder / "golden" / "bench.toml").write_text(f"[defaults]\nmax_tokens = 8\n{cases}")
        valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={counts}", "-q")
        env = {**start.env, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
        body = phase.body(start.model)
        with (
            Running(stub, folder / "stub.log"),
            Running((*valgrind, *start.command), folder / "hearth.log", env, cwd=tree) as hearth,
        ):
            hearth.first_answer(f"http://127.0.0.1:{door}/v1/chat/completions", body.encode(), 300.0)
            if golden:
                _night_over(f"http://127.0.0.1:{door}")
            _load(door, phase, body, _WARM)
            _switch("on", hearth.pid)
            _load(door, phase, body, requests)
            _switch("off", hearth.pid)
            hearth.end(60.0)
        found = [int(each) for each in _TOTALS.findall(counts.read_text())]
    return max(found) / requests


def _night_over(url: str) -> None:
    """Waits for the run that makes up for the night before, a minute after the start. Raises TimeoutError."""
    deadline = time.monotonic() + _NIGHT_S
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{url}/hearth/quality/runs") as answer:
            runs = json.load(answer)["data"]
        if any(each.get("closed_at") for each in runs):
            return
        time.sleep(1.0)
    raise TimeoutError("no night was run")


def _load(port: int, phase: Phase, body: str, requests: int) -> None:
    load = (sys.executable, "-m", "scripts.bench.load", "--url", f"http://127.0.0.1:{port}", "--body", body)
    bounds = ("--connections", str(phase.connections), "--requests", str(requests))
    out = subprocess.run((*load, *bounds), cwd=ROOT, check=True, capture_output=True, text=True).stdout
    if json.loads(out)["failed"]:
        raise RuntimeError(f"requests failed under count: {out}")


def _switch(state: str, pid: int) -> None:
    subprocess.run(("callgrind_control", "-i", state, str(pid)), check=True, capture_output=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--against", type=Path, help="another checkout of Hearth")
    parser.add_argument("--golden", action="store_true", help="also with golden sets")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed (Debian's package of that name)", file=sys.stderr)
        return 2
    rows: dict[str, dict[str, float]] = {}
    for phase in (WHOLE, BURST):
        row = rows[phase.name] = {"instructions": count(ROOT, phase, options.requests)}
        if options.against is not None:
            row["against"] = count(options.against.resolve(), phase, options.requests)
            row["ratio"] = row["instructions"] / row["against"]
        if options.golden:
            row["golden"] = count(ROOT, phase, options.requests, golden=True) / row["instructions"]
    if options.json:
        print(json.dumps({"model": MODEL, "phases": rows}))
        return 0
    for name, row in rows.items():
        ratio = f", {row['ratio']:.3f}x {options.against}" if "ratio" in row else ""
        golden = f", {row['golden']:.3f}x with golden sets" if "golden" in row else ""
        print(f"{name}: {row['instructions'] / 1000:.0f} thousand instructions a request{ratio}{golden}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

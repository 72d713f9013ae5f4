"""What early confidence is worth on the built-in model, and what looking at it costs.

    python -m scripts.bench.confidence quality --out docs/confidence.json [--judged FILE]
    python -m scripts.bench.confidence cost [--rounds 5] [--seconds 3] [--json]
    python -m scripts.bench.confidence engine [--rounds 5] [--seconds 8] [--json]

quality  Hearth starts vLLM with the built-in model, which answers the questions of `scripts.bench.questions`; `hearth
         calibrate` judges them. Sources on which it is right in less than 20 % or more than 80 % of cases are listed and not
         counted. --judged: a file of answers that were judged before.
cost     CPU time of Hearth per stream in front of a stub that answers at once, with log probabilities where they are asked for:
         the same Hearth with `confidence` 0 twice, for the noise, and once with every answer judged.
engine   tokens per second of the real vLLM through Hearth, with `confidence` 0 and with every answer judged, in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from local_models.installer import progress
from runtime.compose.confidence import revision_served, write_map
from runtime.routing.calibration import Judged, auroc_of, isotonic, scored, split_error, unseen_scores
from runtime.routing.confidence import FEATURES, ConfidenceMap
from runtime.settings import load
from scripts.bench.engine import Side
from scripts.bench.gateway import BURST, PACED, Entrant
from scripts.bench.processes import ROOT, Running, free_port
from scripts.bench.questions import sources
from scripts.bench.stub import MODEL as STUB

_MODEL = "smollm2-135m"
_BAND = (0.2, 0.8)
_RESAMPLES = 2000
_ASK = b'{"model":"local","max_tokens":1,"messages":[{"role":"user","content":"Hello"}]}'
_START_S = 400.0
# A map by which every answer is judged and none leaves.
SURE = ConfidenceMap("", "", (0.0,) * 6, (1.0,) * 6, (0.0,) * 6, 0.0, (0.0,), (1.0,))


# Quality


def judged_answers(folder: Path) -> Path:
    """The answers of the real model, judged by `hearth calibrate`."""
    questions, judged = folder / "questions.jsonl", folder / "judged.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for lines in sources().values() for line in lines))
    with serving(folder, '[engine]\nmodel = "smollm2-135m"\ndevice = "cpu"\nargs = ["--max-num-seqs", "8"]\n') as (
        url,
        _,
    ):
        command = ("calibrate", "--confidence", str(questions), "--url", url, "-o", str(judged), "--max-tokens", "40")
        subprocess.run((sys.executable, "-m", "runtime.cli", *command), cwd=ROOT, check=True)
    return judged


def quality(judged: Path) -> dict[str, Any]:
    """The figures of a file of judged answers."""
    by_source: dict[str, list[Judged]] = {}
    for line in judged.read_text().splitlines():
        row = json.loads(line)
        if "features" in row:
            by_source.setdefault(row["id"].partition("/")[0], []).append(
                Judged(tuple(row["features"]), row["label"] == "right")
            )
    counted = {name: rows for name, rows in by_source.items() if _BAND[0] <= _share(rows) <= _BAND[1]}
    order = random.Random(0)
    rows = [(name, row) for name, found in counted.items() for row in found]
    order.shuffle(rows)
    answers = [row for _, row in rows]
    scores, truths = unseen_scores(answers), [row.right for row in answers]
    within = [
        auroc([s for s, (name, _) in zip(scores, rows, strict=True) if name == source], [r.right for r in found])
        for source, found in _in_order(rows).items()
    ]
    return {
        "model": _MODEL,
        "questions": sum(map(len, by_source.values())),
        "counted": len(answers),
        "right": sum(truths),
        "auroc": auroc(scores, truths),
        "auroc_of_the_mean_alone": auroc([row.features[0] for row in answers], truths),
        "auroc_within_sources": round(statistics.mean(each["value"] for each in within), 3),
        "calibration_error": round(split_error(scores, truths), 3),
        "features": {
            name: auroc([row.features[place] for row in answers], truths) for place, name in enumerate(FEATURES)
        },
        "sources": [_source(name, found, counted, rows, scores) for name, found in by_source.items()],
        "reliability": _reliability(scores, truths),
    }


def _in_order(rows: Sequence[tuple[str, Judged]]) -> dict[str, list[Judged]]:
    found: dict[str, list[Judged]] = {}
    for name, row in rows:
        found.setdefault(name, []).append(row)
    return found


def _share(rows: Sequence[Judged]) -> float:
    return sum(row.right for row in rows) / len(rows)


def auroc(scores: Sequence[float], truths: Sequence[bool]) -> dict[str, Any]:
    """The AUROC with its 95 % interval from resampled answers."""
    chance, pairs = random.Random(1), list(zip(scores, truths, strict=True))
    found = []
    for _ in range(_RESAMPLES):
        drawn = chance.choices(pairs, k=len(pairs))
        if 0 < sum(truth for _, truth in drawn) < len(drawn):
            found.append(auroc_of([score for score, _ in drawn], [truth for _, truth in drawn]))
    found.sort()
    low, high = found[int(0.025 * len(found))], found[int(0.975 * len(found))]
    return {"value": round(auroc_of(scores, truths), 3), "interval": [round(low, 3), round(high, 3)]}


def _source(
    name: str,
    found: Sequence[Judged],
    counted: dict[str, list[Judged]],
    rows: Sequence[tuple[str, Judged]],
    scores: Sequence[float],
) -> dict[str, Any]:
    """One source: by the fit of all sources on other answers, and by a fit that has not seen this source."""
    line: dict[str, Any] = {
        "name": name,
        "answers": len(found),
        "right": round(_share(found), 3),
        "counted": name in counted,
    }
    if name in counted:
        own = [(score, row.right) for score, (source, row) in zip(scores, rows, strict=True) if source == name]
        line["auroc"] = auroc([score for score, _ in own], [truth for _, truth in own])
    if name in counted and len(counted) > 1:
        others = scored([row for source, row in rows if source != name])
        left_out = [others.score(row.features) for row in found]
        line["auroc_source_left_out"] = auroc(left_out, [row.right for row in found])
    return line


def _reliability(scores: Sequence[float], truths: Sequence[bool], bins: int = 8) -> list[list[float]]:
    """Mean predicted and true share in groups of equal size, each half by the map of the other."""
    from_other: list[tuple[float, bool]] = []
    for half in (0, 1):
        points, shares = isotonic(scores[half::2], truths[half::2])
        seen, other = msgspec.structs.replace(SURE, scores=points, shares=shares), slice(1 - half, None, 2)
        from_other += [(seen.share(score), truth) for score, truth in zip(scores[other], truths[other], strict=True)]
    from_other.sort(key=lambda pair: pair[0])
    groups = [from_other[len(from_other) * n // bins : len(from_other) * (n + 1) // bins] for n in range(bins)]
    return [
        [round(statistics.mean(p for p, _ in group), 3), round(statistics.mean(float(t) for _, t in group), 3)]
        for group in groups
    ]


# Cost


@contextlib.contextmanager
def serving(folder: Path, settings: str, *, confidence: float = 0.0) -> Iterator[tuple[str, Running]]:
    """A Hearth on its own port, ready, with a map of its model by which every answer is judged and none leaves."""
    port, state = free_port(), folder / "state"
    path = folder / "hearth.toml"
    judged = f"complexity = 1\nconfidence = {confidence}\nqueue_depth = 100000\nttft_ms = 600000"
    path.write_text(f"{settings}\n[escalation]\n{judged}\n{_ELSEWHERE}")
    env = {"HEARTH_STATE_DIR": str(state), "HEARTH_SERVER__PORT": str(port)}
    loaded = load(path, env).settings
    revision = revision_served(loaded, os.environ)
    write_map(msgspec.structs.replace(SURE, model=loaded.engine.model, revision=revision), state)
    serve = (sys.executable, "-m", "runtime.cli", "serve", "--config", str(path))
    with Running(serve, folder / "hearth.log", env) as running:
        url = f"http://127.0.0.1:{port}"
        running.first_answer(f"{url}/v1/chat/completions", _ASK, _START_S)
        yield url, running


def cost(rounds: int, seconds: float, folder: Path, line: progress.StepLine) -> dict[str, Any]:
    """CPU ms per stream of 64 chunks, of Hearth's process tree: medians over rounds in which the three take turns."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        stub = (sys.executable, "-m", "scripts.bench.stub", "--port", str(port))
        stack.enter_context(Running(stub, folder / "stub.log")).first_answer(
            f"http://127.0.0.1:{port}/v1/models", b"{}"
        )
        entrants = {}
        for name, confidence in (("off", 0.0), ("off again", 0.0), ("looking", 0.5)):
            line.update(f"starting {name}")
            home = folder / name.replace(" ", "-")
            home.mkdir()
            engine = f'[engine]\nurl = ["http://127.0.0.1:{port}/v1"]\nmodel = "{STUB}"\n'
            url, running = stack.enter_context(serving(home, engine, confidence=confidence))
            entrants[name] = Entrant(name, url, "auto", running)
        for turn in range(rounds + 1):
            for name, entrant in entrants.items():
                for phase in (BURST, PACED):
                    line.update(f"round {turn} of {rounds}: {name}, {phase.name}")
                    if turn:
                        entrant.measure(phase, seconds)
                    else:
                        entrant.ask(phase, min(seconds, 1.0))
    found: dict[str, Any] = {"failed": sum(each.score.failed for each in entrants.values())}
    for phase in (BURST, PACED):
        medians = {name: each.score.median(phase) or 0.0 for name, each in entrants.items()}
        pairs = zip(
            *(entrants[name].score.figures[phase.name] for name in ("looking", "off", "off again")), strict=True
        )
        ratios = [looking / ((one + other) / 2) for looking, one, other in pairs]
        found[phase.name] = {
            "cpu_ms": {name: round(value, 3) for name, value in medians.items()},
            "times": round(statistics.median(ratios), 2),
            "worst_round": round(max(ratios), 2),
            "identical_pair": round(medians["off again"] / medians["off"], 2),
        }
    return found


def engine(rounds: int, seconds: float, folder: Path, line: progress.StepLine) -> dict[str, Any]:
    """Tokens per second of the real engine: the settings are changed while it runs, so that both sides are one engine."""
    plain = f'[engine]\nmodel = "{_MODEL}"\ndevice = "cpu"\nargs = ["--max-num-seqs", "8"]\n'
    line.update("starting vLLM")
    with serving(folder, plain) as (url, _):
        rates: dict[str, list[float]] = {"auto": [], "local": []}
        path = folder / "hearth.toml"
        path.write_text(path.read_text().replace("confidence = 0.0", "confidence = 0.5"))
        time.sleep(3)  # the file is read once a second, and taken when it rests
        for turn in range(rounds + 1):
            # A pinned request is never looked at; an automatic one is.
            for model in ("auto", "local") if turn % 2 else ("local", "auto"):
                line.update(f"round {turn} of {rounds}: {model}")
                side = Side(("--url", url), model)
                side.throughput(seconds)
                if turn:
                    rates[model] += side.tokens_per_s
    kept = [looking / off for looking, off in zip(rates["auto"], rates["local"], strict=True)]
    return {
        "tokens_per_s": {
            "off": round(statistics.median(rates["local"]), 1),
            "looking": round(statistics.median(rates["auto"]), 1),
        },
        "lost": round(1 - statistics.median(kept), 3),
        "lost_by_round": [round(1 - share, 3) for share in kept],
    }


_ELSEWHERE = """
[targets.other]
provider = "openai"
model = "other"
base_url = "http://127.0.0.1:9/v1"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Always 0: these are figures, not gates."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.confidence")
    parser.add_argument("what", choices=("quality", "cost", "engine"))
    parser.add_argument("--judged", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args(arguments)
    line = progress.StepLine("early confidence", sys.stderr)
    with tempfile.TemporaryDirectory(prefix="hearth-confidence-") as made:
        folder = Path(made)
        if options.what == "quality":
            found = quality(options.judged or judged_answers(folder))
        else:
            found = (cost if options.what == "cost" else engine)(options.rounds, options.seconds, folder, line)
    line.end("done")
    text = json.dumps(found, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

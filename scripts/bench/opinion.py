"""What the local model's opinion of a prompt is worth beside the score, and what it costs, on the open sets.

    python -m scripts.bench.opinion [--data FOLDER] [--each 150] [--model smollm2-135m] [--json]

Hearth serves the real model; each prompt of a seeded sample is judged as `classifier = "engine"` judges it. AUROC: for telling
prompts on which the strong model's answer was better from all others, with its 95 % interval; "in the band" are the prompts
whose score is within 0.15 of 0.62. The answers are those of the data's own two models, not of the model that is asked. The
score was fitted on the same MMLU and GSM8K prompts, which flatters it there; docs/score.md has its figures on unseen ones.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from local_models.installer import progress
from runtime.life.opinion import question, read_opinion
from runtime.routing.facts.scores import score_of
from runtime.routing.facts.tasks import task_of
from runtime.routing.plan.opinion import LONGEST_S, in_band
from runtime.settings.sections.escalation import DEFAULT_COMPLEXITY
from scripts.bench.confidence import auroc, serving
from scripts.bench.processes import ROOT

SOURCES = ("mmlu", "gsm8k", "alpacaeval", "mtbench")
_WARM = 5


def sample(folder: Path, each: int) -> list[tuple[str, str, bool]]:
    """Source, prompt, and whether the strong model's answer was better; as many of each source, drawn by a seed."""
    found = []
    for source in SOURCES:
        lines = (folder / f"{source}_open.jsonl").read_text(encoding="utf-8").strip().split("\n")
        rows = [row for row in map(json.loads, lines) if not row.get("contaminated")]
        drawn = random.Random(1).sample(rows, min(each, len(rows)))
        found += [(source, str(row["prompt"]), float(row["strong"]) > float(row["weak"])) for row in drawn]
    return found


def measure(rows: Sequence[tuple[str, str, bool]], url: str, line: progress.StepLine) -> dict[str, Any]:
    """The figures of both judges over all prompts, by source, and in the band."""
    judged: list[tuple[str, float, float, bool]] = []
    taken: list[float] = []
    with httpx.Client(base_url=url, timeout=60) as http:
        for at, (source, prompt, gained) in enumerate([*rows[:_WARM], *rows]):
            line.update(f"prompt {at} of {len(rows)}")
            begun = time.monotonic()
            opinion = read_opinion(http.post("/v1/chat/completions", content=question(prompt).raw).content)
            if at >= _WARM:
                taken.append(1000 * (time.monotonic() - begun))
                if opinion is not None:
                    judged.append((source, opinion, score_of(prompt, task_of([prompt])), gained))
    groups = {"all": judged, **{name: [each for each in judged if each[0] == name] for name in SOURCES}}
    groups["in the band"] = [each for each in judged if in_band(each[2], DEFAULT_COMPLEXITY)]
    begun = time.thread_time()
    for _, prompt, _ in rows:
        score_of(prompt, task_of([prompt]))
    taken.sort()
    return {
        "prompts": len(rows),
        "without an opinion": len(rows) - len(judged),
        "hard": round(statistics.mean(opinion >= 0.5 for _, opinion, _, _ in judged), 3),
        "ms": {"median": round(statistics.median(taken), 1), "p99": round(taken[int(0.99 * len(taken))], 1)},
        "in time": round(statistics.mean(each <= 1000 * LONGEST_S for each in taken), 3),
        "score_ms": round(1000 * (time.thread_time() - begun) / len(rows), 3),
        "auroc": {
            name: {
                "prompts": len(of),
                "opinion": auroc([each[1] for each in of], [each[3] for each in of]),
                "score": auroc([each[2] for each in of], [each[3] for each in of]),
            }
            for name, of in groups.items()
            if 0 < sum(each[3] for each in of) < len(of)
        },
    }


def main() -> int:
    """Always 0: these are figures, not gates."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench.opinion")
    shared = Path(os.environ.get("HEARTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--data", type=Path, default=shared / "routing", help="folder of the open sets")
    parser.add_argument("--each", type=int, default=150, help="prompts of each set")
    parser.add_argument("--model", default="smollm2-135m")
    options = parser.parse_args()
    line = progress.StepLine("the local model's opinion", sys.stderr)
    with tempfile.TemporaryDirectory(prefix="hearth-opinion-") as made:
        line.update("starting vLLM")
        with serving(Path(made), f'[engine]\nmodel = "{options.model}"\ndevice = "cpu"\n') as (url, _):
            found = measure(sample(options.data, options.each), url, line)
    line.end("done")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

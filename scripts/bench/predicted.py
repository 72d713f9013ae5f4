"""The predicted time to a first token against the one that was seen, on a real vLLM.

    python -m scripts.bench.predicted [--minutes 5] [--rate 0.6] [--slots 8] [--json]

Hearth starts and owns the engine (the built-in model, the environment of `make engine`). Streams of mixed prompts and answers
arrive at random, in turns at the rate and at a quarter of it. The predictions are those in the decision records: each was made
before its request was sent. They are meant to be long enough for nine in ten, so that seen / predicted has its median below 1.
Requests from before the speeds were known have none and are not counted. The two halves are those of the predictions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import msgspec

from local_models.installer import progress
from runtime.life.kept import Kept
from runtime.record.database import Query, read_many
from runtime.record.decisions import Decision
from scripts.bench.processes import Running, free_port

_START_S = 300.0
_CHAT = "/v1/chat/completions"
_PROMPT, _ANSWER = (10, 300), (8, 64)  # words and tokens, least and most
_TURN_S = 20.0  # at one rate


@dataclass(frozen=True, slots=True)
class Errors:
    """count: requests. ratio: seen / predicted. held: the share that began within the prediction. Milliseconds."""

    count: int
    ratio_p50: float
    ratio_p90: float
    held: float
    predicted_p50: float
    seen_p50: float
    off_p50: float
    off_p90: float


def errors(pairs: Sequence[tuple[float, float]]) -> Errors:
    """pairs: predicted and seen milliseconds, two at least."""
    ratios = [seen / predicted for predicted, seen in pairs]
    off = [abs(seen - predicted) for predicted, seen in pairs]
    return Errors(
        len(pairs),
        statistics.median(ratios),
        p90(ratios),
        sum(ratio <= 1 for ratio in ratios) / len(ratios),
        statistics.median(predicted for predicted, _ in pairs),
        statistics.median(seen for _, seen in pairs),
        statistics.median(off),
        p90(off),
    )


def p90(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=10, method="inclusive")[8]


def pair(decision: Decision) -> tuple[float, float] | None:
    """Predicted and seen milliseconds; None of a request without an answer, or from before the speeds were known."""
    kept = msgspec.convert(decision.kept, Kept) if decision.kept is not None else None
    if kept is None or kept.engine is None or decision.ttft_ms is None or decision.status != 200:
        return None
    predicted = kept.engine.predicted_ttft_s * 1000
    return (predicted, decision.ttft_ms) if predicted > 0 else None


async def played(url: str, minutes: float, rate: float, line: progress.StepLine) -> int:
    """Plays the requests; how many were not answered."""
    chance, loop = random.Random(11), asyncio.get_running_loop()
    began, asked = loop.time(), list[asyncio.Task[bool]]()
    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        while (now := loop.time() - began) < minutes * 60:
            line.update(f"{now:.0f} of {minutes * 60:.0f} s, {len(asked)} requests")
            asked.append(asyncio.create_task(_asked(client, chance)))
            await asyncio.sleep(chance.expovariate(rate if now // _TURN_S % 2 else rate / 4))
        answered = await asyncio.gather(*asked)
    return answered.count(False)


async def _asked(client: httpx.AsyncClient, chance: random.Random) -> bool:
    words = " ".join(f"{chance.randrange(10_000)}" for _ in range(chance.randint(*_PROMPT) // 3))
    tokens = chance.randint(*_ANSWER)
    messages = [{"role": "user", "content": f"Continue: {words}"}]
    body = {"model": "auto", "messages": messages, "max_tokens": tokens, "min_tokens": tokens, "stream": True}
    async with client.stream("POST", _CHAT, json=body) as answer:
        text = await answer.aread()
    return answer.status_code == 200 and b"data: [DONE]" in text


def measured(folder: Path, options: argparse.Namespace, line: progress.StepLine) -> tuple[list[Decision], int]:
    port, settings, state = free_port(), folder / "hearth.toml", folder / "state"
    settings.write_text(f'[engine]\nmodel = "smollm2-135m"\nargs = ["--max-num-seqs", "{options.slots}"]\n')
    env = {"HEARTH_STATE_DIR": str(state), "HEARTH_SERVER__PORT": str(port)}
    serve = (sys.executable, "-m", "runtime.cli", "serve", "--config", str(settings))
    question = json.dumps({"model": "local", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]})
    url = f"http://127.0.0.1:{port}"
    with Running(serve, folder / "hearth.log", env) as hearth:
        line.update("starting vLLM")
        hearth.first_answer(f"{url}{_CHAT}", question.encode(), _START_S)
        failed = asyncio.run(played(url, options.minutes, options.rate, line))
    # It has ended: its records are on the disk.
    return list(read_many(state / "decisions.sqlite3", Query(limit=1_000_000), lambda fault: None)), failed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bench.predicted",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=0.6, help="requests a second in the busy turns")
    parser.add_argument("--slots", type=int, default=8, help="sequences that the engine runs at a time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        line = progress.StepLine("Predicted", sys.stderr)
        decisions, failed = measured(Path(folder), options, line)
        line.end("done")
    pairs = sorted(found for each in decisions if (found := pair(each)) is not None)
    half = len(pairs) // 2
    rows = {"all": pairs, "the shorter half": pairs[:half], "the longer half": pairs[half:]}
    table = {name: errors(each) for name, each in rows.items() if len(each) > 1}
    if options.json:
        print(json.dumps({name: asdict(row) for name, row in table.items()}))
        return 1 if failed else 0
    print(f"{len(pairs)} requests with a prediction, {failed} failed, load of the machine {os.getloadavg()[0]:.1f}")
    for name, row in table.items():
        print(
            f"{name}: {row.count}; seen / predicted p50 {row.ratio_p50:.2f}, p90 {row.ratio_p90:.2f}; "
            f"{row.held:.0%} within the prediction; predicted {row.predicted_p50:.0f} ms, seen {row.seen_p50:.0f} ms; "
            f"off by {row.off_p50:.0f} ms (p90 {row.off_p90:.0f})"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

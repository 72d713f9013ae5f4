"""Rows per second of `hearth classify` beside those of a bare client of the same endpoint, with the same questions at once.

    python -m scripts.bench.classify --rows prompts.jsonl --url http://127.0.0.1:8000 [--model local] [--count 400]
        [--direct-url http://127.0.0.1:8001 --direct-model NAME] [--labels a,b,c] [--concurrency 32] [--json]

The bare client sends the very bodies (chat, structured choice, logprobs), so many at once, and reads the answers; it
reads no row, scores nothing and writes nothing. --direct-url: vLLM itself, where --url is the runtime in front of it. The
rows are dealt out to four runs, bare, classify, classify, bare, no text twice: neither gains from a warm cache or from a
neighbour that falls silent. Both begin with the questions that tell how the labels are cut, which warm what rows share.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from local_models.classification.answer import decode_prompt
from local_models.classification.question import LabelQuestion, Prompt
from local_models.classification.tree import SENTINELS, LabelTree, cuts_from

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. Texts are cut to `cut` characters."""

    url: str
    model: str
    direct_url: str
    direct_model: str
    labels: tuple[str, ...]
    concurrency: int


@dataclass(frozen=True, slots=True)
class Timed:
    """rows in seconds of wall time; cpu: the client's own user and system seconds; requests: questions it put."""

    rows: int
    seconds: float
    cpu: float
    requests: int


async def bare(plan: Plan, texts: Sequence[str]) -> Timed:
    """The same questions without anything around them."""
    question = LabelQuestion(Prompt(plan.labels), plan.direct_model)
    key = os.environ.get("HEARTH_API_KEY", "")
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    address = f"{plan.direct_url.rstrip('/')}/v1/chat/completions"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def ask(body: bytes) -> bytes:
            async with session.post(address, data=body) as reply:
                answer = await reply.read()
                if reply.status != 200:
                    raise SystemExit(f"{address}: {reply.status} {answer[:300]!r}")
                return answer

        spellings = {label: decode_prompt(await ask(question.spelled(label))) for label in (*SENTINELS, *plan.labels)}
        tree = LabelTree(cuts_from(spellings, plan.labels))
        await ask(question.row("The weather was fine.", tree.ids, tree.room))
        began, cpu, left = time.perf_counter(), _cpu(resource.RUSAGE_SELF), iter(texts)

        async def work() -> None:
            for text in left:
                await ask(question.row(text, tree.ids, tree.room))

        await asyncio.gather(*(work() for _ in range(plan.concurrency)))
    return Timed(len(texts), time.perf_counter() - began, _cpu(resource.RUSAGE_SELF) - cpu, len(texts))


def whole(plan: Plan, texts: Sequence[str]) -> Timed:
    """The command, as a user runs it; the seconds are its own count, from its first question on."""
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder) / "rows.jsonl", Path(folder) / "out.jsonl"
        rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        labels = [part for label in plan.labels for part in ("--label", label)]
        command = [sys.executable, "-m", "runtime.cli", "classify", str(rows), *labels, "-o", str(out), "--json", "-q"]
        command += ["--url", plan.url, "--model", plan.model, "--concurrency", str(plan.concurrency)]
        cpu = _cpu(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
        if ended.returncode:
            raise SystemExit(f"hearth classify ended with {ended.returncode}: {ended.stdout!r}")
        told = json.loads(ended.stdout)
        return Timed(told["done"], told["seconds"], _cpu(resource.RUSAGE_CHILDREN) - cpu, told["requests"])


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def measured(plan: Plan, texts: Sequence[str]) -> dict[str, object]:
    """Four runs over a quarter of the texts each."""
    deals = [texts[start::4] for start in range(4)]
    bares = [asyncio.run(bare(plan, deals[0]))]
    wholes = [whole(plan, deals[1]), whole(plan, deals[2])]
    bares.append(asyncio.run(bare(plan, deals[3])))
    sides = {"bare": _side(bares), "classify": _side(wholes)}
    ratio = sides["classify"]["rows_per_second"] / sides["bare"]["rows_per_second"]
    return {**sides, "ratio": round(ratio, 3), "labels": plan.labels, "concurrency": plan.concurrency}


def _side(runs: Sequence[Timed]) -> dict[str, float]:
    rows = sum(run.rows for run in runs)
    return {
        "rows": rows,
        "rows_per_second": round(rows / sum(run.seconds for run in runs), 3),
        "requests_per_row": round(sum(run.requests for run in runs) / rows, 3),
        "client_cpu_ms_per_row": round(1000 * sum(run.cpu for run in runs) / rows, 2),
    }


def _texts(path: Path, count: int, cut: int) -> list[str]:
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [str(row.get("text") or row.get("prompt"))[:cut] for row in rows][:count]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="local")
    parser.add_argument("--direct-url")
    parser.add_argument("--direct-model")
    parser.add_argument("--labels", default="mathematics,writing,programming,knowledge")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--cut", type=int, default=200, help="characters of a text that are kept")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    plan = Plan(
        url=given.url,
        model=given.model,
        direct_url=given.direct_url or given.url,
        direct_model=given.direct_model or given.model,
        labels=tuple(given.labels.split(",")),
        concurrency=given.concurrency,
    )
    found = measured(plan, _texts(given.rows, given.count, given.cut))
    if given.json:
        print(json.dumps(found))
        return
    for side in ("bare", "classify"):
        print(f"{side:9}", found[side])
    print(f"classify runs at {found['ratio']} of the bare client")


if __name__ == "__main__":
    main()

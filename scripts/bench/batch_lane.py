"""What a full batch lane costs interactive requests, and what they cost it, on a real vLLM.

    python -m scripts.bench batch_lane [--rounds 3] [--seconds 60] [--json]

Hearth starts and owns the engine (the built-in model, the environment of `make engine`). A round has three parts of the same
length: one interactive request a second with nothing else; a batch alone, which fills the lane; both. Each round is judged by
itself, because the machine drifts, and the worst round counts:

    p95 of the time to a first token beside the batch <= 1.1 x the p95 alone + one step of the engine
    tokens read and generated with both >= 0.85 x those of the batch alone

A step is the median time between two tokens of the interactive answers beside the batch. Tokens are vLLM's own count.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local_models.host.sockets import socket_folder
from local_models.installer import progress
from scripts.bench.processes import Running, free_port
from scripts.bench.rounds import JudgedRound, rounds_main

MOST_GROWN = 1.1  # of the p95 alone, besides one step
LEAST_TOKENS = 0.85  # of the batch alone
_MODEL = "smollm2-135m"
_START_S = 300.0
_CHAT = "/v1/chat/completions"
_LINES = 4000  # of a batch: more than run in a part
_ANSWER = (24, 96)  # tokens of a line, least and most: lines do not end together
_INTERACTIVE = 16  # tokens of an interactive answer
_LISTED = ("anchor", "copper", "fuchsia", "granite", "harbour", "lantern", "marble", "meadow", "saffron", "velvet")
_COUNTED = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
_RUNNING = "vllm:num_requests_running"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a round. ttfts, gaps: seconds, of the interactive requests. tokens_per_s: of the engine, read and generated."""

    ttfts: tuple[float, ...] = ()
    gaps: tuple[float, ...] = ()
    tokens_per_s: float = 0.0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Round(JudgedRound):
    """Milliseconds and tokens per second. load: of the machine before the round, over one minute."""

    alone_p50: float
    alone_p95: float
    beside_p50: float
    beside_p95: float
    step: float
    batch_tokens_per_s: float
    both_tokens_per_s: float
    failed: int
    load: float

    @property
    def bound(self) -> float:
        return MOST_GROWN * self.alone_p95 + self.step

    @property
    def share(self) -> float:
        return self.both_tokens_per_s / self.batch_tokens_per_s

    @property
    def kept(self) -> bool:
        return self.beside_p95 <= self.bound and self.share >= LEAST_TOKENS and not self.failed

    @property
    def words(self) -> str:
        return (
            f"first token p50 {self.alone_p50:.0f} -> {self.beside_p50:.0f} ms, "
            f"p95 {self.alone_p95:.0f} -> {self.beside_p95:.0f} (at most {self.bound:.0f}, a step {self.step:.0f}); "
            f"tokens/s {self.batch_tokens_per_s:.0f} -> {self.both_tokens_per_s:.0f} ({self.share:.0%}); "
            f"{self.failed} failed; load {self.load:.1f}"
        )


def round_of(alone: Part, batch: Part, both: Part, load: float) -> Round:
    """The figures of one round."""
    return Round(
        1000 * statistics.median(alone.ttfts),
        1000 * p95(alone.ttfts),
        1000 * statistics.median(both.ttfts),
        1000 * p95(both.ttfts),
        1000 * statistics.median(both.gaps),
        batch.tokens_per_s,
        both.tokens_per_s,
        alone.failed + both.failed,
        load,
    )


def p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[18]


class Bench:
    """A running Hearth and the socket of its engine. Prompts differ, so that no answer is cached."""

    def __init__(self, hearth: httpx.AsyncClient, engine: httpx.AsyncClient) -> None:
        self.hearth, self._engine = hearth, engine
        self._random = random.Random(7)
        self._numbers = itertools.count()

    def body(self, tokens: int, **more: Any) -> dict[str, Any]:
        words = " ".join(self._random.choices(_LISTED, k=8))
        text = f"Story {next(self._numbers)}: use these words: {words}."
        messages = [{"role": "user", "content": text}]
        return {"model": "auto", "messages": messages, "max_tokens": tokens, "min_tokens": tokens, **more}

    async def interactive(self, seconds: float) -> Part:
        """One request a second, whether the one before it has ended or not."""
        asked: list[asyncio.Task[tuple[list[float], bool]]] = []
        generated, began = await self.gauge(*_COUNTED), time.perf_counter()
        for turn in range(int(seconds)):
            await asyncio.sleep(max(0.0, began + turn + 0.8 * self._random.random() - time.perf_counter()))
            asked.append(asyncio.create_task(self._asked()))
        await asyncio.sleep(max(0.0, began + seconds - time.perf_counter()))
        rate = (await self.gauge(*_COUNTED) - generated) / (time.perf_counter() - began)
        answers = await asyncio.gather(*asked)
        times = [each for each, whole in answers if whole]
        gaps = [b - a for each in times for a, b in itertools.pairwise(each)]
        return Part(tuple(each[0] for each in times), tuple(gaps), rate, len(answers) - len(times))

    async def _asked(self) -> tuple[list[float], bool]:
        """Seconds from the question to each piece of the answer, and whether it was whole."""
        body, times, last = self.body(_INTERACTIVE, stream=True), list[float](), ""
        began = time.perf_counter()
        async with self.hearth.stream("POST", _CHAT, json=body) as answer:
            async for line in answer.aiter_lines():
                last = line or last
                if '"content":"' in line and '"content":""' not in line:
                    times.append(time.perf_counter() - began)
        return times, answer.status_code == 200 and last == "data: [DONE]" and bool(times)

    async def alone(self, seconds: float) -> Part:
        """The batch and nothing else."""
        generated, began = await self.gauge(*_COUNTED), time.perf_counter()
        await asyncio.sleep(seconds)
        return Part(tokens_per_s=(await self.gauge(*_COUNTED) - generated) / (time.perf_counter() - began))

    @contextlib.asynccontextmanager
    async def batch(self) -> AsyncIterator[None]:
        """A batch that fills the lane; cancelled at the end."""
        lines = [
            json.dumps({"custom_id": str(n), "url": _CHAT, "body": self.body(self._random.randint(*_ANSWER))})
            for n in range(_LINES)
        ]
        upload = {"file": ("in.jsonl", "\n".join(lines).encode())}
        file = (await self.hearth.post("/v1/files", files=upload, data={"purpose": "batch"})).json()
        wanted = {"input_file_id": file["id"], "endpoint": _CHAT, "completion_window": "24h"}
        id = (await self.hearth.post("/v1/batches", json=wanted)).json()["id"]
        while await self.gauge(_RUNNING) < 1:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.2)
        await asyncio.sleep(5)
        try:
            yield
        finally:
            await self.hearth.post(f"/v1/batches/{id}/cancel")
            while (await self.hearth.get(f"/v1/batches/{id}")).json()["status"] != "cancelled":  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    async def gauge(self, *names: str) -> float:
        """The sum of metrics of the engine."""
        rows = (await self._engine.get("/metrics")).text.splitlines()
        return sum(float(row.rsplit(" ", 1)[1]) for row in rows if row.split("{")[0] in names)


async def rounds_of(bench: Bench, rounds: int, seconds: float, line: progress.StepLine) -> list[Round]:
    found: list[Round] = []
    await bench.interactive(5)
    for turn in range(rounds):
        line.update(f"round {turn + 1} of {rounds}")
        load = os.getloadavg()[0]
        alone = await bench.interactive(seconds)
        async with bench.batch():
            batch = await bench.alone(seconds)
            both = await bench.interactive(seconds)
        found.append(round_of(alone, batch, both, load))
    return found


@contextlib.asynccontextmanager
async def serving(folder: Path, slots: int, line: progress.StepLine) -> AsyncIterator[Bench]:
    """A Hearth of its own with its engine, ready."""
    port, settings, state = free_port(), folder / "hearth.toml", folder / "state"
    settings.write_text(f'[engine]\nmodel = "{_MODEL}"\nargs = ["--max-num-seqs", "{slots}"]\n')
    env = {"HEARTH_STATE_DIR": str(state), "HEARTH_SERVER__PORT": str(port)}
    serve = (sys.executable, "-m", "runtime.cli", "serve", "--config", str(settings))
    question = json.dumps({"model": "local", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]})
    with Running(serve, folder / "hearth.log", env) as hearth:
        line.update("starting vLLM")
        url = f"http://127.0.0.1:{port}"
        await asyncio.to_thread(hearth.first_answer, f"{url}{_CHAT}", question.encode(), _START_S)
        (socket,) = socket_folder(state).glob("*.sock")
        engine = httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://engine")
        async with httpx.AsyncClient(base_url=url, timeout=300) as through, engine:
            yield Bench(through, engine)


async def measured(folder: Path, rounds: int, seconds: float, slots: int, line: progress.StepLine) -> list[Round]:
    async with serving(folder, slots, line) as bench:
        return await rounds_of(bench, rounds, seconds, line)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every round kept both bounds."""
    return rounds_main("batch_lane", "Batch lane", __doc__, measured, arguments)


if __name__ == "__main__":
    sys.exit(main())

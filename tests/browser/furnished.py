"""A box in use for days, with everything that the pages can show. The pictures of the documentation are taken of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from playwright.async_api import Browser

from runtime.chores import ChoreView
from runtime.compose.catalogue import listed
from runtime.contract.engine import Gpu
from runtime.contract.prices import Price
from runtime.contract.usage import Usage
from runtime.money.cost import MICRO
from runtime.record.decisions import Considered, Exchange
from runtime.record.sums import PriceBaseline, Tally
from runtime.server.status import (
    BudgetLimitStatus,
    BudgetStatus,
    LoadStatus,
    ReplicaStatus,
    RunningStatus,
    TargetStatus,
)
from runtime.settings import Settings
from tests.browser.rig import Rig, browsing, made_decision
from tests.browser.scenes import OWN, with_values
from tests.fakes.upstream import FakeBackend, Turn, cloud, engine_backend, told

GIB = 1 << 30
LOCAL, SONNET, GEMINI = "local/llama-3.1-8b", "anthropic/claude-sonnet-5-5", "gemini/gemini-3-pro-preview"
PRICES = {
    SONNET: Price(3.0, 15.0, source="genai-prices", date="2026-11-02"),
    GEMINI: Price(2.0, 12.0, source="genai-prices", date="2026-11-02"),
}
ANSWER = (
    "A hearth is the floor of a fireplace, usually of brick or stone. Households gathered around it for its "
    "warmth, so the word also came to mean the home itself."
)
QUESTIONS = (
    "What is a hearth?",
    "Classify this review as positive or negative: it kept me warm all winter.",
    "Prove that there are infinitely many primes, and that infinitely many of them leave 3 when divided by 4.",
    "Summarise these minutes: " + "and then we talked about the heating, " * 1200,  # too long for the box
)


FILE = """\
# this box: two L40S
[engine]
model = "llama-3.1-8b"

[escalation]
ttft_ms = 2000  # as measured here

[budget]
daily_usd = 20
monthly_usd = 400

[targets.claude]
provider = "anthropic"
model = "claude-sonnet-5-5"
key = "file:key"
certified = ["hipaa", "zero_retention"]

[targets.gemini]
provider = "gemini"
model = "gemini-3-pro-preview"
key = "file:key"
"""


class Kind(NamedTuple):
    """A kind of request that this box gets. A target of None: nobody answered."""

    model: str
    target: str | None
    reason: str
    words: str
    tokens: tuple[int, int]
    times: tuple[float, float]
    task: str = "default"
    score: float | None = None


STAYS = "nothing crosses a threshold"
KINDS = (
    Kind("auto", LOCAL, "default", STAYS, (412, 96), (210, 1845), "summarise", 0.21),
    Kind("auto", LOCAL, "default", STAYS, (188, 12), (164, 395), "classification", 0.08),
    Kind("auto", SONNET, "complexity", "scores 0.71, the threshold is 0.62", (1830, 940), (640, 14_210), "code", 0.71),
    Kind("gpt-4o", LOCAL, "default", STAYS, (655, 210), (248, 3610), "extraction", 0.3),
    Kind("local", LOCAL, "pinned", "asked for by name", (96, 310), (151, 4980)),
    Kind("auto", LOCAL, "default", STAYS, (1204, 64), (390, 1410), "extraction", 0.17),
    Kind("auto", GEMINI, "modality", "holds an image, which llama-3.1-8b cannot read", (1120, 214), (910, 4120)),
    Kind("auto", LOCAL, "default", STAYS, (302, 148), (187, 2510), "summarise", 0.26),
    Kind("auto", SONNET, "context", "about 9 400 tokens, the threshold is 6 000", (9412, 612), (1210, 11_900), "summarise"),
    Kind("auto", LOCAL, "default", STAYS, (240, 20), (170, 498), "classification", 0.05),
    Kind("auto", SONNET, "ttft", "a first token in 3.1 s, the threshold is 2 s", (730, 388), (580, 7060), "default", 0.4),
)  # fmt: skip


@contextlib.asynccontextmanager
async def furnished(browser: Browser, folder: Path) -> AsyncIterator[Rig]:
    """Five days of decisions, an hour of values, requests that run, a budget, GPUs, targets in trouble, keys."""
    local = renamed(engine_backend((Turn(told(ANSWER)),)), LOCAL)
    sonnet = renamed(cloud("claude", Turn(told(ANSWER)), certified=frozenset({"hipaa", "zero_retention"})), SONNET)
    gemini = renamed(cloud("gemini", Turn(told(ANSWER))), GEMINI)
    configured = {
        each.target.name: {"provider": each.target.provider, "model": each.target.model} for each in (sonnet, gemini)
    }
    settings = Settings.model_validate({"engine": {"model": "llama-3.1-8b"}, "targets": configured})
    file = folder / "hearth.toml"
    file.write_text(FILE)
    (folder / "key").write_text("a-key-of-the-test\n")
    (folder / "key").chmod(0o600)
    house: dict[str, Any] = {"settings": settings, "settings_file": file}
    async with browsing(browser, folder, local=local, clouds=[sonnet, gemini], **house) as rig:
        rig.door.desk.store.tally = Tally(baseline=PriceBaseline("claude", SONNET, PRICES[SONNET]))
        for text in QUESTIONS:
            body = {"model": "auto", "messages": [{"role": "user", "content": text}], "stream": True}
            await rig.door.client.post("/v1/chat/completions", json=body, headers=OWN)
        with_values(rig)
        _with_decisions(rig)
        await _with_keys(rig)
        rig.door.engine.lines += [f"INFO 11-29 09:{n // 60:02}:{n % 60:02} [loggers.py:257] Engine 000: Avg prompt throughput: {3 * n + 41}.2 tokens/s, Running: {n % 9} reqs, Waiting: 0 reqs" for n in range(300)]  # fmt: skip  # noqa: E501
        rig.door.engine.lines.append("WARNING 11-29 09:05:01 [scheduler.py:731] The KV cache is nearly full")
        gpus = tuple(Gpu(each, "NVIDIA L40S", 48 * GIB, 37 * GIB, 0.5 + each / 10, 0.0) for each in range(2))
        rig.door.engine.gpus = lambda: gpus  # type: ignore[method-assign]
        rig.catalogue += listed(rig.door.desk.fleet, settings, {"XDG_CACHE_HOME": str(folder)})
        rig.changes |= _report()
        yield rig


def renamed(backend: FakeBackend, label: str) -> FakeBackend:
    """The backend under a real provider and model, with its price."""
    provider, _, model = label.partition("/")
    backend.target = dataclasses.replace(backend.target, provider=provider, model=model, price=PRICES.get(label))
    for lane in backend.lanes:
        lane.model = model
    return backend


def _with_decisions(rig: Rig) -> None:
    """An hour of them close together, and a few on each of the four days before; two that went badly on top."""
    kept: dict[bool, list[Any]] = {True: [], False: []}  # as the decisions of requests are that stayed, and that left
    for each in rig.door.desk.latest:
        kept[each.target == LOCAL].append(each.kept)
    seconds = [20 + 17 * number for number in range(200)]
    seconds += [86_400 * day + 600 * number for day in range(1, 5) for number in range(40)]
    for number, ago in enumerate(seconds):
        kind = KINDS[number % len(KINDS)]
        alike = kept[kind.target == LOCAL]
        rig.door.desk.store.add(made_decision(ago, **_facts(kind, alike[number % len(alike)])))
    failed = (
        Exchange(SONNET, SONNET, 2.0, 900.0, outcome="busy", status=529, message="Overloaded", retry_after=4),
        Exchange(
            LOCAL, "replica-0", 905.0, 2840.0, first_token_ms=1210.0, status=200, prompt_tokens=730, completion_tokens=388
        ),
    )  # fmt: skip
    asked_again = _facts(KINDS[2], kept[False][0]) | {
        "target": LOCAL, "reason": "fallback", "attempts": failed, "degraded": ("reasoning_effort",), "ttft_ms": 1210.0,
        "total_ms": 2845.0, "cost_usd": None,
        "words": "a fallback answered; first choice: scores 0.71, the threshold is 0.62",
    }  # fmt: skip
    rig.shown_decision = made_decision(12).id
    rig.door.desk.store.add(made_decision(12, **(asked_again | {"id": rig.shown_decision})))
    lost = {
        "status": 502,
        "target": None,
        "ttft_ms": None,
        "attempts": failed[:1],
        "words": STAYS,
        "kept": kept[True][0],
    }
    rig.door.desk.store.add(made_decision(9, **(lost | {"considered": (), "prompt_tokens": 0, "completion_tokens": 0})))


def _facts(kind: Kind, kept: Any) -> dict[str, Any]:
    """Members of the record of a request of this kind."""
    prompt, completion = kind.tokens
    used, first = Usage(prompt, completion), kind.target or ""
    price = PRICES.get(first)
    cost = None if price is None else round(price.cost(used)) / MICRO
    lane = "replica-0" if first == LOCAL else first
    exchange = Exchange(
        first, lane, 3.0, kind.times[1] - 5, first_token_ms=kind.times[0], status=200, prompt_tokens=prompt,
        completion_tokens=completion, cost_usd=cost,
    )  # fmt: skip
    others = [each for each in (LOCAL, SONNET, GEMINI) if each != first]
    considered = (
        Considered(first, kind.reason, kind.words),
        *(Considered(each, "fallback", "takes over if the first fails", _cost(each, used)) for each in others),
    )
    return {
        "model": kind.model, "target": kind.target, "reason": kind.reason, "words": kind.words, "considered": considered,
        "attempts": (exchange,), "prompt_tokens": prompt, "completion_tokens": completion, "cost_usd": cost,
        "ttft_ms": kind.times[0], "total_ms": kind.times[1], "task": kind.task, "score": kind.score, "kept": kept,
    }  # fmt: skip


def _cost(label: str, used: Usage) -> float | None:
    price = PRICES.get(label)
    return None if price is None else round(price.cost(used)) / MICRO


async def _with_keys(rig: Rig) -> None:
    every: tuple[dict[str, Any], ...] = (
        {"name": "web", "daily_usd": 5, "requests_per_minute": 600, "targets": ["local/*", "anthropic/*"]},
        {"name": "nightly", "scopes": ["generate"], "priorities": ["batch"], "requires": ["hipaa"]},
        {"name": "an intern, until Christmas", "models": ["local"], "parallel": 2, "expires": 1_798_156_800.0},
    )
    for each in every:
        answer = await rig.door.client.post("/hearth/keys", json=each, headers=OWN)
        assert answer.status_code == 200, answer.text


def _report() -> dict[str, Any]:
    """What the status says besides."""
    absent = TargetStatus(
        name="openai", label="openai/gpt-5.2", state="absent", why="OPENAI_API_KEY is not set", price_known=False, key=False
    )  # fmt: skip
    resting = TargetStatus(
        name="deepseek", label="deepseek/deepseek-flash", breaker="open", retry_in_s=12.0, key=True, price_known=False,
        last_failure="429: this request would exceed your organisation's rate limit of 40 000 input tokens per minute",
    )  # fmt: skip
    replica = ReplicaStatus(
        name="replica-0", state="ready", for_s=61_200, models=("llama-3.1-8b",), max_model_len=32_768, pid=4711,
        address="unix:/run/hearth/replica-0.sock", waiting=1, running=4, kv_cache=0.41, in_flight=5, slots=64,
    )  # fmt: skip
    return {
        "engine": lambda engine: msgspec.structs.replace(engine, replicas=(replica,)),
        "chores": (
            ChoreView("record writer", "running"),
            ChoreView("canary", "running"),
            ChoreView("batch lane", "running"),
        ),
        "load": LoadStatus(waiting=1, running=4, predicted_ttft_ms=379, kv_cache=0.41, words=""),
        "in_flight": 3,
        "running": (
            running("dec_19f0c2a7be100001", "auto", LOCAL, "generating", 214),
            running("dec_19f0c2a7be100002", "gpt-4o", LOCAL, "running", None),
            running("dec_19f0c2a7be100003", SONNET, SONNET, "waiting", 0),
        ),
        "budget": budget(2.84, spent=False),
        "targets": lambda rows: (
            *(msgspec.structs.replace(each, ttft_ms=640.0, key=True) for each in rows),
            resting,
            absent,
        ),
        "notes": ("target deepseek: its model deepseek-flash is retired on 2026-12-20",),
    }


def running(id: str, model: str, target: str, phase: str, tokens: int | None) -> RunningStatus:
    return RunningStatus(
        id=id, model=model, target=target, phase=phase, for_s=3.2, prompt_tokens=1840, tokens=tokens,
        tokens_per_s=66.2 if tokens else None,
    )  # fmt: skip


def budget(spent_usd: float, *, spent: bool) -> BudgetStatus:
    """A day and a month of all targets."""
    day = BudgetLimitStatus(
        period="day", name="2026-11-29", ends_in_s=39_000, spent_usd=spent_usd, reserved_usd=0.0 if spent else 0.12,
        limit_usd=20.0, left_usd=20.0 - spent_usd, spent=spent,
    )  # fmt: skip
    month = BudgetLimitStatus(
        period="month", name="2026-11", ends_in_s=125_000, spent_usd=61.2, reserved_usd=0.12, limit_usd=400.0,
        left_usd=338.68,
    )  # fmt: skip
    return BudgetStatus(when_spent="local", limits=(day, month))

"""The budget under a crowd of whole requests: never over, nobody refused who has room, and nothing left behind."""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.contract.failures import Kind
from runtime.contract.prices import Price
from runtime.contract.targets import Timeouts
from runtime.money.budget import ALL, KEY, BudgetLedger, SpendingLimits
from runtime.money.cost import MICRO
from runtime.money.spent_file import SpentFile
from runtime.record.decisions import CANCELLED, OK, Decision, Exchange
from runtime.server import presence
from runtime.server.access_policy import AccessPolicy
from runtime.settings import Retries
from runtime.trust.key_store import KeyStore, KeyTerms
from runtime.trust.keys import Keys
from tests.fakes.box import LEAVE, Box, asked
from tests.fakes.upstream import CUT, HANG, RESET, ROLE, Gate, Turn, chunk, cloud, engine_backend, error, told

PRICE = Price(1000.0, 1000.0)  # micro-dollars of a token: a thousandth of a dollar
PATIENT = Timeouts(60, 60, 60, 60)
FINE = Turn(told("fine"))
EXAMPLES = int(os.environ.get("HEARTH_TEST_EXAMPLES", "20"))
TENTH = [100, pytest.param(1000, marks=pytest.mark.slow)]


def of_tokens(count: int) -> Turn:
    """An answer of so many tokens, after a prompt of seven, in two chunks."""
    usage = {"prompt_tokens": 7, "completion_tokens": count}
    return Turn([ROLE, chunk("fi"), chunk("ne"), chunk(finish="stop"), chunk(usage=usage), b"data: [DONE]\n\n"])


def paying(folder: Path, usd: float, *clouds: Any, total_s: float = 60.0, **more: Any) -> Box:
    """A box that everything leaves, with so many dollars a day."""
    box = Box(engine_backend((FINE,)), clouds, LEAVE, total_s=total_s, **more)
    box.fleet.budget = BudgetLedger(SpentFile(folder / "budget.sqlite3"), {ALL: SpendingLimits(usd)}, "UTC", box.wall)
    return box


def settled_usd(box: Box) -> float:
    """What is spent, once nothing is reserved and nothing is in flight."""
    assert box.fleet.budget is not None and box.fleet.budget.reserved_micro == 0
    assert box.fleet.in_flight == {} and not box.desk.running
    box.fleet.budget.close()
    again = BudgetLedger(SpentFile(box.fleet.budget._file.path), {}, "UTC", box.wall)
    kept = again.spent_usd()
    again.close()
    assert kept == box.fleet.budget.spent_usd()
    return kept[0]


@pytest.mark.parametrize("requests", TENTH)
async def test_a_crowd_with_limits_never_exceeds_the_budget(tmp_path: Path, requests: int) -> None:
    """Ten times more requests than are paid for, each with max_tokens: the budget is used, and not a micro-dollar beyond."""
    usd = requests / 10 * 0.047  # of 7 tokens in and 40 out
    box = paying(tmp_path, usd, cloud("first", of_tokens(40), price=PRICE, timeouts=PATIENT))
    done = await asyncio.gather(*(box.live(box.ask(stream=True, max_tokens=40)) for _ in range(requests)))
    assert all(sink.text == "fine" for _, sink in done)
    assert 0.9 * usd < settled_usd(box) <= usd


@pytest.mark.parametrize(
    ("requests", "typical", "seed"),
    [(150, 90, 1), *(pytest.param(1000, 90 * 100 ** (n % 2), n, marks=pytest.mark.slow) for n in range(10))],
)
async def test_a_crowd_without_limits_exceeds_it_by_two_per_cent_at_most(
    tmp_path: Path, requests: int, typical: int, seed: int
) -> None:
    """Lengths as a service has them, log-normal with a long tail, and a budget of 100 answers of the average length.

    Nothing is known of the model's lengths when the crowd arrives.
    """
    draw = random.Random(seed)
    lengths = [int(draw.lognormvariate(math.log(typical), 0.8)) + 1 for _ in range(requests)]
    usd = (7 + sum(lengths) / requests) * 100 / 1000
    box = paying(tmp_path, usd, cloud("first", *map(of_tokens, lengths), price=PRICE, timeouts=PATIENT))
    done = await asyncio.gather(*(box.live(box.ask(stream=True)) for _ in range(requests)))
    assert all(sink.text == "fine" for _, sink in done)
    assert 0.8 * usd < settled_usd(box) <= 1.02 * usd


@pytest.mark.parametrize("requests", TENTH)
async def test_a_crowd_that_costs_less_than_the_budget_is_never_refused(tmp_path: Path, requests: int) -> None:
    """Together they reserve ten times the budget and cost 60 % of it: each waits for its turn and is answered there."""
    usd = requests * 0.012 / 0.6
    box = paying(tmp_path, usd, cloud("first", of_tokens(5), price=PRICE, timeouts=PATIENT))
    box.fleet.budget.when_spent = "refuse"  # type: ignore[union-attr]
    done = await asyncio.gather(*(box.live(box.ask(stream=True, max_tokens=150)) for _ in range(requests)))
    assert [settled.error for settled, _ in done] == [None] * requests
    assert box.calls == [0, requests] and settled_usd(box) == pytest.approx(0.6 * usd)


@pytest.mark.parametrize("clients", [200, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_clients_that_hang_up_at_any_moment_leave_nothing(
    tmp_path: Path, clients: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before admission, while they wait for room, before the commit and in a stream: no reservation, slot or token is kept."""
    monkeypatch.setattr(presence, "_LOOK_AFTER_S", 0.0)
    draw, gate = random.Random(11), Gate()
    kinds = [
        FINE,
        Turn([ROLE, chunk("he"), gate, *told("llo")[1:]]),
        Turn(told("late"), wait=gate),
        Turn([ROLE, chunk("x"), CUT]),
        Turn(refuse=RESET),
        error(429),
    ]
    first = cloud("first", *draw.choices(kinds, (30, 30, 30, 1, 1, 3), k=clients), FINE, price=PRICE, timeouts=PATIENT)
    box = paying(tmp_path, 2.0, first, retries=Retries(attempts=2))
    store = KeyStore(tmp_path, box.wall)
    most = 10**9
    _, key = store.create(
        KeyTerms(name="web", tokens_per_minute=most, requests_per_minute=most, parallel=most, daily_usd=1.5)
    )
    app = box.app()
    app.policy = AccessPolicy(Keys((), created=store.admissions()))
    put = {f"{KEY}{each.id}": SpendingLimits(each.daily_usd) for each in app.policy.keys.owners}
    box.fleet.budget.limits |= put  # type: ignore[union-attr, operator]
    box.desk.settled += (lambda made: app.limiter.spent(made.id, made.caller, made.prompt_tokens),)
    body = {"model": "first", "messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 20}

    async def one() -> None:
        gone = asyncio.Event()
        task = asyncio.create_task(asked(app, "/v1/chat/completions", body, gone=gone, key=key))
        for _ in range(draw.choice((0, 1, 2, 4, 8, 16, 32))):
            await asyncio.sleep(0)
        if draw.random() < 0.5:
            gone.set()
        else:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(clients // 200):
        await asyncio.gather(*(one() for _ in range(200)))
    assert 0 < settled_usd(box) <= 2.0
    assert app.limiter.running == {} and app.limiter.reserved_tokens == 0 and not app.tasks
    moments = Counter(map(moment, box.records.rows)) | Counter({"before admission": clients - len(box.records.rows)})
    wanted = {"before admission", "waiting for room", "before the commit", "stream", OK}
    assert all(moments[each] for each in wanted), moments


def moment(made: Decision) -> str:
    """The point at which a request ended, by its record."""
    if not made.attempts:
        return "waiting for room"
    last = made.attempts[-1]
    return (
        last.outcome if last.outcome != CANCELLED else "before the commit" if last.first_token_ms is None else "stream"
    )


def vendor_charge(row: Exchange, prompt: int) -> int:
    """Micro-dollars that a vendor charges for one exchange: all that it read and wrote, refusals and resets nothing."""
    if row.outcome == OK or row.prompt_tokens:
        return (row.prompt_tokens + row.completion_tokens) * 1000
    return 0 if row.outcome == Kind.DOWN or (row.status or 200) >= 400 else prompt * 1000


TURNS = {
    "fine": FINE,
    "long": of_tokens(50),
    "cut": Turn([ROLE, chunk("he"), CUT]),
    "reset": Turn(refuse=RESET),
    "busy": error(429, retry_after="1"),
    "broken": error(500),
    "refused": error(400),
    "silent": Turn(wait=HANG),
    "stalls": Turn([ROLE, chunk("he"), HANG]),
    "uncounted": Turn(told("fine", usage=False)),
    "none": Turn([ROLE, chunk(finish="stop"), b"data: [DONE]\n\n"]),
}
SHORT = Timeouts(0.005, 0.005, 0.005, 1)
PLAYED = st.lists(st.sampled_from(sorted(TURNS)), min_size=1, max_size=6)
ASKED = st.tuples(
    st.booleans(), st.sampled_from([None, 2, 60]), st.none() | st.integers(0, 40), st.sampled_from(["auto", "first"])
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    played=st.tuples(PLAYED, PLAYED),
    asked=st.lists(ASKED, min_size=1, max_size=8),
    hedge=st.sampled_from([0, 0.001]),
    usd=st.sampled_from([0.02, 0.2, 5.0]),
    when=st.sampled_from(["local", "refuse", "queue"]),
)
async def test_what_is_settled_is_what_every_exchange_cost(
    tmp_path: Path, played: Any, asked: list[Any], hedge: float, usd: float, when: str
) -> None:
    """Faults, retries, fallbacks, hedges and cancelled requests: afterwards nothing is reserved, and no exchange is free."""
    first, second = (
        cloud(name, *(TURNS[each] for each in turns), price=PRICE, timeouts=SHORT)
        for name, turns in zip(("first", "second"), played, strict=True)
    )
    (tmp_path / "budget.sqlite3").unlink(missing_ok=True)
    box = paying(tmp_path, usd, first, second, total_s=2.0, retries=Retries(hedge_after=hedge, attempts=2))
    box.fleet.budget.when_spent = when  # type: ignore[union-attr]

    async def one(stream: bool, limit: int | None, cancelled_after: int | None, model: str) -> None:
        members: dict[str, Any] = {"max_tokens": limit} if limit else {}
        task = asyncio.create_task(box.live(box.ask(stream=stream, model=model, **members)))
        if cancelled_after is not None:
            for _ in range(cancelled_after):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(*(one(*each) for each in asked))
    rows = [
        (row, made.estimated_tokens)
        for made in box.records.rows
        for row in made.attempts
        if row.target != "local/small"
    ]
    assert len(rows) == sum(box.calls[1:])
    assert round(settled_usd(box) * MICRO) == sum(vendor_charge(*each) for each in rows)

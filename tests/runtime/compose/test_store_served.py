"""Three Hearths as processes on one real store, each before an engine of its own. Slow."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fakes.valkey_server import ValkeyServer, valkey_server
from tests.runtime.cli.test_serve import Served, engine, served

__all__ = ["engine"]
pytestmark = pytest.mark.slow
LONG_S = 60.0
DEAD = {
    "PROVIDER": "openai",
    "MODEL": "m",
    "BASE_URL": "http://127.0.0.1:9/v1",
    "PRICE": json.dumps({"input": 1.0, "output": 1.0}),
}


class Client:
    """A client that keeps its connection to one Hearth. took: seconds of each answer."""

    def __init__(self, hearth: Served) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", hearth.port, timeout=30)
        self.took: list[float] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, model: str = "local", **headers: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
        began = time.monotonic()
        self._connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json", **headers}
        )
        answer = self._connection.getresponse()
        answer.read()
        self.took.append(time.monotonic() - began)
        return answer.status


@contextlib.contextmanager
def hearths(folder: Path, engine: str, number: int, store: str = "", **more: str) -> Iterator[list[Served]]:
    """With a priced cloud target, which the same stand-in plays."""
    target = {
        "HEARTH_TARGETS__PAID__PROVIDER": "openai",
        "HEARTH_TARGETS__PAID__MODEL": "stub",
        "HEARTH_TARGETS__PAID__BASE_URL": engine,
        "HEARTH_TARGETS__PAID__PRICE": json.dumps({"input": 1.0, "output": 100.0}),
    }
    shared = {"HEARTH_FLEET__STORE": store} if store else {}
    with contextlib.ExitStack() as stack:
        found = []
        for n in range(number):
            (folder / f"h{n}").mkdir()
            env: Any = {**target, **shared, **more, "HEARTH_FLEET__NAME": f"h{n}"}
            found.append(stack.enter_context(served(folder / f"h{n}", engine, **env)))
        for each in found:
            each.until("ready:")
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    folder = tmp_path / "store"
    folder.mkdir()
    with valkey_server(folder) as found:
        yield found


def standing(hearth: Served) -> dict[str, Any]:
    found: dict[str, Any] = hearth.get("/hearth/fleet")["store"]
    return found


def until(true: Callable[[], bool]) -> float:
    """Seconds until it is."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < LONG_S
        time.sleep(0.02)
    return time.monotonic() - began


def away(hearth: Served) -> bool:
    return standing(hearth)["away_s"] is not None


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_a_store_that_is_gone_stops_no_request(tmp_path: Path, engine: str, server: ValkeyServer, fault: str) -> None:
    """Local and paid ones go on; status, metrics and records say so; it is back soon after it returns, emptied or not."""
    with hearths(tmp_path, engine, 3, server.url) as three, contextlib.ExitStack() as stack:
        until(lambda: all(standing(each)["hearths"] == 3 for each in three))
        clients = [stack.enter_context(Client(each)) for each in three]
        until(lambda: clients[0].ask("paid") == 200)

        def round(model: str, times: int) -> list[float]:
            for each in clients:
                each.took.clear()
            for _ in range(times):
                assert [each.ask(model) for each in clients] == [200] * 3
            return sorted(took for each in clients for took in each.took)

        usual = round("local", 100) + round("paid", 30)
        server.kill() if fault == "killed" else server.freeze()
        during = round("local", 300) + round("paid", 30)
        noticed = until(lambda: all(away(each) for each in three))
        beyond = max(during) - max(usual)
        assert clients[0].ask() == 200
        record = three[0].get("/hearth/decisions?limit=1")["data"][0]
        assert record["store_away_s"] is not None
        assert any("has been away" in note for note in three[0].get("/hearth/status")["notes"])
        if fault == "killed":
            server.start(empty=True)
        else:
            server.thaw()
        back = until(lambda: not any(away(each) for each in three))
        print(f"{fault}: noticed {noticed:.2f} s after the last request, back after {back:.2f} s")
        print(
            f"slowest answer {1000 * max(during):.1f} ms against {1000 * max(usual):.1f} ms before: {1000 * beyond:+.1f}"
        )
        assert back < LONG_S / 2
        until(lambda: clients[0].ask("paid") == 200)


def breaker(hearth: Served, target: str) -> str:
    rows = hearth.get("/hearth/status")["targets"]
    found: str = next(row["breaker"] for row in rows if row["name"] == target)
    return found


def test_a_breaker_that_opens_on_one_hearth_is_open_on_the_other(
    tmp_path: Path, engine: str, server: ValkeyServer
) -> None:
    """Targets that cannot be reached: only one Hearth has tried each, and the other knows within 0.3 s."""
    dead: dict[str, Any] = {}
    for n in range(7):
        dead |= {f"HEARTH_TARGETS__DEAD{n}__{name}": value for name, value in DEAD.items()}
    with hearths(tmp_path, engine, 2, server.url, **dead) as (one, two), Client(one) as client:
        until(lambda: standing(one)["hearths"] == 2)
        heard = []
        for n in range(7):
            began = time.monotonic()
            while breaker(one, f"dead{n}") != "open":
                began = time.monotonic()
                client.ask(f"dead{n}")
            until(lambda n=n: breaker(two, f"dead{n}") == "open")  # type: ignore[misc]
            heard.append(time.monotonic() - began)
        print(f"heard after {statistics.median(heard):.2f} s (median), {max(heard):.2f} s (worst of {len(heard)})")
        assert statistics.median(heard) <= 0.3
        assert max(heard) <= 0.6  # with what a status page takes on a busy machine


class Recovering(ThreadingHTTPServer):
    """A target that fails, and once it is well takes a second for an answer. asked: requests since it is well."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Target)
        self.well, self.asked = False, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Target(BaseHTTPRequestHandler):
    server: Recovering

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status, body = 500, b"{}"
        if self.server.well:
            self.server.asked += 1
            time.sleep(1.0)
            choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            status, body = 200, json.dumps(whole | {"usage": usage}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_one_hearth_makes_the_half_open_attempt(tmp_path: Path, engine: str, server: ValkeyServer) -> None:
    """Clients ask all three at once: the target is asked by one request until that one was answered, and then by all."""
    with Recovering() as target, contextlib.ExitStack() as stack:
        threading.Thread(target=target.serve_forever).start()
        stack.callback(target.shutdown)
        more = {f"HEARTH_TARGETS__DEAD__{name}": value for name, value in DEAD.items()}
        more["HEARTH_TARGETS__DEAD__BASE_URL"] = target.url
        three = stack.enter_context(hearths(tmp_path, engine, 3, server.url, **more))
        until(lambda: all(standing(each)["hearths"] == 3 for each in three))
        clients = [stack.enter_context(Client(each)) for each in three]
        while breaker(three[0], "dead") != "open":
            clients[0].ask("dead")
        until(lambda: all(breaker(each, "dead") == "open" for each in three))
        target.well, answered = True, threading.Event()
        found: list[tuple[int, int]] = []  # the status of each answer, and how often the target had been asked by then

        def asks(client: Client) -> None:
            while not answered.is_set():
                status = client.ask("dead")
                found.append((status, target.asked))
                if status == 200:
                    answered.set()
                time.sleep(0.02)

        threads = [threading.Thread(target=asks, args=(each,)) for each in clients]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert next(asked for status, asked in found if status == 200) == 1
        assert len([status for status, asked in found if status != 200 and asked == 1]) >= 10  # the others were refused
        closed = until(lambda: all(breaker(each, "dead") == "closed" for each in three))
        print(f"closed on all {closed:.2f} s after the attempt was answered")
        assert [each.ask("dead") for each in clients] == [200] * 3


def test_the_slots_of_a_killed_hearth_are_free_within_thirty_seconds(
    tmp_path: Path, engine: str, server: ValkeyServer
) -> None:
    """Two answers of a key that may have two at a time run on a Hearth that is killed; another refuses the key until then."""
    with hearths(tmp_path, engine, 2, server.url) as (one, two):
        until(lambda: standing(one)["hearths"] == 2)
        admin = (tmp_path / "h0" / "admin.key").read_text().strip()
        terms = json.dumps({"name": "two at a time", "parallel": 2}).encode()
        address = f"http://127.0.0.1:{one.port}/hearth/keys"
        wanted = urllib.request.Request(address, terms, {"x-api-key": admin, "content-type": "application/json"})
        with urllib.request.urlopen(wanted, timeout=10) as answer:
            key = {"x-api-key": json.load(answer)["secret"]}
        with Client(two) as client, contextlib.ExitStack() as stack:
            until(lambda: client.ask() == 401)  # the key has come
            until(lambda: client.ask(**key) == 200)  # a store that is first used gives nobody a place for 1.5 s
            answers: list[http.client.HTTPResponse] = []
            for _ in range(2):
                held = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", one.port)))
                body = {"model": "local", "stream": True, "messages": [{"role": "user", "content": "hold"}]}
                held.request(
                    "POST", "/v1/chat/completions", json.dumps(body), {**key, "content-type": "application/json"}
                )
                answers.append(held.getresponse())  # dropped, it would be closed
                assert answers[-1].status == 200 and answers[-1].readline()
            assert client.ask(**key) == 429
            one.process.kill()
            one.process.wait()
            began = time.monotonic()
            assert client.ask(**key) == 429
            until(lambda: client.ask(**key) == 200)
            print(f"free {time.monotonic() - began:.1f} s after the kill")
            assert time.monotonic() - began <= 30.0


def test_each_says_that_the_settings_of_the_other_differ(tmp_path: Path, engine: str, server: ValkeyServer) -> None:
    """Neither lists the other: the store tells them. From the reload of one of them on, and until that of the other."""

    def reloaded(hearth: Served) -> None:
        file = tmp_path / hearth.get("/hearth/status")["settings"]["path"]
        file.write_text("[escalation]\nttft_ms = 900\n")
        hearth.process.send_signal(signal.SIGHUP)

    def differing(hearth: Served) -> list[str]:
        return [note for note in hearth.get("/hearth/status")["notes"] if "heard through the store" in note]

    with hearths(tmp_path, engine, 2, server.url) as (one, two):
        until(lambda: all(len(each.get("/hearth/fleet")["peers"]) == 1 for each in (one, two)))
        assert not differing(one) and not differing(two)
        reloaded(one)
        until(lambda: bool(differing(one) and differing(two)))
        assert differing(one) == ["the Hearth h1, heard through the store, has other settings"]
        assert differing(two) == ["the Hearth h0, heard through the store, has other settings"]
        assert two.get("/health/ready")["fleet"]["peers"]["h0"]["differs"] == ["settings"]
        reloaded(two)
        until(lambda: not differing(one) and not differing(two))


def test_what_all_have_spent_is_shown_by_each(tmp_path: Path, engine: str, server: ValkeyServer) -> None:
    """In the status, the metrics and the notes of the costs, also by one that has spent nothing."""
    with hearths(tmp_path, engine, 2, server.url) as (one, two), Client(one) as client:
        until(lambda: all(standing(each)["hearths"] == 2 for each in (one, two)))
        until(lambda: client.ask("paid") == 200)

        def day(hearth: Served) -> dict[str, Any]:
            found: dict[str, Any] = hearth.get("/hearth/status")["budget"]["limits"][0]
            return found

        cost = day(one)["spent_usd"]
        until(lambda: day(two)["others_spent_usd"] == cost > 0)
        assert (day(one)["others_spent_usd"], day(two)["spent_usd"]) == (0.0, 0.0)
        with urllib.request.urlopen(f"http://127.0.0.1:{two.port}/metrics") as answer:
            seen = answer.read().decode()
        assert f'hearth_budget_usd{{kind="total",period="day",scope="all"}} {cost}' in seen
        notes = two.get("/hearth/cost")["notes"]
        assert any(f"the fleet has spent ${cost:.2f}: $0.00 here" in note for note in notes), notes


def spent(hearth: Served) -> float:
    times = psutil.Process(hearth.process.pid).cpu_times()
    return float(times.user + times.system)


def busy(hearth: Served, requests: int) -> float:
    """CPU seconds of a Hearth for so many requests, eight at a time."""

    def work() -> None:
        with Client(hearth) as client:
            for _ in range(requests // 8):
                assert client.ask() == 200

    before = spent(hearth)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return spent(hearth) - before


def test_a_request_costs_the_same_with_a_store(tmp_path: Path, engine: str, server: ValkeyServer) -> None:
    """Nearly no call of the store for each request, and little CPU more; the two take turns."""
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    with (
        hearths(tmp_path / "without", engine, 1) as (plain,),
        hearths(tmp_path / "with", engine, 1, server.url) as (shared,),
    ):
        until(lambda: not away(shared))
        busy(plain, 400), busy(shared, 400)
        without, together, calls, number = 0.0, 0.0, 0, 0
        for _ in range(4):
            without += busy(plain, 800)
            before = standing(shared)["calls"]
            together += busy(shared, 800)
            calls, number = calls + standing(shared)["calls"] - before, number + 800
        costs = [1e3 * each / number for each in (together, without)]
        print(f"{calls / number:.4f} calls a request; {costs[0]:.3f} ms of CPU against {costs[1]:.3f}")
        assert calls / number < 0.2
        assert together / without < 1.5

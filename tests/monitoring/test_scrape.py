"""A real Prometheus scrapes a real Hearth under load: every query of every panel and every side of every rule has data.

The engine and the clouds are stand-ins. The series of GPUs come from a second target, made from two GPUs that are not there.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import subprocess
import sys
import textwrap
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from runtime.contract.engine import Gpu
from runtime.record.metrics import Gauges, Metrics
from scripts.bench.processes import ROOT, Running, free_port
from scripts.dashboards.__main__ import MADE
from tests.monitoring.test_dashboards import panels
from tests.packaging.test_image import until

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]
RULES = ROOT / "docker" / "monitoring" / "rules.yml"
WINDOW_S = 15  # of a rate
SETTINGS = """\
[server]
port = {hearth}
[engine]
url = ["http://127.0.0.1:{engine}/v1"]
[escalation]
complexity = 1
context_tokens = 200
[targets.steady]
provider = "openai"
model = "stub"
base_url = "http://127.0.0.1:{steady}/v1"
price = {{ input = 3.0, output = 15.0 }}
tools = false
[targets.cutting]
provider = "openai"
model = "cutting"
base_url = "http://127.0.0.1:{cutting}/v1"
price = {{ input = 3.0, output = 15.0 }}
tools = false
[targets.claude]
provider = "anthropic"
model = "stub"
base_url = "http://127.0.0.1:{steady}"
price = {{ input = 3.0, output = 15.0 }}
tools = false
"""


class Scraped(NamedTuple):
    """hearth, prometheus: their ports."""

    hearth: int
    prometheus: int

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of each series, now."""
        at = f"http://127.0.0.1:{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(at, timeout=10) as answer:
            data = json.load(answer)["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]


def post(port: int, path: str, body: object) -> int:
    """The status; the answer is read to its end, or to where it was cut."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            with contextlib.suppress(OSError):
                answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def one_round(hearth: int, engine: int) -> None:
    """A request of each kind that some panel or rule is about."""

    def chat(model: str, *, stream: bool = False, words: int = 6, **more: object) -> int:
        messages = [{"role": "user", "content": f"{time.monotonic()} {'river ' * words}"}]
        return post(hearth, "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream, **more})

    for stream in (False, True):
        chat("auto", stream=stream)
        chat("steady", stream=stream)
        chat("cutting", stream=True)  # cut after its first content
    chat("claude", seed=7)  # which that wire cannot take
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    chat("auto", words=300, tools=[tool])  # which is long enough to leave, and no target can take
    failing = {"status": 500, "body": {"error": {"message": "no"}}, "headers": {}, "times": 2}
    post(engine, "/_fake/script", {"answers": {"/v1/chat/completions": failing}})
    chat("auto")  # which a fallback answers
    post(engine, "/_fake/script", {"answers": {}})


@contextlib.contextmanager
def gpu_box() -> Iterator[int]:
    """The port of a scrape target with the gauges of two GPUs."""
    gpus = tuple(Gpu(at, "NVIDIA H200", 141 << 30, at << 30, 0.4, 1.0) for at in range(2))
    kind, body = Metrics(lambda: Gauges(gpus=gpus)).render()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def scraped(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """Hearth under load, scraped for a while by the project's own configuration, every half second."""
    folder = tmp_path_factory.mktemp("scrape")
    ports = {name: free_port() for name in ("hearth", "prometheus", "engine", "steady", "cutting")}
    (folder / "hearth.toml").write_text(SETTINGS.format(**ports))
    with contextlib.ExitStack() as stack:

        def run(name: str, *command: str, **env: str) -> None:
            stack.enter_context(Running(command, folder / f"{name}.log", env))

        def fake(name: str, **script: object) -> None:
            """A stand-in of vLLM's."""
            at = ("--port", str(ports[name]), "--model", name, "--script", json.dumps(script))
            run(name, sys.executable, "-m", "tests.fakes.fake_vllm", *at)

        def scrapes(port: int, path: str) -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                return True
            return False

        fake("engine", token_s=0.01)
        fake("cutting", cut_after=3)
        run("steady", sys.executable, "-m", "scripts.bench.stub", "--port", str(ports["steady"]), "--chunks", "8")
        until(lambda: scrapes(ports["engine"], "/metrics") and scrapes(ports["cutting"], "/metrics"))
        env = {"HEARTH_STATE_DIR": str(folder / "state")}
        env |= {"OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none"}
        run("hearth", sys.executable, "-m", "runtime.cli", "serve", "--config", str(folder / "hearth.toml"), **env)
        until(lambda: scrapes(ports["hearth"], "/health/ready"))
        config = (RULES.with_name("prometheus.yml")).read_text(encoding="utf-8")
        config = re.sub("(scrape|evaluation)_interval: .*", r"\1_interval: 500ms", config)
        config = config.replace("- rules.yml", f"- {RULES}")
        both = f'"127.0.0.1:{ports["hearth"]}", "127.0.0.1:{stack.enter_context(gpu_box())}"'
        config = config.replace('"127.0.0.1:8000"', both)
        (folder / "prometheus.yml").write_text(config)
        where = [f"--web.listen-address=127.0.0.1:{ports['prometheus']}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        run("prometheus", prometheus, f"--config.file={folder / 'prometheus.yml'}", *where)
        ended = threading.Event()

        def load() -> None:
            while not ended.is_set():
                one_round(ports["hearth"], ports["engine"])

        loading = threading.Thread(target=load)
        loading.start()
        stack.callback(loading.join)
        stack.callback(ended.set)
        until(lambda: scrapes(ports["prometheus"], "/-/ready"))
        found = Scraped(ports["hearth"], ports["prometheus"])
        until(lambda: any(value > WINDOW_S for _, value in found.ask('count_over_time(up{job="hearth"}[1m]) / 2')))
        yield found


def lacking(scraped: Scraped, query: str) -> str:
    """ "" if a query has data, all of it numbers."""
    found = scraped.ask(query)
    if not found:
        return f"no data: {query}"
    return f"not a number: {query}: {found}" if any(math.isnan(value) for _, value in found) else ""


def filled(query: str) -> str:
    """A panel's query with Grafana's variables given."""
    return query.replace("$__rate_interval", f"{WINDOW_S}s").replace("$instance", ".*")


@pytest.mark.parametrize("name", MADE)
def test_every_query_of_every_panel_has_data(scraped: Scraped, name: str) -> None:
    """Those of vLLM's own series are tried on a real one."""
    queries = [target["expr"] for panel in panels(name) for target in panel["targets"]]
    missing = [lacking(scraped, filled(query)) for query in queries if "vllm:" not in query]
    assert not any(missing), "\n".join(filter(None, missing))


def test_every_side_of_every_rule_has_data(scraped: Scraped) -> None:
    """A rule without series never fires. Its sides are those of its comparisons; the day before is three seconds ago."""
    text = RULES.read_text(encoding="utf-8")
    rules = re.findall(r"alert: (\w+)\n {8}expr: (?:>\n)?(.*?)\n {8}(?:for|labels)", text, re.DOTALL)
    sides = [
        (name, side.replace("offset 1d", "offset 3s"))
        for name, query in rules
        for side in re.split(r" (?:==|>|and) (?:on \(instance\) )?", textwrap.dedent(query).replace("\n", " "))
    ]
    assert len(rules) > 10
    missing = [f"{name}: {fault}" for name, side in sides if (fault := lacking(scraped, side))]
    assert not missing, "\n".join(missing)


def test_the_rules_are_evaluated_without_a_fault(scraped: Scraped) -> None:
    """All of them, by Prometheus itself, on these series."""
    with urllib.request.urlopen(f"http://127.0.0.1:{scraped.prometheus}/api/v1/rules", timeout=10) as answer:
        rules: list[dict[str, Any]] = json.load(answer)["data"]["groups"][0]["rules"]
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == [] and len(rules) > 10


def test_promtool_finds_nothing_wrong_with_the_scrape(scraped: Scraped, promtool: str) -> None:
    """Names, types and help texts, by Prometheus's own linter."""
    with urllib.request.urlopen(f"http://127.0.0.1:{scraped.hearth}/metrics", timeout=10) as answer:
        body = answer.read()
    ran = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, b"")

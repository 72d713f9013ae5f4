"""The checks of a trial, each a function over the rig: it returns a sentence and figures, or raises what went wrong.

They run in the order of TRIALS: what breaks the engine on purpose comes last.
"""

from __future__ import annotations

import json
import re
import signal
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from local_models.facts import fit
from local_models.facts.footprint import footprint
from runtime.cli.acceptance.outcome import Figure, NotMeasuredError, TrialFailedError
from runtime.cli.acceptance.rig import QUESTION, QUEUE, Rig, body
from runtime.cli.guard import GUARD
from runtime.contract.engine import Gpu

Seen = tuple[str, Mapping[str, Figure]]
ROUNDS = 12
AT_ONCE = 8
TOKENS = 48
STORY = "Tell me a long story about a river."
_SPILL_TRIES = 3 * QUEUE + 8


def start(rig: Rig) -> Seen:
    """The engine comes up."""
    seconds = rig.ready()
    seen = rig.status()["engine"]
    return f"{seen['model']} on {seen['device']}", {"s until ready": seconds}


async def predicted(rig: Rig, gpus: tuple[Gpu, ...], env: Mapping[str, str]) -> fit.FitVerdict:
    """The arithmetic of `hearth models fit` for this engine. Raises WeightsError."""
    model = await footprint(rig.engine.model, guard=GUARD, environ=env)
    box = (
        fit.Box(gpus[0].memory_total, 1, rig.engine.gpu_memory_utilization)
        if gpus
        else fit.Box(1 << 40, 1, 1.0, cpu=True)
    )
    return fit.judge(model, box, fit.Wish(min(8192, model.architecture.context), 1))


def memory(rig: Rig, gpus: tuple[Gpu, ...], verdict: fit.FitVerdict) -> Seen:
    """The memory that fit predicts, beside what vLLM says and the box shows. gpus: before the start."""
    log = "".join(path.read_text(errors="replace") for path in sorted((rig.state / "logs").glob("*.log")))
    loaded = re.search(r"[Mm]odel loading took ([\d.]+) GiB", log)
    tokens = re.search(r"KV cache size: ([\d,]+) tokens", log)
    held = sum(each.memory_info().rss for each in rig.engine_processes())
    figures: dict[str, Figure] = {
        "GiB of weights predicted": verdict.need.weights / fit.GIB,
        "GiB loaded by vLLM": float(loaded[1]) if loaded else None,
        "GiB resident in its processes": held / fit.GIB,
        "tokens of KV cache": int(tokens[1].replace(",", "")) if tokens else None,
    }
    if not gpus:
        return "no GPU: fit's memory of a GPU is not compared", figures
    now = rig.status()["engine"]["gpus"][0]["memory_used"]
    figures |= {
        "GiB taken on the GPU": (now - gpus[0].memory_used) / fit.GIB,
        "GiB budget": verdict.budget / fit.GIB,
        "tokens predicted": verdict.max_context,
    }
    if loaded and float(loaded[1]) > verdict.need.weights / fit.GIB * 1.15 + 0.5:
        raise TrialFailedError(
            f"vLLM loaded {loaded[1]} GiB of weights, {figures['GiB of weights predicted']:.2f} were predicted"
        )
    return "weights as predicted" if loaded else "vLLM did not say what it loaded", figures


def chat(rig: Rig) -> Seen:
    """A whole answer."""
    reply = answered(rig.chat())
    text = reply["choices"][0]["message"]["content"]
    return f"{QUESTION} {text.strip()[:80]!r}", {"tokens": reply["usage"]["completion_tokens"]}


def stream(rig: Rig) -> Seen:
    """A streamed one, with its closing mark and its usage."""
    request = body("local", STORY, stream=True, max_tokens=TOKENS, stream_options={"include_usage": True})
    with rig.http.stream("POST", "/v1/chat/completions", json=request) as reply:
        frames = [line[6:] for line in reply.iter_lines() if line.startswith("data: ")]
    usage = json.loads(frames[-2]).get("usage") if len(frames) > 2 else None
    if frames[-1] != "[DONE]" or not usage:
        raise TrialFailedError(f"the stream ended with {frames[-1][:200]!r}")
    return f"{len(frames)} events", {"tokens": usage["completion_tokens"]}


def embeddings(rig: Rig) -> Seen:
    """Vectors, where the model makes any."""
    reply = rig.http.post("/v1/embeddings", json={"model": "local", "input": ["one", "two"]})
    if reply.status_code in (400, 404):
        raise NotMeasuredError(f"the model makes no embeddings ({reply.json()['error']['message'][:120]})")
    vectors = answered(reply)["data"]
    return f"{len(vectors)} vectors", {"numbers each": len(vectors[0]["embedding"])}


def choice(rig: Rig) -> Seen:
    """An answer out of a closed list."""
    text = "Is this sentence positive or negative? I love it."
    reply = answered(rig.chat(text=text, structured_outputs={"choice": ["positive", "negative"]}))
    said = reply["choices"][0]["message"]["content"]
    if said not in ("positive", "negative"):
        raise TrialFailedError(f"the answer is not of the list: {said[:80]!r}")
    return f"chose {said!r}", {}


def tool_call(rig: Rig) -> Seen:
    """A call of a tool with arguments by its schema."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": schema}}
    chosen = {"type": "function", "function": {"name": "weather"}}
    reply = rig.chat(text="What is the weather in Paris?", tools=[tool], tool_choice=chosen, max_tokens=100)
    if reply.status_code == 400:
        raise NotMeasuredError(f"the model calls no tools ({reply.json()['error']['message'][:120]})")
    called = answered(reply)["choices"][0]["message"]["tool_calls"][0]["function"]
    if "city" not in json.loads(called["arguments"]):
        raise TrialFailedError(f"the arguments do not keep the schema: {called['arguments'][:120]}")
    return f"{called['name']}({called['arguments']})", {}


def log_probabilities(rig: Rig) -> Seen:
    """Of each token, with alternatives."""
    reply = answered(rig.chat(logprobs=True, top_logprobs=2))
    found = reply["choices"][0]["logprobs"]["content"]
    if not found or any(each["logprob"] > 0.0 for each in found):
        raise TrialFailedError("tokens without a log probability")
    return "", {"tokens": len(found), "the first's": found[0]["logprob"]}


def overhead(rig: Rig) -> Seen:
    """Hearth's cost in front of vLLM: the same streams through it and past it, in turns."""
    with rig.engine_alone() as (alone, name):
        ways: tuple[tuple[httpx.Client, str], ...] = ((alone, name), (rig.http, "local"))
        for client, model in ways:
            one_stream(client, model)
        first: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for (client, model), times in zip(ways, first, strict=True):
                times.append(one_stream(client, model)[0])
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(3):
            for (client, model), kept in zip(ways, rates, strict=True):
                kept.append(together(client, model))
    # Differences of neighbours in time: what else runs on the machine moves both.
    added = [(through - direct) * 1000 for direct, through in zip(*first, strict=True)]
    low, median, high = statistics.quantiles(added, n=4)
    figures: dict[str, Figure] = {
        "ms TTFT alone": statistics.median(first[0]) * 1000,
        "ms added": median,
        "half of them between": f"{low:.1f} and {high:.1f}",
        f"tokens/s alone ({AT_ONCE} streams, worst and best run)": f"{min(rates[0]):.1f} to {max(rates[0]):.1f}",
        "tokens/s through Hearth": f"{min(rates[1]):.1f} to {max(rates[1]):.1f}",
    }
    noise = {"the added time": low < 0 < high, "the lost tokens": max(rates[1]) >= min(rates[0])}
    within = " and ".join(name for name, lost in noise.items() if lost)
    return f"within the noise of this machine: {within}" if within else "", figures


def one_stream(client: httpx.Client, model: str) -> tuple[float, int]:
    """Seconds to the first content of a stream, and its chunks."""
    request = body(model, STORY, stream=True, max_tokens=TOKENS, ignore_eos=True)
    began, first, chunks = time.perf_counter(), 0.0, 0
    with client.stream("POST", "/v1/chat/completions", json=request) as reply:
        for line in reply.iter_lines():
            if '"content":"' in line and '"content":""' not in line:
                first = first or time.perf_counter() - began
                chunks += 1
    if not chunks:
        raise TrialFailedError(f"a stream without content (status {reply.status_code})")
    return first, chunks


def together(client: httpx.Client, model: str) -> float:
    """Tokens a second of several streams at once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        chunks = sum(count for _, count in pool.map(lambda _: one_stream(client, model), range(AT_ONCE)))
    return chunks / (time.perf_counter() - began)


def spill(rig: Rig) -> Seen:
    """A full box sends to the stand-in, and takes what comes after the rush itself."""
    with ThreadPoolExecutor(_SPILL_TRIES) as pool:
        long = {"max_tokens": 4 * TOKENS, "ignore_eos": True}
        replies = list(pool.map(lambda at: rig.chat("auto", f"{STORY} {at}", **long), range(_SPILL_TRIES)))
    bad = [reply.status_code for reply in replies if reply.status_code != 200]
    if bad:
        raise TrialFailedError(f"{len(bad)} of {len(replies)} requests failed: {bad[:5]}")
    away = [reply.headers["x-hearth-reason"] for reply in replies if not here(reply)]
    if not away:
        raise NotMeasuredError(f"{len(replies)} requests at once did not fill the box; queue_depth is {QUEUE}")
    rig.until(lambda: here(rig.chat("auto")), 60, "the box to take requests again")
    return f"{len(away)} of {len(replies)} left, for {', '.join(sorted(set(away)))}; the next ones stayed", {}


def killed(rig: Rig) -> Seen:
    """The engine is killed: the stand-in answers meanwhile, and the engine comes back."""
    return recovery(rig, rig.front().pid, signal.SIGKILL)


def hung(rig: Rig) -> Seen:
    """The engine's core is stopped without a word: it is noticed by a request's silence, and the engine comes back."""
    return recovery(rig, rig.core().pid, signal.SIGSTOP)


def recovery(rig: Rig, pid: int, number: signal.Signals) -> Seen:
    """Does it to the process, asks `auto` at once, and waits until the engine is ready again."""
    restarts = max(each["restarts"] for each in rig.replicas_now())
    before = {each.pid for each in rig.engine_processes()}
    victim = next(each for each in rig.engine_processes() if each.pid == pid)
    began = time.monotonic()
    rig.signal(victim, number)
    reply = rig.chat("auto")
    bridged = time.monotonic() - began
    if reply.status_code != 200:
        raise TrialFailedError(f"a request meanwhile got {reply.status_code}: {reply.text[:200]}")
    rig.ready(restarts + 1)
    back = time.monotonic() - began
    if left := before & {each.pid for each in rig.engine_processes()}:
        raise TrialFailedError(f"processes of the ended run are left: {sorted(left)}")
    if not here(rig.chat("local")):
        raise TrialFailedError("the engine is ready and does not answer")
    where = "the engine" if here(reply) else f"the stand-in ({reply.headers['x-hearth-reason']})"
    return f"a request meanwhile was answered by {where}", {"s until that answer": bridged, "s until ready again": back}


def end(rig: Rig) -> Seen:
    """SIGTERM ends everything: no process of the engine is left."""
    code = rig.stop()
    if code != 0:
        raise TrialFailedError(f"exit code {code}: {rig.log.read_text(errors='replace')[-500:]}")
    if left := rig.engine_processes():
        raise TrialFailedError(f"processes are left: {[each.pid for each in left]}")
    return "exit code 0, no process left", {}


def answered(reply: httpx.Response) -> Any:
    """The body of a good reply of the box itself. Raises TrialFailedError."""
    if reply.status_code != 200:
        raise TrialFailedError(f"status {reply.status_code}: {reply.text[:300]}")
    return reply.json()


def here(reply: httpx.Response) -> bool:
    """True if the box itself answered."""
    return str(reply.headers.get("x-hearth-target", "")).startswith("local")


TRIALS: tuple[tuple[str, Callable[[Rig], Seen]], ...] = (
    ("chat", chat),
    ("stream", stream),
    ("embeddings", embeddings),
    ("structured choice", choice),
    ("tool call", tool_call),
    ("log probabilities", log_probabilities),
    ("cost in front of vLLM", overhead),
    ("saturation and spill", spill),
    ("killed engine", killed),
    ("hung engine", hung),
    ("end", end),
)

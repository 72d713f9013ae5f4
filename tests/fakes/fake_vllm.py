"""A child process that behaves like a vLLM server, and misbehaves on request.

    python -m tests.fakes.fake_vllm --uds PATH | --port N  --model NAME  [--script JSON]

Like the real one it is two processes: an HTTP front and a forked engine core that makes the tokens. A stopped core
hangs chats while /health and /metrics stay fine; a dead core ends streams with an error object and `[DONE]`, turns
/health to 503 and the front exits with code 0; a killed front leaves the core behind. It prints "fake core pid N" once
both are up.

The script (a JSON object; unknown members are refused), also changed live with POST /_fake/script:

    log            lines printed at the start
    exit_at_start  exit code given right after the log
    start_s        seconds before the model answers (the socket is there at once, /health says 503)
    tokens         pieces of an answer where the request does not ask for fewer
    token_s        seconds per piece
    slots          answers at a time; what comes beyond them waits its turn
    text           the pieces, repeated as needed
    models         ids that it lists and answers to, instead of that of --model
    crash_after    pieces after which the front dies by SIGKILL
    exit_after     [pieces, code] after which the front exits
    core_dies_after  pieces after which the core dies
    hang_after     pieces after which a stream stays silent
    error_after    pieces after which an error object comes, then [DONE]
    abort_after    pieces after which finish_reason "abort" comes, then [DONE]
    cut_after      pieces after which the connection is cut
    no_done        true: no [DONE] at the end
    answers        {path: {"status", "body", "headers", "times"}}: said instead of an answer, `times` times (left out:
                   always)
    health_s       seconds /health takes
    ignore_term    true: SIGTERM is ignored by both processes
    end_s          seconds between SIGTERM, from which on it takes no connection, and its end
    quiet_end      true: it does not log that it was told to end
    grandchild     true: a process that leaves the session and outlives both, as a stray worker does

GET /_fake/state: {"front", "core", "grandchild", "open": requests being answered, "left": requests whose client went
away, "asked": [{"path", "headers", "body"}, …]} (canaries of one token at /v1/completions included).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from tests.fakes.tiny_http import Answer, Exchange, listen

DEFAULTS: dict[str, Any] = {
    "log": [],
    "exit_at_start": None,
    "start_s": 0.0,
    "tokens": 8,
    "token_s": 0.0,
    "slots": None,
    "text": ["Paris", " is", " the", " capital", " of", " France", "."],
    "models": [],
    "crash_after": None,
    "exit_after": None,
    "core_dies_after": None,
    "hang_after": None,
    "error_after": None,
    "abort_after": None,
    "cut_after": None,
    "no_done": False,
    "answers": {},
    "health_s": 0.0,
    "ignore_term": False,
    "end_s": 0.0,
    "quiet_end": False,
    "grandchild": False,
}
_DEAD_CORE = {"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}
_CREATED = 1_700_000_000


def parse_script(raw: str) -> dict[str, Any]:
    given = json.loads(raw)
    unknown = set(given) - set(DEFAULTS)
    if unknown:
        raise SystemExit(f"unknown script members: {sorted(unknown)}")
    return {**DEFAULTS, **given}


class CoreDeadError(Exception):
    """The engine core has died."""


class Core:
    """The front's end of the two pipes to the engine core: one byte asks for a token, one byte is it."""

    def __init__(self, pid: int, ask: int, told: int) -> None:
        self.pid = pid
        self._ask = ask
        self._told = told
        self._turn = asyncio.Lock()
        self._tokens: asyncio.Queue[bytes] = asyncio.Queue()
        os.set_blocking(told, False)
        asyncio.get_running_loop().add_reader(told, self._hear)
        self.dead = asyncio.Event()

    def _hear(self) -> None:
        data = os.read(self._told, 1)
        if not data:
            asyncio.get_running_loop().remove_reader(self._told)
            self.dead.set()
        self._tokens.put_nowait(data)

    async def token(self) -> None:
        async with self._turn:
            if self.dead.is_set():
                raise CoreDeadError
            with contextlib.suppress(BrokenPipeError):
                os.write(self._ask, b"?")
            if not await self._tokens.get():
                raise CoreDeadError


def fork_core(ignore_term: bool) -> tuple[int, int, int]:
    """(pid, descriptor to ask on, descriptor to hear on). The core outlives the front, as the real one does."""
    asked, ask = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(asked)
        os.close(tell)
        return pid, ask, told
    os.close(ask)
    os.close(told)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if ignore_term else signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return _core_loop(asked, tell)


def _core_loop(asked: int, tell: int) -> NoReturn:
    while True:
        if os.read(asked, 1):
            with contextlib.suppress(BrokenPipeError):
                os.write(tell, b".")
        else:
            time.sleep(3600)  # the front is gone; the core stays


def fork_grandchild() -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(3600)


class Front:
    def __init__(self, model: str, script: dict[str, Any], core: Core, grandchild: int | None) -> None:
        self.model = model
        self.script = script
        self.core = core
        self.grandchild = grandchild
        self.began = time.monotonic()
        self.asked: list[dict[str, Any]] = []
        self.open = 0
        self.left = 0
        self.ending = False  # told to: each connection is closed behind its answer
        self.prompt_tokens = 0
        self.generated = 0
        self.over = asyncio.Event()
        self.slots = asyncio.Semaphore(script["slots"] or 1024)
        self.adapters: dict[str, str] = {}
        self.asleep = False

    @property
    def _names(self) -> list[str]:
        return [*(self.script["models"] or [self.model]), *self.adapters]

    @property
    def up(self) -> bool:
        return time.monotonic() - self.began >= float(self.script["start_s"])

    async def answer(self, exchange: Exchange) -> None:
        """Every request comes here."""
        path = exchange.path
        if exchange.method == "POST" and not path.startswith("/_fake"):
            body = exchange.body.decode("utf-8", "replace")
            self.asked.append({"path": path, "headers": exchange.headers, "body": body})
        said = self._scripted(path)
        if said is not None:
            return await exchange.say(said.get("body", {}), said.get("status", 200), said.get("headers"))
        if not self.up and not path.startswith("/_fake"):
            return await exchange.say({"error": {"message": "starting", "type": "starting", "code": 503}}, 503)
        self.open += 1
        try:
            await self._route(path)(exchange)
        except (ConnectionError, asyncio.CancelledError):
            self.left += 1
            raise
        except CoreDeadError:
            await exchange.say(_DEAD_CORE, 500)
        finally:
            self.open -= 1
            exchange.open = exchange.open and not self.ending

    def _route(self, path: str) -> Answer:
        routes: dict[str, Answer] = {
            "/health": self.health,
            "/metrics": self.metrics,
            "/v1/models": self.models,
            "/v1/chat/completions": self.generate,
            "/v1/completions": self.generate,
            "/v1/embeddings": self.embed,
            "/v1/rerank": self.rerank,
            "/tokenize": self.tokenize,
            "/sleep": self.sleep,
            "/wake_up": self.wake_up,
            "/v1/load_lora_adapter": self.load_adapter,
            "/v1/unload_lora_adapter": self.unload_adapter,
            "/_fake/state": self.state,
            "/_fake/script": self.change,
        }
        return routes.get(path.partition("?")[0], self.nowhere)

    def _scripted(self, path: str) -> dict[str, Any] | None:
        said: dict[str, Any] | None = self.script["answers"].get(path)
        if said is None or said.get("times", 1) <= 0:
            return None
        if "times" in said:
            said["times"] -= 1
        return said

    async def nowhere(self, exchange: Exchange) -> None:
        await exchange.say({"detail": "Not Found"}, 404)

    async def health(self, exchange: Exchange) -> None:
        await asyncio.sleep(self.script["health_s"])
        await exchange.say(b"", 503 if self.core.dead.is_set() else 200)

    async def metrics(self, exchange: Exchange) -> None:
        labels = f'{{engine="0",model_name="{self.model}"}}'
        values = {
            "vllm:num_requests_running": max(0, self.open - 1),
            "vllm:num_requests_waiting": 0,
            "vllm:kv_cache_usage_perc": 0.01,
            "vllm:prompt_tokens_total": self.prompt_tokens,
            "vllm:prompt_tokens_cached_total": 0,
            "vllm:generation_tokens_total": self.generated,
            "vllm:num_preemptions_total": 0,
        }
        await exchange.say("".join(f"{name}{labels} {float(value)}\n" for name, value in values.items()))

    async def models(self, exchange: Exchange) -> None:
        entry = {"object": "model", "owned_by": "vllm", "max_model_len": 2048}
        data = [{"id": name, **entry} for name in self._names if name not in self.adapters]
        base, adapter = str(data[0]["id"]), {"object": "model", "owned_by": "vllm", "max_model_len": None}
        data += [{"id": name, **adapter, "parent": base, "root": root} for name, root in self.adapters.items()]
        await exchange.say({"object": "list", "data": data})

    async def sleep(self, exchange: Exchange) -> None:
        self.asleep = True
        await exchange.say({"status": "sleeping", "level": 1})

    async def wake_up(self, exchange: Exchange) -> None:
        self.asleep = False
        await exchange.say({"status": "awake", "tags": None})

    async def load_adapter(self, exchange: Exchange) -> None:
        """Takes every folder with a config in it, as long as the name is free."""
        wish = json.loads(exchange.body)
        if wish["lora_name"] in self._names:
            words = f"The lora adapter '{wish['lora_name']}' has already been loaded."
            return await exchange.say({"error": {"message": words, "type": "InvalidUserInput", "code": 400}}, 400)
        if not (Path(wish["lora_path"]) / "adapter_config.json").is_file():
            words = f"Loading lora {wish['lora_name']} failed: No adapter found for {wish['lora_path']}"
            return await exchange.say({"error": {"message": words, "type": "NotFoundError", "code": 404}}, 404)
        self.adapters[wish["lora_name"]] = wish["lora_path"]
        return await exchange.say(b"Success: LoRA adapter added successfully.")

    async def unload_adapter(self, exchange: Exchange) -> None:
        found = self.adapters.pop(json.loads(exchange.body)["lora_name"], None)
        words = {"message": "The lora adapter cannot be found.", "type": "NotFoundError", "code": 404}
        await exchange.say(b"Success" if found else {"error": words}, 200 if found else 404)

    async def tokenize(self, exchange: Exchange) -> None:
        body = json.loads(exchange.body)
        count = len(json.dumps(body.get("messages", body.get("prompt", "")))) // 4
        await exchange.say({"count": count, "max_model_len": 2048, "tokens": list(range(count))})

    async def embed(self, exchange: Exchange) -> None:
        await self.core.token()
        data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2, 0.3]}]
        await exchange.say({"object": "list", "data": data, "model": self.model, "usage": self._usage(0)})

    async def rerank(self, exchange: Exchange) -> None:
        """The later a document stands, the better it is."""
        await self.core.token()
        documents = json.loads(exchange.body)["documents"]
        results = [
            {"index": number, "document": {"text": text}, "relevance_score": (number + 1) / len(documents)}
            for number, text in reversed(list(enumerate(documents)))
        ]
        usage = {"prompt_tokens": 2, "total_tokens": 2}
        await exchange.say({"id": "rerank-1", "model": self.model, "usage": usage, "results": results})

    async def state(self, exchange: Exchange) -> None:
        facts = {"front": os.getpid(), "core": self.core.pid, "grandchild": self.grandchild}
        await exchange.say(
            {**facts, "asleep": self.asleep, "open": self.open - 1, "left": self.left, "asked": self.asked}
        )

    async def change(self, exchange: Exchange) -> None:
        given = json.loads(exchange.body)
        unknown = sorted(set(given) - set(DEFAULTS))
        if not unknown:
            self.script.update(given)
        await exchange.say({"unknown": unknown}, 400 if unknown else 200)

    # -- answers

    async def generate(self, exchange: Exchange) -> None:
        body = json.loads(exchange.body)
        if body.get("model") not in self._names:
            error = {
                "message": f"The model `{body.get('model')}` does not exist.",
                "type": "NotFoundError",
                "code": 404,
            }
            return await exchange.say({"error": error}, 404)
        if self.asleep:
            await asyncio.Event().wait()  # the real one answers nothing then
        chat = exchange.path.endswith("chat/completions")
        wanted = body.get("max_completion_tokens") or body.get("max_tokens") or self.script["tokens"]
        count = min(int(wanted), self.script["tokens"])
        finish = "length" if count < self.script["tokens"] else "stop"
        async with self.slots:
            if body.get("stream"):
                return await self._stream(exchange, body, chat, count, finish)
            text = "".join([await self._piece(i, body["model"]) for i in range(count)])
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        return await exchange.say({**self._head(chat, False), "choices": [choice], "usage": self._usage(count)})

    async def _piece(self, index: int, model: str) -> str:
        """One token, an adapter's name first. Where the script says so, the process ends here instead."""
        if self.script["crash_after"] == index:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.script["exit_after"] is not None and self.script["exit_after"][0] == index:
            os._exit(self.script["exit_after"][1])
        if self.script["core_dies_after"] == index:
            os.kill(self.core.pid, signal.SIGKILL)
        if self.script["hang_after"] == index:
            await asyncio.Event().wait()
        await asyncio.sleep(self.script["token_s"])
        await self.core.token()
        self.generated += 1
        self.prompt_tokens += 5 if index == 0 else 0  # counted when the core has seen it, not when it is asked
        if index == 0 and model in self.adapters:
            return model
        pieces = self.script["text"]
        return str(pieces[index % len(pieces)])

    async def _stream(self, exchange: Exchange, body: dict[str, Any], chat: bool, count: int, finish: str) -> None:
        await exchange.stream("text/event-stream; charset=utf-8")
        if chat:
            await self._say(exchange, chat, {"role": "assistant", "content": ""})
        for index in range(count):
            if self.script["cut_after"] == index:
                return exchange.abort()
            if self.script["error_after"] == index:
                return await self._end(exchange, _DEAD_CORE)
            if self.script["abort_after"] == index:
                await self._say(exchange, chat, {}, "abort")
                return await self._end(exchange)
            try:
                piece = await self._piece(index, body["model"])
            except CoreDeadError:
                return await self._end(exchange, _DEAD_CORE)
            await self._say(exchange, chat, {"content": piece})
        await self._say(exchange, chat, {}, finish)
        if (body.get("stream_options") or {}).get("include_usage"):
            await self._event(exchange, {**self._head(chat, True), "choices": [], "usage": self._usage(count)})
        return await (exchange.end() if self.script["no_done"] else self._end(exchange))

    async def _say(self, exchange: Exchange, chat: bool, delta: dict[str, str], finish: str | None = None) -> None:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish, "logprobs": None}
        choice |= {"delta": delta} if chat else {"text": delta.get("content", "")}
        await self._event(exchange, {**self._head(chat, True), "choices": [choice]})

    async def _event(self, exchange: Exchange, payload: dict[str, Any]) -> None:
        await exchange.send(b"data: " + json.dumps(payload).encode() + b"\n\n")

    async def _end(self, exchange: Exchange, error: dict[str, Any] | None = None) -> None:
        if error is not None:
            await self._event(exchange, error)
        await exchange.send(b"data: [DONE]\n\n")
        await exchange.end()

    def _head(self, chat: bool, stream: bool) -> dict[str, Any]:
        kind = ("chat.completion.chunk" if stream else "chat.completion") if chat else "text_completion"
        return {"id": "cmpl-fake", "object": kind, "created": _CREATED, "model": self.model}

    def _usage(self, completion: int) -> dict[str, int]:
        return {"prompt_tokens": 5, "completion_tokens": completion, "total_tokens": 5 + completion}


async def serve(
    options: argparse.Namespace, script: dict[str, Any], core: tuple[int, int, int], stray: int | None
) -> int:
    front = Front(options.model, script, Core(*core), stray)
    server = await listen(front.answer, socket_path=options.uds, port=options.port)
    loop = asyncio.get_running_loop()

    def told_to_end() -> None:
        if not script["ignore_term"]:
            if not script["quiet_end"]:
                print("(APIServer pid=1) INFO [shutdown] API server: shutdown triggered", flush=True)
            front.ending = True
            server.close()
            loop.call_later(script["end_s"], front.over.set)

    loop.add_signal_handler(signal.SIGTERM, told_to_end)
    print(f"fake core pid {core[0]}", flush=True)
    ends = [asyncio.create_task(front.over.wait()), asyncio.create_task(front.core.dead.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if front.core.dead.is_set():
        await asyncio.sleep(0.2)  # the real one answers a little longer, then exits with 0
    else:
        with contextlib.suppress(ProcessLookupError):
            os.kill(core[0], signal.SIGKILL)
    server.close()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser()
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--uds")
    where.add_argument("--port", type=int)
    parser.add_argument("--model", required=True)
    parser.add_argument("--script", type=parse_script, default=dict(DEFAULTS))
    options = parser.parse_args()
    script = options.script
    for line in script["log"]:
        print(line, flush=True)
    if script["exit_at_start"] is not None:
        return int(script["exit_at_start"])
    stray = fork_grandchild() if script["grandchild"] else None
    return asyncio.run(serve(options, script, fork_core(script["ignore_term"]), stray))


if __name__ == "__main__":
    sys.exit(main())

"""The two translators: Hearth's codecs in this process, another one in an environment of its own.

Both turn a chat request for a vendor's model into the body they would send, and a vendor's answer into a chat answer. Knows
nothing of the meaning of the bodies.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from cloud.anthropic.codec import AnthropicCodec
from cloud.backend import plain_capabilities
from cloud.gemini.codec import GeminiCodec
from runtime.contract.codec import Codec, Unsupported
from runtime.contract.targets import Target
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.dialects.translating import TranslatingMeter
from runtime.wire.raw_body import BadBody, RawBody
from scripts.install import ROOT

Json = Any
PROGRAM = ROOT / "tests" / "clients" / "programs" / "translator.py"
_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_CODECS: Mapping[str, Codec] = {
    "anthropic": AnthropicCodec(lambda: _NOW),
    "gemini": GeminiCodec(draw=lambda: "seed"),
}
_TRIES = 3
_ANY_QUESTION = {"messages": [{"role": "user", "content": "?"}]}


@dataclass(frozen=True, slots=True)
class Translated:
    """body: as it would be sent or answered; None for a refusal. why: the refusal. dropped: parameters named as lost."""

    body: Json = None
    why: str = ""
    dropped: tuple[str, ...] = ()


def ours(wire: str, model: str, request: Json) -> Translated:
    """The body that Hearth sends."""
    body = RawBody(json.dumps({"model": f"{wire}/{model}"} | request).encode())
    target = Target(f"{wire}/{model}", wire, model, plain_capabilities(wire, model, own_server=False))
    try:
        encoded = _CODECS[wire].encode(ChatDialect().read_request(body), target)
    except (BadBody, Unsupported) as refused:
        return Translated(why=f"{type(refused).__name__}: {refused}")
    return Translated(json.loads(encoded.call.body), dropped=encoded.dropped)


def our_answer(wire: str, stream: str) -> Translated:
    """Hearth's whole answer to a chat client. stream: the vendor's events."""
    dialect = ChatDialect()
    request = dialect.read_request(RawBody(json.dumps({"model": "m"} | _ANY_QUESTION).encode()))
    meter = TranslatingMeter(_CODECS[wire].decoder(request), dialect.write_answer(request))
    answer = meter.feed(stream.encode()) + meter.end()
    return (
        Translated(why=f"{meter.failure.kind}: {meter.failure.message}")
        if meter.failure
        else Translated(json.loads(answer))
    )


class Theirs:
    """The other translator, one line at a time. A context: leaving it ends its process.

    Now and then its threads wait for each other for ever: it is started again, and asked again.
    """

    def __init__(self, python: Path, log: Path, patience: float = 60.0) -> None:
        """patience: seconds for one translation."""
        self._python, self._log, self._patience = python, log, patience

    def __enter__(self) -> Theirs:
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def _begin(self) -> None:
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [str(self._python), str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            )

    def _end(self) -> None:
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            with suppress(OSError):
                _open(pipe).close()

    def asked(self, wire: str, model: str, request: Json) -> Translated:
        told = self._told({"provider": wire, "model": model, "request": request})
        return Translated(told.get("body"), told.get("error", "nothing was sent") if "body" not in told else "")

    def answered(self, wire: str, model: str, stream: str, whole: Json) -> Translated:
        """whole: the answer as one body, read instead of the stream; None without one."""
        line = {"provider": wire, "model": model, "request": _ANY_QUESTION}
        told = self._told(line | ({"stream": stream} if whole is None else {"answer": whole}))
        return Translated(told.get("answer"), told.get("error", ""))

    def _told(self, line: Json) -> Json:
        for _ in range(_TRIES):
            told = self._answered(json.dumps(line).encode() + b"\n")
            if told:
                return json.loads(told)
            self._end()
            self._begin()
        raise RuntimeError(f"the other translator does not answer: {self._log.read_text()[-2000:]}")

    def _answered(self, line: bytes) -> bytes:
        """The line that answers; b"" if the process ended or took too long."""
        stdin, stdout = _open(self._child.stdin), _open(self._child.stdout)
        with suppress(BrokenPipeError):
            stdin.write(line)
            stdin.flush()
        ready, _, _ = select.select([stdout], [], [], self._patience)
        return stdout.readline() if ready else b""


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe

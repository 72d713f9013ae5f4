"""`hearth ask`: one question to a running runtime, streamed, with the decision after it.

The answer alone goes to stdout; the target, the reason and the times go to stderr.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TextIO

import httpx
import msgspec
import typer

from runtime.cli.answer import Origin, StreamedAnswer, origin_of
from runtime.cli.client import Address, address_of, client, faults_in_words, refusal
from runtime.cli.exits import CommandError, Exit
from runtime.cli.paint import Paint, duration, paint_for
from runtime.cli.streams import as_text
from runtime.cli.waiting import wait_for_engine
from runtime.settings.environment import environment

_PATH = "/v1/chat/completions"
_ASK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ChatQuestion:
    """The body of the request, and how to show the answer."""

    body: Mapping[str, Any]
    stream: bool = True
    as_json: bool = False


@dataclass(slots=True)
class Screen:
    """stdout and stderr of one answer. began: monotonic seconds; first: seconds to the first text."""

    out: TextIO
    err: TextIO
    paint: Paint
    began: float = field(default_factory=time.monotonic)
    first: float | None = None
    quiet: bool = False

    def text(self, piece: str) -> None:
        if piece and self.first is None:
            self.first = time.monotonic() - self.began
        if piece and not self.quiet:
            self.out.write(piece)
            self.out.flush()

    def aside(self, piece: str) -> None:
        """Shows reasoning, dim, on a terminal only."""
        if piece and self.err.isatty() and not self.quiet:
            self.err.write(self.paint(piece, "dim"))
            self.err.flush()

    def note(self, line: str) -> None:
        self.err.write(self.paint(line, "dim") + "\n")
        self.err.flush()


def ask(
    *,
    prompt: Annotated[
        str | None, typer.Argument(help="The question; with --file it comes before the file's text.")
    ] = None,
    model: Annotated[str, typer.Option(help="auto, local, a target's name, or PROVIDER/MODEL.")] = "auto",
    system: Annotated[str | None, typer.Option(help="The system message.")] = None,
    file: Annotated[str | None, typer.Option("--file", "-f", help="A text to send along; - reads stdin.")] = None,
    requires: Annotated[
        list[str] | None, typer.Option(help="What the answerer must be certified for; repeatable.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer, in tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, max=2.0, help="0 is the most predictable.")] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="Show the answer as it is made.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with answer and decision.")] = False,
    wait: Annotated[float, typer.Option(min=0.0, help="Seconds to wait for a starting engine.")] = 1800.0,
    url: Annotated[str | None, typer.Option(help="Where the runtime is; else as the settings say.")] = None,
    config: Annotated[Path | None, typer.Option(help="The settings file that says where.")] = None,
) -> None:
    """Ask a running runtime one question. The answer goes to stdout, the decision to stderr."""
    env = environment()
    messages = [{"role": "system", "content": as_text(system)}] if system else []
    messages.append({"role": "user", "content": _prompt(prompt, file, sys.stdin)})
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": stream}
    sampling = {"max_tokens": max_tokens, "temperature": temperature}
    body |= {name: value for name, value in sampling.items() if value is not None}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if requires:
        body["hearth"] = {"requires": requires}
    screen = Screen(sys.stdout, sys.stderr, paint_for(sys.stderr, env), quiet=as_json)
    _put(ChatQuestion(body, stream, as_json), address_of(url, config, env), screen, wait)


def _put(question: ChatQuestion, address: Address, screen: Screen, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    with faults_in_words(address), client(address, read_s=None) as http:
        while True:
            screen.began = time.monotonic()
            with http.stream("POST", _PATH, json=question.body) as reply:
                if reply.status_code == 200:
                    _show(reply, question, screen)
                    return
                fault = refusal(reply.status_code, reply.read())
            if reply.status_code != 503 or time.monotonic() >= deadline:
                raise fault
            wait_for_engine(http, screen.err, screen.paint, deadline, fault)


def _show(reply: httpx.Response, question: ChatQuestion, screen: Screen) -> None:
    answer = StreamedAnswer()
    try:
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            for line in reply.iter_lines():
                delta = answer.feed(line)
                screen.aside(delta.reasoning)
                screen.text(delta.text)
        else:
            screen.text(answer.take_whole(reply.read()).text)
    except KeyboardInterrupt:
        # Leaving the caller's block closes the connection, which stops the generation.
        screen.out.write("" if screen.quiet else "\n")
        raise
    origin = origin_of(reply.headers)
    total = time.monotonic() - screen.began
    if question.as_json:
        summary = {
            "answer": "".join(answer.text),
            "whole": answer.whole,
            "finish_reason": answer.finish,
            "error": answer.error,
            "usage": answer.usage,
            **asdict(origin),
            "ttft_ms": None if screen.first is None else round(screen.first * 1000, 1),
            "total_ms": round(total * 1000, 1),
        }
        screen.out.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        screen.out.write("\n")
        screen.out.flush()
        screen.note(_line(answer, origin, screen.first, total))
    if not answer.whole:
        raise CommandError(f"the answer was cut: {answer.error or 'it ended without a reason'}", Exit.CUT)


def _line(answer: StreamedAnswer, origin: Origin, first: float | None, total: float) -> str:
    """local/m · default · 12 + 40 tokens · first after 310 ms, 1.2 s in all · dec_…"""
    usage = answer.usage
    parts = [origin.target or "?", origin.reason or "?"]
    if usage:
        parts.append(f"{usage.get('prompt_tokens', 0)} + {usage.get('completion_tokens', 0)} tokens")
    parts.append(f"first after {duration(first)}, {duration(total)} in all" if first is not None else duration(total))
    if origin.attempts > 1:
        parts.append(f"{origin.attempts} attempts")
    if origin.degraded:
        parts.append(f"degraded: {', '.join(origin.degraded)}")
    return " · ".join((*parts, origin.decision or "no decision id"))


def _prompt(prompt: str | None, file: str | None, stdin: TextIO) -> str:
    try:
        text = (
            None if file is None else as_text(stdin.read()) if file == "-" else Path(file).read_text(encoding="utf-8")
        )
    except OSError as fault:
        raise CommandError(f"{file} cannot be read: {fault.strerror}", Exit.USAGE) from fault
    except UnicodeDecodeError as fault:
        raise CommandError(f"{file} is no UTF-8 text", Exit.USAGE) from fault
    parts = [part for part in (as_text(prompt or ""), text) if part]
    if not parts:
        raise CommandError('nothing to ask: hearth ask "…", or --file PATH, or --file - for stdin', Exit.USAGE)
    return "\n\n".join(parts)

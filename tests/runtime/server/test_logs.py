"""Log lines: their members, what is kept out of them, and streams that cannot be written to."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from runtime.server.logs import OURS, JsonLines, TextLines, configure, log_crashes

PROMPT = "the secret prompt"
KEY = "sk-0123456789"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Puts the process's logging back as it was."""
    root, raises = logging.getLogger(), logging.raiseExceptions
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:], logging.raiseExceptions = before, raises
    root.setLevel(level)
    for name in (OURS, "hearth.access"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def logged(form: Literal["text", "json"] = "text", **settings: Any) -> io.StringIO:
    stream = io.StringIO()
    configure(form=form, stream=stream, **settings)
    return stream


def fail() -> None:
    raise ValueError(PROMPT, KEY)


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_is_shown_without_its_message(form: Literal["text", "json"]) -> None:
    """Of Hearth's loggers and of libraries alike: the type and the lines of code."""
    stream = logged(form)
    for name in ("hearth.server", "uvicorn.error"):
        try:
            fail()
        except ValueError as error:
            logging.getLogger(name).error("it failed", exc_info=error)
    text = stream.getvalue()
    assert text.count("builtins.ValueError") == 2 and "raise ValueError(PROMPT, KEY)" in text
    assert PROMPT not in text and KEY not in text


def test_a_line_of_json_is_one_object() -> None:
    """With the record's fields as members, and its own members unharmed."""
    stream = logged("json", access_log=True)
    fields = {"status": 200, "path": "/v1\x1b[2J", "level": "mine"}
    logging.getLogger("hearth.access").info("GET\n%s", "/v1", extra={"fields": fields})
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["message"], line["status"]) == (
        "info",
        "hearth.access",
        "GET\n/v1",
        200,
    )
    assert line["path"] == "/v1\\x1b[2J" and line["at"].endswith("+00:00") and stream.getvalue().count("\n") == 1


def test_secrets_and_control_characters_are_never_shown() -> None:
    """Wherever they stand; a value too short to be a secret is left alone."""
    stream = logged(secrets=[KEY, "a"])
    logging.getLogger("httpx").warning("POST https://x/?key=%s \x1b[31m\r", KEY)
    assert stream.getvalue() == "WARNING httpx: POST https://x/?key=*** \\x1b[31m\\x0d\n"
    line = logged("json", secrets=[KEY])
    logging.getLogger("hearth.x").warning("no", extra={"fields": {"path": f"/{KEY}"}})
    assert KEY not in line.getvalue()


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["ours debug", "ours info", "ours warning", "theirs warning", "theirs error"]),
        ("info", ["ours info", "ours warning", "theirs warning", "theirs error"]),
        ("warning", ["ours warning", "theirs warning", "theirs error"]),
        ("error", ["theirs error"]),
    ],
)
def test_levels(level: Any, heard: list[str]) -> None:
    """Libraries are heard from warnings on: some log what they send."""
    stream = logged(level=level)
    for each in (logging.DEBUG, logging.INFO, logging.WARNING):
        logging.getLogger("hearth.x").log(each, "ours %s", logging.getLevelName(each).lower())
        logging.getLogger("library").log(each, "theirs %s", logging.getLevelName(each).lower())
    logging.getLogger("library").error("theirs error")
    assert [line.partition(": ")[2] for line in stream.getvalue().splitlines()] == heard


def test_the_access_log_is_its_own_switch() -> None:
    """Off unless asked for, whatever the level; on at any level; and a reload changes it without doubling lines."""
    access = logging.getLogger("hearth.access")
    stream = logged(level="debug")
    access.info("one")
    assert stream.getvalue() == ""
    stream = logged(level="error", access_log=True)
    access.info("two")
    assert stream.getvalue() == "INFO hearth.access: two\n"


class Dead(io.StringIO):
    """A stream whose reader has gone."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(28, "no space"), ValueError("I/O operation on closed file")]
)
def test_a_dead_stream_never_raises(error: Exception) -> None:
    """The line is lost and nothing else, and nothing is written about it anywhere."""
    configure(stream=Dead(error))
    logging.getLogger("hearth.server").error("lost")


def test_a_wrong_call_is_shown_as_it_is() -> None:
    """A message that cannot be formatted is still a line, without the arguments."""
    record = logging.LogRecord("hearth.x", logging.ERROR, "f", 1, "%d of %s", (PROMPT,), None)
    assert TextLines().format(record) == "ERROR hearth.x: %d of %s"
    assert PROMPT not in JsonLines().format(record)


def test_a_line_is_bounded() -> None:
    """Whatever was put into it."""
    record = logging.LogRecord("hearth.x", logging.ERROR, "f", 1, "x" * 1_000_000, None, None)
    assert len(TextLines().format(record)) < 20_000 and len(JsonLines().format(record)) < 20_000


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_crash_shows_its_stack_and_no_message(form: Literal["text", "json"], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the main thread, another thread and a finalizer; Ctrl-C is no crash."""
    for module, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    lines = logged(form)
    log_crashes()
    for error in (ValueError(PROMPT, KEY), KeyboardInterrupt(PROMPT)):
        with pytest.raises(type(error)) as caught:
            raise error
        sys.excepthook(caught.type, caught.value, caught.tb)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    class Lost:
        def __del__(self) -> None:
            fail()

    Lost()
    shown = lines.getvalue()
    assert shown.count("builtins.ValueError") == 3 and shown.count("in fail") == 2
    assert PROMPT not in shown and KEY not in shown and "KeyboardInterrupt" not in shown

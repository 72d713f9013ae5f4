"""Where log lines go and what they look like: text or JSON on one stream, never the message of an exception or a secret."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Collection
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, TextIO

from runtime.server.access_log import LOGGER as ACCESS
from runtime.trust.stack import stack_of

OURS = "hearth"
_crash = logging.getLogger(f"{OURS}.crash")
_MOST = 16_384  # characters of a line
_SHORTEST_SECRET = 6  # a shorter one would blot out ordinary words
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def configure(
    level: Literal["debug", "info", "warning", "error"] = "warning",
    form: Literal["text", "json"] = "text",
    *,
    access_log: bool = False,
    secrets: Collection[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Sets up the logging of this process. May be called again, after a reload.

    level: of our own loggers; libraries are heard from `warning` on, since some of them log what they send. secrets: never
    shown, wherever they stand. stream: standard error, if left out; one that cannot be written to loses its lines.
    """
    handler = _Patient(stream or sys.stderr)
    handler.setFormatter((JsonLines if form == "json" else TextLines)(secrets))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _Patient)]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.raiseExceptions = False
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))
    logging.getLogger(OURS).setLevel(level.upper())
    logging.getLogger(ACCESS).setLevel(logging.INFO if access_log else logging.CRITICAL)


def log_crashes() -> None:
    """Logs what nothing caught, in the main thread, another thread or a finalizer, in place of Python's traceback.

    That one ends with the exception's message, which may quote a prompt or a key. Until the settings of the log are known, it
    has its defaults.
    """
    if not any(isinstance(each, _Patient) for each in logging.getLogger().handlers):
        configure()

    def uncaught(kind: type[BaseException], error: BaseException | None, stack: TracebackType | None) -> None:
        if error is not None and not isinstance(error, KeyboardInterrupt):
            _crash.critical("a fault of this program that nothing caught", exc_info=(kind, error, stack))

    sys.excepthook = uncaught
    threading.excepthook = lambda thrown: uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)
    sys.unraisablehook = lambda lost: uncaught(lost.exc_type, lost.exc_value, lost.exc_traceback)


class _Patient(logging.StreamHandler[TextIO]):
    """A handler that never raises: a log that nobody reads any more must not stop a request or a shutdown."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(self.format(record) + self.terminator)
            self.stream.flush()
        except Exception:  # noqa: BLE001, S110 - there is nowhere left to report it
            pass


class TextLines(logging.Formatter):
    """LEVEL logger: message, and the stack of an exception below it."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        super().__init__()
        self._secrets = sorted((each for each in secrets if len(each) >= _SHORTEST_SECRET), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        return self.shown(f"{record.levelname} {record.name}: {self.words(record)}")

    def words(self, record: logging.LogRecord) -> str:
        """The message and the stack of its exception. A message that cannot be formatted is shown without its arguments."""
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a logger was called with arguments that do not fit
            text = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        return text if error is None else f"{text}\n{stack_of(error)}"

    def shown(self, text: str) -> str:
        """Without secrets and control characters, and of bounded length."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:_MOST].translate(_CONTROLS)


class JsonLines(TextLines):
    """One object a line: at, level, logger, message, and the fields that the record brings."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.shown(self.words(record)),
        }
        fields: dict[str, object] = getattr(record, "fields", {})
        for name, value in fields.items():
            line.setdefault(name, self.shown(value) if isinstance(value, str) else value)
        return json.dumps(line, ensure_ascii=False, default=str)

"""Exit codes, and the exception that carries a sentence for the user. Prints nothing itself."""

from __future__ import annotations

from enum import IntEnum

STOPPED = "stopped"  # the sentence after Ctrl-C, where a command has none of its own


class Exit(IntEnum):
    OK = 0
    FAILED = 1  # the command ran, and the answer is no: a check failed, a line was bad
    USAGE = 2  # the command line makes no sense
    NO_RUNTIME = 3  # no runtime answers at the address
    REFUSED = 4  # the runtime answered with an error
    SETTINGS = 5  # the settings cannot be used
    CUT = 6  # the answer began and was not finished
    INTERRUPTED = 130  # Ctrl-C
    CLOSED = 141  # nobody reads stdout any more, as for any program that SIGPIPE ends


class CommandError(Exception):
    """A foreseeable fault. The message says what is wrong and what to do, without a full stop."""

    def __init__(self, message: str, exit: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit = exit

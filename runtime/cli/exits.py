"""How a command ends: exit codes, and the one exception that carries a sentence for the user. Prints nothing itself."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FAILED = 1  # it ran, and the answer is no: a check failed, a line was bad
    USAGE = 2  # the command line makes no sense
    NO_RUNTIME = 3  # nobody answers at the address
    REFUSED = 4  # the runtime answered with an error
    SETTINGS = 5  # the settings cannot be used
    CUT = 6  # the answer began and was not finished
    INTERRUPTED = 130  # Ctrl-C


class CommandError(Exception):
    """A foreseeable fault. The message says what is wrong and what to do, without a full stop."""

    def __init__(self, message: str, exit: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit = exit

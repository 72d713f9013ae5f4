"""Holds an answer against a JSON Schema from outside. Run as a program, it is the child process of `schema_process`.

A schema may hold regular expressions and references that take for ever, and Python's `re` holds the interpreter's lock while
it runs: a thread would not help. The child therefore ends itself by a timer of the kernel, whose signal has no Python handler.
Imports nothing of this project, so that it starts alone.
"""

from __future__ import annotations

import resource
import select
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

import jsonschema
import msgspec
from referencing import Registry
from referencing.exceptions import Unresolvable

HEAD = struct.Struct(">I")  # a frame's length, before its JSON
_MEMORY = 2 << 30  # bytes of address space: a schema can ask for any amount
_SHOWN = 300  # characters of a message, and of a path


class SchemaViolation(msgspec.Struct, frozen=True):
    """Why an answer is not valid under its schema. at: the JSON path, "" for the whole."""

    message: str
    at: str = ""

    def __str__(self) -> str:
        return f"at {self.at}: {self.message}" if self.at else self.message


class SchemaQuestion(msgspec.Struct, frozen=True):
    """One check. text: the answer's JSON. schema: None if any object will do."""

    text: str
    schema: Any = None


def violation(text: str, schema: Any) -> SchemaViolation | None:
    """The most relevant violation; None if the answer is valid, or if the schema itself is not."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return SchemaViolation(f"it is not valid JSON: {error}")
    if schema is None:
        return None if isinstance(value, dict) else SchemaViolation("it is not a JSON object")
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
        # An empty registry: nothing a client names in its schema is fetched.
        found = jsonschema.exceptions.best_match(kind(schema, registry=Registry()).iter_errors(value))
    except (jsonschema.exceptions.SchemaError, Unresolvable):
        return None
    except RecursionError:
        return SchemaViolation("it is nested too deeply to be checked")
    return None if found is None else SchemaViolation(found.message[:_SHOWN], found.json_path[:_SHOWN])


def serve(answer: Callable[[bytes], bytes], limit_s: float, idle_s: float) -> None:
    """Answers one question after another, from stdin to stdout: the life of a child process.

    Ends by SIGALRM after `limit_s` on one, by itself after `idle_s` without any.
    """
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it closes the pipe
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    while select.select([questions], [], [], idle_s)[0] and (head := questions.read(HEAD.size)):
        question = questions.read(HEAD.unpack(head)[0])
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        found = answer(question)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(HEAD.pack(len(found)) + found)
        answers.flush()


def answered(question: bytes) -> bytes:
    """The JSON of the violation, or of null, for the JSON of a `SchemaQuestion`."""
    asked = msgspec.json.decode(question, type=SchemaQuestion)
    return msgspec.json.encode(violation(asked.text, asked.schema))


if __name__ == "__main__":
    serve(answered, float(sys.argv[1]), float(sys.argv[2]))

"""A Dockerfile as stages of instructions. Pure. Knows the instructions that docker/Dockerfile uses, and refuses others."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

KNOWN = frozenset(
    {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "STOPSIGNAL", "USER"}
    | {"VOLUME", "WORKDIR"}
)


class UnknownInstructionError(ValueError):
    """The file uses an instruction that is not carried out here."""


@dataclass(frozen=True, slots=True)
class Instruction:
    name: str
    rest: str

    def words(self) -> list[str]:
        """The arguments: of the JSON form, else split as a shell does."""
        found: list[str] = json.loads(self.rest) if self.rest.startswith("[") else shlex.split(self.rest)
        return found


@dataclass(slots=True)
class Stage:
    """base: the name of another stage, or an image's reference."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


@dataclass(slots=True)
class Config:
    """How a container of the image runs. A stage begins with its base's."""

    env: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    volumes: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"


def parse(text: str, arguments: Mapping[str, str]) -> dict[str, Stage]:
    """The stages by name, in order. arguments: values of ARG in place of the defaults. Raises UnknownInstructionError."""
    stages: dict[str, Stage] = {}
    values = dict(arguments)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stage = Stage("", "")
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        if name not in KNOWN:
            raise UnknownInstructionError(name)
        if name == "ARG":
            key, _, default = rest.partition("=")
            values.setdefault(key, default)
        elif name == "FROM":
            base, _, called = rest.partition(" AS ")
            resolved = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], base)
            stage = stages[called] = Stage(called, resolved)
        else:
            stage.instructions.append(Instruction(name, rest.strip()))
    return stages


def configure(config: Config, instruction: Instruction) -> None:
    """Takes an instruction into the configuration; those that change files change nothing here."""
    match instruction.name:
        case "ENV":
            pairs = [word.partition("=") for word in instruction.words()]
            config.env |= {key: value for key, _, value in pairs}
        case "USER":
            config.user = instruction.rest
        case "WORKDIR":
            config.folder = instruction.rest
        case "VOLUME":
            config.volumes = instruction.words()
        case "ENTRYPOINT":
            config.entrypoint = instruction.words()
        case "CMD":
            config.command = instruction.words()
        case "STOPSIGNAL":
            config.stop_signal = instruction.rest
        case "HEALTHCHECK":
            config.healthcheck = json.loads(instruction.rest.partition(" CMD ")[2])

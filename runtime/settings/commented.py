"""Settings as TOML: the commented file that `hearth config init` writes, and any settings written out. Holds no secret.

In the commented file a key stands behind a `#` with no space: take the `#` away and it is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runtime.settings.faults import dotted, quoted
from runtime.settings.model import Document
from runtime.settings.places import Key
from runtime.settings.secret import Secret
from runtime.settings.sections.engine import LocalModel
from runtime.settings.sections.routing import Rule
from runtime.settings.sections.section import Section
from runtime.settings.sections.targets import TargetSettings
from runtime.settings.shape import fields_of, plain

_WIDTH = 120
_HEAD = """\
# The settings of Hearth. Everything here is optional: a line that begins with "#" shows the default, or an example.
# Take the "#" away and change the value. `hearth config check` reads this file and says what is wrong with it.
# Each value can also be set in the environment, as HEARTH_SECTION__KEY: HEARTH_SERVER__PORT=9000.
"""
_EXAMPLE_TARGET = "my-target"
_EXAMPLE_MODEL = "small"
_EXAMPLE_ALIAS = {"gpt-4o": "auto"}


class Line(NamedTuple):
    """A key of a section as the file shows it. value: its default, or an example where it has none."""

    name: str
    value: Any
    words: str
    has_default: bool


def lines_of(section: Any, key: Key) -> Iterator[Line]:
    """The keys of a table with fixed names, in the model's order."""
    for name, field in fields_of(section).items():
        if isinstance(field.default, Section) and not field.examples:
            continue  # a section of its own
        shown = field.examples[0] if field.examples and not has_default(field) else field.default
        yield Line(name, shown, field.description or "", has_default(field))


def subsections(section: Any) -> Iterator[tuple[str, type[Section]]]:
    """The tables below a section that have a header of their own, like [quality.sample]."""
    for name, field in fields_of(section).items():
        if isinstance(field.default, Section) and not field.examples:
            yield name, type(field.default)


def has_default(field: FieldInfo) -> bool:
    """True if the key has a default that can be written in the file."""
    return not field.is_required() and field.default not in (None, (), {}) and not fields_of(field.annotation)


def commented_file() -> str:
    """The file `hearth config init` writes: every section and key, all of it commented out."""
    return "\n".join([_HEAD, *(_section(name, field) for name, field in Document.model_fields.items())])


def _section(name: str, field: FieldInfo) -> str:
    match name:
        case "targets":
            header, lines = f"#[targets.{_EXAMPLE_TARGET}]", list(lines_of(TargetSettings, (name, "*")))
            words = TargetSettings.__doc__
        case "models":
            header, lines = f"#[models.{_EXAMPLE_MODEL}]", list(lines_of(LocalModel, (name, "*")))
            words = LocalModel.__doc__
        case "rules":
            header, lines, words = "#[[rules]]", list(lines_of(Rule, (name, "*"))), Rule.__doc__
        case "aliases":
            header, words = "[aliases]", "Other names for models: auto, local, local/NAME, PROVIDER/MODEL or a target."
            lines = [Line(alias, meaning, "", False) for alias, meaning in _EXAMPLE_ALIAS.items()]
        case _:
            header, lines = f"[{name}]", list(lines_of(field.annotation, (name,)))
            words = plain(field.annotation).__doc__
    parts = [
        f"# {inner.__doc__}\n[{name}.{part}]\n" + "\n".join([*_beside(list(lines_of(inner, (name, part)))), ""])
        for part, inner in subsections(field.annotation)
    ]
    return "\n".join([f"# {words}", header, *_beside(lines), "", *parts])


def _beside(lines: list[Line]) -> Iterator[str]:
    """Settings behind `#`, their words beside them where they fit, above them where not."""
    set_to = [f"#{dotted((line.name,))} = {toml(line.value)}" for line in lines]
    column = max(len(text) for text in set_to if len(text) <= 44) + 2
    for text, line in zip(set_to, lines, strict=True):
        beside = f"{text:<{column}}# {line.words}"
        if not line.words or len(beside) <= _WIDTH:
            yield beside if line.words else text
        else:
            yield f"# {line.words}"
            yield text


def toml(value: Any) -> str:
    """A value as TOML, on one line: a secret as its reference, a table with what was set in it."""
    if isinstance(value, Secret | str):
        return quoted(str(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
    if isinstance(value, Mapping):
        inner = ", ".join(f"{dotted((name,))} = {toml(entry)}" for name, entry in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    return str(value)

"""The checks of a file, read into values and checked before anything runs. Files that they name come in through `Reading`.

{ contains = "total" }                       a kind and what it wants
{ path = "total", equals = 118.4 }           with its options
{ not = { contains = "sorry" } }             turned over, as `{ contains = "sorry", not = true }` is
{ words = { max = 60 }, weight = 0.5 }       with less weight, where a case has a `threshold`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jsonschema
import msgspec
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from runtime.quality.golden.checks import CHECKS, LIKENESS, MEASURES, PYTHON, steps
from runtime.quality.values import JUDGED, GoldenCheck

Reading = Callable[[str], str]
"""Reads a file beside the set. Raises OSError, UnicodeError."""

_SHARED = frozenset({"not", "weight"})
_LANGUAGES = ["de", "el", "en", "es", "fr", "he", "hi", "hy", "it", "ja", "ko", "nl", "pt", "ru", "th", "zh", "ar"]


class BadCheck(ValueError):
    """A check that cannot be read. The message says why."""


class Shape(NamedTuple):
    """The arguments of a kind. want: a sentence, and a test of the value. options: names, with a test of each value."""

    wanted: str
    fits: Callable[[Any], bool]
    options: Mapping[str, Callable[[Any], bool]] = {}


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def is_plain(value: Any) -> bool:
    return is_text(value) or is_number(value)


def is_bounds(value: Any) -> bool:
    """The most, or a table with `min` and `max`."""
    if isinstance(value, Mapping):
        return bool(value) and value.keys() <= {"min", "max"} and all(map(is_number, value.values()))
    return is_number(value)


def is_pattern(value: Any) -> bool:
    """Raises BadCheck with the fault of a text that is no pattern."""
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as fault:
        raise BadCheck(f"the pattern {value!r} cannot be used: {fault}") from fault
    except TypeError:
        return False
    return True


def is_schema(value: Any) -> bool:
    """Raises BadCheck with the fault of a table that is no schema, or that refers to what is not in it: nothing is fetched, and
    an answer cannot be held against what is not there.
    """
    if not isinstance(value, dict):
        return False
    kind = jsonschema.validators.validator_for(value, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(value)
    except jsonschema.exceptions.SchemaError as fault:
        raise BadCheck(f"the schema is none at {fault.json_path}: {fault.message[:200]}") from fault
    root = Registry().resolver_with_root(Resource.from_contents(value, default_specification=DRAFT202012))
    for reference in references(value):
        try:
            root.lookup(reference)
        except Unresolvable as fault:
            raise BadCheck(f"the schema's $ref {reference!r} leads nowhere: put what it means under $defs") from fault
    return True


def references(schema: Any) -> Iterator[str]:
    """Each `$ref` of a schema. Not those within data, and none below an `$id` of its own, where they mean other places."""
    if isinstance(schema, list):
        for each in schema:
            yield from references(each)
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        for name, value in schema.items():
            own = isinstance(value, dict) and "$id" in value
            if name not in ("const", "enum", "default", "examples") and not own:
                yield from references(value)


def anything(value: Any) -> bool:
    return True


_CASE: Mapping[str, Callable[[Any], bool]] = {"ignore_case": is_flag, "ignore_punctuation": is_flag}
SHAPES: Mapping[str, Shape] = {
    "equals": Shape("a text, a number or a list of them", lambda v: is_plain(v) or is_texts(v), _CASE),
    "contains": Shape("a text", is_plain, _CASE),
    "any_of": Shape("a list of texts", is_texts, _CASE),
    "all_of": Shape("a list of texts", is_texts, _CASE),
    "starts": Shape("a text or a list of texts", lambda v: is_plain(v) or is_texts(v), _CASE),
    "ends": Shape("a text or a list of texts", lambda v: is_plain(v) or is_texts(v), _CASE),
    "regex": Shape("a regular expression", is_pattern),
    "number": Shape("a number", is_number, {"tolerance": is_number}),
    "choice": Shape("a label", is_plain, {"among": is_texts}),
    "json": Shape(
        "true, a schema, or the name of a file with one", lambda v: v is True or is_schema(v), {"fenced": is_flag}
    ),
    "path": Shape(
        "a path such as `items.0.total`",
        lambda v: is_text(v) and all(steps(v)),
        {
            "equals": anything,
            "tolerance": is_number,
            "regex": is_pattern,
            "ignore_case": is_flag,
            "fenced": is_flag,
        },
    ),
    "tool": Shape(
        "a tool's name, or false",
        lambda v: is_text(v) or v is False,
        {"arguments": lambda v: isinstance(v, Mapping), "schema": is_schema},
    ),
    "finish": Shape("stop, length, tool_calls or content_filter", lambda v: is_text(v) or is_texts(v)),
    "refused": Shape("true or false", is_flag),
    "language": Shape(f"one of {' '.join(_LANGUAGES)}", lambda v: v in _LANGUAGES),
    "words": Shape("a number, or a table with min and max", is_bounds, {"by": lambda v: v == "space"}),
    "chars": Shape("a number, or a table with min and max", is_bounds),
    "parses": Shape("python, json or toml", lambda v: v in ("python", "json", "toml")),
    "similar": Shape(
        "a text or a list of texts",
        lambda v: is_text(v) or is_texts(v),
        {"at_least": is_share, "by": lambda v: is_text(v) and v in LIKENESS},
    ),
    "rubric": Shape("a question, or a list of them", lambda v: is_text(v) or is_texts(v), {"reference": is_text}),
    "versus": Shape("true", lambda v: v is True),
    PYTHON: Shape(
        '"FILE.py:FUNCTION"', lambda v: is_text(v) and re.fullmatch(r"[^:]+\.py:[A-Za-z_]\w*", v) is not None
    ),
    **{name: Shape("a number", is_number) for name in MEASURES},
}
assert SHAPES.keys() == CHECKS.keys() | JUDGED | {PYTHON} | set(MEASURES)


def read_check(written: Any, read: Reading) -> GoldenCheck:
    """Raises BadCheck."""
    if not isinstance(written, Mapping):
        raise BadCheck('a check is a table such as { contains = "total" }')
    inner = written.get("not")
    if isinstance(inner, Mapping):
        if written.keys() - _SHARED:
            raise BadCheck("`not` with a table stands alone, beside `weight` at most")
        check = read_check(inner, read)
        return msgspec.structs.replace(check, negated=not check.negated, weight=_weight(written, check.weight))
    # `path` and `tool` take options that are kinds by themselves elsewhere.
    kinds = [name for name in written if name in SHAPES]
    kind = next((name for name in ("path", "tool") if name in kinds), kinds[0] if kinds else None)
    if kind is None:
        unknown = min(written.keys() - _SHARED, default="")
        raise BadCheck(f"there is no check {unknown!r}; the kinds are {', '.join(SHAPES)}")
    shape, want = SHAPES[kind], written[kind]
    options = {name: value for name, value in written.items() if name != kind and name not in _SHARED}
    for name in options:
        if name not in shape.options:
            also = ", ".join(shape.options) or "no option"
            raise BadCheck(f"{kind} takes {also}, not {name!r}: two checks are two tables")
    if kind == "json" and isinstance(want, str):
        want = _schema(want, read)
    if isinstance(options.get("schema"), str):
        options["schema"] = _schema(options["schema"], read)
    if not shape.fits(want):
        raise BadCheck(f"{kind} wants {shape.wanted}")
    for name, value in options.items():
        if not shape.options[name](value):
            raise BadCheck(f"{kind}: {name} cannot be {value!r}")
    if not isinstance(written.get("not", False), bool):
        raise BadCheck("`not` is true, or a table with the check to turn over")
    if kind == PYTHON:
        options = _program(want, read)
    return GoldenCheck(kind, want, options, written.get("not", False), _weight(written, 1.0))


def _weight(written: Mapping[str, Any], default: float) -> float:
    weight = written.get("weight", default)
    if not is_number(weight) or weight <= 0:
        raise BadCheck("weight is a number above 0")
    return float(weight)


def _schema(name: str, read: Reading) -> Any:
    try:
        return msgspec.json.decode(read(name))
    except (OSError, UnicodeError) as fault:
        raise BadCheck(f"the schema {name!r} cannot be read: {fault}") from fault
    except msgspec.DecodeError as fault:
        raise BadCheck(f"the schema {name!r} is not JSON: {fault}") from fault


def _program(want: str, read: Reading) -> dict[str, str]:
    """The source of the user's check, as it is now: what runs is what was hashed."""
    name, _, function = want.partition(":")
    try:
        source = read(name)
        compile(source, name, "exec")
    except (OSError, ValueError) as fault:
        raise BadCheck(f"{name!r} cannot be read: {fault}") from fault
    except SyntaxError as fault:
        raise BadCheck(f"{name!r} line {fault.lineno}: {fault.msg}") from fault
    if re.search(rf"\b{function}\b", source) is None:
        raise BadCheck(f"{name!r} has no function {function!r}")
    return {"source": source, "function": function}

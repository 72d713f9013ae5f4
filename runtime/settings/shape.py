"""The file's structure, read off the model: a walk from table to table. Knows no single setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runtime.settings.model import Document
from runtime.settings.places import Key


def plain(annotation: Any) -> Any:
    """The type beneath its bounds and beneath an optional None."""
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        return plain(rest[0]) if len(rest) == 1 else annotation
    return annotation


def fields_of(shape: Any) -> Mapping[str, FieldInfo]:
    """The keys a table of fixed keys has; none for anything else."""
    shape = plain(shape)
    return shape.model_fields if isinstance(shape, type) and issubclass(shape, BaseModel) else {}


def entry_of(shape: Any) -> Any | None:
    """The type of each entry of a table with free names; None for anything else."""
    shape = plain(shape)
    return get_args(shape)[1] if get_origin(shape) is Mapping else None


def item_of(shape: Any) -> Any | None:
    """The type of a list's items; None for anything else."""
    shape = plain(shape)
    return get_args(shape)[0] if get_origin(shape) is tuple else None


def below(shape: Any, part: str | int) -> Any | None:
    """The type under `part`; None if there is no such key."""
    if isinstance(part, int):
        return item_of(shape)
    fields = fields_of(shape)
    return fields[part].annotation if part in fields else entry_of(shape)


def at(key: Key) -> Any | None:
    """The type at a key of the file; None if there is no such key."""
    shape: Any = Document
    for part in key:
        shape = below(shape, part)
        if shape is None:
            return None
    return shape


def leaves(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every value below a table, in its order; a list is one value, and so is an empty table."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from leaves(getattr(value, name), (*key, name))
    elif isinstance(value, Mapping) and value:
        for name, entry in value.items():
            yield from leaves(entry, (*key, name))
    else:
        yield key, value


def choices_of(shape: Any) -> tuple[Any, ...]:
    """The values a setting may be chosen from; empty where it is free."""
    shape = plain(shape)
    return get_args(shape) if get_origin(shape) is Literal else ()

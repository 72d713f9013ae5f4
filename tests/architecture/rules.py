"""The rules of the house as pure functions: modules in, complaints out. A complaint is one line that names the place.

Every exemption is a parameter, so that the one list of them stands beside the test that uses it.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence

from tests.architecture.source import Import, Module, length, within


def forbidden_arrows(modules: Sequence[Module], allowed: Mapping[str, frozenset[str]]) -> list[str]:
    """Imports between rooms that the table does not allow.

    allowed: room -> rooms it may import besides itself. A module that belongs to no room is itself a complaint, so that
    a new room has to be given its place.
    """
    found = []
    for module in modules:
        room = _room(module.name, allowed)
        if room is None:
            found.append(f"{module.path}: {module.name} belongs to no room of the house")
            continue
        found += [
            f"{module.path}:{each.line} {room} must not import {other}"
            for each in module.imports
            for other in _rooms(each, allowed) - allowed[room] - {room}
        ]
    return sorted(set(found))


def circles(modules: Sequence[Module]) -> list[str]:
    """Modules that import each other, at whatever distance. A package's `__init__` counts when imported by name."""
    graph = _graph(modules)
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {
        frozenset({name, *(other for other in reach[name] if name in reach[other])})
        for name in graph
        if name in reach[name]
    }
    return sorted("circle: " + " <-> ".join(sorted(group)) for group in groups)


def hidden_imports(modules: Sequence[Module], exempt: Mapping[str, Collection[str]]) -> list[str]:
    """Imports inside functions, and computed ones anywhere. exempt: module or package -> what it may import late."""
    found = []
    for module in modules:
        libraries = {library for where, names in exempt.items() if within(module.name, where) for library in names}
        for each in module.imports:
            late = each.hidden or each.names == ("<computed>",)
            if late and not any(within(each.names[0], library) for library in libraries):
                found.append(f"{module.path}:{each.line} imports {each.names[0]} inside a function")
    return found


def named_words(modules: Sequence[Module], words: Collection[str], harmless: Collection[str] = ()) -> list[str]:
    """Code that names one of the words: identifiers, attributes, imports and strings. Docstrings and comments may.

    harmless: phrases that contain a word and mean something else; they are taken out before looking.
    """
    innocent = re.compile("|".join(map(re.escape, sorted(harmless, key=len, reverse=True))) or r"(?!)", re.IGNORECASE)
    guilty = re.compile(rf"(?<![a-z])({'|'.join(words)})(?![a-z])", re.IGNORECASE)
    found = []
    for module in modules:
        for line, text in _spoken(module.tree):
            match = guilty.search(innocent.sub("", text))
            if match:
                found.append(f"{module.path}:{line} names {match.group(0)!r}")
    return sorted(set(found))


def long_functions(modules: Sequence[Module], most: int, exempt: Collection[str]) -> list[str]:
    """Functions of more lines than `most`. exempt: "module.function" names."""
    return [
        f"{module.path}:{function.lineno} {function.name}: {length(function)} lines"
        for module in modules
        for function in module.functions()
        if length(function) > most and f"{module.name}.{function.name}" not in exempt
    ]


def large_modules(modules: Sequence[Module], most: int, exempt: Collection[str]) -> list[str]:
    return [
        f"{module.path}: {module.lines} lines"
        for module in modules
        if module.lines > most and module.name not in exempt
    ]


def median_function(modules: Sequence[Module]) -> float:
    """Lines of the median function; 0 where there is none."""
    lengths = [length(function) for module in modules for function in module.functions()]
    return statistics.median(lengths) if lengths else 0


def _room(name: str, rooms: Collection[str]) -> str | None:
    """The room that holds the module. One that has rooms inside it (`runtime`) holds only its own `__init__`."""
    outer = {room for room in rooms if any(other != room and within(other, room) for other in rooms)}
    return next((room for room in rooms if name == room or (room not in outer and within(name, room))), None)


def _rooms(each: Import, rooms: Mapping[str, Collection[str]]) -> set[str]:
    """The rooms an import enters. `from runtime import cli` enters runtime.cli, and not the bare package around it."""
    first, *longer = each.names
    entered = {room for name in longer if (room := _room(name, rooms)) is not None}
    outermost = _room(first, rooms)
    return entered or ({outermost} if outermost is not None else set())


def _graph(modules: Sequence[Module]) -> dict[str, set[str]]:
    names = {module.name for module in modules}
    return {module.name: _edges(module, names) for module in modules}


def _edges(module: Module, names: Collection[str]) -> set[str]:
    edges: set[str] = set()
    for each in module.imports:
        first, *longer = each.names
        submodules = [name for name in longer if name in names]
        edges.update(submodules or ([first] if first in names else []))
    return edges - {module.name}


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead.extend(graph[name])
    return seen


# Node types that carry an identifier, and the field it is in.
_IDENTIFIERS: tuple[tuple[type[ast.AST], str], ...] = (
    (ast.Name, "id"),
    (ast.Attribute, "attr"),
    (ast.arg, "arg"),
    (ast.keyword, "arg"),
    (ast.FunctionDef, "name"),
    (ast.AsyncFunctionDef, "name"),
    (ast.ClassDef, "name"),
    (ast.alias, "name"),
)


def _spoken(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every identifier and string of the code, with its line, docstrings left out."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield line, node.value
        yield from ((line, getattr(node, field) or "") for kind, field in _IDENTIFIERS if isinstance(node, kind))

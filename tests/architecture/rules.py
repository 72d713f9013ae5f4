"""The rules of the house as pure functions: modules in, complaints out. A complaint is one line that names the place.

Every exemption is a parameter, so that the one list of them stands beside the test that uses it.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from tests.architecture.source import Function, Import, Module, length, within


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
    """Modules that import each other, at whatever distance.

    Whoever imports a module from outside its package runs the package's `__init__` first: that is an import too.
    """
    graph = _graph(modules)
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {
        frozenset({name, *(other for other in reach[name] if name in reach[other])})
        for name in graph
        if name in reach[name]
    }
    return sorted("circle: " + " <-> ".join(sorted(group)) for group in groups)


def own_package_imports(modules: Sequence[Module]) -> list[str]:
    """Modules that take a name from a package they are in, which may not have run to its end yet.

    A package that imports none of its modules is safe to ask.
    """
    names = {module.name for module in modules}
    packages = {
        module.name
        for module in modules
        if module.package and any(within(name, module.name) for each in module.imports for name in each.names)
    }
    return [
        f"{module.path}:{each.line} imports its own package {each.names[0]}"
        for module in modules
        for each in module.imports
        if each.names[0] in packages and within(module.name, each.names[0]) and module.name != each.names[0]
        if not any(name in names for name in each.names[1:])
    ]


def called_once(modules: Sequence[Module]) -> list[str]:
    """Private functions and methods that their own module mentions exactly once."""
    found = []
    for module in modules:
        mentions: Counter[str] = Counter()
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name):
                mentions[node.id] += 1
            elif isinstance(node, ast.Attribute):
                mentions[node.attr] += 1
        found += [
            f"{module.path}:{each.lineno} {each.name}"
            for each in module.functions()
            if each.name.startswith("_") and not each.name.startswith("__") and mentions[each.name] == 1
        ]
    return found


def names_with_two_meanings(modules: Sequence[Module], exempt: Collection[str]) -> list[str]:
    """Public classes of one name in several modules."""
    places: dict[str, list[str]] = {}
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module.name)
    return [
        f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1 and name not in exempt
    ]


def bare_tasks(modules: Sequence[Module], exempt: Collection[str]) -> list[str]:
    """Tasks started outside the modules that are exempt, by whatever spelling."""
    return [
        f"{module.path}:{node.lineno} starts a task by itself"
        for module in modules
        if module.name not in exempt
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) in ("create_task", "ensure_future")
    ]


# Whatever opens a connection: clients, their transports, sockets, and downloads by a library.
_OPENERS = frozenset(
    {
        "AsyncClient",
        "AsyncHTTPTransport",
        "Client",
        "ClientSession",
        "HTTPConnection",
        "HTTPSConnection",
        "HTTPTransport",
        "SMTP",
        "TCPConnector",
        "UnixConnector",
        "UpdatePrices",
        "create_connection",
        "create_unix_connection",
        "hf_hub_download",
        "http_get",
        "open_connection",
        "open_unix_connection",
        "snapshot_download",
        "socket",
        "socketpair",
        "urlopen",
        "urlretrieve",
    }
)
_VERBS = frozenset({"delete", "get", "head", "options", "patch", "post", "put", "request", "stream", "ws_connect"})
_LIBRARIES = frozenset({"aiohttp", "httpx", "httpx2", "requests", "urllib3"})


def exits(modules: Sequence[Module], exempt: Collection[str]) -> list[str]:
    """Connections opened outside the modules that are exempt."""
    return [
        f"{module.path}:{node.lineno} opens a connection by itself"
        for module in modules
        if module.name not in exempt
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and (
            (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) in _OPENERS
            or (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in _VERBS
                and getattr(node.func.value, "id", "") in _LIBRARIES
            )
        )
    ]


def asking_docstrings(modules: Sequence[Module]) -> list[str]:
    """Docstrings that begin with a question word: a noun, or "True if", says the same and is found by searching."""
    asking = re.compile(r"(What|Whether|Who|Whose|Where|How)\b")
    return [
        f"{module.path}:{getattr(node, 'lineno', 1)} {text.splitlines()[0][:60]}"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | Function)
        and (text := ast.get_docstring(node))
        and asking.match(text)
    ]


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


def _edges(module: Module, names: set[str]) -> set[str]:
    edges: set[str] = set()
    for each in module.imports:
        first, *longer = each.names
        reached = [name for name in longer if name in names] or ([first] if first in names else [])
        edges.update(reached)
        edges.update(
            package for name in reached for package in _packages(name) & names if not within(module.name, package)
        )
    return edges - {module.name}


def _packages(name: str) -> set[str]:
    """The packages a module is in: `a` and `a.b` for `a.b.c`."""
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


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

"""A tree of Python files as the rules see it: modules, their imports, their functions. Pure but for `read`.

Knows Python's syntax and nothing of Hearth.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Import:
    """One name asked for. `names` are all modules it may mean: `from a import b` is `a` and perhaps `a.b`."""

    names: tuple[str, ...]
    line: int
    hidden: bool  # inside a function


@dataclass(frozen=True, slots=True)
class Module:
    name: str  # dotted
    path: str
    lines: int
    tree: ast.Module
    package: bool
    imports: tuple[Import, ...]

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


def read(root: Path, packages: Iterable[str]) -> dict[str, str]:
    """Path relative to root -> source, of every Python file of the packages."""
    files = (path for package in packages for path in sorted((root / package).rglob("*.py")))
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}


def parse(files: Mapping[str, str]) -> list[Module]:
    return [_module(path, text) for path, text in files.items()]


def length(function: Function) -> int:
    """Lines from `def` to the last one, both included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def within(name: str, package: str) -> bool:
    """True if a dotted name is the package or inside it."""
    return name == package or name.startswith(package + ".")


def _module(path: str, text: str) -> Module:
    parts = path.removesuffix(".py").split("/")
    package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if package else parts)
    tree = ast.parse(text, path)
    return Module(name, path, text.count("\n"), tree, package, tuple(_imports(tree, name, package)))


def _imports(tree: ast.Module, name: str, package: bool) -> Iterator[Import]:
    hidden = {id(inner) for node in ast.walk(tree) if isinstance(node, Function) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        names = _names(node, name, package)
        if names:
            yield Import(names, getattr(node, "lineno", 0), id(node) in hidden)


def _names(node: ast.AST, module: str, package: bool) -> tuple[str, ...]:
    if isinstance(node, ast.Import):
        return tuple(alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        base = _absolute(node, module, package)
        return (base, *(f"{base}.{alias.name}" for alias in node.names))
    if isinstance(node, ast.Call) and ast.unparse(node.func) in {
        "__import__",
        "import_module",
        "importlib.import_module",
    }:
        literal = node.args[0] if node.args else None
        return (
            literal.value if isinstance(literal, ast.Constant) and isinstance(literal.value, str) else "<computed>",
        )
    return ()


def _absolute(node: ast.ImportFrom, module: str, package: bool) -> str:
    if not node.level:
        return node.module or ""
    above = module.split(".")
    anchor = above[: len(above) - node.level + (1 if package else 0)]
    return ".".join([*anchor, *([node.module] if node.module else [])])

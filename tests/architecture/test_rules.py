"""The rules find what they are for, shown on small trees that break them."""

from __future__ import annotations

from tests.architecture import rules
from tests.architecture.source import parse

ROOMS = {
    "app": frozenset[str](),
    "app.low": frozenset({"app"}),
    "app.high": frozenset({"app", "app.low"}),
    "other": frozenset({"app.low"}),
}


def arrows(**files: str) -> list[str]:
    return rules.forbidden_arrows(parse({path.replace("__", "/") + ".py": text for path, text in files.items()}), ROOMS)


def test_an_arrow_downwards_is_fine() -> None:
    """A higher room may import a lower one, by any spelling."""
    downwards = "import app.low.b\nfrom app.low import b\nfrom app import low\nfrom app import version\nimport json\n"
    assert arrows(app__high__a=downwards) == []


def test_an_arrow_upwards_is_found() -> None:
    """A lower room that imports a higher one is named with its line."""
    assert arrows(app__low__a="import json\nfrom app.high import b\n") == [
        "app/low/a.py:2 app.low must not import app.high"
    ]


def test_an_arrow_by_way_of_the_package_is_found() -> None:
    """`from app import high` is an import of app.high."""
    assert arrows(app__low__a="from app import high\n") == ["app/low/a.py:1 app.low must not import app.high"]


def test_a_relative_arrow_is_found() -> None:
    """Relative imports are resolved before they are judged."""
    assert arrows(app__low__a="from ..high import b\n") == ["app/low/a.py:1 app.low must not import app.high"]


def test_an_arrow_inside_a_function_is_found() -> None:
    """Hiding an import in a function does not hide its arrow."""
    assert arrows(other__a="def f():\n    import app.high.b\n") == ["other/a.py:2 other must not import app.high"]


def test_a_module_without_a_room_is_found() -> None:
    """A new room must be given its place in the table."""
    assert arrows(app__attic__a="") == ["app/attic/a.py: app.attic.a belongs to no room of the house"]


def test_circles_are_found_at_any_distance() -> None:
    """Three modules in a ring are one circle; one that only points at it is not in it."""
    tree = parse(
        {"p/a.py": "import p.b", "p/b.py": "from p import c", "p/c.py": "from p.a import x", "p/d.py": "import p.a"}
    )
    assert rules.circles(tree) == ["circle: p.a <-> p.b <-> p.c"]


def test_a_package_and_its_submodule_may_form_a_circle() -> None:
    """A package that imports its part, which imports the package's names, is a circle."""
    tree = parse({"p/__init__.py": "from p.a import x", "p/a.py": "from p import y"})
    assert rules.circles(tree) == ["circle: p <-> p.a"]


def test_a_tree_without_circles_is_fine() -> None:
    """Siblings that share a foundation make no circle."""
    assert rules.circles(parse({"p/a.py": "", "p/b.py": "import p.a", "p/c.py": "import p.a, p.b"})) == []


def test_a_circle_by_way_of_a_packages_init_is_found() -> None:
    """Importing a module runs its package first: the package's imports count."""
    tree = parse({"p/__init__.py": "import q.a", "p/a.py": "", "q/a.py": "", "q/b.py": "import p.a"})
    assert rules.circles(tree) == []
    tree = parse({"p/__init__.py": "import q.a", "p/a.py": "", "q/__init__.py": "", "q/a.py": "import p.a"})
    assert rules.circles(tree) == ["circle: p <-> q.a"]


def test_a_module_that_asks_its_own_package_is_found() -> None:
    """Its names may not be there yet; a package without imports has them from the start."""
    tree = parse(
        {"p/__init__.py": "from p.b import y\nx = 1", "p/a.py": "from p import x\nfrom p import b", "p/b.py": ""}
    )
    assert rules.own_package_imports(tree) == ["p/a.py:1 imports its own package p"]
    tree = parse({"p/__init__.py": "x = 1", "p/a.py": "from p import x"})
    assert rules.own_package_imports(tree) == []


def test_helpers_called_once_are_found() -> None:
    """By the mentions of their own module; public functions, twice-used ones and dunders are no helpers."""
    source = (
        "def _one(): ...\ndef _two(): ...\ndef f(): return _one, _two, _two\nclass C:\n    def __init__(self): f()\n"
    )
    assert rules.called_once(parse({"p/a.py": source})) == ["p/a.py:1 _one"]


def test_a_name_with_two_meanings_is_found() -> None:
    """Public classes at the top of two modules; private ones and inner ones may share."""
    tree = parse({"p/a.py": "class A: ...\nclass _B: ...\n", "p/b.py": "class A:\n    class C: ...\nclass _B: ...\n"})
    assert rules.names_with_two_meanings(tree, ()) == ["A: p.a, p.b"]
    assert rules.names_with_two_meanings(tree, ("A",)) == []


def test_a_bare_task_is_found() -> None:
    """By any spelling, unless its module is exempt."""
    source = "import asyncio\nasyncio.create_task(f())\nloop.create_task(f())\nensure_future(f())\n"
    tree = parse({"p/a.py": source})
    assert [line.partition(" ")[0] for line in rules.bare_tasks(tree, ())] == ["p/a.py:2", "p/a.py:3", "p/a.py:4"]
    assert rules.bare_tasks(tree, ("p.a",)) == []


def test_a_connection_is_found_however_it_is_opened() -> None:
    """A client, a socket, a download and a plain verb; a dictionary's `get` is none."""
    source = (
        'import httpx\nhttpx.get("u")\nhttpx.AsyncClient()\nloop.create_connection(f)\nsocket.socket()\n{}.get("u")\n'
    )
    tree = parse({"p/a.py": source})
    assert [line.partition(" ")[0] for line in rules.exits(tree, ())] == [f"p/a.py:{line}" for line in (2, 3, 4, 5)]
    assert rules.exits(tree, ("p.a",)) == []


def test_a_docstring_that_asks_is_found() -> None:
    """Of modules, classes and functions; a longer word is none."""
    source = '"""Whether it rains."""\nclass A:\n    """How."""\ndef f():\n    """However."""\n'
    assert rules.asking_docstrings(parse({"p/a.py": source})) == ["p/a.py:1 Whether it rains.", "p/a.py:2 How."]


def test_hidden_imports_are_found() -> None:
    """An import inside a function or method is found; the same at the top is not."""
    tree = parse({"p/a.py": "import json\nclass C:\n    def f(self):\n        from os import path\n"})
    assert rules.hidden_imports(tree, {}) == ["p/a.py:4 imports os inside a function"]


def test_computed_imports_are_found() -> None:
    """import_module with a computed name counts wherever it stands."""
    tree = parse({"p/a.py": "import importlib\nmodule = importlib.import_module(name)\n"})
    assert rules.hidden_imports(tree, {}) == ["p/a.py:2 imports <computed> inside a function"]


def test_an_exemption_holds_for_its_place_and_library_alone() -> None:
    """An exemption of one package is none of another, and covers its library alone."""
    late = "def f():\n    import torch.cuda\n"
    tree = parse({"p/a.py": late, "q/a.py": late, "p/b.py": "def f():\n    import json\n"})
    assert rules.hidden_imports(tree, {"p": ["torch"]}) == [
        "q/a.py:2 imports torch.cuda inside a function",
        "p/b.py:2 imports json inside a function",
    ]


def test_a_vendor_in_code_is_found() -> None:
    """Strings, identifiers and attributes may not name a word; docstrings, comments and longer words may."""
    source = '"""Speaks to Acme."""\n# acme\nx = provider == "acme"\ny = acme_key\nz = my.acme\nacmeist = 1\n'
    assert rules.named_words(parse({"p/a.py": source}), ["acme"]) == [
        "p/a.py:3 names 'acme'",
        "p/a.py:4 names 'acme'",
        "p/a.py:5 names 'acme'",
    ]


def test_a_harmless_phrase_may_hold_the_word() -> None:
    """A dialect may be called after the vendor who invented it."""
    tree = parse({"p/a.py": 'DIALECT = "acme_messages"\nHOST = "acme_messages.acme.com"\n'})
    assert rules.named_words(tree, ["acme"], ["acme_messages"]) == ["p/a.py:2 names 'acme'"]


def test_long_functions_and_large_modules_are_found() -> None:
    """A bound is a bound, and an exemption is by full name."""
    tree = parse({"p/a.py": "def f():\n    x = 1\n    return x\n\n\ndef g(): ...\n"})
    assert rules.long_functions(tree, 2, []) == ["p/a.py:1 f: 3 lines"]
    assert rules.long_functions(tree, 2, ["p.a.f"]) == []
    assert rules.large_modules(tree, 5, []) == ["p/a.py: 6 lines"]
    assert rules.large_modules(tree, 5, ["p.a"]) == []
    assert rules.median_function(tree) == 2

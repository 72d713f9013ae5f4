"""The tree as it stands keeps the rules of the house."""

from __future__ import annotations

import pytest

from tests.architecture import house, rules
from tests.architecture.source import Module, parse, read, within


@pytest.fixture(scope="module")
def everything() -> list[Module]:
    return parse(read(house.ROOT, (*house.PRODUCT, "scripts")))


@pytest.fixture(scope="module")
def product(everything: list[Module]) -> list[Module]:
    return [module for module in everything if module.name.split(".")[0] in house.PRODUCT]


def test_arrows_between_rooms_go_one_way(product: list[Module]) -> None:
    """Every module has its room, and imports only from rooms below."""
    assert rules.forbidden_arrows(product, house.ROOMS) == []


def test_no_module_imports_itself_by_a_detour(product: list[Module]) -> None:
    """There are no import circles."""
    assert rules.circles(product) == []


def test_no_module_asks_the_package_it_is_in(product: list[Module]) -> None:
    """A module takes names from modules, not from a package that may still be running."""
    assert rules.own_package_imports(product) == []


def test_few_helpers_are_called_once(product: list[Module]) -> None:
    """A private function is used twice, tested by itself, or hides a detail of another level."""
    functions = sum(1 for module in product for _ in module.functions())
    assert len(rules.called_once(product)) / functions <= house.CALLED_ONCE


def test_a_class_name_has_one_meaning(product: list[Module]) -> None:
    """Public classes have names of their own; what is exempt is still shared."""
    assert rules.names_with_two_meanings(product, house.SHARED_NAMES) == []
    shared = {line.partition(":")[0] for line in rules.names_with_two_meanings(product, ())}
    assert set(house.SHARED_NAMES) - shared == set(), "no longer shared: take it off the list"


def test_tasks_are_chores_or_awaited_where_they_start(product: list[Module]) -> None:
    """A task nobody awaits loses its exception; a background task is started in `runtime.chores`."""
    assert rules.bare_tasks(product, house.TASKS) == []
    started = {line.partition(":")[0].removesuffix(".py").replace("/", ".") for line in rules.bare_tasks(product, ())}
    assert set(house.TASKS) - started == set(), "starts no task: take it off the list"


def test_connections_are_opened_where_the_guard_is(product: list[Module]) -> None:
    """Every way out of the process is one of a few modules; no list keeps a module that opens nothing."""
    known = house.GUARDED.keys() | house.NOT_AN_EXIT.keys()
    assert rules.exits(product, known) == []
    opening = {line.partition(":")[0].removesuffix(".py").replace("/", ".") for line in rules.exits(product, ())}
    assert known - opening == set(), "opens no connection: take it off the list"
    takes_a_guard = {
        module.name for module in product if any("runtime.contract.guard" in each.names for each in module.imports)
    }
    assert set(house.GUARDED.values()) - takes_a_guard == set(), "opens connections without a guard"


def test_docstrings_begin_with_a_noun(product: list[Module]) -> None:
    """Not with What, Whether, Who, Where or How; in rooms that are done, none."""
    found = rules.asking_docstrings(product)
    assert len(found) <= house.ASKING_DOCSTRINGS
    done = [module for module in product if any(within(module.name, room) for room in house.NO_ASKING_DOCSTRINGS)]
    assert rules.asking_docstrings(done) == []


def test_imports_stand_at_the_top(product: list[Module]) -> None:
    """Only the heavy libraries and the lazy command group are imported late."""
    assert rules.hidden_imports(product, house.LATE_IMPORTS) == []


def test_vendors_are_named_in_cloud_alone(product: list[Module]) -> None:
    """Code outside `cloud` asks for capabilities, never for a vendor."""
    others = [module for module in product if module.name.split(".")[0] != "cloud"]
    assert rules.named_words(others, house.VENDORS, house.DIALECT_NAMES) == []


def test_functions_fit_a_screen(everything: list[Module]) -> None:
    """No function, scripts included, is longer than the bound."""
    assert rules.long_functions(everything, house.LONGEST_FUNCTION, house.LONG_FUNCTIONS) == []


def test_most_functions_are_short(product: list[Module]) -> None:
    """The median function has at most nine lines."""
    assert rules.median_function(product) <= house.MEDIAN_FUNCTION


def test_modules_keep_to_one_noun(everything: list[Module]) -> None:
    """No module, scripts included, outgrows the bound."""
    assert rules.large_modules(everything, house.LARGEST_MODULE, house.LARGE_MODULES) == []

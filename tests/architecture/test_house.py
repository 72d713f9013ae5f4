"""The tree as it stands keeps the rules of the house."""

from __future__ import annotations

import pytest

from tests.architecture import house, rules
from tests.architecture.source import Module, parse, read


@pytest.fixture(scope="module")
def product() -> list[Module]:
    return parse(read(house.ROOT, house.PRODUCT))


def test_arrows_between_rooms_go_one_way(product: list[Module]) -> None:
    """Every module has its room, and imports only from rooms below."""
    assert rules.forbidden_arrows(product, house.ROOMS) == []


def test_no_module_imports_itself_by_a_detour(product: list[Module]) -> None:
    """There are no import circles."""
    assert rules.circles(product) == []


def test_imports_stand_at_the_top(product: list[Module]) -> None:
    """Only the heavy libraries and the lazy command group are imported late."""
    assert rules.hidden_imports(product, house.LATE_IMPORTS) == []


def test_vendors_are_named_in_cloud_alone(product: list[Module]) -> None:
    """Code outside `cloud` asks for capabilities, never for a vendor."""
    others = [module for module in product if module.name.split(".")[0] != "cloud"]
    assert rules.named_words(others, house.VENDORS, house.DIALECT_NAMES) == []


def test_functions_fit_a_screen() -> None:
    """No function, scripts included, is longer than the bound."""
    modules = parse(read(house.ROOT, (*house.PRODUCT, "scripts")))
    assert rules.long_functions(modules, house.LONGEST_FUNCTION, house.LONG_FUNCTIONS) == []


def test_most_functions_are_short(product: list[Module]) -> None:
    """The median function has at most nine lines."""
    assert rules.median_function(product) <= house.MEDIAN_FUNCTION


def test_modules_keep_to_one_noun() -> None:
    """No module, scripts included, outgrows the bound."""
    modules = parse(read(house.ROOT, (*house.PRODUCT, "scripts")))
    assert rules.large_modules(modules, house.LARGEST_MODULE, house.LARGE_MODULES) == []

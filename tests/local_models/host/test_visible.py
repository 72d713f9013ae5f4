"""CUDA_VISIBLE_DEVICES is read as CUDA reads it."""

from __future__ import annotations

import pytest

from local_models.host.visible import parse_visible


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (None, None),
        ("", ()),
        ("-1", ()),
        ("NoDevFiles", ()),
        ("0", ("0",)),
        (" 2, 03 ", ("2", "3")),
        ("1,-1,0", ("1",)),
        ("GPU-8932f937,MIG-5a", ("GPU-8932f937", "MIG-5a")),
    ],
)
def test_names_up_to_the_first_that_is_none(value: str | None, names: tuple[str, ...] | None) -> None:
    """What follows -1 or an empty name is ignored, as CUDA does."""
    assert parse_visible(value).names == names


def test_hidden_on_purpose_is_not_unset() -> None:
    """An empty value hides every GPU, an unset variable none."""
    assert parse_visible("").hides_all
    assert not parse_visible(None).hides_all
    assert not parse_visible("0").hides_all

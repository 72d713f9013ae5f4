"""A stack holds types and lines of code, and no value that was worked on."""

from __future__ import annotations

from runtime.trust.stack import stack_of

SECRET = "the prompt"


def fails(text: str) -> None:
    raise KeyError(text)


def caught(text: str) -> BaseException:
    try:
        try:
            fails(text)
        except KeyError as error:
            raise ValueError(f"cannot read {text}") from error
    except ValueError as error:
        return error
    raise AssertionError


def test_no_message_is_shown() -> None:
    """Both exceptions of a chain are named with their lines, and neither's text."""
    shown = stack_of(caught(SECRET))
    assert "builtins.ValueError" in shown and "builtins.KeyError" in shown and "in fails" in shown
    assert SECRET not in shown and "raise KeyError(text)" in shown


def test_groups_show_their_members() -> None:
    """What failed in a task group is named too."""
    assert "builtins.ValueError" in stack_of(BaseExceptionGroup(SECRET, [caught(SECRET)]))


def test_a_circle_of_causes_and_a_deep_stack_end() -> None:
    """Bounded in causes and in frames."""
    first, second = ValueError(SECRET), KeyError(SECRET)
    first.__cause__, second.__cause__ = second, first
    assert stack_of(first).count("builtins") == 2

    def deep(levels: int) -> None:
        if levels == 0:
            raise ValueError
        deep(levels - 1)

    try:
        deep(200)
    except ValueError as error:
        assert stack_of(error, most_frames=5).count("File ") == 5

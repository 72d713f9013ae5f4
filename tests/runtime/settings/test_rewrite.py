"""One value of a settings file, changed in its text."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.settings.commented import commented_file
from runtime.settings.rewrite import rewritten
from tests.runtime.routing.boxes import CALM


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[escalation]\ncomplexity = 0.7\n"),
        ("[server]\nport = 1", "[server]\nport = 1\n\n[escalation]\ncomplexity = 0.7\n"),
        ("[escalation]", "[escalation]\ncomplexity = 0.7\n"),
        ("[escalation]\nmode = 'act'\n", "[escalation]\ncomplexity = 0.7\nmode = 'act'\n"),
        (
            "[escalation]  # when\ncomplexity = 0.62   # hard\n[server]\nport = 1\n",
            "[escalation]  # when\ncomplexity = 0.7   # hard\n[server]\nport = 1\n",
        ),
        ("[ escalation ]\ncomplexity={ default = 0.6, code = 0.5 }\n", "[ escalation ]\ncomplexity = 0.7\n"),
        ("[escalation]\r\ncomplexity = 0.62\r\n", "[escalation]\r\ncomplexity = 0.7\r\n"),
        (
            "[escalation]\n#complexity = 0.62  # of a prompt\ncomplexity = 0.5\n",
            "[escalation]\n#complexity = 0.62  # of a prompt\ncomplexity = 0.7\n",
        ),
        ("[escalation]\n#complexity = 0.62  # of a prompt\n", "[escalation]\ncomplexity = 0.7  # of a prompt\n"),
    ],
)
def test_only_the_line_of_the_key_changes(before: str, after: str) -> None:
    """Comments, order and line ends stay; a line that is commented out is taken, a missing one is added."""
    assert rewritten(before, "escalation", "complexity", 0.7) == after


@pytest.mark.parametrize(
    "text",
    [
        "escalation.complexity = 0.5\n",
        "escalation = { complexity = 0.5 }\n",
        "[escalation.complexity]\ndefault = 0.5\n",
        "[escalation]\n[escalation.complexity]\ndefault = 0.5\n",
        "[escalation\n",
        'x = """\n[escalation]\n"""\n',
    ],
)
def test_another_form_is_refused(text: str) -> None:
    """Rather than written into a place where it means something else."""
    with pytest.raises(ValueError, match=r"complexity of \[escalation\]"):
        rewritten(text, "escalation", "complexity", 0.7)


@settings(max_examples=50, **CALM)
@given(st.floats(0, 1), st.booleans())
def test_the_commented_file_takes_a_value(value: float, by_task: bool) -> None:
    """What `hearth config init` writes: the value stands in it, and nothing else is set."""
    wanted = {"default": value, "code": 0.5} if by_task else value
    text = commented_file()
    changed = rewritten(text, "escalation", "complexity", wanted)
    assert tomllib.loads(changed)["escalation"] == {"complexity": wanted}
    assert len(changed.splitlines()) == len(text.splitlines())

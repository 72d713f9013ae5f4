"""The rules for labels. Knows nothing of prompts, tokens or files.

LabelError      the labels given cannot be used; its text says what to do
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

MOST_LABELS = 128  # every label stands in every prompt, and vLLM lists at most 128 named tokens a step
LONGEST_LABEL = 200  # characters; every character may cost a token of the answer

# Control characters, line and paragraph separators, halves of a pair. Joiners and wide spaces are part of many scripts.
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})


class LabelError(ValueError):
    """Labels that cannot be used, in words for the person who typed them."""


def labels_from(joined: Sequence[str], single: Sequence[str]) -> tuple[str, ...]:
    """The labels of `--labels a,b` (split at commas) and `--label "a, b"` (taken whole), in the order given.

    Raises LabelError.
    """
    found = [part.strip() for text in joined for part in text.split(",")] + [text.strip() for text in single]
    return checked(found)


def checked(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, if a model can be held to them. Raises LabelError."""
    if len(labels) < 2:
        raise LabelError("at least two labels are needed: --labels spam,ham, or --label once per label")
    if any(not label for label in labels):
        raise LabelError("an empty label: look for a doubled or trailing comma in --labels")
    # Two encodings of one text look the same to people and to most models.
    twice = [
        label for label, count in Counter(unicodedata.normalize("NFC", each) for each in labels).items() if count > 1
    ]
    if twice:
        raise LabelError(f"the label {twice[0]!r} is given twice: name each label once")
    if len(labels) > MOST_LABELS:
        raise LabelError(f"{len(labels)} labels; at most {MOST_LABELS} fit one question: classify in two stages")
    for label in labels:
        if len(label) > LONGEST_LABEL:
            raise LabelError(
                f"the label {label[:40]!r}… is longer than {LONGEST_LABEL} characters: shorten it, say the rest with "
                f"--describe"
            )
        if any(unicodedata.category(character) in _REFUSED for character in label):
            raise LabelError(f"the label {label!r} holds a line break or control character: remove it")
    return tuple(labels)


def descriptions_from(given: Sequence[str], labels: Sequence[str]) -> Mapping[str, str]:
    """The descriptions given as `--describe LABEL=TEXT`, by label. Raises LabelError."""
    found: dict[str, str] = {}
    for text in given:
        label = max((name for name in labels if text.startswith(f"{name}=")), key=len, default=None)
        if label is None:
            raise LabelError(
                f"--describe {text!r} does not begin with a label and '=': write --describe '{labels[0]}=what it means'"
            )
        if label in found:
            raise LabelError(f"the label {label!r} is described twice")
        found[label] = " ".join(text[len(label) + 1 :].split())
    return found

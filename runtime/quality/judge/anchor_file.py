"""Anchors that people labelled, in `anchors.jsonl` beside the golden sets: pairs of answers, one a line, and the better one.

    {"prompt": "…", "a": "…", "b": "…", "better": "a"}

`messages` or `body` may stand for `prompt`. better: "a", "b" or "tie", or a list with the word of each person. a_by, b_by: the
models that answered, PROVIDER/MODEL, from which the judge's favour for its own family is read. requires: certificates without
which no judge sees the pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from runtime.quality.golden.sets import ANCHORS, bounded, matching
from runtime.quality.judge.pairs import Anchor
from runtime.quality.values import digest

_LABELS = {"a": 1.0, "b": 0.0, "tie": 0.5}


class AnchorFileError(Exception):
    """A file that cannot be used. The message names every fault with its line."""


class AnchorLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file. id: left out, a hash of the pair."""

    a: str
    b: str
    better: Literal["a", "b", "tie"] | list[Literal["a", "b", "tie"]]
    id: str = ""
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    body: dict[str, Any] | None = None
    a_by: str = ""
    b_by: str = ""
    requires: tuple[str, ...] = ()


def found_anchors(sets: Iterable[str], folder: Path) -> list[Anchor]:
    """Those of every folder in which the patterns look for sets. folder: of relative ones. Blocks. Raises AnchorFileError."""
    files = matching((Path(each).with_name(ANCHORS) for each in sets), folder)
    return [anchor for file in files for anchor in read_anchors(file)]


def read_anchors(file: Path) -> list[Anchor]:
    """Blocks. Raises AnchorFileError."""
    try:
        lines = bounded(file).split("\n")
    except (OSError, UnicodeError) as fault:
        raise AnchorFileError(f"{file} cannot be read: {fault}") from fault
    found: dict[str, Anchor] = {}
    faults = []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            anchor = anchor_of(msgspec.json.decode(text, type=AnchorLine))
        except (msgspec.MsgspecError, ValueError, RecursionError) as fault:
            faults.append(f"{file} line {number}: {fault}")
            continue
        if anchor.id in found:
            faults.append(f"{file} line {number}: the id {anchor.id!r} stands there twice")
        found[anchor.id] = anchor
    if faults:
        raise AnchorFileError("\n".join(faults))
    return list(found.values())


def anchor_of(line: AnchorLine) -> Anchor:
    """The label is the word of most people; a tie where no word has most. Raises ValueError."""
    requests = [each for each in (line.prompt, line.messages, line.body) if each]
    if len(requests) != 1:
        raise ValueError("it needs one of prompt, messages and body")
    votes = [line.better] if isinstance(line.better, str) else line.better
    if not votes:
        raise ValueError("better has no word")
    body = line.body or {"messages": line.messages or [{"role": "user", "content": line.prompt}]}
    (word, most), *others = Counter(votes).most_common(2)
    label = 0.5 if others and others[0][1] == most else _LABELS[word]
    id = line.id or digest([body, line.a, line.b])
    by = (line.a_by, line.b_by)
    return Anchor(id, body, line.a, line.b, label, by, tuple(votes), frozenset(line.requires))

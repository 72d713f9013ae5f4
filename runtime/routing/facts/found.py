"""The lists of cues that a text holds words of, found in one pass over its words.

Thousands of cues are not searched one by one: each is looked for only where its first word, or the beginning of it, occurs.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from runtime.routing.facts.cues import CUES

_BEGINNING = 3  # letters by which a cue that begins a word is found

_BY_WORD: dict[str, list[tuple[str, str]]] = {}
_BY_BEGINNING: dict[str, list[tuple[str, str]]] = {}
_ANYWHERE: list[tuple[str, str]] = []  # of ASCII letters
_WIDE: list[tuple[str, str]] = []  # of scripts without spaces, and of inflected words
for _name, _cues in CUES.items():
    for _cue in _cues:
        _first, _space, _ = _cue[1:].partition(" ")
        if not _cue.startswith(" ") or (not _space and len(_first) < _BEGINNING):
            (_ANYWHERE if _cue.isascii() else _WIDE).append((_cue, _name))
        elif _space:
            _BY_WORD.setdefault(_first, []).append((_cue, _name))
        else:
            _BY_BEGINNING.setdefault(_first[:_BEGINNING], []).append((_cue, _name))


def cues_in(flat: str, words: Iterable[str]) -> Set[str]:
    """The names of the lists. flat: lower-case words between single spaces; words: the same words."""
    found: set[str] = set()
    for word in words:
        for cue, name in _BY_WORD.get(word, ()):
            if name not in found and cue in flat:
                found.add(name)
        for cue, name in _BY_BEGINNING.get(word[:_BEGINNING], ()):
            if name not in found and cue in flat:
                found.add(name)
    for cue, name in _ANYWHERE if flat.isascii() else (*_ANYWHERE, *_WIDE):
        if name not in found and cue in flat:
            found.add(name)
    return found

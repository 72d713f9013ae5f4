"""The lists of cues that a text holds words of, found in one pass over its words.

Thousands of cues are not searched one by one: each is looked for only where its first word, or the beginning of it, occurs.
"""

from __future__ import annotations

from collections.abc import Set

from runtime.routing.facts.cues import CUES

_BEGINNING = 3  # letters by which a cue that begins a word is found

_WORD: dict[str, list[str]] = {}  # lists by a cue that is one word
_BY_WORD: dict[str, list[tuple[str, str]]] = {}  # cues of several words by their first
_BY_BEGINNING: dict[str, dict[str, tuple[str, ...]]] = {}  # by list, the beginnings of words that begin so
_ANYWHERE: list[tuple[str, str]] = []  # of ASCII letters
_WIDE: list[tuple[str, str]] = []  # of scripts without spaces, and of inflected words
for _name, _cues in CUES.items():
    for _cue in _cues:
        _first, _space, _behind = _cue[1:].partition(" ")
        if not _cue.startswith(" ") or (not _space and len(_first) < _BEGINNING):
            (_ANYWHERE if _cue.isascii() else _WIDE).append((_cue, _name))
        elif _behind:
            _BY_WORD.setdefault(_first, []).append((_cue, _name))
        elif _space:
            _WORD.setdefault(_first, []).append(_name)
        else:
            _begun = _BY_BEGINNING.setdefault(_first[:_BEGINNING], {})
            _begun[_name] = (*_begun.get(_name, ()), _first)


def cues_in(flat: str, words: Set[str]) -> Set[str]:
    """The names of the lists. flat: lower-case words between single spaces; words: the same words."""
    found: set[str] = set()
    for word in words & _WORD.keys():
        found.update(_WORD[word])
    for word in words & _BY_WORD.keys():
        for cue, name in _BY_WORD[word]:
            if name not in found and cue in flat:
                found.add(name)
    for word in words:
        if (begun := _BY_BEGINNING.get(word[:_BEGINNING])) is not None:
            for name, beginnings in begun.items():
                if name not in found and word.startswith(beginnings):
                    found.add(name)
    for cue, name in _ANYWHERE if flat.isascii() else (*_ANYWHERE, *_WIDE):
        if name not in found and cue in flat:
            found.add(name)
    return found

"""The stem of a prompt: its question without what wraps it, so that the same question is read alike in every wrapper.

Off come options, with marks ("A) ", "(A) ", "1. ", "a. ", "- ") or without, the marks of lists, a leading "Question:", lines
like "Answer:" and "Choose the best answer". Knows no task.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_MARK = re.compile(r"^[ \t]*(?:[-*•–]|\[[A-Ja-j1-9]\]|\(?(?:[A-Ja-j]|[ivx]{1,4}|\d{1,2})[.):])[ \t]+", re.MULTILINE)
_LETTER = re.compile(r"^[ \t]*[(\[]?[A-Ja-j][.):\]]")
_INLINE = re.compile(r"(?<=\s)(?:\(([A-E])\)|([A-E])[.)])[ \t]+(?=\S)")
_LEADING = re.compile(
    r"^\s*(?:question|q|frage|pregunta|domanda|pergunta|vraag|вопрос|问题|問題|질문) ?\d{0,3}[:：.)]\s*", re.I
)
_CLOSING = re.compile(
    r"^\W*(?:(?:the |your |correct |final |best )*answer(?: is| choices?)?|options|choices|"
    r"(?:antwort|réponse|respuesta|risposta|resposta|antwoord|ответ|答案|答え|解答|回答|답|정답)(?:en)?)\W*$",
    re.I | re.MULTILINE,
)
_ASKING = re.compile(
    r"^(?:[ \t]*(?:please )?(?:(?:choose|select|pick|indicate|mark|answer|respond|reply)\b(?: \w+){0,5}? "
    r"(?:answers?|options?|letters?|choices?|alternatives?)\b(?: (?:from|among|of|to|for|in|with|only|below|the|following|"
    r"and|nothing|else|by|options?|choices?|given|questions?|that|is|correct|best|letters?))*|"
    r"(?:answer )?(?:the )?following (?:is a |are )?multiple[- ]choice questions?(?: \([^)\n]*\))?(?: about [\w ]{1,40})?)"
    r"[ \t]*(?:[.:]+[ \t]*|$))+",
    re.I | re.MULTILINE,
)
_BEGIN, _END = 300, 1_200  # characters of a long prompt that are looked at
_LEAST, _MOST = 2, 6  # options of a question
_LINES = 10  # of a question whose options have no marks
_ORDER = 48  # characters of a line that announces a list
_OPTION = 200  # characters of an option without a mark


class Stem(NamedTuple):
    """text: the question. whole: all of the prompt but marks and wrappers. doubtful: what may be part of the question, too."""

    text: str
    whole: str
    doubtful: str = ""


def stem_of(prompt: str) -> Stem:
    """The stem of a prompt; all of it where it has no options. Of a long prompt, the end is looked at for them."""
    if len(prompt) > _END + _BEGIN:
        cut = prompt.rfind("\n", _BEGIN, len(prompt) - _END)
        cut = cut if cut >= max(_BEGIN, len(prompt) - 2 * _END) else len(prompt) - _END
        front, end = _unled(_ASKING.sub("", prompt[:_BEGIN])) + prompt[_BEGIN:cut], stem_of(prompt[cut:])
        front += "\n" if prompt[cut] == "\n" else " "
        return Stem(front + end.text, front + end.whole, end.doubtful)
    bare = _unled(_ASKING.sub("", prompt))
    bare = (_CLOSING.sub("", bare) if "\n" in bare else bare).strip() or prompt.strip()
    # (1) Options in the line itself: marks that follow each other.
    inline = (
        [(match[1] or match[2], match) for match in _INLINE.finditer(bare)] if "B) " in bare or "B. " in bare else []
    )
    if [letter for letter, _ in inline[:3]] == ["A", "B", "C"][: max(3, len(inline))]:
        return Stem(bare[: inline[0][1].start()].strip(), _MARK.sub("", _INLINE.sub("", bare)))
    lines = [line for line in bare.split("\n") if line.strip()]
    if len(lines) <= _LEAST:
        return Stem(_MARK.sub("", bare), bare)
    # (2) Marked lines at the end.
    marked = 0
    while marked < len(lines) - 1 and _MARK.match(lines[-1 - marked]):
        marked += 1
    if marked >= _LEAST:
        text, whole = _MARK.sub("", "\n".join(lines[:-marked])), _MARK.sub("", bare)
        # A list of orders looks like a list of options.
        orders = len(text) <= _ORDER and _LETTER.match(lines[-1]) is None and text.rstrip().endswith((":", "："))
        return Stem(text, whole, whole if orders or marked > _MOST else "")
    # (3) Short lines at the end, behind a question or, where none is marked as such, the last four.
    asked = next(
        (at for at in range(len(lines) - 1, -1, -1) if lines[at].rstrip().endswith(("?", ":", "_", "？", "："))), None
    )
    behind = len(lines) - 1 - asked if asked is not None else min(4, len(lines) - 1) if len(lines) <= _LINES else 0
    if _LEAST <= behind <= _MOST and all(len(line) <= _OPTION for line in lines[-behind:]):
        return Stem("\n".join(lines[:-behind]), bare, lines[-1])
    return Stem(_MARK.sub("", bare), bare)


def _unled(text: str) -> str:
    """A text without a leading "Question:". Matched once: `sub` would look at every character."""
    leading = _LEADING.match(text)
    return text[leading.end() :] if leading else text

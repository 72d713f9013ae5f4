"""The task of a request, from the closed list of the settings, by words and signs and without a model.

    tool        the last turn is a tool's result
    multimodal  the last user turn holds an image, audio, video or a document that is not text
    extraction  labelling, or reading out of a given text
    code, math
    document    a question on a long text
    summary
    chat        all else

Where several fit, the first of this order. The last user turn decides by its stem (`stem`). Where it only goes on with an
earlier one ("now in Rust"), that one decides; a system prompt never does. A wrong guess picks a route, never a refusal.

An instruction is told from the text it is about: words of a task count in the instruction alone, signs of code anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from runtime.routing.facts import cues
from runtime.routing.facts.stem import stem_of

TOOL, MULTIMODAL, EXTRACTION, CODE = "tool", "multimodal", "extraction", "code"
MATH, DOCUMENT, SUMMARY, CHAT = "math", "document", "summary", "chat"

_MARKS = b".,;:!?()[]{}\"<>*`~|/\\=&@^\n\t\r_'-"
_BLANKED = bytes.maketrans(_MARKS, b" " * len(_MARKS))
_WIDE = {ord(mark): " " for mark in "’‘“”«»¿¡…–—。，、；：？！（）「」『』・"}
_SEAMS = re.compile(r"(?<=[\u3040-\ud7af])(?=[a-z0-9])|(?<=[a-z0-9+#])(?=[\u3040-\ud7af])")
_QUOTED = re.compile(
    r"\"[^\"\n]{12,}\"|“[^”]{12,}”|«[^»]{12,}»|「[^」]{8,}」|'[^'\n]{24,}'|\"\"\".*?\"\"\"|<(\w+)>.*?</\1>", re.S
)
_ROLE = re.compile(r"^\s*(?:you are|act as|imagine you are|pretend to be)\b[^.\n:]*[.\n:]\s*(?=\S)", re.I)
_CUT = re.compile(r":\s|：|\n")
_SENTENCE = re.compile(r"[.!?:]\s|[。！？：\n]")
_NUMBER = re.compile(r"(?<![\w.])[$€£]?\d[\d,.]*\d|\d")
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_EXPRESSION = re.compile(
    r"\d ?[+*×÷^=] ?[\dxyzn(]|\d [-/−] \d|\d/\d|\b[xyzn] ?[\^=+] ?[\dxyzn-]|\\(?:frac|sqrt|int|sum|boxed|cdot|le|ge)|"
    r"\b[fgh]\([xn\d]|[√∫∑π²³≤≥]|\(x\)|\d[xyn]\b|\bx\^|[ZRQ]_\d"
)
_LATEX = re.compile(r"\$[A-Za-z(\\|\[][^$\n]{0,120}\$|\\\[|\\begin\{|\\frac|\\sqrt|\\boxed|\\sum|\\int")

_WHOLE = 480  # characters: a shorter text is all instruction
_LINE = 320  # of a paragraph that may be an instruction
_LEAD = 200  # of the beginning, where an instruction about a given text stands
_LONG = 800  # of a text that is called a document
_VERY_LONG = 1_500  # of one that need not be
_PUZZLE = 1_500  # a longer text with numbers in it is rarely a sum
_FOLLOWS = 160  # characters of a turn that goes on with an earlier one
_FENCE = "```"


def task_of(turns: Sequence[str], size: int = 0, *, labelled: bool = False) -> str:
    """The task of a text conversation. turns: what the user said, bounded, the latest first. size: characters of texts that
    came with the last turn as files. labelled: the answer is one of a closed list.
    """
    if labelled:
        return EXTRACTION
    for number, turn in enumerate(turns):
        stem = stem_of(turn)
        beside = (len(stem.whole) - len(stem.text)) // 6
        earlier = number + 1 < len(turns)
        coded = _is_code(stem.whole)
        found = _task_of_turn(stem.text, size, beside, coded=coded, earlier=earlier)
        if found == CHAT and stem.doubtful:
            found = _task_of_turn(stem.doubtful, size, beside, coded=coded, earlier=earlier)
        if found != CHAT:
            return found
        flat = _flat(turn[:_FOLLOWS])
        if len(turn) > _FOLLOWS or _has(flat, cues.SMALL_TALK):
            break
        if flat.count(" ") > 3 and not _has(flat, cues.FOLLOWING):
            break
    return _on_long_text(turns) if turns else CHAT


def _on_long_text(turns: Sequence[str]) -> str:
    """A short question behind a turn that holds a long text is asked of that text."""
    last, *before = turns
    long = any(len(turn) >= _VERY_LONG for turn in before)
    return DOCUMENT if long and len(last) <= _LINE and _has(_flat(last), cues.QUESTION) else CHAT


def _task_of_turn(text: str, attached: int, beside: int, *, coded: bool, earlier: bool) -> str:
    asked, given = _parts(text)
    given += beside
    flat = _flat(asked)
    words = set(flat.split())
    making = not cues.CODE_WORDS.isdisjoint(words) or _has(flat, cues.CODE)
    if making and _has(flat, cues.NO_CODE):
        making = False
    # (1) Labelling and reading out, of a text that is there.
    reads = _has(flat, cues.EXTRACTION) and not _has(flat, cues.HOW_TO) and (given >= 2 or earlier or attached > 0)
    if reads and not (making and _has(flat, cues.MAKES)):
        return EXTRACTION
    long = max(len(text), attached)
    if long < _LONG * 1.5 and given >= 6 and not coded:
        if (_has(flat, cues.SOURCE) or _has(text, cues.LABELS)) and _has(flat, cues.LOOKUP):
            return EXTRACTION
        if _has(flat, cues.HERE) and _has(flat, cues.READ):
            return EXTRACTION
    # (2) Code.
    if coded or making:
        return CODE
    # (3) Mathematics: sure words, or several signs.
    reworked = _has(flat, cues.REWORKED)
    if not reworked and _is_math(text if len(text) <= _PUZZLE else asked, flat, words):
        return MATH
    # (4) Summaries name themselves; all else that is asked of a long text is a question on it.
    if _has(flat, cues.SUMMARY):
        return SUMMARY
    about = long >= _VERY_LONG or (long >= _LONG and _has(flat, cues.DOCUMENT))
    return DOCUMENT if about and not reworked and _has(flat, cues.QUESTION) else CHAT


def _parts(text: str) -> tuple[str, int]:
    """The instruction of a text, and the number of words that stand beside it."""
    text = _ROLE.sub("", text)
    plain = _QUOTED.sub(" ", text)
    first = _SENTENCE.search(plain)
    given = (len(text) - len(plain)) // 6 + (_count(plain[first.end() :]) if first else 0)
    # (1) An instruction about the text behind it.
    cut = _CUT.search(plain, 0, _LEAD)
    if cut and _has(_flat(head := plain[: cut.end()]), _ABOUT_TEXT) and _count(rest := plain[cut.end() :]) >= 3:
        last = rest.rstrip().rpartition("\n")[2]
        return (f"{head}\n{last}" if last.endswith(("?", "？")) and len(last) <= _LINE else head), given
    # (2) A short text is all instruction; of a long one, its first and its last paragraph.
    if len(plain) <= _WHOLE:
        return plain, given
    lines = plain.strip().split("\n")
    return f"{lines[0][:_LINE]}\n{lines[-1][-_LINE:]}", given


def _count(text: str) -> int:
    """About how many words a text has; scripts without spaces have one for two characters."""
    return (
        len(text.split()) if text.isascii() else max(len(text.split()), len(text.encode("utf-8", "surrogatepass")) // 7)
    )


def _is_code(text: str) -> bool:
    """True if there is code itself in a text."""
    if _has(text, cues.CODE_SURE):
        return True
    signs = sum(map(text.__contains__, cues.CODE_SIGNS))
    if signs >= 2 or (signs and (_FENCE in text or text.startswith(cues.CODE_STARTS))):
        return True
    tag = text.partition(_FENCE)[2][:16].lower().split("\n")[0].strip()
    return tag in cues.CODE_FENCES


def _is_math(text: str, flat: str, words: set[str]) -> bool:
    """True if something is to be computed, solved or proved: sure signs weigh 2, and 2 are enough."""
    points = 2.0 if _has(flat, cues.MATH) else 0.0
    points += min(2, len(words & cues.MATH_WORDS)) + min(3, len(words & cues.MATH_WEAK)) / 2
    if points >= 2:
        return True
    points += 2 if _LATEX.search(text) else 1.5 if _EXPRESSION.search(text) else 0
    numbers = len(_NUMBER.findall(text)) - len(_YEAR.findall(text)) + len(words & cues.NUMBERS)
    points += 0.5 if numbers else 0
    if points >= 2 or numbers < 2:
        return points >= 2
    flat = _flat(text)
    return _has(flat, cues.QUANTITY) or (numbers >= 3 and " most likely " not in flat and _has(flat, cues.ASKED))


def _flat(text: str) -> str:
    """The lower-case words of a text between single spaces. By way of bytes, which are translated in C."""
    lower = text.lower()
    if not lower.isascii():
        lower = _SEAMS.sub(" ", lower.translate(_WIDE))
    raw = lower.encode("utf-8", "surrogatepass").translate(_BLANKED)
    return f" {' '.join(raw.decode('utf-8', 'surrogatepass').split())} "


def _has(text: str, phrases: Iterable[str]) -> bool:
    """True if any of the phrases occurs. In C: a generator would cost more than the search."""
    return any(map(text.__contains__, phrases))


_ABOUT_TEXT = (*cues.EXTRACTION, *cues.SUMMARY, *cues.REWORKED)

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
from collections.abc import Iterable, Sequence, Set

from runtime.routing.facts import cues
from runtime.routing.facts.code_signs import is_code
from runtime.routing.facts.found import cues_in
from runtime.routing.facts.stem import stem_of

TOOL, MULTIMODAL, EXTRACTION, CODE = "tool", "multimodal", "extraction", "code"
MATH, DOCUMENT, SUMMARY, CHAT = "math", "document", "summary", "chat"

_MARKS = b".,;:!?()[]{}\"<>*`~|/\\=&@^\n\t\r_'-"
_BLANKED = bytes.maketrans(_MARKS, b" " * len(_MARKS))
_MARKS_OF_LETTERS = "’‘“”„«»¿¡…–—"
_WIDE_MARKS = _MARKS_OF_LETTERS + "。，、；：？！（）「」『』・"
_FIRST_WIDE = "\u3040"  # of the scripts that are written without spaces
_SEAMS = re.compile(r"(?<=[\u3040-\ud7af])(?=[a-z0-9])|(?<=[a-z0-9+#])(?=[\u3040-\ud7af])")
_QUOTED = re.compile(
    r"\"[^\"\n]{12,}\"|“[^”]{12,}”|«[^»]{12,}»|「[^」]{8,}」|'[^'\n]{24,}'|\"\"\".*?\"\"\"|<(\w+)>.*?</\1>", re.S
)
_QUOTES = ('"', "“", "«", "「", "</")
_ROLE = re.compile(r"^\s*(?:you are|act as|imagine you are|pretend to be)\b[^.\n:]*[.\n:]\s*(?=\S)", re.I)
_SHOWN = re.compile(r"[\"“«「『]|[:?]\s+\S|：|？|\n|\.\s+\S")  # a text is shown behind the instruction or in quotes
_QUOTE_BEHIND = re.compile(
    r"[?:.？：。]\s*(?:\"[^\"]{10,}\"|“[^”]{10,}”|«[^»]{10,}»|「[^」]{6,}」|'[^']{10,}')[.!?。]?\s*$"
)
_NAME = re.compile(
    r"`[^`\n]{1,40}`|\b[a-z]{2,}_[a-z_]{2,}\b|\w\(\)|\b\w+\.(?:py|js|ts|jsx|tsx|java|cpp|rs|sql|sh|yml)\b"
)  # an identifier, or a file of a program
_NAME_MARKS = ("`", "_", "()", ".py", ".js", ".ts", ".java", ".cpp", ".rs", ".sql", ".sh", ".yml")
_CAMEL = re.compile(r"\b[a-z]{2,}[A-Z][a-z]")
_TEXTS = [
    "tweet",
    "review",
    "comment",
    "email",
    "mail",
    "message",
    "headline",
    "ticket",
    "sentence",
    "utterance",
    "post",
    "feedback",
    "complaint",
    "invoice",
    "receipt",
    "listing",
    "text",
    "passage",
    "paragraph",
    "snippet",
    "query",
    "phrase",
    "description",
    "transcript",
    "conversation",
    "dialogue",
]
_TEXT_WORDS = frozenset([*_TEXTS, *(f"{text}s" for text in _TEXTS)])
_POINTED = re.compile(
    rf"\b(?<!of )(?:this|these|(?:the )?following|each|given (?:the|this|a)|below (?:is|are)(?: an?)?)"
    rf"(?: [\w-]+){{0,2}}? (?:{'|'.join(_TEXTS)})s?\b|\b(?:{'|'.join(_TEXTS)})s?(?: below\b|: )",
    re.I,
)
_POINTING = frozenset({"this", "these", "following", "each", "given", "below"})  # _POINTED has one of them, or a colon
_LABELLED = re.compile(
    rf"\b(?:this|the|these|following) ({'|'.join(_TEXTS)}|note|article|ad|log|letter|report|abstract|caption|resume|cv)\b"
    r"[^\n]{0,200}?(?:[.?!]\s+|\n\s*)\1: ",
    re.I,
)
_CUT = re.compile(r":\s|：|\n")
_SENTENCE = re.compile(r"[.!?:]\s|[。！？：\n]")
_APART = bytes((*b"\n-/x*+=(:", *range(0x80, 0x100)))  # what stands between two numbers
_NOT_DIGITS = bytes(mark for mark in range(0x80) if chr(mark) not in "0123456789 " and mark not in _APART)
_DIGITS = bytes.maketrans(_APART, b" " * len(_APART))
_SUM = re.compile(r"\d(?: ?[+*×÷^=] ?[\dxyzn(]| [-/−] \d|/\d|[xyn]\b)")
# Each begins with its mark, so that the search leaps from one to the next.
_FORMULAS = {
    "=": re.compile(r"=(?: ?-?\d|(?:(?<=\b[xyzn]=)|(?<=\b[xyzn] =)) ?[\dxyzn-])"),
    "^": re.compile(r"\^(?:[\w({]|(?:(?<=\b[xyzn]\^)|(?<=\b[xyzn] \^)) ?[\dxyzn-])"),
    "+": re.compile(r"\+(?:(?<=\b[xyzn]\+)|(?<=\b[xyzn] \+)) ?[\dxyzn-]"),
    "(": re.compile(r"\((?:x\)|(?<=\b[fgh]\()[xn\d])"),
    "_": re.compile(r"_(?<=[ZRQ]_)\d"),
}
_MATH_MARKS = ("√", "∫", "∑", "π", "²", "³", "≤", "≥", "\\cdot", "\\le", "\\ge")
_LATEX = re.compile(r"\$[A-Za-z(\\|\[][^$\n]{0,120}\$|\\\[|\\begin\{|\\frac|\\sqrt|\\boxed|\\sum|\\int")

_WHOLE = 480  # characters: a shorter text is all instruction
_LINE = 320  # of a paragraph that may be an instruction
_LEAD = 200  # of the beginning, where an instruction about a given text stands
_LONG = 800  # of a text that is called a document
_VERY_LONG = 1_500  # of one that need not be
_PUZZLE = 1_000  # a longer text with numbers in it is rarely a sum
_FOLLOWS = 160  # characters of a turn that goes on with an earlier one
_FEW = 2  # words of a turn that says nothing by itself
_LEAST_GIVEN = 2  # words beside the instruction
_OPENING = 80  # characters in which an order begins
_SPARSE = 40  # words to a number in a text that is no sum
_SUMMED = 40  # words of a text that is to be shorter
_PASSAGE = 6  # words of a text that is only pointed at
_ABOUT_TEXT = {"extraction", "summary", "reworked"}


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
        coded = is_code(stem.whole)
        found = _task_of_turn(stem.text, size, beside, coded=coded, earlier=earlier)
        if found == CHAT and stem.doubtful:
            found = _task_of_turn(stem.doubtful, size, beside, coded=coded, earlier=earlier)
        if found != CHAT:
            return found
        if not earlier or len(turn) > _FOLLOWS:
            break
        seen, words = _read(turn)
        if "small_talk" in seen or (len(words) > _FEW and "following" not in seen):
            break
    # A short question behind a turn that holds a long text is asked of that text.
    long = len(turns) > 1 and len(turns[0]) <= _LINE and any(len(turn) >= _VERY_LONG for turn in turns[1:])
    return DOCUMENT if long and "question" in _read(turns[0])[0] else CHAT


def _task_of_turn(text: str, attached: int, beside: int, *, coded: bool, earlier: bool) -> str:
    asked, given = _parts(text)
    given += beside
    seen, words = _read(asked)
    making = ("code" in seen or not cues.CODE_WORDS.isdisjoint(words)) and "no_code" not in seen
    # (1) Labelling and reading out, of a text that is there.
    reads = "extraction" in seen and "how_to" not in seen and (given >= _LEAST_GIVEN or earlier or attached > 0)
    if reads and not (making and "makes" in seen):
        return EXTRACTION
    long = max(len(text), attached)
    reworked = "reworked" in seen
    summed = "summary" in seen or ("shorter" in seen and given >= _SUMMED)
    short = long < _LONG * 1.5 and not (coded or making or reworked or summed)
    if short and given >= _PASSAGE:
        named = "source" in seen or _has(text, cues.LABELS)
        if (named and "lookup" in seen) or {"here", "read"} <= seen:
            return EXTRACTION
    # A question about a text of a kind, which follows or stands in quotes.
    shown = short and given >= _LEAST_GIVEN and "made" not in seen and (beside > 0 or _SHOWN.search(text) is not None)
    quoted = shown and _QUOTE_BEHIND.search(text) is not None
    if quoted and ("judged" in seen or "readers" in seen):
        return EXTRACTION
    # A text that the instruction names, labelled by that name.
    if shown and _LABELLED.search(text) is not None:
        return EXTRACTION
    if (
        shown
        and "judged" in seen
        and (
            "nouns" in seen or (_TEXT_WORDS & words and (_POINTING & words or ": " in asked) and _POINTED.search(asked))
        )
    ):
        return EXTRACTION
    # (2) Code.
    if coded or making or _names_code(asked):
        return CODE
    # (3) Mathematics: sure words, or several signs.
    puzzle = len(text) <= _PUZZLE
    if not reworked and not (summed and not puzzle) and _is_math(text if puzzle else asked, seen, words, puzzle=puzzle):
        return MATH
    if shown and "readers" in seen and "readers" in _read(asked[:_OPENING])[0]:
        return EXTRACTION
    # (4) Summaries name themselves; all else that is asked of a long text is a question on it.
    if summed:
        return SUMMARY
    about = long >= _VERY_LONG or (long >= _LONG and ("document" in seen or 3 * len(asked) < len(text)))
    return DOCUMENT if about and not reworked and "question" in seen else CHAT


def _parts(text: str) -> tuple[str, int]:
    """The instruction of a text, and the number of words that stand beside it."""
    role = _ROLE.match(text)
    text = text[role.end() :] if role else text
    plain = _QUOTED.sub(" ", text) if _has(text, _QUOTES) or text.count("'") > 1 else text
    first = _SENTENCE.search(plain)
    given = (len(text) - len(plain)) // 6 + (_count(plain[first.end() :]) if first else 0)
    # (1) An instruction about the text behind it.
    cut = _CUT.search(plain, 0, _LEAD)
    if cut and _read(head := plain[: cut.end()])[0] & _ABOUT_TEXT and _count(rest := plain[cut.end() :]) > _LEAST_GIVEN:
        last = rest.rstrip().rpartition("\n")[2]
        return (f"{head}\n{last}" if last.endswith(("?", "？")) and len(last) <= _LINE else head), given
    # (2) A short text is all instruction; of a long one, its first and its last paragraph.
    if len(plain) <= _WHOLE:
        return plain, given
    lines = plain.strip().split("\n")
    ends = [line for line in (lines[0], lines[-1]) if len(line) <= _LINE]
    return "\n".join(ends) if ends and len(lines) > 1 else f"{plain[:_LEAD]}\n{plain[-_LEAD:]}", given


def _count(text: str) -> int:
    """About how many words a text has; scripts without spaces have one for two characters."""
    return (
        len(text.split()) if text.isascii() else max(len(text.split()), len(text.encode("utf-8", "surrogatepass")) // 7)
    )


def _names_code(asked: str) -> bool:
    """True if an instruction holds an identifier or a file of a program."""
    if _has(asked, _NAME_MARKS) and _NAME.search(asked):
        return True
    odd = [word for word in asked.split() if not (word.islower() or word.istitle() or word.isupper())]
    return bool(odd) and _CAMEL.search(" ".join(odd)) is not None


def _is_math(text: str, seen: Set[str], words: Set[str], *, puzzle: bool) -> bool:
    """True if something is to be computed, solved or proved: sure signs weigh 2, and 2 are enough."""
    # (1) Words.
    points = 2.0 if "math" in seen else 0.0
    points += min(2, len(words & cues.MATH_WORDS)) + min(3, len(words & cues.MATH_WEAK)) / 2
    if points >= 2:
        return True
    # (2) Formulas.
    if ("$" in text or "\\" in text) and _LATEX.search(text):
        return True
    formulas = [pattern for mark, pattern in _FORMULAS.items() if mark in text]
    formula = _SUM.search(text) or any(each.search(text) for each in formulas) or _has(text, _MATH_MARKS)
    points += 1.5 if formula else 0
    # (3) Numbers, and a quantity that is asked for. Years are no numbers.
    found = text.encode("utf-8", "surrogatepass").translate(_DIGITS, _NOT_DIGITS).split()
    numbers = sum([len(each) != 4 or not b"1500" <= each < b"2100" for each in found]) + len(words & cues.NUMBERS)
    points += 0.5 if numbers else 0
    if points >= 2 or numbers < 2 or not puzzle:
        return points >= 2
    flat = _flat(text)
    if numbers * _SPARSE < flat.count(" "):
        return False
    found_in = cues_in(flat, set(flat.split()))
    return "quantity" in found_in or (numbers >= 3 and " likely " not in flat and "asked" in found_in)


def _read(text: str) -> tuple[Set[str], Set[str]]:
    """The lists of cues that a text holds words of, and its words in lower case."""
    flat = _flat(text)
    words = set(flat.split())
    return cues_in(flat, words), words


def _flat(text: str) -> str:
    """The lower-case words of a text between single spaces. By way of bytes, which are translated in C."""
    lower = text.lower()
    if not lower.isascii():
        wide = max(lower) >= _FIRST_WIDE
        for mark in _WIDE_MARKS if wide else _MARKS_OF_LETTERS:
            lower = lower.replace(mark, " ")
        lower = _SEAMS.sub(" ", lower) if wide else lower
    raw = lower.encode("utf-8", "surrogatepass").translate(_BLANKED)
    return f" {' '.join(raw.decode('utf-8', 'surrogatepass').split())} "


def _has(text: str, phrases: Iterable[str]) -> bool:
    """True if any of the phrases occurs. In C: a generator would cost more than the search."""
    return any(map(text.__contains__, phrases))

"""The task gate and the language of a text, by cheap signs and without a model. First cut: a wrong guess may pick a route,
never a refusal.

Words are looked up in sets and phrases by substring search, which a 4 kB text can afford; alternations of patterns
could not.
"""

from __future__ import annotations

from collections.abc import Iterable

_MARKS = b'.,;:!?()[]{}"<>*`~|/\\=&%@^'
_BLANKED = bytes.maketrans(_MARKS, b" " * len(_MARKS))
_WORDS_OF = 2_048  # characters read as words

_FENCES = (
    "```",
    "#include <",
    "Traceback (most recent",
    "def __",
    "();\n",
    ") {\n",
    "\nimport ",
    "\n    return ",
)
_CODE_STARTS = ("import ", "from __future__", "def ", "class ", "#!/", "SELECT ", "<?php", "package main")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CODE_WORDS = _set(
    "python javascript typescript rust golang c++ c# sql regex regexp bash dockerfile kubernetes refactor debug "
    "compiler traceback stacktrace segfault unittest pytest npm html css java kotlin php numpy pandas async "
    "nullpointerexception programming"
)
_MAKE_WORDS = _set("write implement fix create rewrite optimize optimise explain complete")
_CODE_THINGS = _set("function script program code bug query algorithm api method")

_EXTRACTION_WORDS = _set("classify categorize categorise sentiment ner")
_EXTRACTION_PHRASES = (
    *("extract the ", "extract all ", "extract every ", "extract each ", "extract from ", "key points from"),
    *("label the ", "label each ", "label this ", "tag each ", "named entit", "spam or not"),
    *("positive or negative", "positive, negative"),
    *("one of the following labels", "one of the following categories", "one of the following classes"),
)

_MATH_WORDS = _set(
    "solve prove calculate compute integral derivative probability equation divisible theorem perimeter triangle modulo"
)
_MATH_PHRASES = (
    "how many ",
    "how much ",
    "\\boxed",
    "\\frac",
    "\\sum",
    "\nA. ",
    "\nA) ",
    "(A) ",
    "\nanswer:",
    "\nAnswer:",
)
_QUESTION_LENGTH = 1_500  # characters; in longer texts "how many" is rarely the task

# A score of a language is how many of its commonest words occur; those that two of these share are left out.
_STOP_WORDS = {
    "en": _set("the and of is what to with this that for are you how it from write"),
    "de": _set("der das und ist nicht ein eine wie mit für auf zu den dem von ich sie wird"),
    "fr": _set("le les et est une dans pour pas que qui du au avec sur vous je ce"),
    "es": _set("el los y es una por con para las del qué cómo al su más como"),
    "it": _set("il che di è per gli della sono non più questo nel anche come"),
    "pt": _set("o os e um uma não em são dos mais ao você isso pelo"),
    "nl": _set("het een van niet dat zijn op voor met hoe wat naar ook wordt"),
}
_LANGUAGE_OF = {word: code for code, words in _STOP_WORDS.items() for word in words}
_LEAST_SIGNS = 2

_FIRST_BYTES = bytes(first for first in range(0xCA, 0xF5) if first != 0xE2)
_SCRIPT_OF = 256  # characters looked at for their script
_LAST_LATIN = "\u024f"

# Last code point of a block, and the language most often written in it; None: several, or none.
_BLOCKS: tuple[tuple[int, str | None], ...] = (
    *((0x036F, None), (0x03FF, "el"), (0x052F, "ru"), (0x058F, "hy"), (0x05FF, "he"), (0x06FF, "ar"), (0x08FF, None)),
    *((0x097F, "hi"), (0x0DFF, None), (0x0E7F, "th"), (0x10FF, None), (0x11FF, "ko"), (0x303F, None), (0x30FF, "ja")),
    *((0x33FF, None), (0x9FFF, "zh"), (0xABFF, None), (0xD7AF, "ko")),
)


def words_of(lower: str) -> set[str]:
    """The words at the beginning of a lower-case text, without punctuation. By way of bytes, which are translated in C."""
    raw = lower[:_WORDS_OF].encode("utf-8", "surrogatepass").translate(_BLANKED)
    return set(raw.decode("utf-8", "surrogatepass").split())


def task_of(text: str, lower: str, words: set[str], *, labelled: bool = False) -> str:
    """code | extraction | math (its answer can be checked) | chat. `labelled`: the answer is one of a closed list."""
    # (1) Labels.
    if labelled:
        return "extraction"
    # (2) Code: its signs, its words, or a thing of code that is to be made.
    if _has(text, _FENCES) or text.startswith(_CODE_STARTS) or not _CODE_WORDS.isdisjoint(words):
        return "code"
    if not _CODE_THINGS.isdisjoint(words) and not _MAKE_WORDS.isdisjoint(words):
        return "code"
    # (3) Extraction.
    if not _EXTRACTION_WORDS.isdisjoint(words) or _has(lower, _EXTRACTION_PHRASES):
        return "extraction"
    # (4) Mathematics: its words anywhere, its phrases in short texts.
    short = len(text) <= _QUESTION_LENGTH
    if not _MATH_WORDS.isdisjoint(words) or (short and (_has(lower, _MATH_PHRASES) or _has(text, _MATH_PHRASES))):
        return "math"
    return "chat"


def _has(text: str, phrases: Iterable[str]) -> bool:
    """True if any of the phrases occurs. In C: a generator would cost more than the search."""
    return any(map(text.__contains__, phrases))


def language_of(text: str, words: set[str]) -> str | None:
    """The language as its two letters, None if the signs are too few."""
    if not text.isascii():
        # Letters past the Latin ones show in the first bytes of their UTF-8, dashes and quotes left out.
        raw = text[:_SCRIPT_OF].encode("utf-8", "surrogatepass")
        written = _script(text) if len(raw.translate(None, _FIRST_BYTES)) < len(raw) else None
        if written:
            return written
    signs = [_LANGUAGE_OF[word] for word in _LANGUAGE_OF.keys() & words]
    if len(signs) < _LEAST_SIGNS:
        return None
    best = max(_STOP_WORDS, key=signs.count)
    return best if signs.count(best) >= _LEAST_SIGNS else None


def _script(text: str) -> str | None:
    """The language of the script that most other letters of a sample have; any kana make Chinese characters Japanese."""
    counts: dict[str, int] = {}
    letters = 0
    for character in text[:_SCRIPT_OF]:
        if not character.isalpha():
            continue
        letters += 1
        if character > _LAST_LATIN:
            point = ord(character)
            language = next((each for last, each in _BLOCKS if point <= last), None)
            if language:
                counts[language] = counts.get(language, 0) + 1
    if not counts or sum(counts.values()) * 3 < letters:
        return None
    return "ja" if "ja" in counts else max(counts, key=lambda language: counts[language])

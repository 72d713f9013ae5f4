"""The informative part of a prompt: counts and lengths that padding hardly moves, for the score of expected gain.

Every count is of distinct things (words, numbers, sentences), so that saying something twice changes nothing. Lengths are
those of the three longest sentences, and a run of more than 60 words without a stop is no sentence: neither many short
sentences nor a list of words buys a high score. Option marks and a closing "Answer:" are taken off first. How rare a word
is comes from a table; this file knows the language and no weights.

Text is taken apart by translating and splitting bytes: at 4 kB a pattern that looks at every character would cost more
than all else here.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping
from itertools import chain
from math import log1p

LONGEST_TEXT = 3_072  # characters read of a text's beginning
LONGEST_END = 1_024  # and of its end
MOST_WORDS = 60  # of a sentence; more without a stop is a list or filler
EVERYBODYS = 3.0  # rarity below which everybody uses a word: in more than one of twenty texts
COMMON = 4.0  # rarity below which a word is common
_LARGEST = 1e9  # a number above counts as this
_MOST_SIGNS = 50
_MOST_SENTENCES = 8

# Option marks at the beginning of a line, of all usual kinds: (A) A. A) [A] a: 1. 1) (iv) - *
_MARK = re.compile(r"\n[ \t]*(?:[-*•]|[(\[]?(?:[A-Ja-j]|[1-9]|i{1,3}|iv|v)[)\].:])[ \t]+")
_OPENING = re.compile(r"(?:question|q)\s*[:.]?\s+", re.IGNORECASE)
_CLOSING = re.compile(r"(?:the correct answer is|\banswer|\ba)\s*:?\s*$", re.IGNORECASE)
_CLOSING_WITHIN = 40  # characters of the end
_MARK_NAMES = frozenset("ABCDEFGHIJabcdefghij12345")
_CURLY = (("“", '"'), ("”", '"'), ("‘", "'"), ("’", "'"), ("–", "-"), ("—", "-"))

# Letters, digits, stops and all that is not ASCII stay; the rest parts words.
_KEPT = bytes(code if code > 127 or chr(code).isalnum() or chr(code) in ".?!:;,\n" else 32 for code in range(256))
_BREAKS = (
    *((b"\n", b" \n"), (b", ", b" "), (b"? ", b"?\n")),  # a question keeps its mark
    *((stop, b"\n") for stop in (b". ", b"! ", b": ", b"; ")),
)
_SIGNS = b"+-*/=^<>%$\\{}"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


RELATIONS = _set(
    "half twice thrice double triple third quarter each every per than more less fewer times remaining rest left total "
    "altogether percent ratio average difference sum product another both same equal equally least most between after "
    "before first second last until then"
)
NEGATIONS = _set("not no never except none nor neither cannot without false incorrect least unlikely")
CONDITIONS = _set("if suppose assume given let because although unless whether however therefore thus hence")
QUESTIONS = _set("who what when where which why how whose whom")


class Reading:
    """A text, read once, in lower case.

    sentences: distinct ones, as their words. longest: the three longest of them. words, numbers: distinct.
    questions: words of each sentence that ends in a question mark.
    """

    __slots__ = ("longest", "numbers", "questions", "sentences", "text", "words")

    def __init__(self, text: str) -> None:
        self.text = unwrapped(text).lower()
        raw = self.text.encode("utf-8", "surrogatepass").translate(_KEPT)
        for stop, end in _BREAKS:
            raw = raw.replace(stop, end)
        lines = dict.fromkeys(raw.decode("utf-8", "surrogatepass").split("\n"))
        self.sentences = list(filter(None, map(str.split, lines)))
        found = set(chain.from_iterable(self.sentences))
        self.numbers = {word for word in found if word < ":"}
        self.words = found - self.numbers
        short = [words for words in self.sentences if len(words) <= MOST_WORDS]
        self.longest = sorted(short, key=len, reverse=True)[:3]
        self.questions = [line.count(" ") for line in lines if line[-1:] == "?"]


def unwrapped(text: str) -> str:
    """The beginning and end of a text without what wraps a question: option marks, "Question:" before, "Answer:" after."""
    if len(text) > LONGEST_TEXT + LONGEST_END:
        text = f"{text[:LONGEST_TEXT]}\n{text[-LONGEST_END:]}"
    if not text.isascii():
        for curly, straight in _CURLY:
            text = text.replace(curly, straight)
    text = text.strip()
    end = _CLOSING.search(text, max(0, len(text) - _CLOSING_WITHIN))
    text = text[: end.start()] if end else text
    begin = _OPENING.match(text)
    text = _MARK.sub("\n", f"\n{text[begin.end() :] if begin else text} ")
    if ") " not in text:
        return text
    # Marks inside a line: "… a) one b) two".
    pieces = text.split(") ")
    for index, piece in enumerate(pieces[:-1]):
        before = piece[-2:-1]
        if piece[-1:] in _MARK_NAMES and before in (" ", "\n", "("):
            pieces[index] = f"{piece[: -2 if before == '(' else -1]}\n"
        else:
            pieces[index] = f"{piece}) "
    return "".join(pieces)


class Rarity:
    """The rarity of words. of: of each known word, the logarithm of how many texts there are to one that has it; unknown: of
    all others, larger than any.
    """

    def __init__(self, of: Mapping[str, float], unknown: float) -> None:
        self.of = of
        self.unknown = unknown
        self.everybodys = frozenset(word for word, rarity in of.items() if rarity < EVERYBODYS)

    def sorted(self, words: Collection[str]) -> list[float]:
        """The rarities of words, from the commonest on."""
        known = sorted(filter(None, map(self.of.get, words)))
        return known + [self.unknown] * (len(words) - len(known))


def measures(reading: Reading, rarity: Rarity) -> list[float]:
    """The measures of a reading, in the order of NAMES."""
    words, longest, sentences, numbers = reading.words, reading.longest, reading.sentences, reading.numbers
    told = set(chain.from_iterable(longest))
    heard = rarity.sorted(told - numbers)
    rare = rarity.sorted(words)
    letters = sorted(map(len, words))
    raw = reading.text.encode("utf-8", "surrogatepass")
    return [
        # Of the three longest sentences: how long they are, how many of their words everybody uses, how rare the others are.
        log1p(len(longest[0]) if longest else 0),
        log1p(sum(map(len, longest))),
        float(sum(map(rarity.everybodys.__contains__, longest[0])) if longest else 0),
        log1p(bisect_left(heard, EVERYBODYS)),
        log1p(sum(heard[bisect_right(heard, COMMON) :])),
        # Of all distinct words: how rare they are, the rarest twelve, and long ones.
        log1p(len(rare) - bisect_right(rare, 5.0)),
        log1p(sum(rare[bisect_right(rare, EVERYBODYS) :])),
        sum(rare[-12:]) / 12,
        log1p(len(letters) - bisect_left(letters, 9)),
        sum(letters[-10:]) / 10,
        # Numbers and signs.
        log1p(len(numbers)),
        log1p(sum([not numbers.isdisjoint(sentence) for sentence in sentences]) if numbers else 0),
        log1p(max(map(_value, numbers), default=0.0)),
        log1p(min(_MOST_SIGNS, len(raw) - len(raw.translate(None, _SIGNS)))),
        # Words that relate, deny and suppose, in the longest sentences; those that relate anywhere.
        float(len(told & RELATIONS)),
        log1p(len(words & RELATIONS)),
        float(len(told & NEGATIONS)),
        float(len(told & CONDITIONS)),
        # The question itself, and a few flags.
        log1p(max([each for each in reading.questions if each <= MOST_WORDS], default=0)),
        float("?" in reading.text),
        float(bool(sentences) and sentences[0][0] in QUESTIONS),
        float("how many" in reading.text or "how much" in reading.text),
        float("which of" in reading.text),
        float("my" in words or "i" in words),
        float("you" in told or "your" in told),
        float("statement" in words),
        float("```" in reading.text or "def " in reading.text),
        log1p(min(_MOST_SENTENCES, len(sentences))),
    ]


def _value(number: str) -> float:
    """The value of a number as written, at most _LARGEST; 0 for what is none."""
    try:
        return min(_LARGEST, float(number.replace(",", "")))
    except ValueError:
        return 0.0


_NAMES = """
longest three common_longest common_three rarity_three rare rarity rarity_twelve long_words long_ten
numbers numbered largest signs
relations relations_all negations conditions
asked question begins how_many which_of first_person you statement code sentences
"""
NAMES = tuple(_NAMES.split())

"""The language of a text, by its script and its commonest words."""

from __future__ import annotations

_MARKS = b'.,;:!?()[]{}"<>*`~|/\\=&%@^'
_BLANKED = bytes.maketrans(_MARKS, b" " * len(_MARKS))
_WORDS_OF = 2_048  # characters read as words


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


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


def language_of(text: str, lower: str) -> str | None:
    """The language as its two letters, None if the signs are too few. lower: the text in lower case."""
    if not text.isascii():
        # Letters past the Latin ones show in the first bytes of their UTF-8, dashes and quotes left out.
        raw = text[:_SCRIPT_OF].encode("utf-8", "surrogatepass")
        written = _script(text) if len(raw.translate(None, _FIRST_BYTES)) < len(raw) else None
        if written:
            return written
    # The words without punctuation, by way of bytes, which are translated in C.
    raw = lower[:_WORDS_OF].encode("utf-8", "surrogatepass").translate(_BLANKED)
    words = set(raw.decode("utf-8", "surrogatepass").split())
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

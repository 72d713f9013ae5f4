"""Kinds of personal data in a text, by patterns and check digits. Pure. It does not find everything: names, for one.

A pattern that has a check digit counts only if the digit is right, so that order numbers are not taken for cards. Only the
kinds are ever returned, never a value.
"""

# ruff: noqa: E501 - a pattern is read in one piece

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

MOST_CHARACTERS = 4_000_000  # of one request that are looked at
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, *(1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)),
        strict=True,
    )
)  # fmt: skip


def iban(text: str) -> bool:
    """ISO 13616: the remainder by 97 is 1."""
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


def card(text: str) -> bool:
    """ISO 7812: Luhn's sum, on a number that an issuer gives out."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return digits[0] in (2, 3, 4, 5, 6) and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def german_tax(text: str) -> bool:
    """ISO 7064, mod 11, 10."""
    digits, product = [int(each) for each in text if each.isdigit()], 10
    for each in digits[:10]:
        product = 2 * ((each + product) % 10 or 10) % 11
    return len(digits) == 11 and digits[0] != 0 and (11 - product) % 10 == digits[10]


def spanish_identity(text: str) -> bool:
    """DNI and NIE: the letter is the remainder by 23."""
    plain = text.upper().replace("-", "").replace(" ", "")
    return _DNI[int({"X": "0", "Y": "1", "Z": "2"}.get(plain[0], plain[0]) + plain[1:-1]) % 23] == plain[-1]


def french_insured(text: str) -> bool:
    """NIR: the key is 97 less the remainder by 97."""
    digits = "".join(text.split())
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def italian_tax(text: str) -> bool:
    """Codice fiscale: its last letter."""
    total = sum(_ODD[each] if place % 2 == 0 else int(each, 36) % 10 if each.isdigit() else ord(each) - 65
                for place, each in enumerate(text[:15]))  # fmt: skip
    return chr(65 + total % 26) == text[15]


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool] | None], ...] = (
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), iban),
    ("card", re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])"), card),
    ("tax", re.compile(r"(?<![\w.-])[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?![\w-])"), german_tax),
    ("tax", re.compile(r"\b(?:\d{8}|[XYZ]\d{7})[- ]?[A-HJ-NP-TV-Z]\b"), spanish_identity),
    ("tax", re.compile(r"(?<!\d)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d{2} ?\d{3} ?\d{3} ?\d{2}(?!\d)"), french_insured),
    ("tax", re.compile(r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b"), italian_tax),
    ("mail", re.compile(r"[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{2,63})+"), None),
    ("phone", re.compile(r"(?<![\w+])(?:\+|00)[1-9]\d{0,2}[ ().\-/]{0,2}(?:\d[ ().\-/]{0,2}){6,12}\d(?!\w)"), None),
    ("phone", re.compile(r"(?<!\w)\(?[2-9]\d{2}\)?[ .-]\d{3}[.-]\d{4}(?!\w)"), None),
    ("phone", re.compile(r"(?<![\w.])0[1-9]\d{1,4}[ /-]\d{3,4}[ -]?\d{2,6}(?![\w.])"), None),
    ("tax", re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"), None),
    ("tax", re.compile(r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b"), None),
    ("passport", re.compile(r"(?i)\b(?:passport|passeport|reisepass|pasaporte|passaporto)\b[^\n\d]{0,20}?\b(?=[A-Z]*\d)[A-Z0-9]{6,9}\b"), None),
    ("passport", re.compile(r"\bP[<A-Z][A-Z]{3}[A-Z<]{39}(?=\s|$)"), None),
    ("record", re.compile(r"(?i)\b(?:mrn|medical record|patient(?:en)?|case|policy|insurance|versicherung\w*|akte\w*)(?: ?(?:id|no|nr|number|nummer))?\.?[ :#]{1,3}(?=[A-Z-]{0,4}\d)[A-Z0-9-]{5,14}\b"), None),
    ("address", re.compile(r"\b\d{1,5} (?:[A-Z][a-z]+ ){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Way)\b"), None),
    ("address", re.compile(r"\b[A-ZÄÖÜ][\wäöüß-]{1,30}(?:straße|strasse|str\.|gasse|weg|platz|allee) \d{1,4}\b"), None),
    ("address", re.compile(r"(?i)\b\d{1,4},? (?:bis |ter )?(?:rue|avenue|boulevard|chemin|calle|via|viale) (?:d[eu]s? |la |di )*[A-ZÀ-Ü][\w'-]+"), None),
)  # fmt: skip

_SECRET = re.compile(
    r"\b(?:sk|pk|rk|hearth|gh[opsu]|github_pat|glpat|xox[abps]|AKIA|AIza)[-_A-Za-z0-9]{16,}|\bey[\w-]{10,}\.ey[\w-]{10,}\.[\w-]{10,}"
)
_DATA = frozenset({"data", "file_data", "b64_json", "encrypted_content", "signature"})  # members of bodies


def kinds_in(text: str) -> frozenset[str]:
    """mail, iban, card, phone, tax, passport, record, address: those that the text holds at least once."""
    found: set[str] = set()
    digits = any(map(text.__contains__, "0123456789"))
    for kind, pattern, right in _KINDS:
        if kind in found or not (digits or kind in ("mail", "passport")) or (kind == "mail" and "@" not in text):
            continue
        first = next((each for each in pattern.finditer(text) if right is None or right(each.group())), None)
        if first is not None:
            found.add(kind)
            text = text.replace(first.group(), " ")  # the digits of one number are no second one
    return frozenset(found)


def redacted(text: str) -> str:
    """The text with `[kind]` in place of each value that is found, `[secret]` of a key. It does not find everything."""
    text = _SECRET.sub("[secret]", text)
    if not any(map(text.__contains__, "0123456789@")):
        return text

    def replaced(kind: str, right: Callable[[str], bool] | None, found: re.Match[str]) -> str:
        return f"[{kind}]" if right is None or right(found.group()) else found.group()

    for kind, pattern, right in _KINDS:
        text = pattern.sub(partial(replaced, kind, right), text)
    return text


def redacted_value(value: Any) -> Any:
    """A JSON value, or a struct, with each text in it redacted, and without its data URLs and other data."""
    if isinstance(value, str):
        return "[data]" if value.startswith("data:") else redacted(value)
    if isinstance(value, list):
        return [redacted_value(each) for each in value]
    if isinstance(value, dict):
        return {
            redacted(name): "[data]" if name in _DATA and isinstance(each, str) else redacted_value(each)
            for name, each in value.items()
        }
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **redacted_value(msgspec.structs.asdict(value)))
    return value


def kinds_of(body: Any, most: int = MOST_CHARACTERS) -> frozenset[str]:
    """Those in any text of a body, its data URLs left out."""
    return kinds_in("\n".join(_texts(body, most)))


def _texts(body: Any, most: int) -> Iterator[str]:
    left = [body]
    while left and most > 0:
        value = left.pop()
        if isinstance(value, str):
            if not value.startswith("data:"):
                yield value[:most]
                most -= len(value)
        elif isinstance(value, dict):
            left.extend(each for name, each in value.items() if name != "data" or not isinstance(each, str))
        elif isinstance(value, list):
            left.extend(value)

"""Check digits of personal numbers: each function is True if a text that has the number's form is one that was given out. Pure.

They know the arithmetic that issuers publish, and nothing of the text around a number.
"""

from __future__ import annotations

import re
from datetime import date

_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21,
         2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
_IBAN = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 "
    "LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 "
    "QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
)
_LENGTHS = {each[:2]: int(each[2:]) for each in _IBAN.split()}
_ISSUED = re.compile(
    r"4\d{15}(?:\d{3})?|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|"
    r"35(?:2[89]|[3-8]\d)\d{12}|6(?:011|5\d\d|4[4-9]\d)\d{12}|62\d{14,17}|(?:5[06-8]|6[0379])\d{11,17}|220[0-4]\d{12}"
)
_DIHEDRAL = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432", "7659821043",
             "8765932104", "9876543210")  # fmt: skip
_PERMUTED = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def digits_of(text: str) -> list[int]:
    return [int(each) for each in text if each.isdigit()]


def weighted(digits: list[int], weights: tuple[int, ...]) -> int:
    """The sum of digits times weights, over the shorter of the two."""
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def luhn(digits: list[int]) -> bool:
    """ISO 7812: the sum with every other digit doubled ends in 0."""
    return (sum(digits[-1::-2]) + sum(sum(divmod(2 * each, 10)) for each in digits[-2::-2])) % 10 == 0


def a_day(day: int, month: int, year: int = 2000) -> bool:
    """True if there is such a day; of a leap year where the century is not known."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def iban(text: str) -> bool:
    """ISO 13616: of its country's length, and the remainder by 97 is 1. What follows it in the text is passed over."""
    plain = re.sub(r"[ -]", "", text).upper()
    plain = plain[: _LENGTHS.get(plain[:2], 0)]
    whole = len(plain) == _LENGTHS.get(plain[:2])
    return whole and int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


def card(text: str) -> bool:
    """Luhn's sum, on a number of a range and a length that a card issuer gives out."""
    digits = digits_of(text)
    return len(set(digits)) > 1 and luhn(digits) and _ISSUED.fullmatch("".join(map(str, digits))) is not None


def german_tax(text: str) -> bool:
    """ISO 7064, mod 11, 10; in the first ten digits one stands two or three times, and no other twice."""
    digits, product = digits_of(text), 10
    if sorted(map(digits[:10].count, set(digits[:10])))[-2:] not in ([1, 2], [1, 3]):
        return False
    for each in digits[:10]:
        product = 2 * ((each + product) % 10 or 10) % 11
    return len(digits) == 11 and digits[0] != 0 and (11 - product) % 10 == digits[10]


def german_insured(text: str) -> bool:
    """The number of the pension insurance: area, day of birth, first letter of the name, serial number, check digit."""
    plain = text.replace(" ", "").upper()
    digits = digits_of(f"{plain[:8]}{ord(plain[8]) - 64:02}{plain[9:]}")
    crossed = [
        sum(divmod(each * by, 10)) for each, by in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=False)
    ]
    return sum(crossed) % 10 == digits[12] and a_day(int(plain[2:4]) or 1, int(plain[4:6]) or 1)


def spanish_identity(text: str) -> bool:
    """DNI and NIE: the letter is the remainder by 23."""
    plain = re.sub(r"[ .-]", "", text).upper()
    return _DNI[int({"X": "0", "Y": "1", "Z": "2"}.get(plain[0], plain[0]) + plain[1:-1]) % 23] == plain[-1]


def french_insured(text: str) -> bool:
    """NIR: the key is 97 less the remainder by 97. Corsica's departments count as 19 and 18."""
    plain = re.sub(r"\s", "", text).upper()
    digits = plain.replace("2A", "19").replace("2B", "18")
    return 97 - int(digits[:13]) % 97 == int(digits[13:])


def italian_tax(text: str) -> bool:
    """Codice fiscale: its last letter."""
    plain = text.upper()
    total = sum(_ODD[each] if place % 2 == 0 else int(each, 36) % 10 if each.isdigit() else ord(each) - 65
                for place, each in enumerate(plain[:15]))  # fmt: skip
    return chr(65 + total % 26) == plain[15]


def pesel(text: str) -> bool:
    """Poland: the weighted sum ends in 0, and there is such a day of birth."""
    digits = digits_of(text)
    month = (10 * digits[2] + digits[3]) % 20
    right = weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0
    return right and a_day(10 * digits[4] + digits[5], month)


def swedish_person(text: str) -> bool:
    """Personnummer and samordningsnummer (60 added to the day): Luhn's sum of the last ten digits, and a day of birth."""
    digits = digits_of(text)[-10:]
    day = (10 * digits[4] + digits[5]) % 60
    return luhn(digits) and a_day(day, 10 * digits[2] + digits[3])


def norwegian_person(text: str) -> bool:
    """Fødselsnummer: two check digits by 11, and a day of birth."""
    digits = digits_of(text)
    first = weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
    second = weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    return first and second and a_day((10 * digits[0] + digits[1]) % 40, (10 * digits[2] + digits[3]) % 40)


def finnish_person(text: str) -> bool:
    """Henkilötunnus: the character is the remainder by 31."""
    number = int(text[:6] + text[7:10])
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == text[10].upper() and a_day(int(text[:2]), int(text[2:4]))


def brazilian_person(text: str) -> bool:
    """CPF: two check digits by 11; of eleven equal digits none is given out."""
    digits = digits_of(text)
    for at in (9, 10):
        if 10 * weighted(digits[:at], tuple(range(at + 1, 1, -1))) % 11 % 10 != digits[at]:
            return False
    return len(set(digits)) > 1


def aadhaar(text: str) -> bool:
    """India: Verhoeff's check over the dihedral group."""
    check = 0
    for place, each in enumerate(reversed(digits_of(text))):
        check = int(_DIHEDRAL[check][int(_PERMUTED[place % 8][each])])
    return check == 0


def belgian_person(text: str) -> bool:
    """Rijksregisternummer: 97 less the remainder by 97; a 2 stands before those born from 2000 on."""
    plain = "".join(map(str, digits_of(text)))
    return int(plain[9:]) in (97 - int(plain[:9]) % 97, 97 - int("2" + plain[:9]) % 97)


def eleven(text: str) -> bool:
    """One of the numbers of eleven digits: of Germany, Poland, Norway, Brazil or Belgium."""
    return any(right(text) for right in (german_tax, pesel, norwegian_person, brazilian_person, belgian_person))


def born(text: str) -> bool:
    """A day of birth with four or seven digits behind a sign: of Sweden or Korea."""
    return korean_person(text) if len(text) == 14 else swedish_person(text)


def swiss_insured(text: str) -> bool:
    """AHV: the check digit of an EAN-13."""
    return weighted(digits_of(text), (1, 3) * 6 + (1,)) % 10 == 0


def chinese_person(text: str) -> bool:
    """ISO 7064, mod 11-2, and a day of birth."""
    digits = digits_of(text[:17])
    check = weighted(digits, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11
    return "10X98765432"[check] == text[17].upper() and a_day(int(text[12:14]), int(text[10:12]), int(text[6:10]))


def korean_person(text: str) -> bool:
    """A day of birth; numbers given out since 2020 have no check digit."""
    return a_day(int(text[4:6]), int(text[2:4]))


def dutch_person(text: str) -> bool:
    """BSN: the weighted sum is divisible by 11."""
    digits = digits_of(text)
    return any(digits) and weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def national_phone(text: str) -> bool:
    """9 to 11 digits that begin with a 0 and are no date."""
    digits = digits_of(text)
    return 9 <= len(digits) <= 11 and not re.match(r"\(?\d\d[-/ ]\d\d[-/ ](?:19|20)\d\d\b", text)


def said_phone(text: str) -> bool:
    """8 to 13 digits, as behind a word for a phone."""
    return 8 <= len(digits_of(text)) <= 13

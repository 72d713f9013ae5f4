"""Forms of personal data: one row each, a kind with its pattern, its check, and what must be in a text for it to be tried. Pure.

A number with check digits counts only if they are right. One without them counts behind a word that says what it is. Words and
long numbers keep the search short: most texts hold neither, and looking for a word costs a thousandth of trying a pattern.
"""

# ruff: noqa: E501, SIM905 - a pattern is read in one piece, a list of words as a line

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from runtime.trust import check_digits as check

_BESIDE = 24  # characters on either side of a long number that belong to it or say that it is none
_LONG = re.compile(r"\d(?:[ .\-/()]{0,3}\d){7,}")
_DATE_OR_AMOUNT = re.compile(r"(?:19|20)\d\d-[01]\d-[0-3]\d(?: [0-2]\d)?|\d+\.\d{1,3}")
_LETTERS_AND_DIGITS = re.compile(r"[A-Za-z]{2}\d\d")
# Blanks, dashes and digits that look like those of ASCII, one for one; the one letter that has another length in lower case.
_PLAIN = str.maketrans(
    {0xA0: " ", 0x202F: " ", **dict.fromkeys(range(0x2000, 0x200B), " "), **dict.fromkeys(range(0x2010, 0x2016), "-"), 0x2212: "-",
     0xFF0B: "+", 0xFF20: "@", **{0xFF10 + digit: str(digit) for digit in range(10)}, 0x130: "I"}
)  # fmt: skip
_LOOKALIKE = re.compile(f"[{''.join(map(chr, _PLAIN))}]")


class Searched(NamedTuple):
    """A text as the patterns see it. lower: in lower case, of the same length. numbers: its long numbers with what is beside them.

    longest: digits of the longest of them. mixed: it holds two letters with two digits behind them.
    """

    text: str
    lower: str
    numbers: str
    longest: int
    mixed: bool


class Pattern(NamedTuple):
    """words: in lower case, one of which must be in the text; none: it is always tried.

    said: the pattern is that of what follows one of the words, and its group is the value. mixed: only where letters stand before digits.
    long: digits of the shortest number of this form, which is looked for in long numbers alone (with `said`, only where there are
    any); 0: no long number. unless: it does not count behind this.
    """

    kind: str
    pattern: re.Pattern[str]
    right: Callable[[str], bool] | None = None
    words: tuple[str, ...] = ()
    said: bool = False
    long: int = 0
    mixed: bool = False
    unless: re.Pattern[str] | None = None

    def values(self, within: Searched) -> Iterator[str]:
        """The values of this form, in order of their places; of several words, word by word."""
        text, lower, numbers, longest, mixed = within
        if longest < self.long or (self.mixed and not mixed):
            return
        if not self.said:
            if not self.words or any(map(lower.__contains__, self.words)):
                place = numbers if self.long else text
                for found in self.pattern.finditer(place):
                    if self.unless is not None and self.unless.search(
                        place, max(0, found.start() - _BESIDE), found.start()
                    ):
                        continue
                    if self.right is None or self.right(found.group()):
                        yield found.group()
            return
        for word in self.words:
            at = lower.find(word)
            while at >= 0:
                value = None if at and text[at - 1].isalnum() else self.pattern.match(text, at + len(word))
                if value is not None and (self.right is None or self.right(value[1])):
                    yield value[1]
                at = lower.find(word, at + len(word))


def searched(text: str) -> Searched:
    """The text made ready for the patterns."""
    text = text if text.isascii() or not _LOOKALIKE.search(text) else text.translate(_PLAIN)
    spans: list[list[int]] = []
    longest = 0
    for found in _LONG.finditer(text):
        start, end = max(0, found.start() - _BESIDE), found.end() + _BESIDE
        if spans and start <= spans[-1][1]:
            spans[-1][1] = end
        elif not _DATE_OR_AMOUNT.fullmatch(found.group()):
            spans.append([start, end])
        else:
            continue
        longest = max(longest, len(found.group()) if found.group().isdigit() else len(check.digits_of(found.group())))
    numbers = "\n".join([text[start:end] for start, end in spans])
    lower, mixed = text.lower().replace("_", " ").replace("-", " "), _LETTERS_AND_DIGITS.search(text) is not None
    return Searched(text, lower, numbers, longest, mixed)


def _number(
    kind: str,
    least: int,
    pattern: str,
    right: Callable[[str], bool] | None = None,
    unless: re.Pattern[str] | None = None,
) -> Pattern:
    """A number which stands by itself. least: its digits."""
    return Pattern(kind, re.compile(pattern), right, long=least, unless=unless)


def _said(
    kind: str, words: str, between: str, value: str, right: Callable[[str], bool] | None = None, *, long: int = 0
) -> Pattern:
    """A value behind one of the words. words: in lower case, parted by blanks; _ is a blank, a dash or itself: user_ssn counts."""
    number = r"(?:[_ -]?(?:number|num|no|nr|id|code))?(?!\w)"
    listed = tuple(each.replace("_", " ") for each in words.split())
    return Pattern(kind, re.compile(f"(?i){number}{between}({value})"), right, listed, True, long)


_STREETS = (
    "Street St Avenue Ave Road Rd Lane Ln Drive Dr Boulevard Blvd Court Ct Way Place Pl Square Sq Terrace Ter Circle Cir Crescent Close "
    "Parkway Pkwy Highway Hwy Trail Alley Plaza Gardens Grove Hill Mews Row Walk Green Bridge Crossing Heights Marg Chowk Nagar Path Colony"
).split()
_TYPES = (  # words that stand before the name of a street, in languages that put them there
    "calle avenida avda. av. paseo plaza camino ronda cuesta callejón glorieta travesía carretera rambla via viale piazza corso vicolo "
    "contrada strada largo rua travessa praça rodovia estrada alameda vila ulica ul. aleja al. plac pl. osiedle os."
).split()
_SUFFIXES = (  # ends of the names of streets, in languages that put them there
    "straße strasse str. gasse weg platz allee damm ufer chaussee stieg straat laan plein gracht kade dijk singel steeg gatan vägen "
    "stigen torget gränd allén gade vej gata veien vegen"
).split()
_ORDERED = re.compile(  # words before a number that has the form of a phone's, and is another's
    r"(?i)(?<![^\W_])(?:orders?|invoice|sku|part|article|item|tracking|parcel|ticket|build|serial|model|product|catalog|ref|reference|version|"
    r"batch|lot|isbn|issn|ean|gtin|upc|asin|ocr|pnr|job|error|commit|bestell\w*|rechnung\w*|auftrag\w*|artikel\w*|kunden\w*|sendung\w*|"
    r"commande|facture|pedido|factura|fattura|ordine|bestelling|factuur\w*|zamówieni\w*|faktur\w*|order\w*|nota fiscal)"
    r"(?:[\W_]{0,3}(?:no|nr|num|number|nummer|id|code|n))?[\W_]{0,4}\Z"
)
_ID = r"(?:id|no|nr|num(?:ber|mer|er|ero|éro)?|número|numéro|ref(?:erence)?|code|n[°ºo]|#|:)"

PATTERNS: tuple[Pattern, ...] = (
    Pattern("mail", re.compile(r"(?<![\w.+%-])(?!git@)[\w.+-]{1,64}(?:@|%40)(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}"), None, ("@", "%40")),
    Pattern("iban", re.compile(r"(?i)\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?\b"), check.iban, mixed=True),
    _number("card", 13, r"(?<![\w-])(?<!\d\.)\d(?:[ -]?\d){12,18}(?![\w-])", check.card),
    _number("phone", 8, r"(?<![\w+])(?:\+|00)[1-9]\d{0,2}[ ().\-/]{0,3}(?:\d[ ().\-/]{0,3}){6,12}\d(?:[ ,]{0,2}(?:x|ext\.?) ?\d{1,6})?(?!\w)"),
    # Numbers of people that governments give out.
    _number("tax", 11, r"(?<![\w.+-])(?:\d{11}|\d\d \d{3} \d{3} \d{3}|\d{6} \d{5}|\d{3}\.\d{3}\.\d{3}-\d\d|\d\d\.\d\d\.\d\d-\d{3}\.\d\d)(?![\w-])", check.eleven),
    _number("tax", 8, r"\b\d{2} ?\d{6} ?[A-Za-z] ?\d{3}\b", check.german_insured),
    _number("tax", 8, r"\b(?:\d{8}|\d{2}\.\d{3}\.\d{3})[- ]?[A-HJ-NP-TV-Za-hj-np-tv-z]\b", check.spanish_identity),
    Pattern("tax", re.compile(r"\b[XYZxyz]-?\d{7}-?[A-HJ-NP-TV-Za-hj-np-tv-z]\b"), check.spanish_identity),
    _number("tax", 8, r"(?<![\d+])[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\d)", check.french_insured),
    Pattern("tax", re.compile(r"(?i)\b[A-Z]{6}[\dLMNP-V]{2}[A-EHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]\b"), check.italian_tax, mixed=True),
    _number("tax", 9, r"(?<![\w-])(?!000|666)(?:[0-8]\d\d-(?!00)\d\d|9\d\d-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9]))-(?!0000)\d{4}(?![\w-])"),
    Pattern("tax", re.compile(r"\b(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b")),
    _number("tax", 10, r"(?<![\w.+-])(?:(?:19|20)?\d{6}[-+]\d{4}|\d{6}-[1-8]\d{6})(?![\w-])", check.born),
    _number("tax", 10, r"(?<![\w.+-])(?:19|20)\d{10}(?![\w-])", check.swedish_person),
    _number("tax", 9, r"\b\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]\b", check.finnish_person),
    _number("tax", 12, r"(?<![\w.+-])[2-9]\d{3} \d{4} \d{4}(?![\w-]| \d)", check.aadhaar),
    _number("tax", 13, r"(?<![\w.+-])756\.\d{4}\.\d{4}\.\d{2}(?![\w-])", check.swiss_insured),
    _number("tax", 17, r"(?<![\w.+-])[1-9]\d{5}(?:19|20)\d{9}[\dXx](?![\w-])", check.chinese_person),
    Pattern("tax", re.compile(r"\b(?:[A-Z]{3}P[A-Z]\d{4}[A-Z]|[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d)\b"), mixed=True),  # PAN of a person, India; CURP, Mexico
    _said(
        "tax",
        "ssn social_security social ssn: itin tax_id tin nino national_insurance utr steuer_id steuerid idnr idnr. steuernummer "
        "steuer_idnr sozialversicherungsnummer bsn burgerservicenummer sofinummer pesel nip personnummer pnr cpr cpf nif nie "
        "dni aadhaar aadhar uidai pan sin ahv pps ppsn nir sécurité_sociale codice_fiscale c.f. tax_file_number curp rfc",
        r"[^\d\n]{0,18}?",
        r"(?<!\w)[A-Z]{0,2}\d(?:[ .\-/]?\d){6,13}[A-Z]?(?![\w-])",
        long=8,
    ),
    # Phones as they are written in their own country.
    _number("phone", 8, r"(?<![\w.-])(?:\(?[2-9]\d\d\)?[ .-]?\d{3}[.-]\d{4}(?: ?(?:x|ext\.?) ?\d{1,6})?|\([2-9]\d\d\) ?\d{3} \d{4}|(?:\([1-9]\d\) ?|[1-9]\d )9?\d{4}[- ]\d{4})(?![\w-])", None, _ORDERED),
    _number("phone", 9, r"(?<![\w.,:+-])(?<!ISBN )\(?0[1-9]\d{0,4}\)?(?:[ /-]{0,3}\d{2,9}){1,4}(?![\w.,:/-]?\d|\w)", check.national_phone, _ORDERED),
    _said(
        "phone",
        "phone telephone tel tel. mobile cell cellphone fax whatsapp call ring reach dial sms handy telefon telefonisch rufnummer mobil "
        "mobilnummer erreichen portable téléphone joindre appeler appelez móvil teléfono llamar llámame llamarme cellulare cell. chiamare "
        "telefono bellen telefoonnummer dzwonić zadzwoń komórka kom. telefone celular ligar zap ringa",
        r"[^\d\n+(]{0,30}?",
        r"(?<!\w)\+?\(?\d(?:[ ().\-/]{0,2}\d){7,12}(?![\w-])",
        check.said_phone,
        long=8,
    ),
    _said(
        "passport",
        "passport passeport reisepass passnummer passnr passnr. pasaporte passaporto passaporte paspoort paspoortnummer paszport paszportu "
        "pass_har_nummer passet personalausweis ausweisnummer identity_card id_card identity_document carte_d'identité carta_d'identità "
        "driver's_license drivers_license driving_licence driving_license führerschein führerscheinnummer permis_de_conduire",
        r"[^\d\n]{0,25}?",
        r"(?<!\w)(?=(?:[A-Z]{0,3}\d){3})[A-Z0-9]{6,10}\b",
    ),
    Pattern("passport", re.compile(r"\bP[<A-Z][A-Z]{3}[A-Z<]{39}(?=\s|$)"), None, ("<<",)),
    # Numbers of patients, insured people and files about a person.
    _said(
        "record",
        "mrn medical_record nhs_number nhs_no nhs hospital_number patient_id aktenzeichen versichertennummer krankenversichertennummer "
        "versicherungsnummer patientennummer historia_clínica historia_clinica cartella_clinica prontuário patiëntnummer polisnummer "
        "dossiernummer försäkringsnummer patientnummer numer_pacjenta",
        r"[^\d\n]{0,16}?",
        r"(?<!\w)(?:[A-Z]{0,4}[ -]?)\d(?:[ /.-]?[A-Z]{0,3}[ /.-]?\d){4,15}",
    ),
    _said(
        "record",
        "patient patienten case policy claim insurance member chart akte dossier póliza poliza polizza polisa apólice pacjenta paciente "
        "contrat contract journal versicherung sinistre prontuario",
        rf"[^\d\n]{{0,14}}?(?<!\w){_ID}[^\w\n]{{1,3}}",
        r"(?:[A-Z]{1,4}[ -]?)?\d(?:[ /.-]?[A-Z]{0,3}[ /.-]?\d){4,15}",
    ),
    # Addresses.
    Pattern("address", re.compile(rf"\b\d{{1,5}}[A-Z]?,? (?:[A-Z][\w'.-]+ ){{1,3}}(?:{'|'.join(_STREETS)})\b"), None, tuple(f" {each.lower()}" for each in _STREETS)),
    Pattern("address", re.compile(rf"\b[A-ZÄÖÜÅ][\w-]{{1,40}}(?i:{'|'.join(map(re.escape, _SUFFIXES))}) \d{{1,4}}(?:[a-zA-Z]|[/-]\d{{1,4}})?\b"), None, tuple(_SUFFIXES)),
    Pattern("address", re.compile(r"(?i:\b\d{1,4},? (?:bis |ter )?(?:rue|avenue|boulevard|chemin|place|allée|impasse|quai|route|cours|square|passage)) (?:de la |d[eu]s? |la |l'|d')?[A-ZÀ-Ü][\w'-]+"), None,
            ("rue ", "avenue ", "boulevard ", "chemin ", "place ", "allée ", "impasse ", "quai ", "route ", "cours ", "square ", "passage ")),
    Pattern("address", re.compile(rf"(?<!\w)(?i:{'|'.join(map(re.escape, _TYPES))}) (?:(?:d[aeiou]s?|del|dell[ao]?|la|las|los|el) )*[A-ZÀ-ÜŁŚŻŹĆ][\w'.-]*(?: [\w'.-]+){{0,4}}?,? (?:n[º°.] ?)?\d{{1,4}}\b"), None,
            tuple(f"{each} " for each in _TYPES)),
    Pattern("address", re.compile(r"(?<!\w)(?:H\.? ?No\.?|House No\.?|Plot No\.?|Door No\.?|Flat(?: No\.?)?|Apt\.?|Apartment|Suite) ?\d{1,5}[A-Z]?(?:/\d{1,4})?,? [A-Z][a-z]+"), None,
            ("h.no", "h. no", "house no", "plot no", "door no", "flat", "apt", "apartment", "suite")),
    Pattern("address", re.compile(r", (?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|P[AR]|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY]) \d{5}(?:-\d{4})?\b")),  # a town, a state of the US and its ZIP code
    Pattern("address", re.compile(r"\b(?:GIR 0AA|[A-PR-UWYZ][A-HK-Y]?\d[A-HJKMNPR-Y\d]? \d[ABD-HJLNP-UW-Z]{2})\b")),  # a postcode of the UK
    Pattern("address", re.compile(r"(?<=[^\W\d] )(?:\d{1,4}[/-])?\d{1,3}[a-zA-Z]?,\s*(?:[A-Z]{1,2}-)?(?:\d{2}-\d{3}|\d{4} [A-Z]{2}|\d{5}(?:-\d{3})?|\d{4}),? [A-ZÀ-ÜŁŚŻ][^\W\d]+")),  # a house number, a postcode and a town
    Pattern("address", re.compile(r"(?i)\b(?:p\.? ?o\.? box|postfach|apartado de correos|casella postale|postbus) \d{2,7}\b"), None, ("box", "postfach", "apartado", "casella", "postbus")),
)  # fmt: skip

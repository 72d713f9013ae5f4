"""Makes the labelled set: hand-written sentences with values by Faker, which knows nothing of our patterns.

python -m scripts.personal.make     writes tests/runtime/trust/labelled.jsonl; needs the group `personal`

Faker lacks a few formats, and gives others that nobody has: those are made here, as the authority that issues them describes
them. The same seed and the same Faker give the same file.
"""

from __future__ import annotations

import json
import random
import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faker import Faker

from scripts.personal.sentences import HOLDING, WITHOUT

FILE = Path(__file__).resolve().parents[2] / "tests" / "runtime" / "trust" / "labelled.jsonl"
SEED = 11
EACH = 2  # texts of one sentence
LOCALES = {
    "US": "en_US", "GB": "en_GB", "DE": "de_DE", "FR": "fr_FR", "ES": "es_ES", "IT": "it_IT", "NL": "nl_NL", "PL": "pl_PL",
    "SE": "sv_SE", "BR": "pt_BR", "IN": "en_IN",
}  # fmt: skip
ABROAD = {
    "US": "DE",
    "SE": "FI",
    "IN": "DE",
    "BR": "PT",
}  # IBANs of these are of another country; Faker's Swedish are none


class Values:
    """Values of one country."""

    def __init__(self, country: str, seed: int) -> None:
        self.country, self.random = country, random.Random(seed)
        self.fake: Any = Faker(LOCALES[country])
        self.fake.seed_instance(seed)

    def digits(self, count: int) -> str:
        return "".join(self.random.choices(string.digits, k=count))

    def mail(self) -> str:
        return str(self.random.choice((self.fake.email, self.fake.free_email, self.fake.company_email))())

    def phone(self) -> str:
        return str(self.fake.phone_number())

    def iban(self) -> str:
        other = ABROAD.get(self.country, "")
        locales = {"DE": "de_DE", "FI": "fi_FI", "PT": "pt_PT"}
        fake = Faker(locales[other]) if other else self.fake
        fake.seed_instance(self.random.randrange(10**6))
        plain = str(fake.iban())
        spaced = " ".join(plain[at : at + 4] for at in range(0, len(plain), 4))
        return self.random.choice((plain, spaced))

    def card(self) -> str:
        kind = self.random.choice(("visa16", "mastercard", "amex"))
        plain = str(self.fake.credit_card_number(kind))
        cuts = (4, 6, 5) if len(plain) == 15 else (4, 4, 4, 4)
        parts, at = [], 0
        for cut in cuts:
            parts.append(plain[at : at + cut])
            at += cut
        return self.random.choice((plain, " ".join(parts), "-".join(parts)))

    def tax(self) -> str:
        made: dict[str, Callable[[], str]] = {
            "GB": self._nino,
            "DE": self._steuer_id,
            "ES": lambda: str(self.random.choice((self.fake.nif, self.fake.nie))()),
            "FR": self._spaced_nir,
            "BR": lambda: str(self.fake.cpf()),
            "IN": self._aadhaar,
            "SE": lambda: self.random.choice(("{}", "19{}")).format(self.fake.ssn()),
        }
        return str(made.get(self.country, self.fake.ssn)())

    def _nino(self) -> str:
        """gov.uk, NIM39110: two letters, six digits, A to D."""
        first, second = self.random.choice("ABCEGHJKLMNPRSTWXYZ"), self.random.choice("ABCEGHJKLMNPRSTWXYZ")
        pair = first + second if first + second not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ") else "JC"
        plain = f"{pair}{self.digits(6)}{self.random.choice('ABCD')}"
        return self.random.choice((plain, f"{plain[:2]} {plain[2:4]} {plain[4:6]} {plain[6:8]} {plain[8]}"))

    def _steuer_id(self) -> str:
        """BZSt: of ten digits, the first not 0, one stands twice and the others once; the eleventh by ISO 7064 mod 11, 10."""
        digits = [0]
        while not digits[0]:
            digits = self.random.sample(range(10), 9)
            digits.insert(self.random.randrange(1, 10), self.random.choice(digits))
        product = 10
        for each in digits:
            total = (each + product) % 10 or 10
            product = 2 * total % 11
        plain = "".join(map(str, digits)) + str((11 - product) % 10)
        return self.random.choice((plain, f"{plain[:2]} {plain[2:5]} {plain[5:8]} {plain[8:]}"))

    def _spaced_nir(self) -> str:
        plain = str(self.fake.ssn()).replace(" ", "")
        cuts = (1, 2, 2, 2, 3, 3, 2)
        spaced = " ".join(plain[sum(cuts[:at]) : sum(cuts[: at + 1])] for at in range(len(cuts)))
        return self.random.choice((plain, spaced))

    def _aadhaar(self) -> str:
        plain = str(self.fake.aadhaar_id())
        return self.random.choice((plain, f"{plain[:4]} {plain[4:8]} {plain[8:]}"))

    def passport(self) -> str:
        shapes = {"DE": "C?#######", "FR": "##??#####", "ES": "???######", "IT": "??#######", "NL": "N??#####?",
                  "PL": "??#######", "BR": "??######", "IN": "?#######", "SE": "########"}  # fmt: skip
        shape = shapes.get(self.country, "#########")
        return str(self.fake.bothify(shape, letters="CFGHJKLMNPRTVWXYZ"))

    def record(self) -> str:
        if self.country == "GB":  # nhs.uk: ten digits, the last by modulus 11
            while True:
                body = self.digits(9)
                check = 11 - sum(int(each) * (10 - at) for at, each in enumerate(body)) % 11
                if check != 10:
                    plain = body + str(check % 11)
                    return f"{plain[:3]} {plain[3:6]} {plain[6:]}"
        shapes = {"DE": ("?#########", "### Js #####/##"), "US": ("########", "W#########")}
        choices = shapes.get(self.country, ("########", "##-######", "??#######"))
        return str(self.fake.bothify(self.random.choice(choices), letters="ABCDEFGHKLMT"))

    def address(self) -> str:
        whole = str(self.fake.address()) if self.random.random() < 0.5 else str(self.fake.street_address())
        return re.sub(r"\s*\n\s*", ", ", whole).strip()

    def name(self) -> str:
        return f"{self.fake.first_name()} {self.fake.last_name()}"

    def health(self) -> str:
        return ""  # the sentence says it


def rows() -> Iterator[dict[str, str]]:
    """country, kind ("" where there is nothing), half, text."""
    for number, (country, kinds) in enumerate(HOLDING.items()):
        values = Values(country, SEED + number)
        for kind, pair in kinds.items():
            for half, sentence in zip(("shown", "held"), pair, strict=True):
                for _ in range(1 if kind == "health" else EACH):
                    yield {
                        "country": country,
                        "kind": kind,
                        "half": half,
                        "text": sentence.format(getattr(values, kind)()),
                    }
    dice = random.Random(SEED)
    for pair in WITHOUT:
        for half, sentence in zip(("shown", "held"), pair, strict=True):
            for _ in range(3 if "{" in sentence else 1):

                def filled(found: re.Match[str]) -> str:
                    return "".join(dice.choices(string.digits, k=int(found[1])))

                yield {"country": "", "kind": "", "half": half, "text": re.sub(r"\{(\d+)\}", filled, sentence)}


if __name__ == "__main__":
    FILE.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows()), encoding="utf-8")

"""Personal data by patterns: numbers that authorities publish, the labelled set, and the time it takes."""

from __future__ import annotations

import time

import pytest

from runtime.trust.personal import kinds_in, redacted, redacted_value
from scripts.personal.measure import HELD, PATTERNED, SHOWN, false_alarms, labelled, precision, recall, searched

# Numbers that authorities and vendors publish as examples, in sentences of several languages.
HOLDING = {
    "mail": ["Write to jane.doe+x@example.co.uk please.", "Meine Adresse: max@firma.example.de"],
    "iban": ["DE89 3704 0044 0532 0130 00", "pay GB82WEST12345698765432", "FR14 2004 1010 0505 0001 3M02 606",
             "NL91ABNA0417164300"],
    "card": ["4111 1111 1111 1111", "card 5500-0000-0000-0004", "378282246310005", "6011000990139424"],
    "phone": ["call +49 30 901820", "+1 (212) 555-0123", "ruf 030 90182050 an", "(212) 555-0123", "+33 1 42 68 53 00"],
    "tax": ["SSN 219-09-9999", "NI number AB 12 34 56 C", "Steuer-ID 86 095 742 719", "DNI 12345678Z", "NIE X1234567L",
            "1 85 05 78 006 084 91", "RSSMRA85T10A562S"],
    "passport": ["Passport No. C01X00T47", "Reisepass: C4J6R2R80"],
    "record": ["MRN: 00482913", "Patient ID 7734-1290", "policy number: AX5529104"],
    "address": ["He lives at 221 Baker Street now.", "Hauptstraße 12, Berlin", "12 rue de Rivoli, Paris"],
}  # fmt: skip
WITHOUT = [
    "GB82WEST12345698765433 has a wrong check digit",
    "order 4111 1111 1111 1112",
    "the build of 2026-11-29 at 10:15:00 took 1234567 ms",
    "version 10.4.2.1, commit 3fa4cea9b2c1",
    "12345678A is no DNI",
    "86095742718",
    "pi is 3.14159265358979323846",
    "from 1 to 10000 in steps of 250",
    "call the function twice @ 3 pm",
    "ISBN 978-3-16-148410-0",
    "a passport is a document; the case is closed",
    "def f(x): return x @ y  # 100 200 300 400",
    "SELECT id FROM t WHERE id IN (100, 200, 300)",
    "The street was long and the avenue wide.",
]  # fmt: skip


def test_published_numbers_are_found_and_what_looks_like_them_is_not() -> None:
    """All of these examples are found, and none of the others: what people write is harder."""
    cases = [(kind, text) for kind, texts in HOLDING.items() for text in texts]
    missed = [(kind, text) for kind, text in cases if kind not in kinds_in(text)]
    false = [(text, kinds_in(text)) for text in WITHOUT if kinds_in(text)]
    extra = [(kind, text, kinds_in(text)) for kind, text in cases if kinds_in(text) - {kind}]
    assert (missed, false, extra) == ([], [], [])


@pytest.mark.parametrize(("half", "least"), [(SHOWN, 0.95), (HELD, 0.75)])
def test_most_of_what_others_made_is_found(half: str, least: float) -> None:
    """Values by Faker in hand-written sentences of eleven countries; docs/compliance.md has the figures."""
    found = searched([row for row in labelled() if row.half == half], kinds_in)
    part, whole = recall(found, within=PATTERNED)
    assert whole >= 150 and part / whole >= least
    part, whole = false_alarms(found)
    assert whole >= 75 and part / whole <= 0.1
    for kind in PATTERNED:
        part, whole = precision(found, kind)
        assert part / whole >= 0.7, kind


@pytest.mark.parametrize(
    "text", ["1 " * 20_000, "a@" * 20_000, "DE89 " * 10_000, "+1 " * 20_000, "A" * 50_000, "Aa " * 20_000]
)
def test_no_text_takes_longer_than_its_length(text: str) -> None:
    """Four times the text takes about four times as long, never sixteen times."""

    def taken(text: str) -> float:
        began = time.process_time()
        kinds_in(text)
        return time.process_time() - began

    short, long = (min(taken(text[: len(text) // part]) for _ in range(3)) for part in (4, 1))
    assert long < 12 * short + 0.05


def test_a_redacted_text_holds_none_of_what_was_found() -> None:
    """The rest stays word for word."""
    for kind, text in [(kind, each) for kind, texts in HOLDING.items() for each in texts]:
        left = redacted(text)
        assert kind not in kinds_in(left), left
    assert redacted("order 4111 1111 1111 1112, call me") == "order 4111 1111 1111 1112, call me"
    value = {"a": ["mail x@example.org", 1, None], "data": "AAAA", "url": "data:image/png;base64,AAAA"}
    assert redacted_value(value) == {"a": ["mail [mail]", 1, None], "data": "[data]", "url": "[data]"}

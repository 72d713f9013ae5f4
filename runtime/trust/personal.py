"""Kinds of personal data in a text, by patterns and check digits. Pure. It does not find everything: names, for one.

Only the kinds are ever returned, never a value. The forms are in `patterns`; `outgoing` reads the texts of a body.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from runtime.trust.outgoing import DATA, MOST_CHARACTERS, Outgoing, outgoing
from runtime.trust.patterns import PATTERNS, searched

NAME, HEALTH = "name", "health"  # kinds that no pattern finds
UNREAD = "unread"  # the kind of what was not looked into, in a record; `enforce` takes it for personal data
_SECRET = re.compile(
    r"\b(?:sk|pk|rk|hearth|gh[opsu]|github_pat|glpat|xox[abps]|AKIA|AIza)[-_A-Za-z0-9]{16,}|\bey[\w-]{10,}\.ey[\w-]{10,}\.[\w-]{10,}"
)


def kinds_in(text: str) -> frozenset[str]:
    """mail, iban, card, phone, tax, passport, record, address: those that the text holds at least once."""
    found: set[str] = set()
    if text.isascii() and not any(map(text.__contains__, "0123456789@<")):
        return frozenset()
    within = searched(text)
    for row in PATTERNS:
        if row.kind in found:
            continue
        value = next(row.values(within), None)
        if value is not None:
            found.add(row.kind)
            # The digits of one number are no second one.
            hidden = " " * len(value)
            within = within._replace(
                text=within.text.replace(value, hidden), numbers=within.numbers.replace(value, hidden)
            )
    return frozenset(found)


def kinds_of(body: Any, most: int = MOST_CHARACTERS) -> frozenset[str]:
    """Those in any text of a body, and UNREAD if it is longer than `most` characters."""
    return kinds_in_all(outgoing(body, most))


def kinds_in_all(sent: Outgoing) -> frozenset[str]:
    """Those in the text, and UNREAD if it is not all of what leaves."""
    return kinds_in(sent.text) if sent.whole else kinds_in(sent.text) | {UNREAD}


def redacted(text: str) -> str:
    """The text with `[kind]` in place of each value that is found, `[secret]` of a key. It does not find everything."""
    text = _SECRET.sub("[secret]", text)
    if text.isascii() and not any(map(text.__contains__, "0123456789@<")):
        return text
    within = searched(text)
    for row in PATTERNS:
        values = dict.fromkeys(row.values(within))
        for value in values:
            text = within.text.replace(value, f"[{row.kind}]")
            within = searched(text)
    return within.text


def redacted_value(value: Any) -> Any:
    """A JSON value, or a struct, with each text in it redacted, and without its data URLs and other data."""
    if isinstance(value, str):
        return "[data]" if value.startswith("data:") else redacted(value)
    if isinstance(value, list):
        return [redacted_value(each) for each in value]
    if isinstance(value, dict):
        return {
            redacted(name): "[data]" if name in DATA and isinstance(each, str) else redacted_value(each)
            for name, each in value.items()
        }
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **redacted_value(msgspec.structs.asdict(value)))
    return value

"""Inspect: samples `{"input", "target", "choices", "id", "metadata"}` as JSONL, JSON or CSV. The scorer says how they match:

match      the answer ends with the target; case and punctuation around it do not count   -> ends
includes   the answer contains it, whatever the case                 -> contains, any_of
exact      the answer has the target's words; case, punctuation, articles and the form of a number do not count -> similar
number     the last number of the answer, `match(numeric=True)`      -> number
choice     the letter of one of `choices`, after "ANSWER:"; they join the prompt -> choice, regex
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

import msgspec

from runtime.quality.golden.imports.shared import Case, Imported, NotTaken, one_or_many, records, texts, turns

KINDS = ("match", "includes", "exact", "number", "choice")
_NEEDS_MORE = ("files", "sandbox", "setup")  # a machine to act on: nothing here gives it one
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MARKED = r"(?i)answer\s*:"
_CHOOSE = (
    "Answer the following multiple choice question. The entire content of your response should be of the following format: "
    "'ANSWER: $LETTER' (without quotes) where LETTER is one of {letters}.\n\n{question}\n\n{choices}"
)


def read(text: str, how: str, *, of_csv: bool = False) -> Imported:
    """how: one of KINDS."""
    cases, untaken = list[Case](), list[str]()
    for place, record in rows(text) if of_csv else records(text):
        try:
            cases.append(case(record, how))
        except NotTaken as fault:
            untaken.append(f"{place}: {fault}")
    return Imported(cases, untaken)


def rows(text: str) -> Iterable[tuple[str, Any]]:
    """The records of a CSV; a field that is a JSON list is read as one."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for record in reader:
        values: dict[str, Any] = {name: value for name, value in record.items() if name and value}
        for name in ("input", "target", "choices"):
            if str(values.get(name, "")).startswith("["):
                try:
                    values[name] = msgspec.json.decode(values[name])
                except msgspec.DecodeError:
                    continue
        yield f"line {reader.line_num}", values


def case(record: Any, how: str) -> Case:
    """Raises NotTaken."""
    if not isinstance(record, dict):
        raise NotTaken(f"it is no record: {str(record)[:100]}")
    if "input" not in record or "target" not in record:
        raise NotTaken("it has no `input` or no `target`")
    for name in _NEEDS_MORE:
        if record.get(name):
            raise NotTaken(f"it needs `{name}`")
    wanted, asked, choices = texts(record["target"]), turns(record["input"]), record.get("choices") or []
    if isinstance(choices, str):  # of a CSV: separated by commas, else by spaces
        choices = [each.strip() for each in (choices.split(",") if "," in choices else choices.split())]
    own = {"id": str(record["id"])} if record.get("id") not in (None, "") else {}
    if how == "choice":
        return {**own, **chosen(asked, choices, wanted)}
    if choices:
        raise NotTaken("it has choices: import it with --as choice")
    match how:
        case "match":
            check = one_or_many("ends", wanted, ignore_case=True, ignore_punctuation=True)
        case "includes":
            check = {"contains": wanted[0]} if len(wanted) == 1 else {"any_of": wanted}
            check["ignore_case"] = True
        case "exact":
            check = one_or_many("similar", wanted, by="same")
        case _:
            try:
                check = {"number": float(wanted[0].replace(",", ""))}
            except ValueError:
                raise NotTaken(f"its target {wanted[0]!r} is no number") from None
    return {**own, **asked, "checks": [check]}


def chosen(asked: Case, choices: Any, wanted: list[str]) -> Case:
    """Raises NotTaken."""
    if not isinstance(choices, list) or not 1 < len(choices) <= len(_LETTERS):
        raise NotTaken("it has no choices")
    if "prompt" not in asked:
        raise NotTaken("it has choices and messages")
    if len(wanted) != 1:
        raise NotTaken("it has several right choices")
    letters = list(_LETTERS[: len(choices)])
    target = wanted[0] if wanted[0] in letters else None
    if target is None and wanted[0] in map(str, choices):
        target = letters[list(map(str, choices)).index(wanted[0])]
    if target is None:
        raise NotTaken(f"its target {wanted[0]!r} is none of its choices")
    listed = "\n".join(f"{letter}) {each}" for letter, each in zip(letters, choices, strict=True))
    prompt = _CHOOSE.format(letters=",".join(letters), question=asked["prompt"], choices=listed)
    return {"prompt": prompt, "checks": [{"choice": target, "among": letters}, {"regex": _MARKED}]}

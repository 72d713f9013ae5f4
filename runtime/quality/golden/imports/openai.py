"""OpenAI evals: `{"input": text or messages, "ideal": text or texts}`, a line each. The class of the eval says how they match:

match      Match      the answer starts with one of the ideals       -> starts
includes   Includes   the answer contains one of them                -> contains, any_of
exact                 the answer is one of them                      -> equals
fuzzy      FuzzyMatch one of them is in the answer, or it in one     -> similar, by "within"
"""

from __future__ import annotations

from typing import Any

from runtime.quality.golden.imports.shared import Case, Imported, NotTaken, one_or_many, records, texts, turns

KINDS = ("match", "includes", "exact", "fuzzy")


def read(text: str, how: str) -> Imported:
    """how: one of KINDS."""
    cases, untaken = list[Case](), list[str]()
    for place, record in records(text):
        try:
            cases.append(case(record, how))
        except NotTaken as fault:
            untaken.append(f"{place}: {fault}")
    return Imported(cases, untaken)


def case(record: Any, how: str) -> Case:
    """Raises NotTaken."""
    if not isinstance(record, dict):
        raise NotTaken(f"it is no record: {str(record)[:100]}")
    if "input" not in record or "ideal" not in record:
        raise NotTaken("it has no `input` or no `ideal`")
    wanted = texts(record["ideal"])
    if not all(each.strip() for each in wanted):
        raise NotTaken("its ideal is empty")
    match how:
        case "match":
            check = one_or_many("starts", wanted)
        case "includes":
            check = {"contains": wanted[0]} if len(wanted) == 1 else {"any_of": wanted}
        case "exact":
            check = one_or_many("equals", wanted)
        case _:
            check = one_or_many("similar", wanted, by="within")
    return {**turns(record["input"]), "checks": [check]}

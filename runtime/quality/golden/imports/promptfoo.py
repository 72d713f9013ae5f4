"""promptfoo: `prompts`, `tests` with `vars` and `assert`, `defaultTest`; or the tests alone as CSV with `__expected`.

Prompts with plain `{{variables}}` are filled in; templates with logic, programs and files are refused by name. A test whose
assertions cannot all be taken is taken with the others, and is named.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from runtime.quality.golden.imports.shared import Case, Imported, NotTaken, texts

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][\w.]*)\s*\}\}")
_LOGIC = re.compile(r"\{%|\{#|\{\{")  # what is left once the plain variables are filled in
_TYPED = re.compile(r"([a-z][a-z-]*)(?:\(([\d.]+)\))?(?::\s*(.*))?", re.DOTALL)
_FILE = re.compile(r"[\w./ *-]+\.(csv|txt|json|jsonl|ya?ml|md|j2|js|mjs|cjs|ts|py)")
_MOST_OF_A_TEST = 100  # cases that lists of variables make


def read(document: Any) -> Imported:
    """document: the configuration, as YAML or JSON gives it."""
    if not isinstance(document, Mapping):
        return Imported([], ["the file: it is no promptfoo configuration"])
    cases, untaken = list[Case](), list[str]()
    prompts = document.get("prompts") or []
    listed = prompts if isinstance(prompts, list) else [prompts]
    if document.get("scenarios"):
        untaken.append("scenarios: they are taken by promptfoo alone; write their tests out")
    tests = document.get("tests")
    if not isinstance(tests, list):
        return Imported([], [*untaken, f"tests: {_elsewhere(tests) or 'there are none'}"])
    templates = _table(document.get("assertionTemplates"))
    default = _with_templates(_table(document.get("defaultTest")), templates)
    for number, test in enumerate(tests, start=1):
        place = f"test {number}"
        if not isinstance(test, Mapping):
            untaken.append(f"{place}: {_elsewhere(test) or 'it is no test'}")
            continue
        taken(_with_templates(test, templates), default, listed, place, cases, untaken)
    return Imported(cases, untaken)


def read_csv(text: str, prompt: str) -> Imported:
    """prompt: with the CSV's columns as `{{variables}}`."""
    cases, untaken = list[Case](), list[str]()
    reader = csv.DictReader(io.StringIO(text, newline=""))
    for record in reader:
        columns = {name: value or "" for name, value in record.items() if name}
        wanted = [value for name, value in columns.items() if re.fullmatch(r"__expected\d*", name) and value.strip()]
        test: dict[str, Any] = {
            "vars": {name: value for name, value in columns.items() if not name.startswith("__")},
            "description": columns.get("__description", ""),
            "assert": [asserted(each) for each in wanted],
        }
        if columns.get("__threshold"):
            test["threshold"] = columns["__threshold"]
        whole = f"{columns.get('__prefix', '')}{prompt}{columns.get('__suffix', '')}"
        taken(test, {}, [whole], f"line {reader.line_num}", cases, untaken)
    return Imported(cases, untaken)


def asserted(written: str) -> dict[str, Any]:
    """An assertion as `__expected` writes it: `contains: x`, `similar(0.8): x`, or a text that is to be equal."""
    found = _TYPED.fullmatch(written.strip())
    if written.startswith(("fn:", "eval:")):
        return {"type": "javascript"}
    if written.startswith("grade:"):
        return {"type": "llm-rubric", "value": written.removeprefix("grade:").strip()}
    name = found[1] if found else ""
    plain, alone = name.removeprefix("not-"), name in ("is-json", "is-refusal")
    if found and (plain in _KNOWN or name in _UNKNOWN) and (found[3] is not None or alone):
        value: Any = found[3]
        if plain.endswith(("-any", "-all")) and isinstance(value, str):
            value = [each.strip() for each in next(csv.reader([value]))]
        return {"type": name, "value": value} | ({"threshold": float(found[2])} if found[2] else {})
    return {"type": "equals", "value": written}


def taken(
    test: Mapping[str, Any],
    default: Mapping[str, Any],
    prompts: Sequence[Any],
    place: str,
    cases: list[Case],
    untaken: list[str],
) -> None:
    """Adds the cases of a test to the lists."""
    variables = {**_table(default.get("vars")), **_table(test.get("vars"))}
    named = {name: value if isinstance(value, list) else [value] for name, value in variables.items()}
    if any(_table(each.get("options")).get("transform") for each in (default, test)):
        untaken.append(
            f"{place}: its answers are transformed by a program before they are checked, and so it is left out"
        )
        return
    combined = itertools.islice(itertools.product(*named.values()), _MOST_OF_A_TEST)
    every = [dict(zip(named, values, strict=True)) for values in combined]
    threshold = test.get("threshold", default.get("threshold"))
    for prompt, values in itertools.product(prompts, every):
        try:
            case = filled(prompt, values)
        except NotTaken as fault:
            untaken.append(f"{place}: {fault}")
            continue
        checks = []
        for each in (*(default.get("assert") or ()), *(test.get("assert") or ())):
            try:
                checks.append(check(each, values))
            except NotTaken as fault:
                untaken.append(f"{place}: {fault}")
        if not checks:
            untaken.append(f"{place}: no assertion of it can be taken, and so it is left out")
            continue
        if test.get("description"):
            case["id"] = str(test["description"])
        if threshold not in (None, ""):
            case["threshold"] = float(threshold)
        cases.append({**case, "checks": checks})
        if "id" in case and sum(each.get("id") == case["id"] for each in cases) > 1:
            cases[-1]["id"] = f"{case['id']} ({len(cases)})"


def filled(prompt: Any, values: Mapping[str, Any]) -> Case:
    """A prompt with its variables. Raises NotTaken."""
    if isinstance(prompt, Mapping):
        prompt = prompt.get("raw") or prompt.get("id") or ""
    if refused := _elsewhere(prompt):
        raise NotTaken(f"the prompt: {refused}")
    if not isinstance(prompt, str) or not prompt.strip():
        raise NotTaken("the prompt is no text")
    text = substituted(prompt, values)
    if text.lstrip().startswith("["):
        try:
            messages = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return {"prompt": text}
        if isinstance(messages, list) and all(isinstance(each, dict) and "role" in each for each in messages):
            return {"messages": messages}
    return {"prompt": text}


def substituted(text: str, values: Mapping[str, Any]) -> str:
    """Plain variables replaced, once: a value's own braces stay. Raises NotTaken for any other template."""
    rest = _VARIABLE.sub("", text)
    if _LOGIC.search(rest):
        raise NotTaken(f"its template has more than plain variables: {rest[:60]!r}")

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            raise NotTaken(f"the variable {name!r} is not given")
        given = values[name]
        if refused := _refused(given):
            raise NotTaken(f"the variable {name!r}: {refused}")
        if isinstance(given, Mapping):
            raise NotTaken(f"the variable {name!r} is a table")
        return str(given).lower() if isinstance(given, bool) else "" if given is None else str(given)

    return _VARIABLE.sub(value, text)


def _refused(value: Any) -> str:
    """The sentence for a value that stands for something outside the file; "" for any other."""
    if isinstance(value, str) and value.startswith(
        ("file://", "huggingface://", "http://", "https://", "exec:", "python:")
    ):
        return f"{value.partition(':')[0]}: is read by promptfoo alone ({value[:80]})"
    return ""


def _elsewhere(value: Any) -> str:
    """The same for a prompt or a list of tests, where a bare name of a file is one too."""
    found = _FILE.fullmatch(value.strip()) if isinstance(value, str) else None
    words = f"{found[0]} is a file of its own" if found else ""
    if found and found[1] == "csv":
        words += ": import it by itself, with --prompt"
    return words or _refused(value)


def _with_templates(test: Mapping[str, Any], templates: Mapping[str, Any]) -> Mapping[str, Any]:
    """A test with its assertions in place of the references to them."""
    name = "#/assertionTemplates/"
    asserted = [
        templates.get(str(each["$ref"]).removeprefix(name), each)
        if isinstance(each, Mapping) and "$ref" in each
        else each
        for each in test.get("assert") or ()
    ]
    return {**test, "assert": asserted}


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _limit(kind: str) -> Callable[[Mapping[str, Any], Any], Case]:
    return lambda written, value: {kind: float(written["threshold"])}


def _words(written: Mapping[str, Any], value: Any) -> Case:
    bounds = dict(value) if isinstance(value, Mapping) else {"min": int(value), "max": int(value)}
    return {"words": bounds, "by": "space"}


def _any(written: Mapping[str, Any], value: Any) -> Case:
    return {"any_of": texts(value if isinstance(value, list) else [each.strip() for each in str(value).split(",")])}


def _all(written: Mapping[str, Any], value: Any) -> Case:
    return {"all_of": texts(value if isinstance(value, list) else [each.strip() for each in str(value).split(",")])}


_KNOWN: Mapping[str, Callable[[Mapping[str, Any], Any], Case]] = {
    "equals": lambda written, value: {"equals": texts(value)[0]},
    "contains": lambda written, value: {"contains": texts(value)[0]},
    "icontains": lambda written, value: {"contains": texts(value)[0], "ignore_case": True},
    "contains-any": _any,
    "contains-all": _all,
    "icontains-any": lambda written, value: {**_any(written, value), "ignore_case": True},
    "icontains-all": lambda written, value: {**_all(written, value), "ignore_case": True},
    "starts-with": lambda written, value: {"starts": texts(value)[0]},
    "regex": lambda written, value: {"regex": texts(value)[0]},
    "is-json": lambda written, value: {"json": value if isinstance(value, Mapping) else True},
    "is-refusal": lambda written, value: {"refused": True},
    "finish-reason": lambda written, value: {"finish": texts(value)[0]},
    "word-count": _words,
    "llm-rubric": lambda written, value: {"rubric": texts(value)[0]},
    "latency": _limit("latency_ms"),
    "cost": _limit("cost_usd"),
}
# Named so that `__expected` knows them from a text that happens to have a colon.
_UNKNOWN = frozenset(
    {
        "answer-relevance",
        "assert-set",
        "bleu",
        "classifier",
        "contains-html",
        "contains-json",
        "contains-sql",
        "contains-xml",
        "context-faithfulness",
        "context-recall",
        "context-relevance",
        "factuality",
        "g-eval",
        "is-html",
        "is-sql",
        "is-valid-function-call",
        "is-valid-openai-tools-call",
        "is-xml",
        "javascript",
        "levenshtein",
        "meteor",
        "model-graded-closedqa",
        "model-graded-factuality",
        "moderation",
        "perplexity",
        "pi",
        "python",
        "rouge-n",
        "ruby",
        "select-best",
        "similar",
        "webhook",
    }
)


def check(written: Any, values: Mapping[str, Any]) -> Case:
    """An assertion as a check. Raises NotTaken."""
    if not isinstance(written, Mapping):
        raise NotTaken(f"the assertion {str(written)[:60]!r} is no table")
    if "$ref" in written:
        raise NotTaken(f"there is no assertion {written['$ref']}")
    kind, value = str(written.get("type", "")), written.get("value")
    negated = kind.startswith("not-")
    make = _KNOWN.get(kind.removeprefix("not-"))
    if make is None:
        raise NotTaken(f"the assertion {kind!r} has no like here")
    if written.get("transform") or written.get("provider"):
        raise NotTaken(f"the assertion {kind!r} has a transform or a provider")
    try:
        if refused := _refused(value):
            raise NotTaken(refused)
        found = make(written, resolved(value, values))
    except (KeyError, TypeError, ValueError) as fault:
        raise NotTaken(f"the assertion {kind!r}: {fault}") from fault
    if negated:
        found = {"not": found}
    if "weight" in written and kind not in ("latency", "cost"):
        if not float(written["weight"]):
            raise NotTaken(f"the assertion {kind!r} has no weight")
        found["weight"] = float(written["weight"])
    return found


def resolved(value: Any, values: Mapping[str, Any]) -> Any:
    """A value with its variables, at any depth. Raises NotTaken."""
    if isinstance(value, str):
        return substituted(value, values)
    if isinstance(value, list):
        return [resolved(each, values) for each in value]
    return value

"""The checks of an answer, one function for each kind. Pure: no file, no clock, no network, no model.

A pattern, a schema or code may take for ever; whoever calls this from a process that must not stand still does so through
`check_process`. Kinds that need a judge or the user's own program are not here: see `values.JUDGED` and `python_checks`.
"""

from __future__ import annotations

import ast
import difflib
import re
import string
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from runtime.quality.golden.answers import ModelAnswer
from runtime.quality.values import GoldenCheck, Grade, Judging
from runtime.routing.facts.language import language_of
from runtime.wire.json_schema import violation

PYTHON = "python"  # needs the user's program
MEASURES = ("latency_ms", "ttft_ms", "cost_usd", "tokens")  # limits that are shown and never part of a pass rate

_SHOWN = 80  # characters of an answer in a sentence
_NUMBER = re.compile(
    r"(?:(?<!\w)[-−+])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|(?:(?<!\w)[-−+])?\.\d+"
)
_FENCED = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)
_WORD = re.compile(r"\w+(?:(?:['’-]|(?<=\d)[.,](?=\d))\w+)*")
_MARK = r"(?:answer(?: is)?|choice(?: is)?|label(?: is)?|:)"
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(a|an|the)\b")


class Finding(msgspec.Struct, frozen=True):
    """One check's outcome. score: 0 to 1. grade: the class of the result if it does not hold. words: the reason. advisory: by
    a judge that is not known to agree with people. judging: of its questions.
    """

    score: float
    words: str = ""
    grade: Grade = Grade.WRONG
    advisory: bool = False
    judging: Judging = Judging()

    @property
    def holds(self) -> bool:
        return self.score >= 1.0


HOLDS = Finding(1.0)


def short(text: str) -> str:
    """The beginning of a text, in quotes."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def held(good: bool, words: str, grade: Grade = Grade.WRONG) -> Finding:
    """words: the reason where it is not good."""
    return HOLDS if good else Finding(0.0, words, grade)


def compared(check: GoldenCheck, answer: ModelAnswer) -> tuple[str, list[str]]:
    """The answer and the wanted texts, without white space around them, in lower case if case is to be ignored.

    Without punctuation around them if that is to be ignored.
    """
    texts = [answer.text, *(check.want if isinstance(check.want, list) else [check.want])]
    folded = [str(each).casefold() if check.options.get("ignore_case") else str(each) for each in texts]
    around = string.whitespace + string.punctuation if check.options.get("ignore_punctuation") else None
    return folded[0].strip(around), [each.strip(around) for each in folded[1:]]


def equals(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    text, wanted = compared(check, answer)
    return held(text in wanted, f"{short(answer.text)} is not {short(str(check.want))}")


def contains(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    text, wanted = compared(check, answer)
    lacking = [each for each in wanted if each not in text]
    return held(not lacking, f"{short(answer.text)} does not contain {short(lacking[0]) if lacking else ''}")


def any_of(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    text, wanted = compared(check, answer)
    return held(any(each in text for each in wanted), f"{short(answer.text)} contains none of {wanted}")


def starts(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    text, wanted = compared(check, answer)
    good = any(text.startswith(each) for each in wanted)
    return held(good, f"{short(answer.text)} does not start with {short(str(check.want))}")


def ends(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    text, wanted = compared(check, answer)
    good = any(text.rstrip(".!").endswith(each.rstrip(".!")) for each in wanted)
    return held(good, f"{short(answer.text[-_SHOWN:])} does not end with {short(str(check.want))}")


def regex(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    return held(
        re.search(check.want, answer.text) is not None, f"{short(answer.text)} does not match {short(check.want)}"
    )


def number(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    """The last number of the answer."""
    found = last_number(answer.text)
    if found is None:
        return Finding(0.0, f"{short(answer.text)} holds no number")
    good = near(found, check.want, check.options.get("tolerance", 0))
    return held(good, f"{found:g} is not {check.want:g}")


def last_number(text: str) -> float | None:
    found = _NUMBER.findall(text)
    return float(found[-1].replace(",", "").replace("−", "-")) if found else None


def near(found: float, wanted: float, tolerance: float) -> bool:
    """A rounding error of floats is no difference."""
    return abs(found - wanted) <= tolerance + 1e-9 * max(1.0, abs(wanted))


def choice(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    found = chosen(answer.text, check.options.get("among") or list("ABCDEFGHIJ"))
    if found is None:
        return Finding(0.0, f"{short(answer.text)} chooses none, or several", Grade.MALFORMED)
    return held(found.casefold() == str(check.want).casefold(), f"it chooses {found}, not {check.want}")


def chosen(text: str, among: Sequence[str]) -> str | None:
    """The label that an answer chooses: the whole of it, else the last one after "answer is" or ":", else the only one in it.

    A label of one letter counts within a sentence only in upper case, and not as the word "A" or "I". "A, B" chooses none.
    """
    labels = {each.casefold(): each for each in among}
    whole = text.strip().strip(".,:;!()[]*`\"' \n").casefold()
    if whole in labels:
        return labels[whole]
    names = "|".join(re.escape(each) for each in sorted(labels, key=len, reverse=True))
    letters = all(len(each) == 1 for each in among)
    marked = list(re.finditer(rf"{_MARK}\W{{0,6}}({names})(?!\w)", text, re.IGNORECASE))
    if marked:
        second = rf"\s*(?:[,/&]|and\b|or\b)\s*(?:{names.upper() if letters else names})\s*(?:[^\w\s]|$|and\b|or\b)"
        several = re.compile(second, 0 if letters else re.IGNORECASE).match(text, marked[-1].end())
        return None if several else labels[marked[-1][1].casefold()]
    if letters:
        found = re.findall(rf"(?<!\w)({names.upper()})(?!\w)(?!(?<=[AI]) (?!or |and )[a-z])", text)
    else:
        found = re.findall(rf"(?<!\w)({names})(?!\w)", text, re.IGNORECASE)
    distinct = {each.casefold() for each in found}
    return labels[distinct.pop()] if len(distinct) == 1 else None


def json(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    """want: true, or a schema."""
    text = unfenced(answer.text) if check.options.get("fenced") else answer.text.strip()
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        fence = " (it stands in a code fence)" if _FENCED.search(answer.text) else ""
        return Finding(0.0, f"{short(answer.text)} is not JSON{fence}", Grade.MALFORMED)
    if check.want is True:
        return HOLDS
    wrong = violation(text, check.want)
    return held(wrong is None, str(wrong), Grade.MALFORMED)


def unfenced(text: str) -> str:
    """The contents of the text's code fence; the text where it has none."""
    found = _FENCED.findall(text)
    return found[0] if found else text.strip()


def path(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    """A value within the answer's JSON, by dots or as a JSON pointer."""
    try:
        value = msgspec.json.decode(unfenced(answer.text) if check.options.get("fenced") else answer.text.strip())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Finding(0.0, f"{short(answer.text)} is not JSON", Grade.MALFORMED)
    for part in steps(check.want):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return Finding(0.0, f"there is nothing at {check.want}", Grade.MALFORMED)
    options = check.options
    if "equals" in options:
        wanted, tolerance = options["equals"], options.get("tolerance", 0)
        numbers = isinstance(value, int | float) and isinstance(wanted, int | float)
        same_kind = isinstance(value, bool) is isinstance(wanted, bool)
        folded = isinstance(value, str) and isinstance(wanted, str) and options.get("ignore_case")
        if numbers and same_kind:
            good = near(value, wanted, tolerance)
        else:
            good = same_kind and (value.casefold() == wanted.casefold() if folded else value == wanted)
        return held(good, f"{check.want} is {short(str(value))}, not {short(str(wanted))}")
    if "regex" in options:
        good = re.search(options["regex"], value if isinstance(value, str) else str(value)) is not None
        return held(good, f"{check.want} is {short(str(value))}, which does not match {short(options['regex'])}")
    return HOLDS


def steps(pointer: str) -> list[str]:
    """The members of a path: `a.b.0`, or the JSON pointer `/a/b/0`."""
    if pointer.startswith("/"):
        return [each.replace("~1", "/").replace("~0", "~") for each in pointer[1:].split("/")]
    return pointer.split(".")


def tool(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    """want: a tool's name, or false: none may be called."""
    if check.want is False:
        return held(not answer.tools, f"{answer.shown[:_SHOWN]} was called")
    named = [each for each in answer.tools if each.name == check.want]
    if not named:
        others = ", ".join(each.name for each in answer.tools) or "no tool"
        return Finding(0.0, f"{others} was called, not {check.want}", Grade.MALFORMED)
    finding = HOLDS
    for each in named:
        finding = arguments(check.options, each.arguments)
        if finding.holds:
            break
    return finding


def arguments(options: Mapping[str, Any], written: str) -> Finding:
    """A tool's arguments, by schema and by the members that must be there."""
    try:
        given = msgspec.json.decode(written)
    except (msgspec.DecodeError, RecursionError):
        return Finding(0.0, f"its arguments are not JSON: {short(written)}", Grade.MALFORMED)
    if "schema" in options and (wrong := violation(written, options["schema"])) is not None:
        return Finding(0.0, str(wrong), Grade.MALFORMED)
    wanted = options.get("arguments", {})
    return held(within(wanted, given), f"its arguments {short(written)} lack {short(str(wanted))}")


def within(wanted: Any, given: Any) -> bool:
    """True if all of `wanted` is in `given`: members of objects at any depth, everything else as it is."""
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and all(
            name in given and within(value, given[name]) for name, value in wanted.items()
        )
    return bool(given == wanted)


def finish(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    wanted = check.want if isinstance(check.want, list) else [check.want]
    return held(answer.finish in wanted, f"it finished with {answer.finish or 'nothing'}, not {' or '.join(wanted)}")


def refused(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    """want: whether it is to refuse."""
    words = f"{short(answer.shown)} is {'an answer' if check.want else 'a refusal'}"
    return held(answer.refused is check.want, words, Grade.WRONG if check.want else Grade.REFUSED)


def language(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    found = language_of(answer.text, answer.text.lower())
    return held(found == check.want, f"its language is {found or 'not certain'}, not {check.want}")


def words(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    """by: "space": what white space parts, marks that stand alone too."""
    by_space = check.options.get("by") == "space"
    return counted(check, len(answer.text.split() if by_space else _WORD.findall(answer.text)), "words")


def chars(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    return counted(check, len(answer.text.strip()), "characters")


def counted(check: GoldenCheck, count: int, of: str) -> Finding:
    """want: the most, or a table with `min` and `max`."""
    bounds = check.want if isinstance(check.want, Mapping) else {"max": check.want}
    least, most = bounds.get("min", 0), bounds.get("max", count)
    return held(least <= count <= most, f"it has {count} {of}, not {least} to {bounds.get('max', 'any number')}")


def parses(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    """Of a text with a code fence, what stands in the first one."""
    code = unfenced(answer.text)
    try:
        if check.want == "python":
            ast.parse(code)
        elif check.want == "json":
            msgspec.json.decode(code)
        else:
            tomllib.loads(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        return Finding(0.0, f"{short(code)} is no {check.want}: {fault}", Grade.MALFORMED)
    return held(bool(code), "there is no code", Grade.MALFORMED)


def similar(check: GoldenCheck, answer: ModelAnswer) -> Finding:
    """The likeness to the nearest of the texts, by one of `LIKENESS`."""
    wanted, least = check.want if isinstance(check.want, list) else [check.want], check.options.get("at_least", 0.7)
    measure = LIKENESS[check.options.get("by", "f1")]
    best = max(measure(answer.text, each) for each in wanted)
    return held(best >= least, f"{short(answer.text)} is like {short(wanted[0])} by {best:.2f}, not {least:g}")


def token_f1(text: str, wanted: str) -> float:
    """Words in common, counted as often as they occur: harmonic mean of precision and recall."""
    given, asked = (Counter(_WORD.findall(each.casefold())) for each in (text, wanted))
    common = (given & asked).total()
    return 2 * common / (given.total() + asked.total()) if common else 0.0


def lcs(text: str, wanted: str) -> float:
    """The share of words in the longest blocks in common, in order."""
    given, asked = (_WORD.findall(each.casefold()) for each in (text, wanted))
    return difflib.SequenceMatcher(None, given, asked, autojunk=False).ratio()


def part_of(text: str, wanted: str) -> float:
    """1 if one of them is a part of the other; case, punctuation, articles and white space do not count."""
    plain = [each.lower().translate(_NO_PUNCTUATION) for each in (text, wanted)]
    given, asked = (" ".join(_ARTICLE.sub(" ", each).split()) for each in plain)
    return float(given == asked or bool(given and asked and (given in asked or asked in given)))


def same(text: str, wanted: str) -> float:
    """1 if they have the same words in the same order; case, punctuation, articles and the form of a number do not count."""
    return float(_plain(text) == _plain(wanted))


def _plain(text: str) -> list[str]:
    """Its words, without articles where it has others."""
    found = []
    for word in re.split(r"[\s-]+", text.casefold()):
        for form in (word, word.translate(_NO_PUNCTUATION)):
            try:
                plain = str(float(form))
                break
            except ValueError:
                plain = form
        found.append(plain)
    return [each for each in found if each and not _ARTICLE.fullmatch(each)] or found


LIKENESS: Mapping[str, Callable[[str, str], float]] = {"f1": token_f1, "lcs": lcs, "within": part_of, "same": same}


CHECKS: Mapping[str, Callable[[GoldenCheck, ModelAnswer], Finding]] = {
    "equals": equals,
    "contains": contains,
    "any_of": any_of,
    "all_of": contains,
    "starts": starts,
    "ends": ends,
    "regex": regex,
    "number": number,
    "choice": choice,
    "json": json,
    "path": path,
    "tool": tool,
    "finish": finish,
    "refused": refused,
    "language": language,
    "words": words,
    "chars": chars,
    "parses": parses,
    "similar": similar,
}


class Graded(msgspec.Struct, frozen=True):
    """An answer's grade. score: 1 for a pass, else 0. words: of the first check that failed. versus, open_ended, advisory
    and judging: as in CaseResult.
    """

    grade: Grade
    score: float
    words: str = ""
    versus: float | None = None
    open_ended: bool = False
    advisory: bool = False
    judging: Judging = Judging()


def turned(check: GoldenCheck, finding: Finding) -> Finding:
    """The finding of a check; of a negated one, the opposite."""
    if not check.negated:
        return finding
    words = f"not {check.kind} {short(str(check.want))} is wanted" if finding.holds else ""
    return Finding(1.0 - finding.score, words, advisory=finding.advisory, judging=finding.judging)


def findings(checks: Sequence[GoldenCheck], answer: ModelAnswer) -> list[Finding]:
    """One finding a check, in order. Only of the kinds in `CHECKS`."""
    return [turned(check, CHECKS[check.kind](check, answer)) for check in checks]


def graded(checks: Sequence[GoldenCheck], threshold: float, answer: ModelAnswer, found: Sequence[Finding]) -> Graded:
    """The grade of an answer by its findings. It passes if all hold, or if the weighted score reaches the threshold."""
    weights = [check.weight for check in checks]
    share = sum(w * each.score for w, each in zip(weights, found, strict=True)) / (sum(weights) or 1.0)
    failed = next((each for each in found if not each.holds), None)
    if failed is None or (threshold < 1 and share >= threshold):
        return Graded(Grade.PASS, 1.0)
    if answer.refused:
        return Graded(Grade.REFUSED, 0.0, f"it refused: {short(answer.shown)}")
    if answer.finish == "length":
        return Graded(Grade.CUT, 0.0, f"it was cut off at its limit of tokens; {failed.words}")
    structural = any(each.grade is Grade.MALFORMED and not each.holds for each in found)
    return Graded(Grade.MALFORMED if structural else failed.grade, 0.0, failed.words)

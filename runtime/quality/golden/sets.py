"""The files of golden sets, read whole: every fault is named with its file and case, before anything runs.

TOML, with `[[case]]` tables; or JSONL, one case a line, whose set's own members stand in a line `{"set": {…}}`.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from runtime.quality.golden.check_shapes import BadCheck, Reading, is_number, is_share, is_text, is_texts, read_check
from runtime.quality.values import GoldenCase, GoldenSet, digest

MOST_BYTES = 64 << 20  # of a file of a set, and of each file it names
ANCHORS = "anchors.jsonl"  # beside the sets, and none itself: pairs that people labelled for the judge
LARGE_CLUSTER = 0.2
ENOUGH_CASES = 40

_TASKS = ("code", "extraction", "math", "chat", "summary", "document", "multimodal", "tool")
_OWN = frozenset({"name", "task", "targets", "requires", "floor", "defaults"})
_CASE = frozenset({"id", "prompt", "system", "messages", "body", "file", "cluster", "checks", "threshold"})
# Members of a chat body that may stand beside the prompt; any other belongs into `body`.
_MEMBERS = frozenset(
    {
        "chat_template_kwargs",
        "frequency_penalty",
        "guided_choice",
        "guided_json",
        "guided_regex",
        "logit_bias",
        "max_completion_tokens",
        "max_tokens",
        "min_p",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "reasoning_effort",
        "response_format",
        "seed",
        "stop",
        "structured_outputs",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_NOT_HERE = {
    "model": "the run names the model",
    "stream": "answers are taken whole",
    "hearth": "hints are the run's; `requires` belongs to the set",
}
_HEADING = re.compile(r"^\s*\[\[\s*case\s*\]\]", re.MULTILINE)


class SetError(Exception):
    """Files that cannot be used. faults: one sentence each, with file and case."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


def found_files(patterns: Iterable[str], folder: Path) -> list[Path]:
    """The files of sets that the patterns match, relative ones from `folder`, each once."""
    return [file for file in matching(map(Path, patterns), folder) if file.name != ANCHORS]


def matching(patterns: Iterable[Path], folder: Path) -> list[Path]:
    """The files that the patterns match, relative ones from `folder`, each once."""
    found: list[Path] = []
    for each in patterns:
        pattern = each.expanduser()
        base = Path(pattern.anchor) if pattern.is_absolute() else folder
        found += sorted(base.glob(str(pattern.relative_to(pattern.anchor))))
    return [file for file in dict.fromkeys(found) if file.is_file()]


class FileStamp(NamedTuple):
    """By which a changed file is known. Zeros for one that is not there."""

    path: Path
    time_ns: int = 0
    size: int = 0


def stamped(path: Path) -> FileStamp:
    """Blocks."""
    try:
        state = path.stat()
    except OSError:
        return FileStamp(path)
    return FileStamp(path, state.st_mtime_ns, state.st_size)


def read_sets(files: Iterable[Path], beside: list[FileStamp] | None = None) -> list[GoldenSet]:
    """Every set. beside: takes the files that the sets name, as they were before they were read.

    Raises SetError with the faults of all files.
    """
    sets: list[GoldenSet] = []
    faults: list[str] = []
    for file in files:
        try:
            sets.append(read_set(file, beside))
        except SetError as error:
            faults += error.faults
    for name, times in Counter(each.name for each in sets).items():
        if times > 1:
            where = " and ".join(each.path for each in sets if each.name == name)
            faults.append(f"two sets have the name {name!r}: {where}")
    if faults:
        raise SetError(faults)
    return sets


def read_set(file: Path, beside: list[FileStamp] | None = None) -> GoldenSet:
    """beside: as in `read_sets`. Raises SetError."""

    def read(name: str) -> str:
        if beside is not None:
            beside.append(stamped(file.parent / name))
        return bounded(file.parent / name)

    if file.is_dir():
        raise SetError([f"{file} is a folder: name its files, as in {file / '*.toml'}"])
    try:
        text = bounded(file)
    except (OSError, UnicodeError) as fault:
        raise SetError([f"{file} cannot be read: {fault}"]) from fault
    if file.suffix not in (".toml", ".jsonl"):
        raise SetError([f"{file}: a golden set is TOML or JSONL, and is named so; `hearth eval import` takes others"])
    written, places = _jsonl(text, file) if file.suffix == ".jsonl" else _toml(text, file)
    return golden_set(written, places, file, read)


def bounded(file: Path) -> str:
    """A file's text, without a byte order mark. Raises OSError, UnicodeError."""
    with file.open("rb") as opened:
        raw = opened.read(MOST_BYTES + 1)
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as fault:
        line = raw.count(b"\n", 0, fault.start) + 1
        raise UnicodeError(f"line {line} is not UTF-8 (byte {raw[fault.start]:#04x}): save it as UTF-8") from fault
    if len(raw) > MOST_BYTES:
        raise OSError(f"{file} is larger than {MOST_BYTES >> 20} MB")
    return text


def _toml(text: str, file: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        written = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise SetError([f"{file}: {fault}"]) from fault
    cases = written.get("case", [])
    lines = [text.count("\n", 0, each.end()) + 1 for each in _HEADING.finditer(text)]
    known = isinstance(cases, list) and len(lines) == len(cases)
    return written, [f"line {line}" for line in lines] if known else []


def _jsonl(text: str, file: Path) -> tuple[dict[str, Any], list[str]]:
    own: dict[str, Any] = {}
    cases, places, faults = [], [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            case = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as fault:
            faults.append(f"{file} line {number}: {fault}")
            continue
        if isinstance(case.get("set"), dict):
            own |= case["set"]
        else:
            cases.append(case)
            places.append(f"line {number}")
    if faults:
        raise SetError(faults)
    return {"name": file.stem, **own, "case": cases}, places


def golden_set(written: Mapping[str, Any], places: Sequence[str], file: Path, read: Reading) -> GoldenSet:
    """The set of a file's members. places: of each case; empty where they are not known. Raises SetError."""
    faults = [f"{file}: {words}" for words in _own_faults(written)]
    defaults = written.get("defaults", {})
    cases: list[GoldenCase] = []
    numbered: dict[str, str] = {}
    unnamed = Counter[str]()
    for number, each in enumerate(written.get("case", ()) if not faults else ()):
        place = f"{file}, {places[number] if places else f'case {number + 1}'}"
        if isinstance(each, Mapping) and is_text(each.get("id")):
            place = f"{place} ({each['id']})"
        try:
            case = golden_case(each, defaults, place, read)
        except BadCheck as fault:
            faults.append(f"{place}: {fault}")
            continue
        if not each.get("id"):
            # The same request with other checks is another case.
            unnamed[case.id] += 1
            same = unnamed[case.id]
            case = replace(case, id=f"{case.id}-{same}") if same > 1 else case
        if case.id in numbered:
            faults.append(f"{place}: the id {case.id!r} is that of {numbered[case.id]} too")
        numbered[case.id] = place
        cases.append(case)
    if not faults and not cases:
        faults.append(f"{file}: it has no case")
    if faults:
        raise SetError(faults)
    return GoldenSet(
        written.get("name", file.stem),
        tuple(cases),
        digest([case.hash for case in cases]),
        written.get("task", ""),
        tuple(written.get("targets", ("*",))),
        frozenset(written.get("requires", ())),
        written.get("floor"),
        str(file),
        str(file.parent.resolve()),
        tuple(_warnings(cases)),
    )


def _own_faults(written: Mapping[str, Any]) -> Iterator[str]:
    """Faults of the members of the set itself."""
    if unknown := written.keys() - _OWN - {"case"}:
        yield f"{min(unknown)!r} is no member of a set; those are {', '.join(sorted(_OWN))} and [[case]]"
    if not is_text(written.get("name", "")) or written.get("name") == "":
        yield "name is a text"
    if written.get("task", "") not in ("", *_TASKS):
        yield f"task is one of {', '.join(_TASKS)}"
    for name in ("targets", "requires"):
        if name in written and not is_texts(written[name]):
            yield f"{name} is a list of names"
    if "floor" in written and not is_share(written["floor"]):
        yield "floor is a pass rate between 0 and 1"
    defaults = written.get("defaults", {})
    if not isinstance(defaults, Mapping):
        yield "defaults is a table"
    elif unknown := defaults.keys() - _MEMBERS - {"checks", "threshold", "system"}:
        yield f"defaults: {_no_member(min(unknown))}"
    if not isinstance(written.get("case", []), list):
        yield "a case is written [[case]]"


def _no_member(name: str) -> str:
    return f"{name} cannot be set: {_NOT_HERE[name]}" if name in _NOT_HERE else f"{name!r} is no member of a case"


def golden_case(written: Any, defaults: Mapping[str, Any], place: str, read: Reading) -> GoldenCase:
    """A case with the set's defaults. Raises BadCheck."""
    if not isinstance(written, Mapping):
        raise BadCheck("a case is a table")
    if unknown := written.keys() - _CASE - _MEMBERS:
        raise BadCheck(f"{_no_member(min(unknown))}; members of the request may stand in `body`")
    body = _body(written, defaults, read)
    listed = [*defaults.get("checks", ()), *written.get("checks", ())]
    checks = []
    for number, each in enumerate(listed):
        try:
            checks.append(read_check(each, read))
        except BadCheck as fault:
            own = number - len(defaults.get("checks", ()))
            where = f"checks[{own}]" if own >= 0 else f"defaults.checks[{number}]"
            raise BadCheck(f"{where}: {fault}") from fault
    if not checks:
        raise BadCheck("it has no check, so every answer would pass")
    threshold = written.get("threshold", defaults.get("threshold", 1.0))
    if not is_number(threshold) or not 0 < threshold <= 1:
        raise BadCheck("threshold is above 0 and at most 1")
    id, cluster = written.get("id") or digest(body), written.get("cluster", "")
    if not is_text(id) or not is_text(cluster):
        raise BadCheck("id and cluster are texts")
    return GoldenCase(id, body, tuple(checks), digest([body, checks, threshold]), float(threshold), cluster, place)


def _body(written: Mapping[str, Any], defaults: Mapping[str, Any], read: Reading) -> dict[str, Any]:
    """The chat body of a case. Raises BadCheck."""
    sources = [name for name in ("prompt", "messages", "body", "file") if name in written]
    if len(sources) != 1:
        raise BadCheck(f"it needs one of prompt, messages, body and file, and has {' and '.join(sources) or 'none'}")
    source, value = sources[0], written[sources[0]]
    given: dict[str, Any] = {}
    if source == "file":
        try:
            value = msgspec.json.decode(read(value))
        except (OSError, UnicodeError, TypeError, msgspec.DecodeError) as fault:
            raise BadCheck(f"the body in {value!r} cannot be read: {fault}") from fault
    if source in ("body", "file"):
        if not isinstance(value, Mapping):
            raise BadCheck(f"{source} is a chat body: a table")
        given = dict(value)
    elif source == "prompt":
        if not is_text(value) or not value.strip():
            raise BadCheck("prompt is a text")
        given["messages"] = [{"role": "user", "content": value}]
    else:
        given["messages"] = value
    for name, reason in _NOT_HERE.items():
        if name in given:
            raise BadCheck(f"{name} cannot be set: {reason}")
    messages = given.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(each, Mapping) for each in messages):
        raise BadCheck("messages is a list of turns")
    system = written.get("system", defaults.get("system"))
    if system is not None and not any(each.get("role") in ("system", "developer") for each in messages):
        given["messages"] = [{"role": "system", "content": system}, *messages]
    plain = {name: defaults[name] for name in _MEMBERS & defaults.keys()}
    own = {name: written[name] for name in _MEMBERS & written.keys()}
    body: dict[str, Any] = msgspec.to_builtins({**plain, **given, **own})
    return body


def _warnings(cases: Sequence[GoldenCase]) -> Iterator[str]:
    if len(cases) < ENOUGH_CASES:
        some = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
        yield f"it has {some}: a target is demoted for {ENOUGH_CASES} or more, for fewer there is advice only"
    clusters = Counter(case.cluster for case in cases if case.cluster)
    for name, size in clusters.most_common(1):
        if size > LARGE_CLUSTER * len(cases):
            yield f"{size} of {len(cases)} cases are of the cluster {name!r}: they fail together, which no bound allows for"

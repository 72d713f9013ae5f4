"""Reads the settings: finds the file, lays the environment over it, checks all of it, opens the secrets.

The order: TOML -> environment -> validation -> agreement between keys -> secrets. All faults are reported together.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runtime.settings.accounts import Keyring, open_to_others, opened, secrets
from runtime.settings.agree import MODEL_OVERRIDE, disagreements, on_this_machine
from runtime.settings.environment import API_KEY, CREATED_KEYS, MODEL, Overrides, config_dir, overlay, state_dir
from runtime.settings.faults import Problem, SettingsError, SettingsFault, dotted, faults_of
from runtime.settings.model import AUTO, LOCAL, Document, Settings
from runtime.settings.places import Key, SourcePlace, places
from runtime.settings.shape import leaves

FILE_NAME = "hearth.toml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of one reading.

    file: None without a file, when the defaults hold. sources: of each key that is set, "hearth.toml:12" or a variable's
    name. secret_files: the files that hold secrets. created_keys: a key was created in the
    state folder.
    """

    settings: Settings
    file: Path | None = None
    sources: Mapping[Key, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    secret_files: tuple[Path, ...] = ()
    created_keys: bool = False


def find(env: Mapping[str, str], folder: Path) -> Path | None:
    """The default file: hearth.toml in `folder`, else the user's own; None if there is neither."""
    candidates = (folder / FILE_NAME, config_dir(env) / FILE_NAME)
    return next((path for path in candidates if path.is_file()), None)


def load(
    path: Path | None, env: Mapping[str, str], providers: Collection[str] | None = None, *, keyless: bool = False
) -> Loaded:
    """Reads the file at `path`, or the one that `find` finds for the working folder, or none.

    providers: the names `provider` may have; None leaves them unchecked. keyless: nothing will be served or called with these
    settings, so that no key needs a value. Raises SettingsError with every problem.
    """
    file = path if path is not None else find(env, Path.cwd())
    text = _text(file) if file is not None else ""
    return read(text, file, env, providers, keyless=keyless)


def read(
    text: str,
    file: Path | None,
    env: Mapping[str, str],
    providers: Collection[str] | None = None,
    *,
    keyless: bool = False,
) -> Loaded:
    """The settings of a text. `file` names it in problems, and its folder is where relative secret files are."""
    name = str(file) if file is not None else FILE_NAME
    tree = _parse(text, name)
    sheet = _Sheet(name, places(text))
    sheet.overrides = overlay(tree, env)
    faults: list[SettingsFault] = []
    try:
        document = Document.model_validate(tree)
    except ValidationError as error:
        # The sections without a fault are checked on, so that all faults are reported together.
        faults = faults_of(error)
        wrong = {fault.key[0] for fault in faults}
        document = Document.model_validate({name: section for name, section in tree.items() if name not in wrong})
    override: str | None = env.get(MODEL, "").strip()
    if override in ("", AUTO):
        override = None
    created = (state_dir(env) / CREATED_KEYS).exists()
    faults += disagreements(tree, providers, override, created=created)
    keyring = Keyring(env, file.parent if file is not None else Path())
    settings, refusals = opened(document, override, keyring)
    problems = sheet.problems(faults if keyless else [*faults, *refusals])
    if problems:
        raise SettingsError(problems)
    files = [keyring.file(secret) for _, secret in secrets(document)]
    return Loaded(
        settings,
        file,
        sheet.sources(tree) | ({MODEL_OVERRIDE: MODEL} if override else {}),
        (*sheet.overrides.warnings, *_warnings(document, env, keyring)),
        tuple(dict.fromkeys(path for path in files if path is not None)),
        created,
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        message = f"there is no such file; `hearth config init {file}` writes one"
    except UnicodeDecodeError as error:
        message = f"not UTF-8 text (byte {error.start})"
    except OSError as error:
        message = f"cannot be read: {(error.strerror or str(error)).lower()}"
    raise SettingsError([Problem(str(file), "", message)])


_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def _parse(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _TOML_PLACE.search(message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        column = int(place[2]) if place and place[2] else None
        words = _TOML_PLACE.sub("", message)
        problem = Problem(name, "", f"not TOML: {words[:1].lower()}{words[1:]}", line, column)
    raise SettingsError([problem])


@dataclass(slots=True)
class _Sheet:
    """The places of the file's keys, and the variables that override them."""

    name: str
    places: Mapping[Key, SourcePlace]
    overrides: Overrides = field(default_factory=Overrides)

    def problems(self, faults: Iterable[SettingsFault]) -> list[Problem]:
        """In the file's order, then those of the environment; each once."""
        found = [*map(self._located, faults), *self.overrides.problems]
        ordered = sorted(found, key=lambda problem: (problem.line is None, problem.line or 0, problem.column or 0))
        return list(dict.fromkeys(ordered))

    def _located(self, fault: SettingsFault) -> Problem:
        if fault.key == MODEL_OVERRIDE:
            return Problem(MODEL, "", fault.message)
        for end in range(len(fault.key), 0, -1):
            if fault.key[:end] in self.overrides.variables:
                return Problem(self.overrides.variables[fault.key[:end]], dotted(fault.key), fault.message)
            if fault.key[:end] in self.places:
                place = self.places[fault.key[:end]]
                return Problem(self.name, dotted(fault.key), fault.message, place.line, place.column)
        return Problem(self.name, dotted(fault.key), fault.message)

    def sources(self, tree: Mapping[str, Any]) -> dict[Key, str]:
        """The source of each value; a variable that set a whole table is the source of every value in it."""
        return {key: self._source(key) for key, _ in leaves(tree)}

    def _source(self, key: Key) -> str:
        for end in range(len(key), 0, -1):
            if key[:end] in self.overrides.variables:
                return self.overrides.variables[key[:end]]
            if key[:end] in self.places:
                return f"{Path(self.name).name}:{self.places[key[:end]].line}"
        return self.name


def _warnings(document: Document, env: Mapping[str, str], keyring: Keyring) -> Iterator[str]:
    if env.get(API_KEY) and not (document.server.keys or document.server.admin_keys):
        asked = "only keys made with `hearth keys create` are asked for"
        yield f'{API_KEY} is set, but server.keys is empty: {asked}; server.keys = ["env:{API_KEY}"] asks for this one'
    if document.fleet.peers and document.fleet.key is None:
        yield "fleet.peers: no peer is asked or let in without fleet.key, a secret that is the same on all of them"
    for key, secret in secrets(document):
        path = keyring.file(secret)
        if path is not None and open_to_others(path):
            yield f"{dotted(key)}: every user of this machine can read {path}: `chmod 600 {path}`"
    named = [(f"routes.{route}", name) for route, names in document.routes for name in names]
    named += [(f"rules.{number}.to", name) for number, rule in enumerate(document.rules) for name in rule.to]
    for place, name in named:
        if name not in document.targets and name.partition("/")[0] != LOCAL:
            yield f"{place}: {name} is a provider without a target here: nothing goes there until there is a [targets.{name}]"
    for name, target in document.targets.items():
        url = target.base_url or ""
        host = re.split(r"[/:]", url.removeprefix("http://"))[0]
        if target.key and url.startswith("http:") and not on_this_machine(host):
            yield f"targets.{name}.base_url: the key travels unencrypted over http: use https"

"""Writes docs/configuration.md from the settings model: `python -m scripts.configuration_docs [--check]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from runtime.settings import PriceSettings, Rule, TargetSettings, When, shape
from runtime.settings.commented import has_default, subsections, toml
from runtime.settings.model import Document
from runtime.settings.places import Key
from runtime.settings.secret import Secret
from runtime.settings.sections.engine import LocalModel

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

_HEAD = """\
# Configuration

<!-- Written by `python -m scripts.configuration_docs` from runtime/settings. Change it there. -->

Hearth reads one TOML file, which may be empty. `--config FILE` names it; without it, Hearth takes `./hearth.toml`, else
`hearth.toml` in `$XDG_CONFIG_HOME/hearth` (`~/.config/hearth`), else every setting has its default.

A changed file is read again while Hearth runs (also on SIGHUP). It is judged as it would be in force: with the address, the
engine and the records as they are until a restart. A file with a fault, one without keys while other machines reach the
running address, and a file that has vanished change nothing; `hearth status` shows the reason.

| command | does |
| --- | --- |
| `hearth config init [PATH]` | writes a file that shows every setting, commented out |
| `hearth config check` | lists every fault with file, line and the nearest valid name, then keys without effect on this box |
| `hearth config show` | prints every setting with its source, without secrets |

## Environment

Each value can be set as `HEARTH_SECTION__KEY`; the environment overrides the file. Lists and tables are JSON; `-` and
`.` in a name are written `_`; an empty variable sets nothing.

```sh
HEARTH_SERVER__PORT=9000
HEARTH_SERVER__KEYS='["env:HEARTH_API_KEY"]'
HEARTH_TARGETS__MY_TARGET__MODEL=my-model        # [targets.my-target]
HEARTH_ALIASES='{"gpt-4o": "auto"}'              # a whole section
```

A name that is not in the file is spelled as the routes and rules spell it, else in lower case as it stands. A wrong key
is an error; a `HEARTH_` variable that cannot be a setting is a warning. Reserved names:

| variable | means |
| --- | --- |
| `HEARTH_API_KEY` | the key that `hearth ask` sends; the server asks for it where `server.keys` names it |
| `HEARTH_STATE_DIR` | the folder of decisions and the engine's marker, else `~/.local/state/hearth` (XDG) |
| `HEARTH_MODEL` | the target of all `auto` traffic: `local`, `local/NAME`, `PROVIDER/MODEL` or a target |
| `HEARTH_ENGINE_PYTHON` | the Python that has vLLM, as `engine.python` |
| `HEARTH_SHARED` | used by the tests alone |

`HEARTH_MODEL=PROVIDER/MODEL` needs no target of that provider: the provider's usual key is enough. `escalation.prefer` does the
same from the file, without a restart; where both are set, the variable holds.

## Secrets

A secret is never written into the file, only where it is kept: `env:NAME` is an environment variable, `file:PATH` a
file that holds nothing else (`~` is your home, a relative path begins at the settings file). A secret written out is refused
and not repeated.

- `server.keys` and `server.admin_keys`: one that leads to nothing refuses to start; so does an address beyond this machine
  with no key.
- `targets.NAME.key`: one that leads to nothing sets the target aside; `hearth status` says so. Left out,
  `PROVIDER_API_KEY` is taken from the environment; without that a target with a `base_url` is called without a key, any
  other is set aside.
- A secret's file that every user of the machine can read is told of.

## Reload

Hearth reads the file again when it or a secret's file changes, and on SIGHUP. A file with a fault changes nothing, and
the log says what is wrong. Of `[server]` the address, the limits of connections and heads and the log, and all of
`[engine]` and `[records]` wait for a restart; everything else is in force at once.

## Settings
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections()])


def _sections() -> Iterator[str]:
    for name, field in Document.model_fields.items():
        match name:
            case "targets":
                yield from _section("[targets.NAME]", TargetSettings, (name, "*"))
                yield from _section("[targets.NAME.price]", PriceSettings, (name, "*", "price"))
            case "models":
                yield from _section("[models.NAME]", LocalModel, (name, "*"))
            case "rules":
                yield from _section("[[rules]]", Rule, (name, "*"))
                yield from _section("[[rules]] when", When, (name, "*", "when"))
            case "aliases":
                yield "### `[aliases]`\n"
                yield "Other names for models: for `auto`, `local`, `local/NAME`, `PROVIDER/MODEL` or a target.\n"
                yield '```toml\n[aliases]\n"gpt-4o" = "auto"\n```\n'
            case _:
                yield from _section(f"[{name}]", field.annotation, (name,))
                for part, inner in subsections(field.annotation):
                    yield from _section(f"[{name}.{part}]", inner, (name, part))


def _section(title: str, model: Any, key: Key) -> Iterator[str]:
    yield f"### `{title}`\n\n{shape.plain(model).__doc__}\n"
    yield "| key | kind | default | meaning |\n| --- | --- | --- | --- |"
    for name, field in shape.fields_of(model).items():
        if name in dict(subsections(model)):
            continue
        yield f"| `{name}` | {_kind(field)} | {_default(field)} | {_meaning(field)} |"
    yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return f"`{toml(field.default)}`" if has_default(field) else ""


def _meaning(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


_KINDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Secret: "reference"}

_AUTO = Literal["auto"]
_UNIONS: dict[Any, str] = {
    _AUTO | int: 'whole number or `"auto"`',
    _AUTO | float: 'number or `"auto"`',
    _AUTO | tuple[int, ...]: 'list of whole numbers or `"auto"`',
    float | Mapping[str, float]: "number or table of numbers",
}


def _kind(field: FieldInfo) -> str:
    kind = shape.plain(field.annotation)
    if kind in _KINDS:
        return f"{_KINDS[kind]}{_bounds(field)}"
    if choices := shape.choices_of(kind):
        return ", ".join(f"`{choice}`" for choice in choices)
    if (item := shape.item_of(kind)) is not None:
        return f"list of {'references' if shape.plain(item) is Secret else 'texts'}"
    return _UNIONS.get(kind, "table")


def _bounds(field: FieldInfo) -> str:
    """` from 0 to 1`, ` above 0`: what the kind's own bounds say."""
    words = {Ge: " from {ge:g}", Gt: " above {gt:g}", Le: " to {le:g}"}
    said = [words[type(bound)].format(**_slots(bound)) for bound in field.metadata if type(bound) in words]
    return "".join(sorted(said, key=lambda text: text.startswith(" to")))


def _slots(bound: Any) -> dict[str, Any]:
    return {name: getattr(bound, name) for name in bound.__slots__}


def main(arguments: list[str]) -> int:
    """Writes the page; with --check only says whether it is current."""
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if written == page():
        return 0
    if "--check" in arguments:
        print("docs/configuration.md is not current: run `python -m scripts.configuration_docs`")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

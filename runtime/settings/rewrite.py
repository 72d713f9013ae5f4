"""One value of a settings file, changed in its text: comments, order and everything else stay as they are. Pure."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from runtime.settings.commented import toml


def rewritten(text: str, table: str, key: str, value: Any) -> str:
    """The text of a file with `key` of `[table]` set; a commented-out line of the key is taken, else a line is added.

    Raises ValueError where the file has the key in another form, such as `table.key = …`, or is no TOML.
    """
    line, end = f"{key} = {toml(value)}", "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    heads = [at for at, each in enumerate(lines) if re.match(r"\s*\[", each)]
    begin = next((at for at in heads if re.match(rf"\s*\[\s*{table}\s*\]", lines[at])), None)
    if begin is None:
        apart = "" if not text else end if text.endswith("\n") else end * 2
        changed = f"{text}{apart}[{table}]{end}{line}{end}"
    else:
        until = next((at for at in heads if at > begin), len(lines))
        found = [
            (bool(hit["off"]), at, hit["note"] or "")
            for at in range(begin + 1, until)
            if (hit := re.match(rf"\s*(?P<off>#)?{key}\s*=[^#\r\n]*?(?P<note>\s*#.*)?\r?$", lines[at].rstrip("\n")))
        ]
        if found:
            _, at, note = min(found)  # one in force before one that is commented out
            lines[at] = f"{line}{note.rstrip()}{end}"
        else:
            lines[begin] = lines[begin].rstrip("\r\n") + end
            lines.insert(begin + 1, f"{line}{end}")
        changed = "".join(lines)
    refused = ValueError(f"{key} of [{table}] stands in this file in a form that is not changed here")
    try:
        before, after = tomllib.loads(text), tomllib.loads(changed)
        if after == {**before, table: {**before.get(table, {}), key: value}}:
            return changed
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise refused from error
    raise refused

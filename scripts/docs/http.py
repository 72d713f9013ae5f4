"""docs/reference/http.md: every path of `/openapi.json`, with who may use it."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.contract.reasons import Reason
from runtime.server.pages.openapi import OPERATIONS
from runtime.server.routes import SCOPES

_HEAD = """\
# Every path

<!-- Written by `python -m scripts.docs` from the routes themselves. Change them there. -->

Headers, hints and errors: [HTTP](../http.md). A running Hearth serves the same as `/openapi.json`. A scope of `-` needs no key.

| method | path | scope | what it does |
| --- | --- | --- | --- |
"""


def page() -> str:
    reasons = ", ".join(f"`{each}`" for each in Reason)
    return _HEAD + "".join(_rows()) + f"\nReasons of a decision, as `x-hearth-reason` has them: {reasons}.\n"


def _rows() -> Iterator[str]:
    for each in OPERATIONS:
        scope = " or ".join(f"`{need}`" for need in SCOPES[each.route]) or "-"
        yield f"| {each.method} | `{each.path}` | {scope} | {each.summary} |\n"

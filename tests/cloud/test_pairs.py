"""The same question recorded on several wires is the same request to the contract.

One client put it to several vendors; what differs between the wires (ids, schema dialects, defaults of its settings for a
vendor) is left out of the comparison. A vendor's own wire that no client speaks is read by the judge's derivation.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from runtime.contract.messages import Media, Request, Text
from runtime.dialects.anthropic_messages.dialect import MESSAGES
from runtime.dialects.openai_chat.dialect import ChatDialect
from runtime.wire.raw_body import RawBody
from tests.cloud.gemini.recorded import judge

_MATRIX = re.compile(r"_matrix\[(?P<case>.+)-(?P<vendor>[^-\]]+)\]$")


def decoded(interaction: Any, derive: Any) -> Request:
    if interaction.wire == "anthropic":
        return MESSAGES.read_request(RawBody(json.dumps(interaction.request).encode()))
    body = {"model": interaction.model, **derive(interaction)}
    return ChatDialect().read_request(RawBody(json.dumps(body).encode()))


def meaning(request: Request) -> dict[str, Any]:
    """A request's words, kinds of media, tools with their arguments, and tool choice."""
    parts = [part for message in request.messages for part in message.parts]
    choice = request.tool_choice
    only = len(request.tools) == 1 and choice is not None and choice.mode in ("required", "named")
    mode = "auto" if choice is None else "required" if only or choice.mode == "named" else choice.mode
    return {
        "text": "\n".join(part.text for part in parts if isinstance(part, Text)),
        "media": [part.kind for part in parts if isinstance(part, Media)],
        "tools": {tool.name: sorted((tool.schema or {}).get("properties", {})) for tool in request.tools},
        "mode": mode if request.tools else "auto",
    }


def cases(shared: Path, of: str) -> dict[str, dict[str, dict[str, Any]]]:
    """By case the meaning of its first request, by vendor; only where there are several."""
    judging, found = judge(shared), defaultdict[str, dict[str, dict[str, Any]]](dict)
    for each in judging.recordings.load(shared / "recordings"):
        named = _MATRIX.search(each.cassette)
        if named and of in each.cassette and each.index == 0:
            found[named["case"]][named["vendor"]] = meaning(decoded(each, judging.reverse.derive))
    return {case: wires for case, wires in found.items() if len(wires) > 1}


def agree(wires: dict[str, dict[str, Any]]) -> bool:
    """Of recordings that offer the same tools: the recorded client did not put every case to every vendor alike."""
    one, *others = wires.values()
    return all(other == one for other in others if other["tools"].keys() == one["tools"].keys())


def test_tool_choices_recorded_on_several_wires_agree(shared: Path) -> None:
    """Auto, none, required and by name mean the same wherever they came from."""
    pairs = cases(shared, "tool_choice")
    assert len(pairs) > 2
    assert {case: wires for case, wires in pairs.items() if not agree(wires)} == {}


def test_media_in_what_tools_return_agree(shared: Path) -> None:
    """The question that leads to them: its words and its tools."""
    pairs = cases(shared, "tool_return")
    assert len(pairs) > 2
    assert {case: wires for case, wires in pairs.items() if not agree(wires)} == {}

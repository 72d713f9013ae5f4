"""Recorded traffic of this wire: requests as clients wrote them, answers streamed and whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple


class Recorded(NamedTuple):
    """request: a body. stream, whole: the answer, one of them. name: for messages of a failing test."""

    name: str
    path: str
    request: dict[str, Any]
    status: int
    stream: bytes | None
    whole: dict[str, Any] | None


def requests(shared: Path) -> list[Recorded]:
    found = []
    for file in sorted((shared / "recordings" / "anthropic").glob("*.json")):
        for number, each in enumerate(json.loads(file.read_text())["interactions"]):
            request, response = each["request"], each["response"]
            path = request["url"].partition("/v1")[2].partition("?")[0]
            if not isinstance(request["body"], dict) or not path.startswith("/messages"):
                continue
            text = response.get("text") or ""
            found.append(
                Recorded(
                    f"{file.stem}#{number}",
                    path,
                    request["body"],
                    response["status"],
                    text.encode() if "event:" in text else None,
                    response.get("body"),
                )
            )
    return found


def streams(shared: Path) -> dict[str, bytes]:
    """Every recorded stream, the SDK's own fixtures too."""
    found = {each.name: each.stream for each in requests(shared) if each.stream}
    for file in sorted((shared / "recordings" / "anthropic-sdk-streams").glob("*_response.txt")):
        found[file.stem] = file.read_bytes().rstrip(b"\n") + b"\n\n"
    return found

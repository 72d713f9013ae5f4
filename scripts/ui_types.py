"""Writes the types of the dashboard's API from the structs that the server encodes: `types.d.ts` among its modules.

python -m scripts.ui_types
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from runtime.record.decisions import Decision
from runtime.server.pages.fleet import FleetReport
from runtime.server.status import StatusReport

FILE = Path(__file__).resolve().parents[1] / "runtime" / "server" / "pages" / "dashboard" / "types.d.ts"
_HEAD = "// Written by `python -m scripts.ui_types` from the server's structs. Do not change it by hand.\n"
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def written() -> str:
    """The whole file."""
    _, parts = msgspec.json.schema_components([StatusReport, Decision, FleetReport], ref_template="{name}")
    blocks = []
    for name, schema in sorted(parts.items()):
        members = [f"  {member}: {_type(shape)};\n" for member, shape in schema.get("properties", {}).items()]
        body = "{\n" + "".join(members) + "}" if "properties" in schema else _type(schema)
        blocks.append(f"export type {name} = {body};\n")
    return _HEAD + "\n" + "\n".join(blocks)


def _type(shape: Any) -> str:
    if "$ref" in shape:
        return str(shape["$ref"])
    if "enum" in shape:
        return " | ".join(msgspec.json.encode(each).decode() for each in shape["enum"])
    if "anyOf" in shape:
        return " | ".join(dict.fromkeys(map(_type, shape["anyOf"])))
    match shape.get("type"):
        case "array" if "prefixItems" in shape:
            return f"[{', '.join(map(_type, shape['prefixItems']))}]"
        case "array":
            inner = _type(shape.get("items") or {})
            return f"({inner})[]" if " | " in inner else f"{inner}[]"
        case "object":
            return f"Record<string, {_type(shape.get('additionalProperties') or {})}>"
        case str(kind):
            return _PLAIN[kind]
    return "any"


if __name__ == "__main__":
    FILE.write_text(written())

"""The wire's name, its versions, and the spelling of ids and tool names on it."""

from __future__ import annotations

import hashlib
import re

WIRE = "anthropic_messages"
COUNTING = "anthropic_count_tokens"

API_VERSION = "2026-10-21"
SAMPLING_VERSION = "2023-06-01"  # the last version that takes temperature, top_p and top_k

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def call_id(id: str) -> str:
    """A client's id as the wire takes it: unchanged where it is valid, else a digest of it."""
    return id if _ID.fullmatch(id) else f"call_{_digest(id)}"


def tool_name(name: str) -> str:
    """A tool's name as the wire takes it: unchanged where it is valid, else similar, made unique by a digest."""
    if _NAME.fullmatch(name):
        return name
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', name)[:100]}_{_digest(name)[:8]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]

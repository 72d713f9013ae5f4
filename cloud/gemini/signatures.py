"""Thought signatures: opaque proofs of thinking that the model wants back with the part they came on.

A signature on a call travels unchanged: clients of this vendor know it. One on a text or a thought travels as reasoning, where
other vendors' signatures travel too, so it is marked. A call of another model gets the vendor's own word for a foreign one.
"""

from __future__ import annotations

import base64

from cloud.gemini.names import WIRE
from runtime.contract.messages import Reasoning, ToolCall

_MARK = f"{WIRE}#"
# ai.google.dev/gemini-api/docs/thought-signatures: bytes on the wire are base64.
FOREIGN = base64.b64encode(b"skip_thought_signature_validator").decode()
_MAKER = "hearth"  # the member of a part's extras in which a dialect names the model that made it


def marked(opaque: str) -> str:
    return _MARK + opaque


def of_thought(part: Reasoning) -> str | None:
    """The vendor's own value; None without a signature, and for another vendor's."""
    if not part.signature:
        return None
    if part.signature.startswith(_MARK):
        return part.signature[len(_MARK) :]
    return part.signature if WIRE in part.extra else None


def of_call(part: ToolCall) -> str | None:
    """The call's signature if a model of this vendor made it, else None."""
    if not part.signature:
        return None
    given = part.extra.get(_MAKER)
    maker = given.get("model") if isinstance(given, dict) else None
    if isinstance(maker, str) and WIRE not in maker.lower():
        return None
    return part.signature.removeprefix(_MARK)

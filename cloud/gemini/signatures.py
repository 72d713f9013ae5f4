"""Thought signatures: opaque proofs of thinking that the model wants back with the part they came on.

A signature on a call travels as it is: clients of this vendor know it. One on a text or a thought travels as reasoning, where
other vendors' signatures travel too, so it is marked. A step of calls made elsewhere gets the vendor's own word for "not mine".
"""

from __future__ import annotations

import base64

from cloud.gemini.names import WIRE
from runtime.contract.messages import Reasoning, ToolCall

_MARK = f"{WIRE}#"
# ai.google.dev/gemini-api/docs/thought-signatures: bytes on the wire are base64.
FOREIGN = base64.b64encode(b"skip_thought_signature_validator").decode()
_MAKER = "hearth"  # under this name a dialect says which model made a part


def marked(opaque: str) -> str:
    return _MARK + opaque


def of_thought(part: Reasoning) -> str | None:
    """The vendor's own value; None where the signature is another vendor's, or there is none."""
    if not part.signature:
        return None
    if part.signature.startswith(_MARK):
        return part.signature[len(_MARK) :]
    return part.signature if WIRE in part.extra else None


def of_call(part: ToolCall) -> str | None:
    """The call's signature, where a model of this vendor made it."""
    if not part.signature:
        return None
    said = part.extra.get(_MAKER)
    maker = said.get("model") if isinstance(said, dict) else None
    if isinstance(maker, str) and WIRE not in maker.lower():
        return None
    return part.signature.removeprefix(_MARK)

"""The text of a request: read by rules, and never kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})


class PromptText:
    """The client's words, headers and metadata, for the length of one request.

    A plain class on purpose: msgspec refuses to encode it, and its repr shows sizes alone, so that neither a record nor
    a log line can hold a prompt or a key by mistake.

    sample: beginning and end of the whole text. ask: of the user's last message. Both are bounded. headers: lower-case
    names.
    """

    __slots__ = ("ask", "headers", "metadata", "sample")

    def __init__(
        self,
        sample: str = "",
        ask: str = "",
        headers: Mapping[str, str] = _NONE,
        metadata: Mapping[str, str] = _NONE,
    ) -> None:
        self.sample = sample
        self.ask = ask
        self.headers = headers
        self.metadata = metadata

    def __repr__(self) -> str:
        return f"PromptText({len(self.sample)} characters, {len(self.headers)} headers, {len(self.metadata)} metadata)"

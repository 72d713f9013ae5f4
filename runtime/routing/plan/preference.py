"""The place that a request ought to go to, before hard constraints thin its chain out."""

from __future__ import annotations

import msgspec

from runtime.contract.reasons import Reason


class Preference(msgspec.Struct, frozen=True):
    """The place a request ought to go to: a chain of target names, "local" among them, and the reason.

    loads: the local model that would be asked if it were loaded. strict: no other candidate may be added to the chain.
    """

    reason: Reason
    words: str
    chain: tuple[str, ...]
    loads: str = ""
    strict: bool = False

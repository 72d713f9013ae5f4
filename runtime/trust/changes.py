"""A change that an admin made while the runtime runs, as the audit log keeps it."""

from __future__ import annotations

import msgspec


class AdminChange(msgspec.Struct, frozen=True, gc=False):
    """at: unix seconds. caller: the id of the key. subject: settings, target, key or request. words: one sentence.

    diff: of the settings file, in unified form; it holds no secret, because the file holds references alone.
    """

    at: float
    caller: str
    subject: str
    words: str
    diff: str = ""

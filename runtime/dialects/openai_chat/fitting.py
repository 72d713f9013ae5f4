"""Fits a chat body to a server of the same wire that refuses some of its members: renamed, lowered or left out, and named.

For requests that Hearth itself moved to that server; a client that names its target gets its body there as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.contract.codec import Fit
from runtime.dialects.openai_chat.message_members import UNNAMED, misnamed_reasoning, unknown_members
from runtime.dialects.openai_chat.profile import ChatProfile
from runtime.dialects.openai_chat.write_request import nearest_effort
from runtime.dialects.seam import HINTS

_LIMITS = ("max_completion_tokens", "max_tokens")
_SAMPLING = ("temperature", "top_p")
_PENALTIES = ("presence_penalty", "frequency_penalty")


def fitted_body(body: Mapping[str, Any], profile: ChatProfile) -> Fit:
    """The changes that `profile`, of one model, asks for. Members whose loss changes what is asked for stay: the server
    refuses them, and the next candidate is asked.
    """
    put: dict[str, Any] = {}
    given = {name for name, value in body.items() if value is not None and name != HINTS}
    lost: set[str] = set()
    # (1) The limit of the answer has two names, of which most servers know one.
    limits = [name for name in _LIMITS if name in given] if profile.renames else []
    if limits and limits != [profile.limit]:
        put[profile.limit] = body[limits[0]]
    renamed = {name for name in limits if name != profile.limit}
    # (2) Members that the model refuses.
    lost |= given.intersection(() if profile.sampling else _SAMPLING)
    lost |= given.intersection(() if profile.penalties else _PENALTIES)
    lost |= given.intersection(("stop",) if profile.stops == 0 else ())
    # (3) Members that the server does not know.
    if profile.members is not None:
        lost |= given - profile.members - renamed
    # (4) An effort the model does not have.
    effort = body.get("reasoning_effort")
    if isinstance(effort, str) and profile.efforts and effort not in profile.efforts:
        nearest = nearest_effort(effort, profile.efforts)
        put |= {"reasoning_effort": nearest} if nearest else {}
        lost |= set() if nearest else {"reasoning_effort"}
    weakened = ("reasoning_effort",) if "reasoning_effort" in put else ()
    # (5) Members of messages that the server does not know, and reasoning under a name that it does not know.
    known, echo = profile.message_members, profile.echo
    unknown = set() if known is None else unknown_members(body, known)
    misnamed = echo is not None and any(misnamed_reasoning(each, echo) for each in body.get("messages") or ())
    within = ("messages",) if unknown - UNNAMED else ()
    return Fit(
        put,
        frozenset(lost | renamed),
        (*(name for name in body if name in lost), *weakened, *within),
        known=known if unknown else None,
        echo=echo if misnamed else None,
    )

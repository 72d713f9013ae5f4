"""Items of stored responses that another Hearth keeps, found by asking every one of them.

The id of an item names no owner, as that of a response does: the engine or the vendor made it, and wants it back as it was.
Only Hearths ask, for the caller of a request that refers to an item; what was stored under a demand comes over TLS alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

import msgspec

from runtime.contract.failures import HopError
from runtime.contract.guard import Cargo, Way
from runtime.contract.hop import HttpCall
from runtime.conversations.store import FoundItems
from runtime.dialects.openai_responses.words import UNDECODABLE
from runtime.server.forwarding import FOR, LINK, PLAIN, SEALED, PeerWay
from runtime.wire.api_error import ApiError

ITEMS = "items"  # the path below /v1/responses/, and no id of a response
ID = "id"
MOST_IDS = 50  # of one call: they stand in its query
_CONNECT_S = 2.0
_WITHIN_S, _STALE_S = 5.0, 2.0  # for an answer, of a Hearth that is alive, and of one that was not heard lately
_RETRY_AFTER_S = 5.0
_MOST_BODY = 32 << 20


class SentItems(msgspec.Struct):
    """items: by id. requires: certificates that their requests demanded."""

    items: dict[str, msgspec.Raw]
    requires: list[str] = []


_sent = msgspec.json.Decoder(SentItems)


class ItemSearch:
    """ways: to every other Hearth that may have items."""

    def __init__(self, ways: Callable[[], Sequence[PeerWay]]) -> None:
        self._ways = ways

    async def find(self, ids: Sequence[str], caller: str) -> FoundItems:
        """Those of the items that another Hearth stores for this caller.

        Raises ApiError 503 where one is not found and a Hearth that may have it is away, 403 where one may not be sent.
        """
        found, requires, away = dict[str, bytes](), frozenset[str](), False
        ways = self._ways()
        for alive in (True, False):
            rest = [each for each in ids if each not in found]
            asked = [each for each in ways if each.alive is alive]
            if not rest or not asked:
                continue
            for sent in await asyncio.gather(*[self._asked(each, rest, caller) for each in asked]):
                away |= sent is None
                for each in sent or ():
                    found |= {id: bytes(item) for id, item in each.items.items()}
                    requires |= frozenset(each.requires)
        if away and (missing := [each for each in ids if each not in found]):
            words = f"no item {missing[0]!r} is stored here, and a Hearth that may have it is away"
            raise ApiError(503, words, "owner_away", "input", _RETRY_AFTER_S)
        return FoundItems(found, requires)

    async def _asked(self, way: PeerWay, ids: Sequence[str], caller: str) -> list[SentItems] | None:
        """The items that one Hearth has; None if it is away."""
        headers = (("x-hearth-hop", "1"), (FOR, caller), (LINK, SEALED if way.sealed else PLAIN))
        found = list[SentItems]()
        try:
            async with asyncio.timeout(_WITHIN_S if way.alive else _STALE_S):
                for at in range(0, len(ids), MOST_IDS):
                    query = urlencode([(ID, each) for each in ids[at : at + MOST_IDS]])
                    call = HttpCall(f"/v1/responses/{ITEMS}?{query}", b"", headers, "GET", Cargo(Way.MODEL))
                    reply = await way.hop.open(call, connect_s=_CONNECT_S)
                    try:
                        body = await reply.read(_MOST_BODY)
                    finally:
                        reply.close()
                    if reply.status == 403:
                        words = "an item that the input refers to was stored under a demand, and is not sent here without TLS"
                        raise ApiError(403, words, "no_compliant_target", "input")
                    if reply.status >= 500:
                        return None
                    if reply.status != 200:
                        return found  # a Hearth of a version that keeps its items to itself
                    found.append(_sent.decode(body))
        except (TimeoutError, HopError, *UNDECODABLE):
            return None
        return found

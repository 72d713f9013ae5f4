"""The walk from a conversation's newest turn to its first, and where it ends too early."""

from __future__ import annotations

import pytest

from runtime.conversations.chain import Chain
from runtime.conversations.limits import ConversationLimits
from runtime.dialects.openai_responses.conversation import StoredResponse
from runtime.wire.api_error import ApiError
from tests.runtime.conversations.values import stored, texts


def test_a_chain_may_lie_in_two_places() -> None:
    """The second place goes on where the first one knew no more."""
    recent = {"c": stored("c", "b", requires=frozenset({"zdr"}))}
    older = {"b": stored("b", "a", requires=frozenset({"hipaa"})), "a": stored("a")}
    chain = Chain("c", ConversationLimits())
    assert chain.follow(recent.get) == ["c"]
    assert chain.follow(older.get) == ["b", "a"]
    assert chain.wanted is None
    assert texts(chain.items(with_output=True)) == ["ask a", "msg_a", "ask b", "msg_b", "ask c", "msg_c"]
    assert texts(chain.items(with_output=False))[-1] == "ask c"
    assert chain.requires == {"zdr", "hipaa"}


def test_a_circle_has_no_first_turn() -> None:
    """The walk ends all the same."""
    turns = {"a": stored("a", "b"), "b": stored("b", "a")}
    chain = Chain("b", ConversationLimits())
    assert chain.follow(turns.get) == ["b", "a"] and chain.wanted == "b"


def endless(name: str) -> StoredResponse:
    return stored(name, f"{name[:1]}{int(name[1:]) + 1}", size=1_000)


@pytest.mark.parametrize("limits", [ConversationLimits(turns=50), ConversationLimits(size=50_000)])
def test_an_endless_conversation_is_refused(limits: ConversationLimits) -> None:
    """By the number of its turns, and by their bytes."""
    chain = Chain("r0", limits)
    with pytest.raises(ApiError, match="too long") as refused:
        chain.follow(endless)
    assert (refused.value.status, refused.value.code) == (400, "context_length_exceeded")
    assert len(chain.turns) <= 51


def test_the_items_of_a_conversation_are_bounded() -> None:
    """Each turn may be small."""
    many = StoredResponse("a", None, b"[" + b",".join([b"{}"] * 101) + b"]", b'{"id":"a","output":[]}')
    chain = Chain("a", ConversationLimits(items=100))
    chain.follow({"a": many}.get)
    with pytest.raises(ApiError, match="100 items"):
        chain.items(with_output=True)

"""The commit point: bytes are held until they are good, or until a whole answer is complete, and never beyond a bound."""

from __future__ import annotations

import pytest

from runtime.contract.failures import HopError, Kind
from runtime.dispatch.gate import Gate


class Client:
    """Remembers commits and writes, in order."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.seen: list[object] = []
        self._refuses = refuses

    async def write(self, data: bytes) -> None:
        self.seen.append(data)

    async def commit(self, length: int | None) -> None:
        if self._refuses:
            raise RuntimeError
        self.seen.append(("commit", length))

    def gate(self, *, whole: bool = False, open: bool = False, most: int = 100) -> Gate:
        return Gate(self.write, self.commit, whole=whole, open=open, most=most)


async def test_a_stream_passes_from_its_first_good_content_on() -> None:
    """What was held goes first, in one write, after one commit without a length."""
    client = Client()
    gate = client.gate()
    await gate.forward(b"role", good=False)
    assert client.seen == [] and not gate.open
    await gate.forward(b" text", good=True)
    await gate.forward(b" more", good=True)
    await gate.finish(b"", stream=True)
    assert client.seen == [("commit", None), b"role text", b" more"] and gate.open


async def test_a_whole_answer_passes_at_its_end_with_its_length() -> None:
    """Good content does not open it."""
    client = Client()
    gate = client.gate(whole=True)
    await gate.forward(b"one", good=True)
    assert client.seen == []
    await gate.finish(b"two", stream=False)
    assert client.seen == [("commit", 6), b"onetwo"]


async def test_a_stream_that_is_held_whole_announces_no_length() -> None:
    """`delivery: whole` on a stream."""
    client = Client()
    gate = client.gate(whole=True)
    await gate.forward(b"event", good=True)
    await gate.finish(b"mark", stream=True)
    assert client.seen == [("commit", None), b"eventmark"]


async def test_a_gate_that_was_open_commits_nothing() -> None:
    """A resumed answer was committed before; an empty rest is not written."""
    client = Client()
    gate = client.gate(open=True)
    await gate.forward(b"more", good=False)
    await gate.finish(b"", stream=True)
    await gate.finish(b"mark", stream=True)
    assert client.seen == [b"more", b"mark"]


@pytest.mark.parametrize("whole", [True, False])
async def test_what_is_held_has_a_bound(whole: bool) -> None:
    """Bytes without end and without content, or a whole answer without end, fail as garbled."""
    client = Client()
    gate = client.gate(whole=whole, most=100)
    with pytest.raises(HopError) as garbled:
        for _ in range(1000):
            await gate.forward(b"x" * 10, good=whole)
    assert garbled.value.failure.kind is Kind.GARBLED and client.seen == []


async def test_an_open_gate_has_no_bound() -> None:
    """Only what is held counts."""
    client = Client()
    gate = client.gate(most=10)
    await gate.forward(b"x", good=True)
    for _ in range(100):
        await gate.forward(b"x" * 10, good=True)
    assert len(client.seen) == 102


async def test_a_refused_commit_writes_nothing() -> None:
    """Another attempt was first: this one's bytes go nowhere."""
    client = Client(refuses=True)
    gate = client.gate()
    with pytest.raises(RuntimeError):
        await gate.forward(b"text", good=True)
    assert client.seen == [] and not gate.open

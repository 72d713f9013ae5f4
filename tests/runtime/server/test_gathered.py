"""What uvicorn writes in pieces leaves together, in order, and nothing is lost at the end."""

from __future__ import annotations

import asyncio

from runtime.server.gathered import Gathered


class Recorder(asyncio.Transport):
    """Remembers what was written, and whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said.append(bytes(data))

    def close(self) -> None:
        self.said.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.said

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.said.append("end")


async def test_one_turn_is_one_write() -> None:
    """Head and body of a whole answer leave together; the next turn's are another write."""
    to = Recorder()
    gathered = Gathered(to, asyncio.get_running_loop())
    gathered.write(b"head ")
    gathered.write(b"body")
    assert to.said == []
    await asyncio.sleep(0)
    gathered.write(b"more")
    await asyncio.sleep(0)
    assert to.said == [b"head body", b"more"]


async def test_closing_says_first_what_is_left() -> None:
    """The last words of an answer that is closed at once are not lost."""
    to = Recorder()
    gathered = Gathered(to, asyncio.get_running_loop())
    gathered.write(b"last words")
    gathered.close()
    await asyncio.sleep(0)
    assert to.said == [b"last words", "closed"]
    assert gathered.is_closing()


async def test_much_leaves_at_once() -> None:
    """A writer that never yields is bounded: the transport sees its bytes and can ask it to wait."""
    to = Recorder()
    gathered = Gathered(to, asyncio.get_running_loop(), most=10)
    for _ in range(5):
        gathered.write(b"12345")
    assert to.said == [b"123451234512345"]
    await asyncio.sleep(0)
    assert to.said[1:] == [b"1234512345"]


async def test_what_is_written_after_the_end_is_dropped() -> None:
    """A client that hung up between two writes is no error."""
    to = Recorder()
    gathered = Gathered(to, asyncio.get_running_loop())
    gathered.write(b"lost")
    to.close()
    await asyncio.sleep(0)
    gathered.write(b"lost too")
    await asyncio.sleep(0)
    assert to.said == ["closed"]


async def test_the_sending_side_can_end_alone() -> None:
    """After the last words; nothing follows them."""
    to = Recorder()
    gathered = Gathered(to, asyncio.get_running_loop())
    gathered.write(b"last words")
    gathered.finish()
    gathered.write(b"never")
    await asyncio.sleep(0)
    assert to.said == [b"last words", "end"] and gathered.is_closing()

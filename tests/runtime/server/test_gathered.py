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

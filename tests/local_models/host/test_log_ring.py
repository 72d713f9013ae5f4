"""The last lines of a process."""

from __future__ import annotations

from pathlib import Path

from local_models.host.log_ring import LogRing


def test_keeps_the_last_lines() -> None:
    """Older ones go."""
    ring = LogRing(3)
    ring.feed(b"1\n2\n3\n4\n5\n")
    assert ring.tail(10) == ("3", "4", "5")
    assert ring.tail(2) == ("4", "5")
    assert ring.tail(0) == ()


def test_a_line_counts_once_it_has_ended() -> None:
    """Bytes may be cut anywhere, in a character too."""
    ring = LogRing()
    ring.feed("grü".encode()[:-1])
    ring.feed("grü".encode()[-1:] + b"n")
    assert ring.tail(5) == ()
    ring.feed(b"\nhalf")
    assert ring.tail(5) == ("grün",)
    ring.flush()
    assert ring.tail(5) == ("grün", "half")


def test_colours_are_stripped_and_progress_bars_are_lines() -> None:
    """What a terminal would have drawn is text here."""
    ring = LogRing()
    ring.feed(b"\x1b[0;36m(EngineCore pid=7)\x1b[0;0m ready\n10%\r20%\r\n\x1b]0;title\x07done\n")
    assert ring.tail(9) == ("(EngineCore pid=7) ready", "10%", "20%", "done")


def test_a_line_is_bounded() -> None:
    """A process that prints a megabyte without a line end does not fill memory."""
    ring = LogRing()
    ring.feed(b"x" * 5000 + b"\n")
    assert len(ring.tail(1)[0]) < 2100
    for _ in range(100):
        ring.feed(b"y" * 10_000)
    assert len(ring._partial) <= 64 * 1024
    assert all(len(line) < 2100 for line in ring.tail(99))


def test_the_ring_is_bounded_in_bytes_too() -> None:
    """Ten thousand long lines, and 12 MB without a line end, leave no more than the ring may hold."""
    ring = LogRing(ring_bytes=50_000)
    for number in range(10_000):
        ring.feed(b"%d" % number + "ü".encode() * 900 + b"\n")
    assert 40_000 < sum(len(line.encode()) for line in ring.tail(10_000)) <= 50_000
    assert ring.tail(1)[0].startswith("9999")
    for _ in range(3000):
        ring.feed(b"z" * 4096)
    assert sum(len(line.encode()) for line in ring.tail(10_000)) <= 50_000


def test_feeding_gives_the_lines_that_became_whole() -> None:
    """Each line once, when its end arrives or the process has ended."""
    ring = LogRing()
    assert ring.feed(b"one\ntw") == ["one"]
    assert ring.feed(b"o\n\n\x1b[0m\nthr") == ["two"]
    assert ring.flush() == ["thr"]
    assert ring.flush() == []


def test_since_mark_holds_one_start() -> None:
    """What an earlier start wrote is not read as this one's cause."""
    ring = LogRing(4)
    ring.feed(b"old\n")
    ring.mark()
    assert not ring.since_mark
    ring.feed(b"a\nb\n")
    assert list(ring.since_mark) == ["a", "b"]
    ring.feed(b"c\nd\ne\n")
    assert list(ring.since_mark) == ["b", "c", "d", "e"]


def test_the_mirror_turns_over(tmp_path: Path) -> None:
    """Two small files at most, for their owner alone."""
    path = tmp_path / "state" / "engine.log"
    ring = LogRing(mirror=path, mirror_bytes=1000)
    for number in range(300):
        ring.feed(f"line {number:03}\n".encode())
    ring.close()
    old = path.with_name("engine.log.1")
    assert path.stat().st_size <= 1010
    assert old.stat().st_size <= 1010
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().endswith("line 299\n")
    assert sorted(file.name for file in path.parent.iterdir()) == ["engine.log", "engine.log.1"]


def test_a_mirror_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    """The ring goes on without it."""
    (tmp_path / "file").write_text("")
    ring = LogRing(mirror=tmp_path / "file" / "engine.log")
    ring.feed(b"still here\n")
    ring.close()
    assert ring.tail(1) == ("still here",)

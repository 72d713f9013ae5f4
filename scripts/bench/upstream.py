"""A stub upstream and a Hearth in front of it, both running: where the benchmarks of Hearth alone begin."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from scripts.bench.contenders import Place, hearth
from scripts.bench.processes import Running, free_port

QUESTION = b'{"model":"auto","messages":[{"role":"user","content":"Are you there?"}]}'


@contextlib.contextmanager
def stubbed_hearth(folder: Path, env: Mapping[str, str] | None = None) -> Iterator[tuple[Running, str]]:
    """Hearth, answering, and its address. env: settings beyond the defaults; {upstream} in a value is the stub's address."""
    port = free_port()
    upstream = f"http://127.0.0.1:{port}"
    stub = (sys.executable, "-m", "scripts.bench.stub", "--port", str(port))
    with Running(stub, folder / "stub.log") as behind:
        behind.first_answer(f"{upstream}/v1/models", b"{}")
        place = Place(free_port(), upstream, folder)
        start = hearth(place)
        settings = {name: value.replace("{upstream}", upstream) for name, value in (env or {}).items()}
        with Running(start.command, folder / "hearth.log", {**start.env, **settings}) as running:
            url = f"http://127.0.0.1:{place.port}"
            running.first_answer(f"{url}/v1/chat/completions", QUESTION)
            yield running, url

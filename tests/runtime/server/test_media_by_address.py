"""Media that a client gives by address, through the door."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import httpx

from runtime.contract.targets import Capabilities
from runtime.media.fetching import Fetching
from runtime.settings import MediaIn
from tests.fakes.door import Setup, opened
from tests.fakes.guard import GUARD
from tests.fakes.upstream import Turn, engine_backend, whole
from tests.fakes.wires import GENERATE

URL = "https://media.example/x"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
ASKED = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]
CAN = Capabilities(modalities=frozenset({"text", "image"}), media_urls=False)


def fetching(address: str, *, on: bool = True) -> Fetching:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return [address]

    answer = httpx.Response(200, content=PNG)
    return Fetching(MediaIn(fetch_urls=on), GUARD, resolve, lambda: httpx.MockTransport(lambda _: answer))


async def test_it_comes_as_data_where_the_target_takes_no_addresses(tmp_path: Path) -> None:
    """Where fetching is on; off, the address goes on as it is."""
    for on in (True, False):
        backend = GENERATE.target("see", GENERATE.told("A picture"), capabilities=CAN)
        setup = Setup(engine_backend((Turn([whole("x")]),)), [backend], fetching=fetching("93.184.216.34", on=on))
        async with opened(setup, tmp_path) as door:
            answer = await door.client.post("/v1/chat/completions", json={"model": "see", "messages": ASKED})
        assert answer.json()["choices"][0]["message"]["content"] == "A picture", answer.text
        sent = json.dumps(backend.lanes[0].hop.bodies[0])
        assert (base64.b64encode(PNG).decode() in sent, URL in sent) == (on, not on)


async def test_an_inner_address_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Nothing reaches the target."""
    backend = GENERATE.target("see", GENERATE.told("A picture"), capabilities=CAN)
    setup = Setup(engine_backend((Turn([whole("x")]),)), [backend], fetching=fetching("10.0.0.1"))
    async with opened(setup, tmp_path) as door:
        answer = await door.client.post("/v1/chat/completions", json={"model": "see", "messages": ASKED})
    assert answer.status_code == 400 and "not a public one" in answer.text
    assert backend.lanes[0].hop.bodies == []

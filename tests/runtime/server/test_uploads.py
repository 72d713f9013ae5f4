"""Media too large for a body go up before the request that refers to them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cloud.gemini.files import Files
from runtime.contract.targets import Capabilities
from tests.fakes.door import Setup, opened
from tests.fakes.upstream import FakeBackend, ScriptedHop, Turn, engine_backend, whole
from tests.fakes.wires import GENERATE

BIG = base64.b64encode(b"\x00\x00\x00\x20ftypmp42" + bytes(14_500_000)).decode()


async def test_a_large_video_goes_up_once_and_is_referred_to(tmp_path: Path) -> None:
    """The second request with the same content sends no bytes again."""
    file = {"name": "files/a", "uri": "https://files.example/a", "mimeType": "video/mp4", "state": "ACTIVE"}
    started = Turn([b"{}"], headers={"x-goog-upload-url": "https://vendor.example/upload/place?id=1"})
    sent = Turn([json.dumps({"file": file}).encode()])
    uploads = ScriptedHop(started, sent)
    can = Capabilities(modalities=frozenset({"text", "video"}))
    backend = GENERATE.target("video", GENERATE.told("A film"), capabilities=can)
    able = FakeBackend(backend.target, backend.lanes, backend.codec)
    able.uploads = Files(uploads, "https://vendor.example", lambda: 1000.0)  # type: ignore[assignment]
    part = {"type": "file", "file": {"filename": "a.mp4", "file_data": f"data:video/mp4;base64,{BIG}"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, part]}]
    setup = Setup(engine_backend((Turn([whole("x")]),)), [able], max_body=64_000_000)
    async with opened(setup, tmp_path) as d:
        for _ in range(2):
            answer = await d.client.post("/v1/chat/completions", json={"model": "video", "messages": messages})
            assert answer.json()["choices"][0]["message"]["content"] == "A film", answer.text
    assert len(uploads.calls) == 2 and len(uploads.calls[1].body) > 14_000_000
    for body in backend.lanes[0].hop.bodies:
        assert "https://files.example/a" in json.dumps(body) and len(json.dumps(body)) < 2000

"""A hub on loopback: one repository, files with ranges, and the faults a real hub has. Speaks what huggingface_hub asks."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

REPO = "org/model"
COMMIT = "a" * 40


@dataclass
class FakeHub:
    """files: by path. refuse: (status, X-Error-Code) for every question.

    stall: bytes of the large file after which a download hangs until `release` is set. cut: bytes of it after which the
    first connection is cut.
    """

    files: dict[str, bytes]
    refuse: tuple[int, str] | None = None
    stall: int | None = None
    cut: int | None = None
    release: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)
    ranges: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> FakeHub:
        hub = self

        class Handler(_Handler):
            fake = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *what: object) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def large(self) -> str:
        return max(self.files, key=lambda path: len(self.files[path]))


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.fake.asked.append(path)
        if self.fake.refuse:
            status, code = self.fake.refuse
            self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": "no"})
        elif path.startswith(f"/api/models/{REPO}/tree/"):
            self._json([self._entry(name) for name in self.fake.files])
        elif path.startswith(f"/api/models/{REPO}"):
            self._json({"_id": "1", "id": REPO, "sha": COMMIT, "siblings": [{"rfilename": n} for n in self.fake.files]})
        elif (name := path.partition("/resolve/")[2].partition("/")[2]) in self.fake.files:
            self._file(name, body)
        else:
            self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def _entry(self, name: str) -> dict[str, Any]:
        content = self.fake.files[name]
        digest = hashlib.sha256(content).hexdigest()
        large = {"lfs": {"oid": digest, "size": len(content), "pointerSize": 130}} if name.endswith("tensors") else {}
        return {"type": "file", "path": name, "size": len(content), "oid": digest[:40], **large}

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", "X-Repo-Commit": COMMIT})

    def _file(self, name: str, body: bool) -> None:
        content = self.fake.files[name]
        start = 0
        if asked := self.headers.get("Range"):
            self.fake.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0])
        digest = hashlib.sha256(content).hexdigest()
        head = {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if start:
            head["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_response(206 if start else 200)
        for key, value in {**head, "Content-Length": str(len(content) - start)}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self._body(name, content, start)

    def _body(self, name: str, content: bytes, start: int) -> None:
        fake = self.fake
        if name == fake.large and fake.cut is not None and not start:
            self.wfile.write(content[: fake.cut])
            self.close_connection = True
            return
        if name == fake.large and fake.stall is not None and not fake.release.is_set():
            self.wfile.write(content[: fake.stall])
            self.wfile.flush()
            fake.stalled.set()
            fake.release.wait(30)
            self.close_connection = True
            return
        self.wfile.write(content[start:])

    def _send(self, status: int, body: bytes, head: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**head, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

"""Another translator, asked line by line: a chat request, and perhaps a vendor's answer, in; what it made of them, out.

Each line in: {"provider", "model", "request", "answer"?, "stream"?}. Each line out: {"body"?, "answer"?, "error"?}. The vendor
is a server in this process, so that the translator's whole way is walked; nothing else can be reached.
Run where litellm is installed. Knows nothing of Hearth.
"""

import json
import logging
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

BASES = {"anthropic": "/v1/messages", "gemini": "/v1beta"}
ANSWERS = {
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    },
}


class Vendor(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = ()  # bodies, of one question
    answer = ("application/json", b"{}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        if "cachedContents" in self.path:
            self.tell("application/json", b'{"name": "cachedContents/1"}')
        else:
            Vendor.seen = (*Vendor.seen, body)
            self.tell(*self.answer)

    def do_GET(self):
        self.tell("application/json", b"{}")

    def tell(self, kind, raw):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *said):
        pass


def ask(line, url):
    provider, stream = line["provider"], line.get("stream")
    Vendor.seen = ()
    whole = json.dumps(line.get("answer") or ANSWERS[provider]).encode()
    Vendor.answer = ("text/event-stream", stream.encode()) if stream else ("application/json", whole)
    out = {}
    try:
        answer = litellm.completion(
            model=f"{provider}/{line['model']}",
            api_base=url + BASES[provider],
            api_key="k",
            max_retries=0,
            timeout=20,
            drop_params=True,
            **line["request"] | ({"stream": True} if stream else {}),
        )
        folded = litellm.stream_chunk_builder(list(answer)) if stream else answer
        out["answer"] = folded.model_dump(mode="json")
    except Exception as error:
        out["error"] = f"{type(error).__name__}: {error}"
    return out | ({"body": Vendor.seen[0]} if Vendor.seen else {})


def alone(host, *rest, find=socket.getaddrinfo, **more):
    if host not in ("127.0.0.1", "localhost"):
        raise socket.gaierror(f"{host}: nothing but this process is reached")
    return find(host, *rest, **more)


def main():
    out, sys.stdout = sys.stdout, sys.stderr  # it prints advice
    logging.disable(logging.CRITICAL)
    litellm.suppress_debug_info = True
    socket.getaddrinfo = alone
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for raw in sys.stdin:
        told = ask(json.loads(raw), f"http://127.0.0.1:{server.server_port}")
        print(json.dumps(told), file=out, flush=True)


if __name__ == "__main__":
    main()

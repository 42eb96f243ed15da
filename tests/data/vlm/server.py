"""A scripted OpenAI-compatible server, its own process: `python server.py SCRIPT LOG`.

SCRIPT is JSON: `{"steps": {TILE: [step, …]}, "otherwise": step, "refuses": [format, …]}`. TILE is
the digest of the text beside the picture. Each request about a tile takes its next step, the last
one again and again. With `"hold": {"after": N, "until": FILE}` requests wait once N answers are
paid, until there is such a file or the client is gone.

- `{"content": text}`: an answer; `"delay": s` waits first
- `{"status": 429, "headers": {…}, "message": text}`: an error
- `{"hang": s}`: silence
- `{"cut": true}`: the connection is cut in the middle of the body
- `{"body": text, "headers": {…}}`: status 200 with this body

LOG gets one JSON line an event: asked, refused, held, abandoned (the client was gone), paid.
The port is printed on the first line.
"""

from __future__ import annotations

import hashlib
import json
import select
import socket
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def tile_key(text: str) -> str:
    """Return what a script calls the tile that a text is about."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Server(ThreadingHTTPServer):
    """Shares script, log and what was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: Path, log: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = json.loads(script.read_text("utf-8"))
        self.log, self.lock, self.asked = log, threading.Lock(), Counter()
        self.paid = 0

    def note(self, event: str, **fields: Any) -> None:
        with self.lock, self.log.open("a", encoding="utf-8") as file:
            self.paid += event == "paid"
            file.write(json.dumps({"event": event, "time": time.time()} | fields) + "\n")

    def step(self, tile: str) -> dict[str, Any]:
        steps = self.script.get("steps", {}).get(tile) or [self.script["otherwise"]]
        with self.lock:
            self.asked[tile] += 1
            return steps[min(self.asked[tile], len(steps)) - 1]

    def handle_error(self, *_: object) -> None:
        """A client that went away is no error."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            return self.reply(404, {"error": {"message": f"no {self.path}"}})
        form = request.get("response_format", {"type": "text"})["type"]
        user = next(m for m in request["messages"] if m["role"] == "user")["content"]
        picture = user[0]["image_url"]["url"]
        assert picture.startswith("data:image/png;base64,")
        tile, key = tile_key(user[1]["text"]), self.headers.get("Idempotency-Key")
        key_sent = self.headers.get("Authorization", "").removeprefix("Bearer ")
        rounds = sum(m["role"] == "user" for m in request["messages"])
        about = {"tile": tile, "key": key, "round": rounds, "format": form, "secret": key_sent}
        said = request["messages"][-1]["content"]
        self.server.note("asked", **about, last=said if isinstance(said, str) else "")
        if form in self.server.script.get("refuses", ()):
            self.server.note("refused", **about)
            return self.reply(400, {"error": {"message": f"response_format {form} is unknown"}})
        self.hold(about)
        step = self.server.step(tile)
        time.sleep(step.get("hang", 0) + step.get("delay", 0))
        if "status" in step:
            message = {"error": {"message": step.get("message", f"scripted {step['status']}")}}
            return self.reply(step["status"], message, step.get("headers", {}))
        if "cut" in step:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b'{"id": "x", "choices": [{"mess')
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        if self.gone():
            return self.server.note("abandoned", **about)
        body = step["body"] if "body" in step else {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "scripted",
            "choices": [
                {
                    "index": 0, "finish_reason": "stop",
                    "message": {"role": "assistant", "content": step.get("content", "")},
                }
            ],
            "usage": TOKENS,
        }  # fmt: skip
        self.reply(200, body, step.get("headers"))
        return self.server.note("paid", **about)

    def hold(self, about: dict[str, Any]) -> None:
        """Wait as the script tells."""
        hold = self.server.script.get("hold")
        if hold and self.server.paid >= hold["after"]:
            self.server.note("held", **about)
            while not Path(hold["until"]).exists() and not self.gone():
                time.sleep(0.02)

    def gone(self) -> bool:
        """Tell whether the client has closed the connection."""
        ready, _, _ = select.select([self.connection], [], [], 0)
        return bool(ready) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    server = Server(Path(sys.argv[1]), Path(sys.argv[2]))
    print(server.server_address[1], flush=True)
    server.serve_forever()

"""A local stand-in for git hosting and for the hub, which misbehaves where it is told to."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping


@dataclasses.dataclass
class Behaviour:
    """How a path is served: cut after so many bytes, so many times; a status; slowly."""

    cut_after: int | None = None
    cuts: int = 0
    status: int | None = None
    statuses: int = 10**9
    hang_s: float = 0.0
    ignores_range: bool = False
    chunked: bool = False


class StandIn:
    """What is served by path, how, and every request that came (path, Range header)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.behaviour: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.headers: list[Mapping[str, str]] = []
        self.redirects: dict[str, str] = {}
        self.url = ""

    def asked(self, part: str) -> list[str | None]:
        """The Range headers of the requests for paths that hold ``part``."""
        return [span for path, span in self.requests if part in path]

    def add_hub(
        self,
        name: str,
        files: Mapping[str, bytes],
        revision: str,
        kind: str = "model",
        large: int = 1000,
        newest: bool = True,
    ) -> None:
        """A repository of the hub at a revision; files from ``large`` bytes on are LFS."""
        siblings = []
        prefix = "datasets/" if kind == "dataset" else ""
        for path, content in files.items():
            self.files[f"/{prefix}{name}/resolve/{revision}/{urllib.parse.quote(path)}"] = content
            header = b"blob %d\0" % len(content)
            entry = {
                "rfilename": path,
                "size": len(content),
                "blobId": hashlib.sha1(header + content).hexdigest(),
            }
            if len(content) >= large:
                entry["lfs"] = {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                }
            siblings.append(entry)
        answer = json.dumps({"id": name, "sha": revision, "siblings": siblings}).encode()
        self.files[f"/api/{kind}s/{name}/revision/{revision}"] = answer
        if newest:
            self.files[f"/api/{kind}s/{name}"] = answer


@contextlib.contextmanager
def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve on a free local port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = urllib.parse.urlsplit(self.path).path
            stand_in.requests.append((path, self.headers.get("Range")))
            stand_in.headers.append(dict(self.headers))
            how = stand_in.behaviour.get(path, Behaviour())
            if path in stand_in.redirects:
                return self.answer(302, {"Location": stand_in.redirects[path]})
            if how.status and how.statuses:
                how.statuses -= 1
                return self.answer(how.status, {"Retry-After": "1"})
            if path not in stand_in.files:
                return self.answer(404, {})
            if how.hang_s:
                time.sleep(how.hang_s)
            self.send(stand_in.files[path], how)
            return None

        def answer(self, status: int, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def send(self, content: bytes, how: Behaviour) -> None:
            start = 0
            span = self.headers.get("Range")
            if span and not how.ignores_range:
                start = int(span.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    return self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
                self.send_response(206)
                end = f"{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", f"bytes {start}-{end}")
            else:
                self.send_response(200)
            if not how.chunked:
                self.send_header("Content-Length", str(len(content) - start))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            body = content[start:]
            if how.cut_after is not None and how.cuts:
                how.cuts -= 1
                body = body[: how.cut_after]
                self.close_connection = True
            with contextlib.suppress(OSError):
                self.wfile.write(body)
            return None

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

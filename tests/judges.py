"""Stand-ins for a judge's endpoint: they answer well, half, not at all, late or not ever."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading

GOOD = '{"adequacy": 4, "conciseness": 5, "fluency": 3}'


class Endpoint:
    """A server of OpenAI's chat protocol on a free port of this machine.

    ``answer`` gives the content for a request (a dict with its body), or a (status, body)
    for a reply of another form, or None to never reply. ``seen`` are the bodies so far,
    ``keys`` the authorizations.
    """

    def __init__(self, answer):
        self.answer = answer
        self.seen = []
        self.keys = set()
        self._lock = threading.Lock()
        self.over = threading.Event()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                endpoint.reply(self, 200, json.dumps({"object": "list", "data": []}))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with endpoint._lock:
                    endpoint.seen.append(body)
                    endpoint.keys.add(self.headers.get("Authorization"))
                given = endpoint.answer(body)
                if given is None:
                    endpoint.over.wait()
                    self.close_connection = True
                elif isinstance(given, str):
                    message = {"role": "assistant", "content": given}
                    choice = {"index": 0, "message": message, "finish_reason": "stop"}
                    completion = {"object": "chat.completion", "choices": [choice]}
                    endpoint.reply(self, 200, json.dumps(completion))
                else:
                    endpoint.reply(self, *given)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def reply(self, handler, status, body):
        content = body.encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            handler.wfile.write(content)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self._server.shutdown()
        self._server.server_close()

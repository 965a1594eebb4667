"""A provider made by hand, for answers that the simulator does not give."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

Answer = Callable[[int, int], str | None]


class Provider(ThreadingHTTPServer):
    """Speaks Twilio's form.

    `answer` is given the number of a request among all, and among those of its connection, from 1.
    It returns the id for the message, or None to close without a word.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.answer = answer
        self.recipients: list[str] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Talk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Provider

    def setup(self) -> None:
        super().setup()
        self.requests = 0

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        (to,) = form["To"]
        self.requests += 1
        with self.server.lock:
            self.server.recipients.append(to)
            sid = self.server.answer(len(self.server.recipients), self.requests)
        if sid is None:
            self.close_connection = True
            return
        body = json.dumps({"sid": sid, "to": to}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[Provider]:
    with Provider(answer) as provider:
        thread = threading.Thread(target=provider.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            provider.shutdown()
            thread.join()

"""A provider that leaves us without an answer: it got the message once, and once it stays."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from delivery.models import Attempt
from delivery.states import Status

WITHOUT_AN_ANSWER = ["close_after_read", "half_answer", "garbage", "500", "503", "close_not_taken"]


class Provider(ThreadingHTTPServer):
    """Answers two requests of a connection, reads the third, and closes without a word."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Talk)
        self.received = []


class Talk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.received.append((form["To"][0], self.client_address))
        on_this_one = [at for _, at in self.server.received].count(self.client_address)
        if on_this_one == 3:
            self.close_connection = True
            return
        answer = json.dumps({"sid": f"SM{len(self.server.received)}", "to": form["To"][0]}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def provider():
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_request_on_a_kept_connection_that_is_read_and_not_answered_is_never_made_again(
    world, provider
):
    world.fill(8, twice=0, in_flight=1, url=f"http://127.0.0.1:{provider.server_port}")
    world.send_all(world.start())
    world.send_the_rest()
    seen = [to for to, _ in provider.received]
    assert len(seen) == len(set(seen)) == 8
    silenced = [seen[2], seen[5]]  # the thirds of the first two connections
    unknown = Attempt.objects.filter(outcome="unknown").values_list(
        "message__person__phone", flat=True
    )
    assert sorted(unknown) == sorted(silenced)
    assert world.count(Status.UNKNOWN, Status.ACCEPTED) == 8


@pytest.mark.parametrize("mode", WITHOUT_AN_ANSWER)
def test_a_request_without_a_clear_answer_is_never_made_again(world, mode):
    world.fill(20, in_flight=4)
    world.simulator.obey(mode=mode, account=world.sid, every=4, count=3)
    world.send_all(world.start())
    assert world.count(Status.UNKNOWN) == 3
    world.send_the_rest()
    assert world.received() == 20
    world.assert_sent_once(unknown=3)

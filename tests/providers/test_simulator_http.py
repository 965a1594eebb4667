from __future__ import annotations

import asyncio
import json

import pytest

from providers.simulator_http import MAX_BODY, MAX_HEAD, Connection, json_response
from tests.providers.peers import run


async def talked(*pieces, pause=0.0, handle=None):
    """What a server that echoes its requests answers to these pieces."""

    def echo(request, connection):
        answer = json_response(
            200, [request.method, request.path, request.query, len(request.body)]
        )
        asyncio.get_running_loop().call_soon(connection.answer, answer)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(handle or echo, set()), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
        server.close()


def bodies(answers):
    return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def post(path, body=b""):
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path, len(body), body)


class TestRequests:
    def test_a_request_is_read(self):
        assert bodies(run(talked(post(b"/a?b=c", b"12")))) == [["POST", "/a", "b=c", 2]]

    def test_a_get_needs_no_length(self):
        assert bodies(run(talked(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"))) == [["GET", "/a", "", 0]]

    def test_a_request_may_come_byte_by_byte(self):
        pieces = [bytes([byte]) for byte in post(b"/a", b"body")]
        assert bodies(run(talked(*pieces, pause=0.001))) == [["POST", "/a", "", 4]]

    def test_requests_sent_together_are_answered_in_their_order(self):
        together = b"".join(post(b"/%d" % n) for n in range(5))
        assert [body[1] for body in bodies(run(talked(together)))] == ["/0", "/1", "/2", "/3", "/4"]

    def test_a_slow_answer_is_not_overtaken_by_the_next(self):
        def slow_first(request, connection):
            delay = 0.05 if request.path == "/0" else 0
            answer = json_response(200, request.path)
            asyncio.get_running_loop().call_later(delay, connection.answer, answer)

        answers = run(talked(post(b"/0"), post(b"/1"), handle=slow_first, pause=0.01))
        assert bodies(answers) == ["/0", "/1"]


class TestBadRequests:
    @pytest.mark.parametrize(
        ("data", "word"),
        [
            (b"hello\r\n\r\n", "request line"),
            (b"POST /a HTTP/1.0\r\n\r\n", "request line"),
            (b"PUT /a HTTP/1.1\r\n\r\n", "GET and POST"),
            (b"GET http://x/a HTTP/1.1\r\n\r\n", "path"),
            (b"GET /\xff HTTP/1.1\r\n\r\n", "path"),
            (b"POST /a HTTP/1.1\r\n\r\n", "Content-Length"),
            (b"POST /a HTTP/1.1\r\nContent-Length: x\r\n\r\n", "Content-Length"),
            (b"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
            (b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), "Content-Length"),
            (b"POST /a HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "Content-Length"),
            (b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding"),
            (b"G" * (MAX_HEAD + 1), "too long"),
        ],
    )
    def test_are_told_why_and_the_connection_ends(self, data, word):
        answers = run(talked(data, post(b"/after")))
        assert answers.startswith(b"HTTP/1.1 400 ")
        assert b"HTTP/1.1 200" not in answers
        assert word.encode() in answers

    def test_too_many_requests_ahead_end_the_connection(self):
        flood = [post(b"/", b"x" * MAX_BODY) for _ in range(8)]
        with pytest.raises(ConnectionError):
            run(talked(*flood, handle=lambda request, connection: None))

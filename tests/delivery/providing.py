"""A provider that does as a test says, at the other end of a real connection."""

from __future__ import annotations

import asyncio
import json
import threading
from urllib.parse import parse_qs
from uuid import uuid4

import uvloop

from tests.providers.peers import Peer, answer


def read_form(body):
    fields = parse_qs(body)
    return fields, fields["Body"][0]


class Provider:
    """A peer on a thread of its own. What it does with each request can be changed meanwhile.

    `read` gives the fields of a body, and what of it is kept in `texts`. Those of `spared` need not
    wait for `go_on`.
    """

    def __init__(self):
        self.texts, self.now_open, self.most_open = [], 0, 0
        self.on_request = lambda: None
        self.read, self.answer = read_form, lambda fields: taken(fields["To"][0])
        self.go_on, self.spared = threading.Event(), set()
        self.go_on.set()
        self._peer, self._ready = Peer(self._talk), threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)
        self._thread.start()
        self._ready.wait()

    async def _serve(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with self._peer.running():
            self.port = self._peer.port
            self._ready.set()
            await self._end.wait()

    async def _talk(self, client):
        while True:
            request = await client.read()
            self.now_open += 1
            self.most_open = max(self.most_open, self.now_open)
            fields, text = self.read(request.split(b"\r\n\r\n", 1)[1].decode())
            self.texts.append(text)
            self.on_request()
            while not self.go_on.is_set() and text not in self.spared:
                await asyncio.sleep(0.001)
            self.now_open -= 1
            await client.write(self.answer(fields))

    def stop(self):
        self.go_on.set()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


def taken(to):
    body = {"sid": f"SM{uuid4().hex}", "to": to, "status": "queued", "num_segments": "1"}
    return answer(201, json.dumps(body).encode())

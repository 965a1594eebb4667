"""A preset's adapter and its simulated provider, talking to each other over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import aiohttp

from providers.base import Access, Callback, LookUp
from providers.registry import adapter
from providers.simulator import HOST
from tests.providers.peers import a_send


class Line:
    """One account of a preset. `path` is what its address has after the port."""

    def __init__(self, kind, secrets, path=""):
        self.kind, self.secrets, self.path = kind, secrets, path
        self.speaks = adapter(kind)

    def access(self, port):
        base_url = f"http://{HOST}:{port}{self.path}"
        return Access(kind=self.kind, base_url=base_url, secrets=self.secrets, simulated=True)

    async def sent(self, on, ref="r1", **changes):
        send = a_send(ref, **changes)
        outcomes = await on.transport.send(self.speaks, [send], self.access(on.port))
        return outcomes[ref]

    async def looked_up(self, on, **changes):
        values = {
            "ref": "r1",
            "to_e164": "+12025550143",
            "from_value": "+15005550001",
            "text": "hi & bye",
            "intended_at": datetime.now(UTC),
        }
        look_up = LookUp(**{**values, **changes})
        return await on.transport.look_up(self.speaks, look_up, self.access(on.port))

    def heard(self, call, **secrets):
        """Whether a callback is believed, and what it says."""
        callback = Callback(
            method="POST",
            url=call.url,
            headers=call.headers,
            query=dict(parse_qsl(urlsplit(call.url).query)),
            form={},
            body=call.body,
        )
        access = Access(kind=self.kind, secrets={**self.secrets, **secrets})
        return self.speaks.is_genuine(callback, access), self.speaks.read_callback(callback)


async def asked(on, method, path, *, body=b"", headers=None):
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, f"http://{HOST}:{on.port}{path}", data=body or None) as response,
    ):
        return response.status, await response.text()

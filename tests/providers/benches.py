"""A simulator in the test's own loop, and a transport that talks to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime

import aiohttp

from providers.adapters.twilio import Twilio
from providers.base import LookUp
from providers.simulator import HOST, Simulator
from providers.simulator_ledger import read_ledger
from providers.transport import Transport
from tests.providers.peers import a_send, an_access, run


class Bench:
    def __init__(self, port, path, transport):
        self.port, self.path, self.transport = port, path, transport
        self.access = an_access(port)

    async def send(self, ref="r1", **changes):
        send = a_send(ref, **changes)
        return (await self.transport.send(Twilio(), [send], self.access))[ref]

    async def control(self, command, path="/control"):
        body = command if isinstance(command, bytes) else json.dumps(command).encode()
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://{HOST}:{self.port}{path}", data=body) as response,
        ):
            return response.status, await response.json()

    async def state(self):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{HOST}:{self.port}/control") as response,
        ):
            return await response.json()

    async def look_up(self, **changes):
        values = {
            "ref": "r1",
            "to_e164": "+12025550143",
            "from_value": "+15005550001",
            "text": "hi & bye",
            "intended_at": datetime.now(UTC),
        }
        look_up = LookUp(**{**values, **changes})
        return await self.transport.look_up(Twilio(), look_up, self.access)

    def ledger(self):
        return list(read_ledger(self.path))

    def verdicts(self):
        return [(entry.verdict, entry.took) for entry in self.ledger()]


@contextlib.asynccontextmanager
async def bench(tmp_path, **limits):
    simulator = Simulator(tmp_path / "ledger.jsonl")
    server = await asyncio.get_running_loop().create_server(simulator.connection, HOST, 0)
    try:
        async with Transport(**limits) as transport:
            port = server.sockets[0].getsockname()[1]
            on = Bench(port, tmp_path / "ledger.jsonl", transport)
            on.simulator = simulator
            yield on
    finally:
        server.close()
        await simulator.close()


def in_bench(tmp_path, scenario, **limits):
    async def scene():
        async with bench(tmp_path, **limits) as on:
            return await scenario(on)

    return run(scene())

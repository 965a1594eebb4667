"""Our end of the callbacks: a server that remembers what was posted, and checks who signed it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from urllib.parse import parse_qsl

from plivo.utils import validate_signature, validate_v3_signature
from twilio.request_validator import RequestValidator

from providers.adapters.plivo import Plivo
from tests.delivery.waiting import LONG
from tests.providers.benches import bench
from tests.providers.peers import Peer, a_send, an_access, answer, run

MA = "MA000000000000000001"
TOKEN = "token"
CLOSES, HANGS = -1, -2
FROM, TO = "+12025550143", "+15005550001"
SETTLED = {"intermediate": False}


@dataclass
class Call:
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self):
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, errors="strict"))

    @property
    def word(self):
        return self.form.get("MessageStatus") or self.form.get("Status")

    def is_by_twilio(self, token=TOKEN):
        given = self.headers.get("x-twilio-signature", "")
        return RequestValidator(token).validate(self.url, self.form, given)

    def is_by_plivo(self, token=TOKEN):
        if "x-plivo-signature-v2" in self.headers:
            nonce = self.headers["x-plivo-signature-v2-nonce"]
            return validate_signature(
                self.url, nonce, self.headers["x-plivo-signature-v2"], auth_token=token
            )
        return validate_v3_signature(
            "POST",
            self.url,
            self.headers.get("x-plivo-signature-v3-nonce", ""),
            token,
            self.headers.get("x-plivo-signature-v3", ""),
            self.form,
        )


class Hooks:
    """`status(n)` says what the nth call, from 0, is answered: a status, HANGS or CLOSES.

    `on_call` is called as a call arrives.
    """

    def __init__(self, status=lambda n: 200):
        self.calls = []
        self.on_call = lambda: None
        self._status = status
        self._came = asyncio.Condition()
        self.peer = Peer(self._talk)

    async def _talk(self, client):
        while True:
            head, _, body = (await client.read()).partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            plain = dict(line.split(": ", 1) for line in lines)
            headers = {name.lower(): value for name, value in plain.items()}
            url = f"http://{headers['host']}{first.split()[1]}"
            self.on_call()
            status = self._status(len(self.calls))
            self.calls.append(Call(url, headers, body))
            async with self._came:
                self._came.notify_all()
            if status == CLOSES:
                return
            if status == HANGS:
                await asyncio.Event().wait()
            await client.write(answer(status, Content_Type="text/xml", Location="/elsewhere"))

    def url(self, path="/status", **query):
        tail = "&".join(f"{name}={value}" for name, value in query.items())
        return f"http://127.0.0.1:{self.peer.port}{path}{'?' if tail else ''}{tail}"

    async def wait_for(self, count):
        """The first so many calls, when they are there."""
        async with asyncio.timeout(LONG), self._came:
            await self._came.wait_for(lambda: len(self.calls) >= count)
        return self.calls


class Scene:
    """A simulator, our end of its callbacks, and what to do with them."""

    def __init__(self, on, hooks):
        self.on, self.hooks = on, hooks

    async def told(self, **command):
        status, answer_ = await self.on.control(command)
        assert status == 200, answer_
        return answer_

    async def refused(self, **command):
        status, answer_ = await self.on.control(command)
        assert status == 400, answer_
        return answer_["error"]

    async def send(self, ref="r1", **changes):
        url = self.hooks.url(ref=ref)
        return await self.on.send(ref, **{"status_callback_url": url, **changes})

    async def send_by_plivo(self, ref="r1", **changes):
        send = a_send(ref, **{"status_callback_url": self.hooks.url(ref=ref), **changes})
        outcomes = await self.on.transport.send(Plivo(), [send], plivo_access(self.on.port))
        return outcomes[ref]

    async def callbacks(self):
        return (await self.on.state())["callbacks"]

    async def quiet(self):
        """The state when everything was posted and answered."""
        async with asyncio.timeout(LONG):
            while True:
                state = await self.callbacks()
                if not state["waiting"] + state["in_flight"] and not _runs(state["burst"]):
                    return state
                await asyncio.sleep(0.005)

    def lines(self, **wanted):
        """The ledger's lines of callbacks that were posted, with these members."""
        lines = map(json.loads, self.on.path.read_text().splitlines())
        posted = [line for line in lines if "posted_at" in line]
        return [line for line in posted if wanted.items() <= line.items()]

    def answers(self):
        lines = map(json.loads, self.on.path.read_text().splitlines())
        return {line["callback"]: line["answer"] for line in lines if "answered_at" in line}


def _runs(burst):
    return burst is not None and burst["running"]


def plivo_access(port):
    return an_access(port, kind="plivo", secrets={"auth_id": MA, "auth_token": TOKEN})


def in_scene(tmp_path, act, *, status=lambda n: 200, **limits):
    async def scene():
        async with contextlib.AsyncExitStack() as stack:
            hooks = Hooks(status)
            await stack.enter_async_context(hooks.peer.running())
            on = await stack.enter_async_context(bench(tmp_path, **limits))
            return await act(Scene(on, hooks))

    return run(scene())

"""A simulated mail server in the test's own loop, and a transport that mails through it."""

from __future__ import annotations

import asyncio
import contextlib

from providers.adapters.smtp import Smtp
from providers.base import Access, Callback, SendRequest
from providers.simulator import HOST
from tests.providers.benches import bench
from tests.providers.hooks import Hooks, Scene
from tests.providers.peers import run

ANNA = "anna@example.com"
SHOP = "jobs@shop.example.com"
BOUNCES = "bounces.example.com"
USER, PASSWORD = "shop", "secret"
SECRETS = {"bounce_domain": BOUNCES, "username": USER, "password": PASSWORD}
SMTP = Smtp()


def a_mail(ref="r1", **changes):
    values = {
        "ref": ref,
        "to_email": ANNA,
        "from_value": SHOP,
        "from_kind": "email",
        "from_name": "The Shop",
        "subject": "Two new jobs",
        "text": "Hi Anna, two new jobs.",
        "unsubscribe_url": f"https://shop.example.com/u/{ref}",
        "segments": 1,
    }
    return SendRequest(**{**values, **changes})


def mail_access(port, **changes):
    values = {
        "kind": "smtp",
        "base_url": f"smtp://127.0.0.1:{port}",
        "secrets": SECRETS,
        "simulated": True,
        "webhook_key": "k",
    }
    return Access(**{**values, **changes})


def read(call):
    """What our adapter makes of a callback, when it takes it for genuine."""
    callback = Callback(
        method="POST", url=call.url, headers=call.headers, query={}, form={}, body=call.body
    )
    is_ours = SMTP.is_genuine(callback, mail_access(0))
    return SMTP.read_callback(callback) if is_ours else None


class MailScene(Scene):
    """A simulator with its mail server, and our end of what it posts."""

    def __init__(self, on, hooks, mail_port):
        super().__init__(on, hooks)
        self.mail_port = mail_port

    async def mail(self, ref="r1", *, secrets=SECRETS, **changes):
        access = mail_access(self.mail_port, secrets=secrets)
        outcomes = await self.on.transport.send(SMTP, [a_mail(ref, **changes)], access)
        return outcomes[ref]

    async def ready(self, **reports):
        """Where the account's mail is posted is told, and what is reported."""
        url = self.hooks.url("/in")
        await self.told(account={"name": USER, "provider": "smtp", "inbound_url": url})
        await self.told(reports=reports)


def in_mail_scene(tmp_path, act, *, status=lambda n: 200, **limits):
    async def scene():
        async with contextlib.AsyncExitStack() as stack:
            hooks = Hooks(status)
            await stack.enter_async_context(hooks.peer.running())
            on = await stack.enter_async_context(bench(tmp_path, **limits))
            loop = asyncio.get_running_loop()
            server = await loop.create_server(on.simulator.mail.connection, HOST, 0)
            stack.callback(server.close)
            return await act(MailScene(on, hooks, server.sockets[0].getsockname()[1]))

    return run(scene())

"""What leaves only over TLS, and to whom. The relay is on this machine: `reach` leads there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

import pytest

from providers.base import Accepted, Fault, NotSent
from providers.leaving import go_ahead
from providers.mail import Post
from providers.transport import Transport
from tests.providers.mailing import SMTP, a_mail, mail_access
from tests.providers.peers import run
from tests.providers.relays import NAME, Relay, certificate

TAKEN = Accepted("r1", part_refs=("Q1234",))
NOT_CONNECTED = NotSent("could_not_connect", unreachable=True)
OFFERED = "250-relay\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 HELP"
REFUSED = NotSent("address_refused")


@pytest.fixture
def contexts(tmp_path):
    """Those of a server and of clients that trust it."""
    pem, key = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, key)
    return server, ssl.create_default_context(cafile=str(pem))


def posted(relay, client_tls, *, url=f"smtp://{NAME}:587", **options):
    """A mail of a real account through a relay that is reached under another name."""

    async def reach(target):
        found = socket.socket()
        found.setblocking(False)
        await asyncio.get_running_loop().sock_connect(found, ("127.0.0.1", relay.port))
        return found

    async def posting():
        access = mail_access(0, base_url=url, simulated=False)
        send = a_mail()
        envelope = SMTP.build_request([send], access)
        async with relay.running(**options):
            post = Post(reach, lambda: client_tls, request_seconds=5)
            with contextlib.closing(post):
                outcomes = await post.send(
                    SMTP, [send], envelope, access, write_by=None, announce=go_ahead
                )
        return outcomes["r1"]

    return run(posting())


class TestARealAccount:
    def test_says_nothing_in_clear_but_that_it_wants_tls(self, contexts):
        server, client = contexts
        relay = Relay(tls=server, EHLO=OFFERED)
        assert posted(relay, client) == TAKEN
        assert relay.verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]

    def test_neither_logs_in_nor_mails_where_no_tls_is_offered(self, contexts):
        relay = Relay()
        assert posted(relay, contexts[1]) == NotSent("tls_not_offered", fault=Fault.ACCOUNT)
        assert set(relay.verbs) == {"EHLO"}

    @pytest.mark.parametrize("said", ["454 4.7.0 not now", "502 what?"])
    def test_neither_logs_in_nor_mails_where_tls_is_refused(self, contexts, said):
        relay = Relay(EHLO=OFFERED, STARTTLS=said)
        outcome = posted(relay, contexts[1])
        assert isinstance(outcome, NotSent)
        assert "AUTH" not in relay.verbs

    def test_trusts_no_certificate_but_a_known_one(self, contexts):
        relay = Relay(tls=contexts[0], EHLO=OFFERED)
        assert posted(relay, ssl.create_default_context()) == NOT_CONNECTED
        assert "AUTH" not in relay.verbs

    def test_trusts_no_certificate_of_another_name(self, contexts):
        relay = Relay(tls=contexts[0], EHLO=OFFERED)
        url = "smtp://another.example.com:587"
        assert posted(relay, contexts[1], url=url) == NOT_CONNECTED

    def test_speaks_tls_from_the_start_where_the_address_says_so(self, contexts):
        server, client = contexts
        relay = Relay()
        assert posted(relay, client, url=f"smtps://{NAME}", ssl=server) == TAKEN
        assert relay.verbs[:2] == ["EHLO", "AUTH"]

    def test_what_was_said_before_tls_is_forgotten(self, contexts):
        """Somebody between us may have said it (RFC 3207, 4.2)."""
        server, client = contexts
        said = [OFFERED, "250-relay\r\n250-AUTH LOGIN\r\n250 HELP"]
        relay = Relay(tls=server, EHLO=lambda n: said[n], AUTH="334 VXNlcm5hbWU6")
        posted(relay, client)
        assert relay.heard[3].startswith("AUTH LOGIN")


class TestAnAddress:
    @pytest.mark.parametrize(
        ("url", "simulated"),
        [
            ("smtp://127.0.0.1:25", False),
            ("smtps://[::1]:465", False),
            ("smtp://localhost:25", False),
            ("smtp://10.0.0.1:25", False),
            ("smtp://relay.example.com", True),
            ("http://127.0.0.1:25", True),
            ("https://relay.example.com", False),
            ("smtp://127.0.0.1:465", True),
            ("smtp://user:secret@127.0.0.1:25", True),
            ("smtp://127.0.0.1:25/path", True),
            ("", True),
        ],
    )
    def test_that_the_account_may_not_use_is_refused(self, url, simulated):
        async def sent():
            async with Transport() as transport:
                access = mail_access(0, base_url=url, simulated=simulated)
                return await transport.send(SMTP, [a_mail()], access)

        assert run(sent()) == {"r1": REFUSED}

    def test_whose_public_name_leads_inside_is_refused(self, monkeypatch):
        async def look_up(self, host, port=0, family=0):
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family}]

        async def sent():
            async with Transport() as transport:
                access = mail_access(0, base_url="smtp://rebound.example.com", simulated=False)
                return await transport.send(SMTP, [a_mail()], access)

        monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", look_up)
        assert run(sent()) == {"r1": REFUSED}

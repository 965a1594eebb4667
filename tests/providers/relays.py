"""A mail server that says what it is told, stage by stage, and remembers what it heard."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers.transport import Transport
from tests.providers.mailing import SMTP, a_mail, mail_access
from tests.providers.peers import Peer

CLOSE, RESET, HANG = "close", "reset", "hang"
NAME = "relay.example.com"
USUAL = {
    "CONNECT": "220 hello",
    "EHLO": "250-relay\r\n250-AUTH PLAIN LOGIN\r\n250 HELP",
    "STARTTLS": "220 go on",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    ".": "250 2.0.0 Ok: queued as Q1234",
    "RSET": "250 ok",
    "QUIT": "221 bye",
}


class Relay(Peer):
    """`said` is by command what is said instead: a reply, CLOSE, RESET or HANG, or a function of
    how often the command was heard before. `heard` has all commands, `messages` what was written.
    """

    def __init__(self, *, tls=None, **said):
        super().__init__(self._talk_smtp)
        self.said = {**USUAL, **{name.replace("DOT", "."): value for name, value in said.items()}}
        self.tls = tls
        self.heard: list[str] = []
        self.messages: list[bytes] = []

    @property
    def verbs(self):
        return [line.split()[0].upper() for line in self.heard]

    async def _talk_smtp(self, client):
        goes_on = await self._say(client, "CONNECT")
        while goes_on:
            line = (await client.reader.readuntil(b"\r\n")).decode().strip()
            self.heard.append(line)
            verb = line.split()[0].upper()
            goes_on = await self._say(client, verb)
            if goes_on and verb == "STARTTLS":
                await client.writer.start_tls(self.tls)
            elif goes_on and verb == "DATA" and self.said["DATA"] == USUAL["DATA"]:
                self.messages.append(await client.reader.readuntil(b"\r\n.\r\n"))
                goes_on = await self._say(client, ".")

    async def _say(self, client, verb):
        told = self.said.get(verb, "500 what?")
        if callable(told):
            told = told(self.verbs.count(verb) - 1 if verb != "." else len(self.messages) - 1)
        if isinstance(told, tuple):
            delay, told = told
            await asyncio.sleep(delay)
        if told == HANG:
            await client.reader.read()
            return False
        if told == RESET:
            client.abort()
        if told in {CLOSE, RESET}:
            return False
        await client.write(told if isinstance(told, bytes) else f"{told}\r\n".encode())
        return verb != "QUIT"


async def mailed(relay, count=1, *, secrets=None, pause=0.0, mail=None, **limits):
    """The outcomes of so many mails one after another."""
    async with relay.running(), Transport(**limits) as transport:
        outcomes = []
        for n in range(count):
            outcomes.append(await mailed_by(transport, relay, f"r{n}", secrets, **(mail or {})))
            await asyncio.sleep(pause)
        return outcomes


async def mailed_by(transport, relay, ref="r0", secrets=None, *, options=None, **mail):
    access = mail_access(relay.port)
    if secrets is not None:
        access = mail_access(relay.port, secrets=secrets)
    outcomes = await transport.send(SMTP, [a_mail(ref, **mail)], access, **(options or {}))
    assert list(outcomes) == [ref]
    return outcomes[ref]


def certificate(folder, name=NAME):
    """A certificate that signs itself; the paths of it and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, private

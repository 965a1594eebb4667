"""Accounts that nobody has: for each kind of provider, credentials of the right form.

One table for the demo, the benchmarks and the tests. It knows under which path the simulator serves
a kind, by which of its credentials a provider knows an account, and what it signs with. E-mail goes
to the simulator's mail server, which has an address of its own. It stores no rows, and what it
makes opens nothing at any real provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from urllib.parse import urlsplit

from providers.base import SenderKind
from providers.declared import DEFINITIONS, GENERIC
from providers.models import ProviderAccount
from providers.webhook_urls import inbound_url

DIGITS, HEX, CAPITALS = "0123456789", "0123456789abcdef", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class Form:
    """What a credential looks like: so many characters of an alphabet, or always the same."""

    prefix: str = ""
    alphabet: str = ""
    length: int = 0
    suffix: str = ""

    def draw(self, dice: Random) -> str:
        drawn = "".join(dice.choices(self.alphabet or HEX, k=self.length))
        return f"{self.prefix}{drawn}{self.suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invention:
    """How an account of one kind is made.

    `name` and `signs_with` are credentials: which one its provider calls the account by, and which
    one proves that a callback is its; without one nothing does. A mail server signs nothing, and
    asks for that one when we log in.
    """

    credentials: Mapping[str, Form]
    name: str
    signs_with: str = ""
    path: str = ""  # below the simulator's address
    sender: SenderKind = SenderKind.LONG_CODE
    definition: str = ""  # a file in providers/definitions


@dataclass(frozen=True, slots=True)
class Known:
    """An account as its provider knows it; an empty token signs nothing."""

    name: str
    token: str


INVENTIONS: Mapping[str, Invention] = {
    "twilio": Invention(
        credentials={"account_sid": Form("AC", HEX, 32), "auth_token": Form("", HEX, 32)},
        name="account_sid",
        signs_with="auth_token",
    ),
    "plivo": Invention(
        credentials={"auth_id": Form("MA", CAPITALS, 18), "auth_token": Form("", HEX, 40)},
        name="auth_id",
        signs_with="auth_token",
    ),
    "sinch": Invention(
        credentials={
            "service_plan_id": Form("plan-", HEX, 27),
            "api_token": Form("", HEX, 32),
            "webhook_secret": Form("", HEX, 32),
        },
        name="service_plan_id",
        signs_with="webhook_secret",
        sender=SenderKind.SHORT_CODE,
    ),
    "simpletexting": Invention(credentials={"api_token": Form("st-", HEX, 32)}, name="api_token"),
    "slooce": Invention(
        credentials={
            "partner_id": Form("slooce-", DIGITS, 6),
            "partner_password": Form("", HEX, 16),
        },
        name="partner_id",
        sender=SenderKind.SHORT_CODE,
    ),
    "textback": Invention(
        credentials={
            "token": Form("tb-", HEX, 32),
            "secret": Form("", HEX, 32),
            "webhook_token": Form("", HEX, 32),
        },
        name="token",
        signs_with="webhook_token",
    ),
    "textback_query": Invention(
        credentials={"api_key": Form("tbq-", HEX, 32), "webhook_token": Form("", HEX, 32)},
        name="api_key",
        signs_with="webhook_token",
    ),
    "pineapple": Invention(
        credentials={"api_key": Form("pa-", HEX, 32), "webhook_secret": Form("", HEX, 32)},
        name="api_key",
        signs_with="webhook_secret",
        path="/pineapple",
    ),
    GENERIC: Invention(
        credentials={"api_key": Form("any-", HEX, 32)},
        name="api_key",
        path="/generic",
        definition="example.json",
    ),
    "vonage_sms": Invention(
        credentials={
            "api_key": Form("", HEX, 8),
            "api_secret": Form("", HEX, 16),
            "signature_secret": Form("", HEX, 40),
            "signature_method": Form("sha256"),
        },
        name="api_key",
        signs_with="signature_secret",
    ),
    "vonage": Invention(
        credentials={
            "api_key": Form("", HEX, 8),
            "api_secret": Form("", HEX, 16),
            "signature_secret": Form("", HEX, 40),
        },
        name="api_key",
        signs_with="signature_secret",
    ),
    "smtp": Invention(
        credentials={
            "bounce_domain": Form("bounces-", HEX, 8, ".example.com"),
            "username": Form("mail-", HEX, 12),
            "password": Form("", HEX, 24),
        },
        name="username",
        signs_with="password",
        sender=SenderKind.EMAIL,
    ),
}
TEXTS = tuple(kind for kind, one in INVENTIONS.items() if one.sender != SenderKind.EMAIL)
KEYWORDS = frozenset({"slooce"})  # whose sender is the keyword of a short code


def credentials(kind: str, seed: object) -> dict[str, str]:
    """Of one account, the same for the same seed. Raises KeyError for a kind that has no line."""
    dice = Random(f"{kind}:{seed}")  # noqa: S311 - they open nothing
    return {name: form.draw(dice) for name, form in INVENTIONS[kind].credentials.items()}


def known(kind: str, secrets: Mapping[str, str]) -> Known:
    """What its simulated provider calls an account with these credentials, and signs with."""
    invention = INVENTIONS[kind]
    return Known(secrets[invention.name], secrets.get(invention.signs_with, ""))


def carries_mail(kind: str) -> bool:
    return INVENTIONS[kind].sender == SenderKind.EMAIL


def base_url(kind: str, simulator: str, mail_server: str = "") -> str:
    """Where a simulator with these two addresses (no path) serves the kind.

    Raises ValueError for e-mail without a mail server.
    """
    if not carries_mail(kind):
        return simulator + INVENTIONS[kind].path
    if not mail_server:
        raise ValueError(f"{kind} needs the simulator's mail server")
    return mail_server


@cache
def definition(kind: str) -> str:
    """How to speak to it, where the account says so itself; else empty."""
    file = INVENTIONS[kind].definition
    return (DEFINITIONS / file).read_text() if file else ""


def introduction(account: ProviderAccount, web: str) -> dict[str, str]:
    """What the simulator is told of an account: who it is, and where its people's texts go.

    `web` is our address without a path.
    """
    access = account.access()
    found = known(account.kind, access.secrets)
    path = urlsplit(inbound_url(access, account.pk)).path
    told = {"name": found.name, "provider": account.kind, "inbound_url": f"{web}{path}"}
    return {**told, "token": found.token} if found.token else told


def sender(kind: str, number: int) -> tuple[SenderKind, str]:
    """Kind and value of what a message is sent from; numbers from 0 to 9999 give others each.

    No real number has the area code 555; the short codes begin with 55.
    """
    sends_from = INVENTIONS[kind].sender
    if kind in KEYWORDS:
        return sends_from, f"JOBS{number}"
    if carries_mail(kind):
        return sends_from, f"jobs{number}@mail.example.com"
    if sends_from == SenderKind.SHORT_CODE:
        return sends_from, f"55{number:04d}"
    return sends_from, f"+1555555{number:04d}"

"""An e-mail as we send it: RFC 5322 with the headers that lead back to the attempt.

Every value that staff or leads wrote is put on one line before it comes into a header. What is made
of our own references and domains is written by hand: the library would fold or encode a long one.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import idna

from providers.base import SendRequest

BOUNCES, UNSUBSCRIBES = "b", "unsubscribe"  # the local parts before "+" and the reference
REF_HEADER = "X-Send-Ref"

POLICY = SMTP.clone(cte_type="7bit")  # every relay takes it, and none changes it on the way
LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
DOMAIN = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}"
)
URL = re.compile(r"https?://[!-;=?-~]+")  # no space, no "<" or ">"

_one_line = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+").sub
_begin_encoded = re.compile(r"=\?(?=.*\?=)").sub


class NotAnAddress(ValueError):
    """What should be an e-mail address cannot be one, or not one that all relays take."""


def ascii_domain(domain: str) -> str:
    """As it stands in the DNS (RFC 5891). Raises NotAnAddress."""
    try:
        found = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        raise NotAnAddress("the domain cannot be written in ASCII") from None
    if not DOMAIN.fullmatch(found):
        raise NotAnAddress("not a domain")
    return found.lower()


def ascii_address(address: str) -> str:
    """The address with its domain as in the DNS. Raises NotAnAddress; the text tells no address."""
    local, _, domain = address.rpartition("@")
    if not LOCAL_PART.fullmatch(local):
        raise NotAnAddress("the part before the @ is not one that all relays take")
    return f"{local}@{ascii_domain(domain)}"


def bounce_address(ref: str, domain: str) -> str:
    return f"{BOUNCES}+{ref}@{domain}"


def unsubscribe_address(ref: str, domain: str) -> str:
    return f"{UNSUBSCRIBES}+{ref}@{domain}"


def compose(send: SendRequest, *, bounce_domain: str, at: datetime) -> bytes:
    """The whole message, in ASCII with CRLF. `at` is aware. Raises NotAnAddress."""
    sender, recipient = ascii_address(send.from_value), ascii_address(send.to_email)
    message = EmailMessage(policy=POLICY)
    message["From"] = Address(on_one_line(send.from_name), addr_spec=sender)
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = on_one_line(send.subject)
    message["Date"] = format_datetime(at)
    message.set_content(send.text, charset="utf-8")
    if send.html:
        message.add_alternative(send.html, subtype="html", charset="utf-8")
    return _our_headers(send, sender, bounce_domain) + message.as_bytes()


def on_one_line(text: str) -> str:
    """What looks like an encoded word (RFC 2047) is parted: the library would decode it, and let
    the line breaks in it out into the headers.
    """
    return _begin_encoded("= ?", _one_line(" ", text).strip())


def _our_headers(send: SendRequest, sender: str, bounce_domain: str) -> bytes:
    """None of them says "Precedence: bulk": List-Unsubscribe tells an auto-responder as much."""
    lines = [
        f"Message-ID: <{send.ref}@{sender.rpartition('@')[2]}>",
        f"{REF_HEADER}: {send.ref}",
    ]
    to = unsubscribe_address(send.ref, bounce_domain)
    ways = [f"<mailto:{to}?subject={UNSUBSCRIBES}%20{send.ref}>"]  # a subject keeps its case
    if URL.fullmatch(send.unsubscribe_url):
        ways.insert(0, f"<{send.unsubscribe_url}>")
        lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")  # RFC 8058
    lines.append("List-Unsubscribe: " + ",\r\n ".join(ways))
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")

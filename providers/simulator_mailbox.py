"""The pretend mailbox: a page where a person reads the e-mails of an address, and acts on them.

It makes nothing up: what arrived comes from the ledger. To unsubscribe is the one click that a
mailbox's provider posts to the address in the message's own List-Unsubscribe header, or a mail to
the other address there, as older programs write it; a complaint goes the way of every complaint.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs

from providers.simulator_control import BadControl
from providers.simulator_http import Request, json_response, response
from providers.simulator_ledger import Ledger, LedgerEntry
from providers.simulator_phone import page_answer, with_headers
from providers.simulator_smtp import COMPLAINT, UNSUBSCRIBED
from providers.simulator_wire import Report

PAGE = Path(__file__).resolve().parent.parent / "templates" / "providers" / "mailbox.html"
MAILBOXES_SHOWN = 50
MAILS_SHOWN = 100  # the newest ones of an address
WHY_NOT = "this mail names no address that one click may be posted to"
NO_MAILTO = "this mail names no address to write to"
BY_MAIL = "unsubscribe-by-mail"

ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
SEQ = re.compile(r"[0-9]{1,12}")
FRAME = "; frame-src 'self'"
# What a mail shows is its own; it runs nothing, asks nobody for anything and knows no cookie.
MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';"
    " style-src 'unsafe-inline'; img-src data:; base-uri 'self'; frame-ancestors 'self'"
)

_in_angles = re.compile(r"<\s*(https?://[^>\s]+)\s*>").search

Answered = Callable[[int], None]


@dataclass(slots=True)
class Deed:
    """What was done about a mail: `at` by the real Unix clock; `answer` 0: none, or none yet."""

    what: str  # "unsubscribe", BY_MAIL or "complain"
    at: float
    answer: int = 0


class Mailboxes:
    """`say(entry, report, answered)` posts a report of a message; `follow(entry, url, answered)`
    posts one click there. Both raise BadControl where it can go nowhere.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        say: Callable[[LedgerEntry, Report, Answered], None],
        follow: Callable[[LedgerEntry, str, Answered], None],
    ) -> None:
        self._ledger = ledger
        self._say = say
        self._follow = follow
        self._deeds: dict[int, list[Deed]] = {}
        self._page = page_answer(PAGE.read_text(encoding="utf-8"), also=FRAME)
        self._paths: dict[str, tuple[str, Callable[[Request], bytes]]] = {
            "/mail": ("GET", lambda _: self._page),
            "/mail/data": ("GET", self._data),
            "/mail/html": ("GET", self._html),
            "/mail/unsubscribe": ("POST", partial(self._do, "unsubscribe")),
            f"/mail/{BY_MAIL}": ("POST", partial(self._do, BY_MAIL)),
            "/mail/complain": ("POST", partial(self._do, "complain")),
        }

    def handle(self, request: Request) -> bytes:
        if request.path not in self._paths:
            return json_response(404, {"error": "the pretend mailbox is at /mail"})
        method, act = self._paths[request.path]
        if request.method != method:
            error = json_response(405, {"error": f"only {method} is spoken here"})
            return with_headers(error, {"Allow": method})
        return act(request)

    def _data(self, request: Request) -> bytes:
        address = parse_qs(request.query).get("address", [""])[0].strip()
        boxes = self._boxes()
        if not address:
            return json_response(200, {"now": time.time(), "boxes": boxes})
        if not ADDRESS.fullmatch(address):
            return json_response(400, {"error": "this is not an e-mail address"})
        mails = self._ledger.taken_for(address)
        return json_response(
            200,
            {
                "now": time.time(),
                "address": address,
                "mails": [self._shown(entry) for entry in reversed(mails[-MAILS_SHOWN:])],
                "older": max(0, len(mails) - MAILS_SHOWN),
                "boxes": boxes,
            },
        )

    def _boxes(self) -> list[dict[str, object]]:
        """The addresses that got a mail last, newest first, each with the subject of its last."""
        recent = filter(ADDRESS.fullmatch, self._ledger.recent_recipients())
        return [
            {
                "address": address,
                "at": last.received_at,
                "subject": str(_read(last)["Subject"] or ""),
            }
            for address in islice(recent, MAILBOXES_SHOWN)
            for last in self._ledger.taken_for(address)[-1:]
        ]

    def _shown(self, entry: LedgerEntry) -> dict[str, object]:
        message = _read(entry)
        return {
            "seq": entry.seq,
            "at": entry.received_at,
            "from": str(message["From"] or entry.submission.from_value),
            "subject": str(message["Subject"] or ""),
            "text": entry.submission.text,
            "has_html": message.get_body(("html",)) is not None,
            "can_unsubscribe": bool(_one_click(message)),
            "can_leave_by_mail": _names_mailto(message),
            "deeds": [[deed.what, deed.at, deed.answer] for deed in self._deeds.get(entry.seq, ())],
        }

    def _html(self, request: Request) -> bytes:
        entry = self._entry(parse_qs(request.query).get("seq", [""])[0])
        body = _read(entry).get_body(("html",)) if entry is not None else None
        if body is None:
            return json_response(404, {"error": "there is no such mail, or it has no HTML"})
        html = f'<!doctype html><meta charset="utf-8"><base target="_blank">{body.get_content()}'
        headers = {
            "Content-Security-Policy": MAIL_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        return with_headers(response(200, html, content_type="text/html; charset=utf-8"), headers)

    def _entry(self, seq: str) -> LedgerEntry | None:
        entry = self._ledger.entry(int(seq)) if SEQ.fullmatch(seq) else None
        return entry if entry is not None and entry.took and entry.submission.mail else None

    def _do(self, what: str, request: Request) -> bytes:
        if request.header(b"sec-fetch-site") == "cross-site":
            return json_response(403, {"error": "another site may not act for a mailbox"})
        try:
            entry = self._entry(_seq_in(request.body))
            if entry is None:
                raise BadControl("there is no such mail")
            deed = Deed(what, time.time())
            self._act(entry, deed)
        except BadControl as error:
            return json_response(400, {"error": str(error)})
        self._deeds.setdefault(entry.seq, []).append(deed)
        return json_response(200, {})

    def _act(self, entry: LedgerEntry, deed: Deed) -> None:
        def answered(status: int) -> None:
            deed.answer = status

        if deed.what == "complain":
            self._say(entry, COMPLAINT, answered)
            return
        message = _read(entry)
        if deed.what == BY_MAIL:
            if not _names_mailto(message):
                raise BadControl(NO_MAILTO)
            self._say(entry, UNSUBSCRIBED, answered)
            return
        url = _one_click(message)
        if not url:
            raise BadControl(WHY_NOT)
        self._follow(entry, url, answered)


def _read(entry: LedgerEntry) -> EmailMessage:
    return message_from_bytes(
        entry.submission.mail.encode(errors="surrogateescape"), policy=policy.default
    )


def _one_click(message: EmailMessage) -> str:
    """Where one click is posted to, if the message offers it (RFC 8058); else nothing."""
    found = _in_angles(str(message["List-Unsubscribe"] or ""))
    offered = str(message["List-Unsubscribe-Post"] or "").replace(" ", "")
    return found[1] if found and offered == "List-Unsubscribe=One-Click" else ""


def _names_mailto(message: EmailMessage) -> bool:
    """Whether the message says whom to write to (RFC 2369)."""
    return "<mailto:" in str(message["List-Unsubscribe"] or "")


def _seq_in(body: bytes) -> str:
    """Raises BadControl."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise BadControl("the command is not JSON") from None
    match told:
        case {"seq": int(seq)}:
            return str(seq)
        case _:
            raise BadControl("tell which mail it is: seq")

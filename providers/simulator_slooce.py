"""Slooce as the simulator speaks it: XML in, XML out, no reports, texts to a keyword.

As public integrations know it (reference, section 8). That a wrong password is answered by 401,
other refusals by 400, and a text that carriers reject by "unknown error", is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from lxml import etree

from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_wire import KEYWORD, NUMBER, Fate, Inbound, Report, Taken, UsualWire

MAX_CHARS = 160
CARRIED = re.compile(r"""[A-Za-z0-9 \n@$_/.,"():;\-=+*&%#!?<>']*""")
USER = re.compile("[0-9]{7,15}")
XML = "application/xml"
RETRY_AFTER = 60.0  # seconds; assumed

OK = "ok"
NOT_STARTED = (403, "invalid mt request")
REFUSALS = {
    Refusal.INVALID_RECIPIENT: (400, "invalid phonenumber"),
    Refusal.LANDLINE: (400, "unsupported operator"),
    Refusal.OPTED_OUT: NOT_STARTED,
    Refusal.THROTTLED: (429, "unknown error"),
    Refusal.UNAUTHORISED: (401, "unknown error"),
    Refusal.SERVER_ERROR: (500, "unknown error"),
    Refusal.UNAVAILABLE: (503, "unknown error"),
}
COMMANDS = {"STOP": "Q", "QUIT": "Q", "END": "Q", "CANCEL": "Q", "HELP": "H"}


class SlooceWire(UsualWire):
    name = "slooce"
    prefix = "/slooce_apps/spi/"
    account_prefixes: tuple[str, ...] = ("slooce-",)
    words: Mapping[Fate, Report] = {}
    known_words: frozenset[str] = frozenset()
    learns_later: Mapping[Refusal, Fate] = {}
    names_callback_url = False
    signs_callbacks = False
    writes_to = re.compile(f"{KEYWORD.pattern}|{NUMBER.pattern}")
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        parts = [unquote(part) for part in request.path.removeprefix(self.prefix).split("/")]
        if len(parts) != 5 or parts[3:] != ["messages", "mt"]:
            return None
        partner, user, keyword = parts[:3]
        message = _read(request.body)
        text, ref = _child(message, "content"), message.get("id", "") if message is not None else ""
        return (Submission(self.name, partner, keyword, f"+{user}", text, ref),)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,) = sent
        if not _child(_read(request.body), "partnerpassword"):
            return self.refused(Refusal.UNAUTHORISED, sent)
        if not USER.fullmatch(one.to.removeprefix("+")):
            return self.refused(Refusal.INVALID_RECIPIENT, sent)
        if not KEYWORD.fullmatch(one.from_value):
            return _answer(400, one.ref, "invalid keyword")
        if not one.text:
            return _answer(400, one.ref, "empty mt request")
        is_carried = len(one.text) <= MAX_CHARS and CARRIED.fullmatch(one.text)
        return None if is_carried else _answer(400, one.ref, "unknown error")

    def provider_ref(self, salt: int, seq: int) -> str:
        return f"{salt % 10**13}-{seq}"

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        """The id in the answer is taken to be ours."""
        (entry,) = entries
        return _answer(202, entry.submission.ref, OK)

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        status, result = REFUSALS[refusal]
        return _answer(status, sent[0].ref if sent else "", result)

    def not_found(self) -> bytes:
        return response(404, "", content_type=XML)

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        return self.not_found()

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        """Nobody has seen one; `words` being empty, none is asked for."""
        return {}

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        """What opts out, or asks for help, comes as a command instead of as words."""
        command = COMMANDS.get(inbound.text.strip().upper(), "")
        said = {"command": command} if command else {"content": inbound.text}
        user = inbound.sender.removeprefix("+")
        return {"@id": inbound.provider_ref, "user": user, "keyword": inbound.to, **said}

    def body(self, form: Mapping[str, str]) -> bytes:
        message = etree.Element("message", id=form.get("@id", ""))
        for name, value in form.items():
            if not name.startswith("@"):
                etree.SubElement(message, name).text = value
        written: bytes = etree.tostring(message, encoding="ISO-8859-1")
        return written

    def inbound_ref(self, salt: int, callback: int) -> str:
        return f"{salt % 10**13}-{callback:06d}"

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        return {"Content-Type": XML}

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """Nobody knows; assumed once more after a minute."""
        return RETRY_AFTER if tries == 1 and not 200 <= answer < 300 else None


def _read(body: bytes) -> Any:
    """The message, or None for what is none."""
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    try:
        found = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    return found if found.tag == "message" else None


def _child(message: Any, name: str) -> str:
    return (message.findtext(name) or "") if message is not None else ""


def _answer(status: int, ref: str, result: str) -> bytes:
    answer: bytes = etree.tostring(etree.Element("response", id=ref, result=result))
    return response(status, answer.decode(), content_type=XML)

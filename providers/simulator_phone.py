"""The pretend phone: a page where a person reads the texts that a number got, and answers them.

It makes nothing up: what arrived comes from the ledger, and an answer goes the way of every
inbound text.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs

from providers.simulator_control import BadControl
from providers.simulator_http import Request, json_response, response
from providers.simulator_ledger import Ledger
from providers.simulator_people import Heard, checked_text
from providers.simulator_wire import KEYWORD, NUMBER

PAGE = Path(__file__).resolve().parent.parent / "templates" / "providers" / "phone.html"
PHONES_SHOWN = 50
TEXTS_SHOWN = 200  # the newest ones of a phone

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PhoneText:
    """One bubble: "in" has arrived at the phone, "out" was sent by its owner."""

    at: float
    direction: str
    other: str  # the business number
    provider: str
    text: str
    status: str  # in: the provider's verdict; out: the HTTP status of the answer


class Phones:
    """`answer(phone, to, text)` posts an inbound text and returns its provider_ref, or raises
    BadControl; `heard(phone)` lists what that phone has sent.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        answer: Callable[[str, str, str], str],
        heard: Callable[[str], Sequence[Heard]],
    ) -> None:
        self._ledger = ledger
        self._pass_on = answer
        self._heard = heard
        self._page = page_answer(PAGE.read_text(encoding="utf-8"))
        self._paths: dict[str, tuple[str, Callable[[Request], bytes]]] = {
            "/phone": ("GET", lambda _: self._page),
            "/phone/data": ("GET", self._data),
            "/phone/answer": ("POST", self._answer),
        }

    def handle(self, request: Request) -> bytes:
        if request.path not in self._paths:
            return json_response(404, {"error": "the pretend phone is at /phone"})
        method, act = self._paths[request.path]
        if request.method != method:
            error = json_response(405, {"error": f"only {method} is spoken here"})
            return with_headers(error, {"Allow": method})
        return act(request)

    def _data(self, request: Request) -> bytes:
        number = _asked_for(request.query)
        if number is None:
            return json_response(200, {"now": time.time(), "numbers": self._numbers()})
        if not NUMBER.fullmatch(number):
            return json_response(400, {"error": "this is not a phone number"})
        texts = self._texts(number)
        return json_response(
            200,
            {
                "now": time.time(),
                "number": number,
                "texts": [asdict(text) for text in texts[-TEXTS_SHOWN:]],
                "older": max(0, len(texts) - TEXTS_SHOWN),
                "numbers": self._numbers(),
            },
        )

    def _numbers(self) -> list[dict[str, object]]:
        """The phones that got a text last, newest first, each with the last of its conversation."""
        found: list[dict[str, object]] = []
        recent = filter(NUMBER.fullmatch, self._ledger.recent_recipients())
        for number in islice(recent, PHONES_SHOWN):
            for last in self._texts(number)[-1:]:
                found.append(
                    {
                        "number": number,
                        "at": last.at,
                        "direction": last.direction,
                        "text": last.text,
                    }
                )
        return found

    def _texts(self, number: str) -> list[PhoneText]:
        """Oldest first."""
        arrived = [
            PhoneText(
                at=entry.received_at,
                direction="in",
                other=entry.submission.from_value,
                provider=entry.submission.provider,
                text=entry.submission.text,
                status=entry.verdict,
            )
            for entry in self._ledger.taken_for(number)
        ]
        provider = {text.other: text.provider for text in arrived}
        said = [
            PhoneText(own.at, "out", own.to, provider.get(own.to, ""), own.text, str(own.answer))
            for own in self._heard(number)
        ]
        return sorted(arrived + said, key=lambda text: text.at)

    def _answer(self, request: Request) -> bytes:
        if request.header(b"sec-fetch-site") == "cross-site":
            return json_response(403, {"error": "another site may not answer for a phone"})
        try:
            phone, to, text = _read_answer(request.body)
            provider_ref = self._pass_on(phone, to, text)
        except BadControl as error:
            return json_response(400, {"error": str(error)})
        return json_response(200, {"provider_ref": provider_ref})


def _asked_for(query: str) -> str | None:
    """The number in the query, whether or not its plus was escaped."""
    number = parse_qs(query).get("number", [""])[0]
    return re.sub(r"^ ", "+", number).strip() or None


def _read_answer(body: bytes) -> tuple[str, str, str]:
    """Phone, business number and text. Raises BadControl."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise BadControl("the answer is not JSON") from None
    match told:
        case {"from": str(phone), "to": str(to), "text": str(text)}:
            pass
        case _:
            raise BadControl("an answer has from, to and text")
    is_address = NUMBER.fullmatch(to) or KEYWORD.fullmatch(to)
    if not NUMBER.fullmatch(phone) or not is_address:
        raise BadControl("from and to must be phone numbers like +15550100123, or short codes")
    if not text.strip():
        raise BadControl("the answer is empty")
    return phone, to, checked_text(text)


def page_answer(html: str, *, also: str = "") -> bytes:
    """The whole answer. The browser runs the script and style that stand in the file, no other.

    `also`: what else its content security policy says.
    """
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for tag, content in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        allowed[tag].append(f"'sha256-{digest}'")
    policy = (
        f"default-src 'none'; script-src {' '.join(allowed['script'])}; "
        f"style-src {' '.join(allowed['style'])}; connect-src 'self'; img-src data:; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors 'none'{also}"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return with_headers(response(200, html, content_type="text/html; charset=utf-8"), headers)


def with_headers(answer: bytes, headers: dict[str, str]) -> bytes:
    lines = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
    return answer.replace(b"\r\n\r\n", lines.encode() + b"\r\n\r\n", 1)

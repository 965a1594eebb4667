"""Twilio as the simulator speaks it: Messages.json, its errors, its listing."""

from __future__ import annotations

import base64
import binascii
from email.utils import formatdate
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from providers import segments
from providers.base import REF_FIELD
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission

MAX_CHARS = 1_600
MAX_PAGE = 1_000

REFUSALS = {
    Refusal.INVALID_RECIPIENT: (400, 21211, "Invalid 'To' Phone Number"),
    Refusal.LANDLINE: (400, 21614, "'To' number is not a valid mobile number"),
    Refusal.OPTED_OUT: (400, 21610, "Attempt to send to unsubscribed recipient"),
    Refusal.THROTTLED: (429, 20429, "Too Many Requests"),
    Refusal.UNAUTHORISED: (401, 20003, "Authenticate"),
    Refusal.SERVER_ERROR: (500, 20500, "Internal Server Error"),
    Refusal.UNAVAILABLE: (503, 20503, "Service Unavailable"),
}
NO_RECIPIENT = (400, 21604, "A 'To' phone number is required.")
NO_SENDER = (400, 21603, "A 'From' phone number is required.")
NO_TEXT = (400, 21602, "Message body is required.")
TEXT_TOO_LONG = (400, 21617, "The concatenated message body exceeds the 1600 character limit.")
NOT_FOUND = (404, 20404, "The requested resource was not found")
FILTER_NOT_SPOKEN = (400, 20001, "Only To, From and PageSize are spoken here")


class TwilioWire:
    name = "twilio"
    prefix = "/2010-04-01/"

    def read(self, request: Request) -> Submission | None:
        """The message that was submitted; None when this is no submission at all."""
        account, rest = _account_and_rest(request.path)
        if rest != "Messages.json":
            return None
        form = read_form(request.body)
        return Submission(
            self.name,
            account,
            form.get("From") or form.get("MessagingServiceSid", ""),
            form.get("To", ""),
            form.get("Body", ""),
            _ref_in(form.get("StatusCallback", "")),
        )

    def objection(self, request: Request, sent: Submission) -> bytes | None:
        """What is wrong with the request itself, before anything is tried."""
        if not _may_use(request.header(b"authorization"), sent.account):
            return _error(*REFUSALS[Refusal.UNAUTHORISED])
        if not sent.to:
            return _error(*NO_RECIPIENT)
        if not sent.from_value:
            return _error(*NO_SENDER)
        if not sent.text:
            return _error(*NO_TEXT)
        return _error(*TEXT_TOO_LONG) if len(sent.text) > MAX_CHARS else None

    def provider_ref(self, salt: int, seq: int) -> str:
        return f"SM{salt:016x}{seq:016x}"

    def accepted(self, entry: LedgerEntry) -> bytes:
        return response(201, _message(entry, "queued"))

    def refused(self, refusal: Refusal) -> bytes:
        return _error(*REFUSALS[refusal])

    def not_found(self) -> bytes:
        return _error(*NOT_FOUND)

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        account, rest = _account_and_rest(request.path)
        if not _may_use(request.header(b"authorization"), account):
            return self.refused(Refusal.UNAUTHORISED)
        if rest == "Messages.json":
            return _listing(account, parse_qs(request.query), ledger)
        sid = rest.removeprefix("Messages/").removesuffix(".json")
        entry = ledger.entry(_seq_in(sid))
        if entry is None or entry.provider_ref != sid or entry.submission.account != account:
            return self.not_found()
        return response(200, _message(entry, "sent"))


def read_form(body: bytes) -> dict[str, str]:
    """Form fields by name; faster than parse_qsl. Broken escapes stay as they are."""
    form = {}
    for pair in body.split(b"&"):
        name, _, value = pair.partition(b"=")
        if b"%" in value:
            value = unquote_to_bytes(value.replace(b"+", b" "))
        else:
            value = value.replace(b"+", b" ")
        form[name.decode("latin-1")] = value.decode(errors="replace")
    return form


def _account_and_rest(path: str) -> tuple[str, str]:
    parts = path.removeprefix(TwilioWire.prefix).split("/", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "Accounts" else ("", "")


def _ref_in(callback_url: str) -> str:
    _, found, ref = callback_url.partition(f"?{REF_FIELD}=")
    if found and ref.isalnum():
        return ref
    return parse_qs(urlsplit(callback_url).query).get(REF_FIELD, [""])[0]


@lru_cache(maxsize=1024)
def _may_use(authorization: str, account: str) -> bool:
    """Any token is good, but it must be the account's own, or an API key."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or not account:
        return False
    try:
        user, colon, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    return bool(colon and secret) and (user == account or user.startswith("SK"))


def _listing(account: str, query: dict[str, list[str]], ledger: Ledger) -> bytes:
    if not set(query) <= {"To", "From", "PageSize"} or "To" not in query:
        return _error(*FILTER_NOT_SPOKEN)
    sender, size = query.get("From", [""])[0], query.get("PageSize", ["50"])[0]
    if not size.isdigit() or not 1 <= int(size) <= MAX_PAGE:
        return _error(*FILTER_NOT_SPOKEN)
    found = [
        _message(entry, "sent")
        for entry in reversed(ledger.taken_for(query["To"][0]))
        if entry.submission.account == account and sender in {"", entry.submission.from_value}
    ]
    messages = ",".join(found[: int(size)])
    return response(
        200, f'{{"messages":[{messages}],"page":0,"page_size":{size},"next_page_uri":null}}'
    )


def _seq_in(sid: str) -> int:
    try:
        return int(sid[-16:], 16)
    except ValueError:
        return 0


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second).replace("-0000", "+0000")


def _message(entry: LedgerEntry, status: str) -> str:
    sent, sid, date = entry.submission, quoted(entry.provider_ref), _date(int(entry.received_at))
    account, is_service = quoted(sent.account), sent.from_value.startswith("MG")
    sender = quoted(sent.from_value)
    return (
        f'{{"sid":{sid},"account_sid":{account},'
        f'"messaging_service_sid":{sender if is_service else "null"},'
        f'"from":{"null" if is_service else sender},"to":{quoted(sent.to)},'
        f'"body":{quoted(sent.text)},"status":"{status}",'
        f'"num_segments":"{segments.count(sent.text).parts}","num_media":"0",'
        f'"direction":"outbound-api","date_created":"{date}","date_updated":"{date}",'
        '"date_sent":null,"price":null,"price_unit":"USD","error_code":null,"error_message":null,'
        f'"api_version":"2010-04-01","uri":"/2010-04-01/Accounts/{account[1:-1]}/Messages/'
        f'{sid[1:-1]}.json","subresource_uris":{{}}}}'
    )


def _error(status: int, code: int, message: str) -> bytes:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return response(
        status,
        f'{{"code":{code},"message":{quoted(message)},"more_info":"{more}","status":{status}}}',
    )

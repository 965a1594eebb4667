"""Twilio as the simulator speaks it: Messages.json, its errors, its listing, its callbacks."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import formatdate
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from providers import segments, simulator_signing
from providers.base import REF_FIELD
from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, json_response, response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_texts import Kept, Mailbox
from providers.simulator_wire import Fate, Inbound, Report, Taken, UsualWire, credentials, form_body

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
INBOUND = 1 << 63  # in the ids of texts that come in, so that no message of ours has them
NOT_FOUND = (404, 20404, "The requested resource was not found")
FILTER_NOT_SPOKEN = (400, 20001, "Only To, From and PageSize are spoken here")
LISTED_BY = {"To", "DateSent>", "PageSize", "Page", "PageToken"}
LISTING_NOT_SPOKEN = (400, 20001, "A filter of the list is wrong, or not spoken here")
COUNT = re.compile("[0-9]{1,6}")


class TwilioWire(UsualWire):
    name = "twilio"
    prefix = "/2010-04-01/"
    account_prefixes: tuple[str, ...] = ("AC",)
    words: Mapping[Fate, Report] = {
        Fate.SENT: Report("sent"),
        Fate.DELIVERED: Report("delivered"),
        Fate.UNDELIVERED: Report("undelivered", "30003"),
        Fate.FAILED: Report("failed", "30008"),
        Fate.BLOCKED: Report("undelivered", "30007"),
        Fate.EXPIRED: Report("failed", "30036"),
    }
    known_words = frozenset(
        {"accepted", "scheduled", "queued", "sending", "sent", "delivered", "read"}
        | {"partially_delivered", "undelivered", "failed", "canceled"}
    )
    learns_later: Mapping[Refusal, Fate] = {}
    answer_seconds = 15.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        account, rest = _account_and_rest(request.path)
        if rest != "Messages.json":
            return None
        form = read_form(request.body)
        url = form.get("StatusCallback", "")
        submission = Submission(
            self.name,
            account,
            form.get("From") or form.get("MessagingServiceSid", ""),
            form.get("To", ""),
            form.get("Body", ""),
            ref_in(url),
            callback_url=url,
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,) = sent
        if not _may_use(request.header(b"authorization"), one.account):
            return _error(*REFUSALS[Refusal.UNAUTHORISED])
        if not one.to:
            return _error(*NO_RECIPIENT)
        if not one.from_value:
            return _error(*NO_SENDER)
        if not one.text:
            return _error(*NO_TEXT)
        return _error(*TEXT_TOO_LONG) if len(one.text) > MAX_CHARS else None

    def provider_ref(self, salt: int, seq: int) -> str:
        return f"SM{salt:016x}{seq:016x}"

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        (entry,) = entries
        return response(201, _message(entry, "queued"))

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
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

    def list_inbound(self, request: Request, mailbox: Mailbox, ledger: Ledger) -> bytes | None:
        """The messages to one number since a time; theirs to people have no such filter here."""
        account, rest = _account_and_rest(request.path)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        if rest != "Messages.json" or "DateSent>" not in query:
            return None
        if not _may_use(request.header(b"authorization"), account):
            return self.refused(Refusal.UNAUTHORISED)
        since = _moment(query["DateSent>"])
        size, page = query.get("PageSize", "50"), query.get("Page", "0")
        is_spoken = set(query) <= LISTED_BY and COUNT.fullmatch(size) and COUNT.fullmatch(page)
        if since is None or not is_spoken or not 1 <= int(size) <= MAX_PAGE:
            return _error(*LISTING_NOT_SPOKEN)
        found = mailbox.listed(self.name, account, to=query.get("To", ""), since=since)
        return _inbound_page(found, request, size=int(size), page=int(page))

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        form = {
            "SmsSid": message.provider_ref,
            "SmsStatus": report.word,
            "MessageStatus": report.word,
            "To": message.to,
            "MessageSid": message.provider_ref,
            "AccountSid": message.account,
            **_sender(message.sender),
            "ApiVersion": "2010-04-01",
        }
        if report.code:
            form["ErrorCode"] = report.code
        if report.word in {"delivered", "undelivered"}:
            form["RawDlrDoneDate"] = _done_date(int(time.time()) // 60)
        return form

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        return {
            "ToCountry": "US",
            "ToState": "",
            "SmsMessageSid": inbound.provider_ref,
            "NumMedia": "0",
            "ToCity": "",
            "FromZip": "",
            "SmsSid": inbound.provider_ref,
            "FromState": "",
            "SmsStatus": "received",
            "FromCity": "",
            "Body": inbound.text,
            "FromCountry": "US",
            "To": inbound.to,
            "ToZip": "",
            "NumSegments": str(segments.count(inbound.text).parts),
            "MessageSid": inbound.provider_ref,
            "AccountSid": inbound.account,
            "From": inbound.sender,
            "ApiVersion": "2010-04-01",
        }

    def body(self, form: Mapping[str, str]) -> bytes:
        return form_body(form)

    def inbound_ref(self, salt: int, callback: int) -> str:
        return f"SM{salt:016x}{INBOUND | callback:016x}"

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        identity = f"{form['MessageSid']} {form['SmsStatus']}".encode()
        return {
            "X-Twilio-Signature": simulator_signing.twilio(token, url, form),
            "I-Twilio-Idempotency-Token": hashlib.blake2b(identity, digest_size=16).hexdigest(),
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
        }

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """Once, at once, and only where no connection was made."""
        return 0.0 if tries == 1 and not connected else None


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


def ref_in(callback_url: str) -> str:
    _, found, ref = callback_url.partition(f"?{REF_FIELD}=")
    if found and ref.isalnum():
        return ref
    return parse_qs(urlsplit(callback_url).query).get(REF_FIELD, [""])[0]


def _may_use(authorization: str, account: str) -> bool:
    """Any token is good, but it must be the account's own, or an API key."""
    user, secret = credentials(authorization)
    return bool(account and secret) and (user == account or user.startswith("SK"))


def _sender(sender: str) -> dict[str, str]:
    return {"MessagingServiceSid": sender} if sender.startswith("MG") else {"From": sender}


@lru_cache(maxsize=4)
def _done_date(minute: int) -> str:
    return time.strftime("%y%m%d%H%M", time.gmtime(minute * 60))


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


def _moment(text: str) -> float | None:
    """Seconds of the Unix clock, None for what is no time with its zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


def _inbound_page(found: Sequence[Kept], request: Request, *, size: int, page: int) -> bytes:
    shown, following = found[page * size : (page + 1) * size], None
    if len(found) > (page + 1) * size:
        pairs = [one for one in request.query.split("&") if not one.startswith("Page")]
        token = f"PA{shown[-1].text.provider_ref}"
        rest = "&".join([*pairs, f"PageSize={size}", f"Page={page + 1}", f"PageToken={token}"])
        following = f"{request.path}?{rest}"
    messages = [_inbound_message(one) for one in shown]
    plain = {"messages": messages, "page": page, "page_size": size, "next_page_uri": following}
    return json_response(200, plain)


def _inbound_message(kept: Kept) -> dict[str, object]:
    text, date = kept.text, _date(int(kept.at))
    return {
        "sid": text.provider_ref,
        "account_sid": text.account,
        "messaging_service_sid": None,
        "from": text.sender,
        "to": text.to,
        "body": text.text,
        "status": "received",
        "num_segments": str(segments.count(text.text).parts),
        "num_media": "0",
        "direction": "inbound",
        "date_created": date,
        "date_updated": date,
        "date_sent": date,
        "price": None,
        "price_unit": "USD",
        "error_code": None,
        "error_message": None,
        "api_version": "2010-04-01",
        "uri": f"/2010-04-01/Accounts/{text.account}/Messages/{text.provider_ref}.json",
        "subresource_uris": {},
    }


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

"""Plivo's Messaging API v1: one JSON POST a message, form-encoded callbacks.

Codes are from Plivo's error page; what each means for us stands in the tables below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from providers import base, segments, signatures
from providers.base import ErrorClass, Fault, Status
from providers.listing import InboundPage, InboundQuery, ListedBy, page_of

# What they take as message_expiry, by their announcement of it; without it they keep it for 3 h.
EXPIRY_LEAST, EXPIRY_MOST = 5, 10_799
LOOK_UP_PAGE = 20
MEDIA = range(11)  # their pages count from 0 in one place and from 1 in another, to 10 at most
SHORT_CODE_DIGITS = 6
# When Plivo made the message, seen from our intent; its clock is not ours.
CREATED_EARLIEST = timedelta(seconds=-30)
CREATED_LATEST = timedelta(seconds=base.TAKEN_WITHIN_SECONDS + 30)

ACCOUNT_STATUSES = {401, 402, 403, 404}  # 404: the path holds nothing but the account
# A refusal by 400 or 403 has no code: its sentence must tell whose fault it is, in this order.
NAMES_A_COUNTRY = re.compile(r"\b(geo|countr|region)")
NAMES_THE_RECIPIENT = re.compile(r"\b(dst|destination|recipient|to_number)\b")
NAMES_THE_SENDER = re.compile(r"\b(src|source|sender|from_number|powerpack|powerpack_uuid)\b")
NAMES_THE_TEXT = re.compile(r"\b(text|too long)\b")
NAMES_THE_ACCOUNT = re.compile(r"\b(account|subaccount|credits?|balance)\b")

STATUSES = {
    "queued": Status.ACCEPTED,
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "undelivered": Status.UNDELIVERED,
    "failed": Status.FAILED,
    "rejected": Status.REJECTED,
}
FAILURES = {Status.UNDELIVERED, Status.FAILED, Status.REJECTED}
SENDER_CODES, ACCOUNT_CODES = {40}, {900, 910}
CARRIER_BLOCKED = {30, 100}
OPTED_OUT = 200
CLASSES = {
    10: ErrorClass.PERMANENT_CONTENT,
    20: ErrorClass.TRANSIENT,  # network
    30: ErrorClass.PERMANENT_CONTENT,  # spam
    40: ErrorClass.PERMANENT_CONFIG,  # source
    50: ErrorClass.PERMANENT_RECIPIENT,
    60: ErrorClass.TRANSIENT,  # loop between carriers
    70: ErrorClass.PERMANENT_RECIPIENT,
    80: ErrorClass.TRANSIENT,  # handset unreachable
    90: ErrorClass.TRANSIENT,  # no route
    100: ErrorClass.PERMANENT_CONTENT,  # prohibited by the carrier
    110: ErrorClass.PERMANENT_CONTENT,  # too long
    200: ErrorClass.PERMANENT_RECIPIENT,  # stopped this sender
    201: ErrorClass.PERMANENT_CONFIG,  # US toll-free number to Canada
    300: ErrorClass.TRANSIENT,  # not dispatched
    420: ErrorClass.TRANSIENT,  # expired in their queue
    450: ErrorClass.PERMANENT_CONFIG,  # country not allowed
    900: ErrorClass.PERMANENT_CONFIG,  # no credit
    910: ErrorClass.PERMANENT_CONFIG,  # account disabled
}
FAILURE_BY_CODE = {  # says more than their word for the failure
    30: Status.REJECTED,
    60: Status.REJECTED,
    80: Status.UNDELIVERED,
    90: Status.FAILED,
    100: Status.REJECTED,
    200: Status.REJECTED,
    300: Status.FAILED,
    420: Status.EXPIRED,
}


class Plivo(base.OneByOne):
    kind = "plivo"
    label = "Plivo"
    base_url = "https://api.plivo.com"
    credentials = ("auth_id", "auth_token")
    max_chars = 1_600
    lists_inbound = ListedBy.ACCOUNT

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.HttpRequest:
        (send,) = sends  # Plivo's batches share one text; ours are personal
        sender = "powerpack_uuid" if send.from_kind == base.SenderKind.SERVICE else "src"
        message: dict[str, object] = {
            sender: _digits(send.from_value),
            "dst": _digits(send.to_e164),
            "text": send.text,
            "type": "sms",
        }
        if send.status_callback_url:  # carries our reference: Plivo has no field for it
            message |= {"url": send.status_callback_url, "method": "POST"}
        seconds = send.valid_seconds()
        if seconds is not None:
            message["message_expiry"] = min(max(seconds, EXPIRY_LEAST), EXPIRY_MOST)
        return base.HttpRequest(
            method="POST",
            url=_messages_url(self, access),
            auth=_auth(access.secrets),
            json=message,
        )

    def read_outcome(self, send: base.SendRequest, response: base.HttpResponse) -> base.Outcome:
        if response.status < 300:
            return _read_taken(send, response.json())
        if response.status == 401:
            return base.NotSent("401", fault=Fault.ACCOUNT)
        return _read_refusal(response.status, response.json())

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        return signatures.plivo(callback, auth_token=access.secrets["auth_token"])

    def replay_key(self, callback: base.Callback) -> str:
        """The older signature's nonce, also beside the newer one, which somebody might take off."""
        return callback.header("X-Plivo-Signature-V2-Nonce")

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        plain = callback.form or callback.query
        fields = {name.lower(): value for name, value in plain.items()}
        if not fields.get("messageuuid"):
            return None
        word = fields.get("status", "").lower()
        has_words = not {"text", "body", "mediacount"}.isdisjoint(fields)
        if word not in STATUSES and fields.get("from") and has_words:
            return _read_inbound(fields)
        return _read_report(fields, callback.query.get(base.REF_FIELD, "")) if word else None

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest:
        url = _messages_url(self, access)
        if look_up.provider_ref:
            url = f"{url}{quote(look_up.provider_ref, safe='')}/"
        else:
            url = f"{url}?{urlencode(_wanted(look_up))}"
        return base.HttpRequest(method="GET", url=url, auth=_auth(access.secrets))

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        """Their listing does not show the text: what fits two of ours, too, is none's."""

        def fitting(answer: Mapping[str, Any], sought: base.LookUp) -> list[Any]:
            if answer["meta"]["next"]:  # there may be another that fits
                return []
            return [message for message in answer["objects"] if _fits(message, sought)]

        return base.looked_up(look_up, response, report_of=_report_of, fitting=fitting)

    def build_inbound_listing(self, query: InboundQuery, access: base.Access) -> base.HttpRequest:
        wanted = {
            "message_direction": "inbound",
            "message_time__gte": _utc(query.since),
            "limit": str(LOOK_UP_PAGE),
            "offset": query.page or "0",
        }
        url = f"{_messages_url(self, access)}?{urlencode(wanted)}"
        return base.HttpRequest(method="GET", url=url, auth=_auth(access.secrets))

    def read_inbound_listing(
        self, query: InboundQuery, response: base.HttpResponse
    ) -> InboundPage | base.NoAnswer:
        if response.status != 200:
            return base.NoAnswer(str(response.status))
        answer = response.json()
        came_in = [one for one in answer["objects"] if one["message_direction"] == "inbound"]
        following = str(int(query.page or "0") + LOOK_UP_PAGE) if answer["meta"]["next"] else ""
        return page_of(came_in, _listed, next_page=following)


def _digits(number: str) -> str:
    return number.strip().removeprefix("+")


def _e164(number: str) -> str:
    """Their numbers come as digits; short codes and names stay as they are."""
    digits = _digits(number)
    is_number = digits.isascii() and digits.isdigit() and len(digits) > SHORT_CODE_DIGITS
    return f"+{digits}" if is_number else digits


def _messages_url(adapter: Plivo, access: base.Access) -> str:
    root = (access.base_url or adapter.base_url).rstrip("/")
    return f"{root}/v1/Account/{access.secrets['auth_id']}/Message/"


def _auth(secrets: base.Secrets) -> tuple[str, str]:
    return secrets["auth_id"], secrets["auth_token"]


def _read_taken(send: base.SendRequest, answer: Mapping[str, Any]) -> base.Outcome:
    """They may name the number as invalid in an answer that otherwise says "queued"."""
    refs, invalid = _texts(answer, "message_uuid"), _texts(answer, "invalid_number")
    if refs and not invalid:
        return base.Accepted(refs[0], part_refs=refs[1:])
    if not refs and [_digits(number) for number in invalid] == [_digits(send.to_e164)]:
        return base.Rejected(ErrorClass.PERMANENT_RECIPIENT, "invalid_number")
    return base.Unknown("the answer is not about this message alone")


def _texts(answer: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts, empty where they leave it out. Raises TypeError when it is anything else."""
    values = answer.get(name) if isinstance(answer, dict) else 0
    if values is None:
        return ()
    if not isinstance(values, list) or not all(
        value and isinstance(value, str) for value in values
    ):
        raise TypeError(f"{name} is not a list of texts")
    return tuple(values)


def _read_refusal(status: int, answer: Mapping[str, Any]) -> base.Outcome:
    """A 4xx with Plivo's own sentence is an explicit no, by its code if it has one."""
    sentence = answer["error"]
    if not sentence or not isinstance(sentence, str):
        raise TypeError("the refusal says nothing")
    code = _number(answer.get("error_code"))
    if code:
        return _refusal_by_code(code)
    if status == 403 and NAMES_A_COUNTRY.search(sentence.lower()):
        # A country this account may not text is the recipient's: it must not pause the account.
        return base.Rejected(ErrorClass.PERMANENT_CONFIG, "403")
    if status in ACCOUNT_STATUSES:
        return base.NotSent(str(status), fault=Fault.ACCOUNT)
    if status == 400:
        return _refusal_by_sentence(sentence.lower())
    return base.Unknown(str(status))


def _refusal_by_code(code: int) -> base.Outcome:
    if code in SENDER_CODES:
        return base.NotSent(str(code), fault=Fault.SENDER)
    if code in ACCOUNT_CODES:
        return base.NotSent(str(code), fault=Fault.ACCOUNT)
    error_class = _class_of(code)
    if error_class in {ErrorClass.TRANSIENT, ErrorClass.UNKNOWN}:
        return base.Unknown(str(code))
    return base.Rejected(
        error_class,
        str(code),
        opted_out=code == OPTED_OUT,
        carrier_blocked=code in CARRIER_BLOCKED,
    )


def _refusal_by_sentence(sentence: str) -> base.Outcome:
    if NAMES_THE_RECIPIENT.search(sentence):
        return base.Rejected(ErrorClass.PERMANENT_RECIPIENT, "400")
    if NAMES_THE_SENDER.search(sentence):
        return base.NotSent("400", fault=Fault.SENDER)
    if NAMES_THE_TEXT.search(sentence):
        return base.Rejected(ErrorClass.PERMANENT_CONTENT, "400")
    if NAMES_THE_ACCOUNT.search(sentence):
        return base.NotSent("400", fault=Fault.ACCOUNT)
    return base.Rejected(ErrorClass.UNKNOWN, "400")


def _class_of(code: int) -> ErrorClass:
    return CLASSES.get(code, ErrorClass.UNKNOWN)


def _number(code: object) -> int:
    """Their code, 0 for none and for 000, which is "delivered"."""
    text = "" if code is None else str(code)
    return int(text) if text.isascii() and text.isdigit() else 0


def _read_report(fields: Mapping[str, str], ref: str) -> base.DeliveryReport:
    """Each part of a long text counts for the whole, under the id that the parts share."""
    return _report(
        ref=ref,
        uuid=fields["messageuuid"],
        parent=fields.get("parentmessageuuid", ""),
        word=fields["status"],
        code=fields.get("errorcode", ""),
        recipient=fields.get("to", ""),
        sequence=fields.get("sequence", ""),
    )


def _report_of(message: Mapping[str, Any], ref: str) -> base.DeliveryReport:
    """The report that a message of the listing amounts to."""
    return _report(
        ref=ref,
        uuid=message["message_uuid"],
        word=message["message_state"],
        code=str(message.get("error_code") or ""),
        recipient=message["to_number"],
    )


def _report(
    *,
    ref: str,
    uuid: str,
    word: str,
    code: str,
    recipient: str,
    parent: str = "",
    sequence: str = "",
) -> base.DeliveryReport:
    number = _number(code)
    return base.DeliveryReport(
        ref=ref,
        provider_ref=parent or uuid,
        status=_status(word, number),
        provider_status=word,
        is_new_word=word.lower() not in STATUSES,
        recipient_e164=_e164(recipient),
        code=code if number else "",
        error_class=_class_of(number) if number else None,
        carrier_blocked=number in CARRIER_BLOCKED,
        opted_out=number == OPTED_OUT,
        dedupe_key=f"{uuid}:{word}:{sequence}",
    )


def _status(word: str, code: int) -> Status:
    status = STATUSES.get(word.lower(), Status.ACCEPTED)  # a word new to us: taken at least
    return FAILURE_BY_CODE.get(code, status) if status in FAILURES else status


def _read_inbound(fields: Mapping[str, str]) -> base.InboundMessage:
    intent = fields.get("messageintent", "")
    media = (fields.get(f"media{n}", "") for n in MEDIA)
    return base.InboundMessage(
        provider_ref=fields["messageuuid"],
        from_e164=_e164(fields["from"]),
        to_value=_e164(fields.get("to", "")),
        text=fields.get("text") or fields.get("body", ""),
        media_urls=tuple(url for url in media if url),
        keyword=intent,
        is_provider_optout=intent.lower() == "optout",
        dedupe_key=fields["messageuuid"],
    )


def _wanted(look_up: base.LookUp) -> dict[str, str]:
    """Their listing takes numbers with the plus and times in UTC, without a zone."""
    is_powerpack = look_up.from_kind == base.SenderKind.SERVICE
    return {
        "to_number": look_up.to_e164,
        "powerpack_id" if is_powerpack else "from_number": look_up.from_value,
        "message_direction": "outbound",
        "message_time__gte": _utc(look_up.intended_at + CREATED_EARLIEST),
        "message_time__lte": _utc(look_up.intended_at + CREATED_LATEST),
        "limit": str(LOOK_UP_PAGE),
    }


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _moment(text: str) -> datetime:
    """A time without a zone is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _listed(message: Mapping[str, Any]) -> base.InboundMessage:
    """Their page on the message detail record has no field for what a text says."""
    return base.InboundMessage(
        provider_ref=message["message_uuid"],
        from_e164=_e164(message["from_number"]),
        to_value=_e164(message["to_number"]),
        text="",
        dedupe_key=message["message_uuid"],
        sent_at=_moment(message["message_time"]),
        has_words=False,
    )


def _fits(message: Mapping[str, Any], look_up: base.LookUp) -> bool:
    if message["message_uuid"] in look_up.other_refs or message["message_direction"] != "outbound":
        return False
    if _digits(message["to_number"]) != _digits(look_up.to_e164):
        return False
    is_powerpack = look_up.from_kind == base.SenderKind.SERVICE
    if not is_powerpack and _digits(message["from_number"]) != _digits(look_up.from_value):
        return False
    if _number(message["units"]) != segments.count(look_up.text).parts:
        return False
    created = _moment(message["message_time"])
    return CREATED_EARLIEST <= created - look_up.intended_at <= CREATED_LATEST

"""Twilio's Messages API (2010-04-01): one form-encoded POST a message, form-encoded callbacks.

Codes are from Twilio's error pages; what each means for us stands in the tables below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from providers import base, signatures
from providers.base import ErrorClass, Fault, Status
from providers.listing import InboundPage, InboundQuery, ListedBy, page_of

MAX_VALIDITY_SECONDS = 36_000
LOOK_UP_PAGE = 100
LISTING_PAGE = 100
# When Twilio made the message, seen from our intent; its clock is not ours, and has whole seconds.
CREATED_EARLIEST = timedelta(seconds=-30)
CREATED_LATEST = timedelta(seconds=base.TAKEN_WITHIN_SECONDS + 30)

RECIPIENT = {21211, 21217, 21401, 21421, 21604, 21608, 21610, 21612, 21614}
CONTENT = {21602, 21605, 21617, 21618, 21620, 21623, 21652, 21654, 21655, 21656}
# A region this account may not text is named by the recipient: it must not pause the account.
ONE_RECIPIENTS_REGION = {21408}
ACCOUNT = {20003, 20005, 20404, 21609, 21624, 30002}
SENDER = {
    *(21212, 21407, 21601, 21603, 21606, 21621, 21622, 21709, 21712, 21717, 30032, 30034),
    *range(21701, 21706),
}
THROTTLED = {20429, 14107, 21611}
TRANSIENT = {20500, 20503}
OPTED_OUT = 21610

STATUSES = {
    "accepted": Status.ACCEPTED,
    "scheduled": Status.ACCEPTED,
    "queued": Status.ACCEPTED,
    "sending": Status.ACCEPTED,
    "sent": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "partially_delivered": Status.DELIVERED,
    "undelivered": Status.UNDELIVERED,
    "failed": Status.FAILED,
    "canceled": Status.FAILED,
}
CARRIER_BLOCKED = {30004, 30007}
VALIDITY_EXPIRED = 30036
REPORT_CLASSES = {
    30001: ErrorClass.THROTTLED,  # queue overflow
    30003: ErrorClass.TRANSIENT,  # handset unreachable
    30004: ErrorClass.PERMANENT_RECIPIENT,
    30005: ErrorClass.PERMANENT_RECIPIENT,
    30006: ErrorClass.PERMANENT_RECIPIENT,
    30007: ErrorClass.PERMANENT_CONTENT,
    30017: ErrorClass.TRANSIENT,  # congestion
    30022: ErrorClass.THROTTLED,  # 10DLC rate
    30023: ErrorClass.THROTTLED,  # 10DLC daily cap
    30027: ErrorClass.THROTTLED,  # T-Mobile daily cap
    30036: ErrorClass.TRANSIENT,
}


class Twilio(base.OneByOne):
    kind = "twilio"
    label = "Twilio"
    base_url = "https://api.twilio.com"
    credentials = ("account_sid", "auth_token")
    optional_credentials = ("api_key_sid", "api_key_secret", "webhook_shared_key")
    max_chars = 1_600
    lists_inbound = ListedBy.NUMBER

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.HttpRequest:
        (send,) = sends
        sender = _sender_field(send.from_kind)
        form = {"To": send.to_e164, sender: send.from_value, "Body": send.text}
        if send.status_callback_url:
            form["StatusCallback"] = send.status_callback_url
        seconds = send.valid_seconds()
        if seconds is not None:
            form["ValidityPeriod"] = str(min(seconds, MAX_VALIDITY_SECONDS))
        return base.HttpRequest(
            method="POST", url=_messages_url(self, access), auth=_auth(access.secrets), form=form
        )

    def read_outcome(self, send: base.SendRequest, response: base.HttpResponse) -> base.Outcome:
        if response.status < 300:
            return _read_taken(send, response.json())
        if response.status == 401:
            return base.NotSent(_code_or_status(response), fault=Fault.ACCOUNT)
        return _read_refusal(response.status, int(response.json()["code"]))

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        return signatures.twilio(
            callback,
            auth_token=access.secrets["auth_token"],
            shared_key=access.secrets.get("webhook_shared_key", ""),
        )

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        fields = callback.form or callback.query
        if not fields.get("MessageSid"):
            return None
        if fields.get("MessageStatus") not in STATUSES and "Body" in fields and fields.get("From"):
            return _read_inbound(fields)
        if fields.get("MessageStatus"):
            return _read_report(fields, callback.query.get(base.REF_FIELD, ""))
        return None

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest:
        url = _messages_url(self, access)
        if look_up.provider_ref:
            url = f"{url.removesuffix('.json')}/{quote(look_up.provider_ref, safe='')}.json"
        else:
            wanted = {"To": look_up.to_e164, "PageSize": str(LOOK_UP_PAGE)}
            if look_up.from_kind != base.SenderKind.SERVICE:  # listed under the number it chose
                wanted["From"] = look_up.from_value
            url = f"{url}?{urlencode(wanted)}"
        return base.HttpRequest(method="GET", url=url, auth=_auth(access.secrets))

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        def fitting(answer: Mapping[str, Any], sought: base.LookUp) -> list[Any]:
            return [message for message in answer["messages"] if _is_ours(message, sought)]

        return base.looked_up(look_up, response, report_of=_report_of, fitting=fitting)

    def build_inbound_listing(self, query: InboundQuery, access: base.Access) -> base.HttpRequest:
        """Their name for the next page is an address; only the query of it is used."""
        since = f"{query.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        first = {"To": query.number, "DateSent>": since, "PageSize": str(LISTING_PAGE)}
        url = f"{_messages_url(self, access)}?{query.page or urlencode(first)}"
        return base.HttpRequest(method="GET", url=url, auth=_auth(access.secrets))

    def read_inbound_listing(
        self, query: InboundQuery, response: base.HttpResponse
    ) -> InboundPage | base.NoAnswer:
        if response.status != 200:
            return base.NoAnswer(str(response.status))
        answer = response.json()
        came_in = [one for one in answer["messages"] if one["direction"] == "inbound"]
        following = urlsplit(answer["next_page_uri"] or "").query
        return page_of(came_in, _listed, next_page=following)


def _sender_field(from_kind: str) -> str:
    return "MessagingServiceSid" if from_kind == base.SenderKind.SERVICE else "From"


def _messages_url(adapter: Twilio, access: base.Access) -> str:
    root = (access.base_url or adapter.base_url).rstrip("/")
    return f"{root}/2010-04-01/Accounts/{access.secrets['account_sid']}/Messages.json"


def _auth(secrets: base.Secrets) -> tuple[str, str]:
    if secrets.get("api_key_sid"):
        return secrets["api_key_sid"], secrets["api_key_secret"]
    return secrets["account_sid"], secrets["auth_token"]


def _read_taken(send: base.SendRequest, answer: Mapping[str, Any]) -> base.Outcome:
    if not answer["sid"] or not isinstance(answer["sid"], str):
        return base.Unknown("no id in the answer")
    if answer.get("to", send.to_e164) != send.to_e164:
        return base.Unknown("the answer names another recipient")
    segments = int(answer.get("num_segments") or 0)  # "0" with a messaging service: not known yet
    return base.Accepted(answer["sid"], segments=segments or None)


def _code_or_status(response: base.HttpResponse) -> str:
    try:
        return str(int(response.json()["code"]))
    except (ValueError, TypeError, LookupError):
        return str(response.status)


def _read_refusal(status: int, code: int) -> base.Outcome:
    """A 4xx with Twilio's own code is an explicit no; a code that is in no table is final, too."""
    if code in TRANSIENT:
        return base.Unknown(str(code))
    if code in THROTTLED:
        return base.NotSent(str(code), throttled=True)
    if code in SENDER:
        return base.NotSent(str(code), fault=Fault.SENDER)
    if code in ACCOUNT or (status in {402, 403} and _class_of(code) is ErrorClass.UNKNOWN):
        return base.NotSent(str(code), fault=Fault.ACCOUNT)
    return base.Rejected(_class_of(code), str(code), opted_out=code == OPTED_OUT)


def _class_of(code: int) -> ErrorClass:
    if code in RECIPIENT:
        return ErrorClass.PERMANENT_RECIPIENT
    if code in CONTENT:
        return ErrorClass.PERMANENT_CONTENT
    if code in ACCOUNT or code in SENDER or code in ONE_RECIPIENTS_REGION:
        return ErrorClass.PERMANENT_CONFIG
    return REPORT_CLASSES.get(code, ErrorClass.UNKNOWN)


def _read_report(fields: Mapping[str, str], ref: str) -> base.DeliveryReport:
    word, code = fields["MessageStatus"], fields.get("ErrorCode", "")
    return _report(
        ref=ref, sid=fields["MessageSid"], word=word, code=code, recipient=fields.get("To", "")
    )


def _report_of(message: Mapping[str, Any], ref: str) -> base.DeliveryReport:
    """The report that a message of the listing amounts to."""
    code = str(message.get("error_code") or "")
    return _report(
        ref=ref, sid=message["sid"], word=message["status"], code=code, recipient=message["to"]
    )


def _report(*, ref: str, sid: str, word: str, code: str, recipient: str) -> base.DeliveryReport:
    number = int(code) if code.isascii() and code.isdigit() else 0
    return base.DeliveryReport(
        ref=ref,
        provider_ref=sid,
        status=_status(word, number),
        provider_status=word,
        is_new_word=word not in STATUSES,
        recipient_e164=recipient,
        code=code,
        error_class=_class_of(number) if number else None,
        carrier_blocked=number in CARRIER_BLOCKED,
        opted_out=number == OPTED_OUT,
        dedupe_key=f"{sid}:{word}:{code}",
    )


def _status(word: str, code: int) -> Status:
    status = STATUSES.get(word, Status.ACCEPTED)  # listed with a word new to us: taken at least
    if status not in {Status.UNDELIVERED, Status.FAILED}:
        return status
    if code in CARRIER_BLOCKED or code == OPTED_OUT:
        return Status.REJECTED
    return Status.EXPIRED if code == VALIDITY_EXPIRED else status


def _read_inbound(fields: Mapping[str, str]) -> base.InboundMessage:
    keyword = fields.get("OptOutType", "")
    count = fields.get("NumMedia", "0")
    media = range(min(int(count), 10)) if count.isascii() and count.isdigit() else ()
    return base.InboundMessage(
        provider_ref=fields["MessageSid"],
        from_e164=fields["From"],
        to_value=fields.get("To", ""),
        text=fields["Body"],
        media_urls=tuple(fields[f"MediaUrl{n}"] for n in media if f"MediaUrl{n}" in fields),
        keyword=keyword,
        is_provider_optout=keyword == "STOP",
        dedupe_key=fields["MessageSid"],
    )


def _listed(message: Mapping[str, Any]) -> base.InboundMessage:
    return base.InboundMessage(
        provider_ref=message["sid"],
        from_e164=message["from"],
        to_value=message["to"],
        text=message["body"] or "",
        dedupe_key=message["sid"],
        sent_at=parsedate_to_datetime(message["date_created"]),
    )


def _is_ours(message: Mapping[str, Any], look_up: base.LookUp) -> bool:
    if message["sid"] in look_up.other_refs or message["to"] != look_up.to_e164:
        return False
    if str(message["body"]).strip() != look_up.text.strip():
        return False
    created: datetime = parsedate_to_datetime(message["date_created"])
    return CREATED_EARLIEST <= created - look_up.intended_at <= CREATED_LATEST

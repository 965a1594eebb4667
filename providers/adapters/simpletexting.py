"""SimpleTexting's API v2: one JSON POST a message, and webhooks that the account sets up once.

Nothing of ours travels with a message, so its reports and texts are known by their id alone, and
nothing they post is signed. Fields and kinds of reports are from their own OpenAPI description.
It declares hardly an error: the shapes were seen in two probes of their service, and what codes and
sentences mean for us is assumed, as is how late after our request a message may be listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from providers import base
from providers.base import ErrorClass, Fault, Status
from providers.listing import InboundPage, InboundQuery, ListedBy, page_of

LOOK_UP_PAGE = 50
LISTING_PAGE = 100
# When they sent it, seen from our intent: their clock is not ours, and they may queue it first.
SENT_EARLIEST, SENT_LATEST = timedelta(seconds=-30), timedelta(minutes=10)
NATIONAL_DIGITS = 10
PUNCTUATION = re.compile(r"[ ().-]")

ACCOUNT_STATUSES = {401, 402, 403}
SENTENCE_STATUSES = {400, 404, 409, 422}
# What their gateway says when it does not know itself.
SAYS_NOTHING = {"INTERNAL_ERROR", "UNKNOWN_ERR"}
# A refusal must tell in its own words whose fault it is, in this order.
OPTED_OUT = re.compile(r"\b(unsubscribed|opted.?out)\b")
NAMES_THE_SENDER = re.compile(r"\b(account ?phone|sender)\b")
NAMES_THE_ACCOUNT = re.compile(r"\b(credits?|balance|billing|account (is|was|has))\b")
NAMES_THE_RECIPIENT = re.compile(r"phone|\b(recipient|blocked)\b")
NAMES_THE_TEXT = re.compile(r"\btext\b")

STATUSES = {
    "OUTGOING_MESSAGE": Status.SENT,  # "handled by the platform"
    "DELIVERY_REPORT": Status.DELIVERED,
    "NON_DELIVERED_REPORT": Status.UNDELIVERED,  # they never say why
}
INBOUND, OPT_OUT = "INCOMING_MESSAGE", "UNSUBSCRIBE_REPORT"
OTHER_REPORT = "_REPORT"  # what the name of a kind of report ends with


class SimpleTexting(base.OneByOne):
    kind = "simpletexting"
    label = "SimpleTexting"
    base_url = "https://api-app2.simpletexting.com"
    credentials = ("api_token",)
    max_chars = 306  # a longer text goes out as a picture message, for three credits
    names_our_ref = False
    lists_inbound = ListedBy.NUMBER
    evidence = (
        "Error codes are assumed. One webhook with all five triggers must be set up with them, to"
        " the address for inbound texts; whether they post again what was not taken is not known."
    )

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.HttpRequest:
        (send,) = sends
        return base.HttpRequest(
            method="POST",
            url=_messages_url(self, access),
            headers=_bearer(access),
            json={
                "contactPhone": _national(send.to_e164),
                "accountPhone": _national(send.from_value),  # without it they take another number
                "mode": "SINGLE_SMS_STRICTLY" if send.segments == 1 else "AUTO",
                "text": send.text,
            },
        )

    def read_outcome(self, send: base.SendRequest, response: base.HttpResponse) -> base.Outcome:
        if response.status < 300:
            return _read_taken(response.json())
        if response.status == 401:
            return base.NotSent(_code_or_status(response), fault=Fault.ACCOUNT)
        return _read_refusal(response.status, response.json())

    def needs_key(self, access: base.Access) -> bool:
        return True

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        """They sign nothing: the key in the path proves who calls. This only sees what it is."""
        if callback.method != "POST":
            return False
        try:
            return isinstance(json.loads(callback.body), dict)
        except (ValueError, RecursionError):
            return False

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        """Raises KeyError or TypeError where a kind that we use lacks what it must have."""
        fields = json.loads(callback.body)
        kind, values = str(fields.get("type") or ""), fields.get("values") or {}
        if not isinstance(values, dict):
            raise TypeError("the values are no JSON object")
        if kind == INBOUND:
            return _read_inbound(self, fields, values)
        if kind == OPT_OUT:
            return _read_opt_out(fields, values)
        if kind in STATUSES or (kind.endswith(OTHER_REPORT) and values.get("messageId")):
            return _read_report(kind, fields, values)
        return None

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest:
        url = _messages_url(self, access)
        if look_up.provider_ref:
            url = f"{url}/{quote(look_up.provider_ref, safe='')}"
        else:
            url = f"{url}?{urlencode(_wanted(look_up))}"
        return base.HttpRequest(method="GET", url=url, headers=_bearer(access))

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        """They tell that they have it, never how far it came."""

        def fitting(answer: Mapping[str, Any], sought: base.LookUp) -> list[Any]:
            if answer["totalPages"] > 1:  # there may be another that fits
                return []
            return [message for message in answer["content"] if _fits(message, sought)]

        return base.looked_up(look_up, response, report_of=_report_of, fitting=fitting)

    def build_inbound_listing(self, query: InboundQuery, access: base.Access) -> base.HttpRequest:
        """They list both ways together, and cannot be asked for one alone."""
        wanted = {
            "accountPhone": _national(query.number),
            "since": _utc(query.since),
            "page": query.page or "0",
            "size": str(LISTING_PAGE),
        }
        url = f"{_messages_url(self, access)}?{urlencode(wanted)}"
        return base.HttpRequest(method="GET", url=url, headers=_bearer(access))

    def read_inbound_listing(
        self, query: InboundQuery, response: base.HttpResponse
    ) -> InboundPage | base.NoAnswer:
        if response.status != 200:
            return base.NoAnswer(str(response.status))
        answer, following = response.json(), int(query.page or "0") + 1
        came_in = [one for one in answer["content"] if one["directionType"] == "MO"]
        next_page = str(following) if following < answer["totalPages"] else ""
        return page_of(came_in, lambda one: _listed(self, one), next_page=next_page)


# --- the request ----------------------------------------------------------------------------------


def _messages_url(adapter: SimpleTexting, access: base.Access) -> str:
    return f"{(access.base_url or adapter.base_url).rstrip('/')}/v2/api/messages"


def _bearer(access: base.Access) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {access.secrets['api_token']}"}


def _national(number: str) -> str:
    """The ten digits of a number in +1, which is all they text.

    Another one keeps its plus: +47 and eight digits without it would be somebody in America. They
    must refuse it, for a request cannot. A short code stays as it is.
    """
    digits = number.removeprefix("+1")
    return digits if number.startswith("+1") and len(digits) == NATIONAL_DIGITS else number


def _e164(number: str) -> str:
    """The reverse, however it is punctuated; short codes and names stay as they are."""
    digits = PUNCTUATION.sub("", number)
    if not (digits.isascii() and digits.isdigit()):
        return digits if digits.startswith("+") else number
    if len(digits) == NATIONAL_DIGITS:
        return f"+1{digits}"
    is_whole = len(digits) == NATIONAL_DIGITS + 1 and digits.startswith("1")
    return f"+{digits}" if is_whole else digits


# --- the answer -----------------------------------------------------------------------------------


def _read_taken(answer: Mapping[str, Any]) -> base.Outcome:
    """They echo neither recipient nor text."""
    ref = answer["id"]
    if not ref or not isinstance(ref, str):
        return base.Unknown("no id in the answer")
    return base.Accepted(ref)


def _code_or_status(response: base.HttpResponse) -> str:
    try:
        return _code(response.json())
    except (ValueError, TypeError, LookupError):
        return str(response.status)


def _code(answer: Mapping[str, Any]) -> str:
    """Their code, of either of two shapes. Raises LookupError or TypeError where there is none."""
    code = answer["errorCode"] or answer["code"]
    if not isinstance(code, str):
        raise TypeError("the code is no text")
    return code


def _read_refusal(status: int, answer: Mapping[str, Any]) -> base.Outcome:
    """A 4xx with a code of theirs is an explicit no, where it is one that we know to read."""
    code = _code(answer)
    sentence = _sentence(code, answer)
    if code in SAYS_NOTHING or status not in ACCOUNT_STATUSES | SENTENCE_STATUSES:
        return base.Unknown(f"{status} {code}")
    if OPTED_OUT.search(sentence):
        return base.Rejected(ErrorClass.PERMANENT_RECIPIENT, code, opted_out=True)
    if status in ACCOUNT_STATUSES:
        return base.NotSent(code, fault=Fault.ACCOUNT)
    return _refusal_by_sentence(status, code, sentence)


def _sentence(code: str, answer: Mapping[str, Any]) -> str:
    """All that they say of it, in small letters, the words of a code apart."""
    details = json.dumps(answer.get("errorDetails") or "")
    return f"{code} {answer.get('message') or ''} {details}".lower().replace("_", " ")


def _refusal_by_sentence(status: int, code: str, sentence: str) -> base.Outcome:
    if NAMES_THE_SENDER.search(sentence):
        return base.NotSent(code, fault=Fault.SENDER)
    if NAMES_THE_ACCOUNT.search(sentence):
        return base.NotSent(code, fault=Fault.ACCOUNT)
    if NAMES_THE_RECIPIENT.search(sentence):
        return base.Rejected(ErrorClass.PERMANENT_RECIPIENT, code)
    if status == 404:
        return base.NotSent(code, fault=Fault.ACCOUNT)
    if status == 400 or NAMES_THE_TEXT.search(sentence):
        return base.Rejected(ErrorClass.PERMANENT_CONTENT, code)
    return base.Unknown(f"{status} {code}")


# --- what comes back ------------------------------------------------------------------------------


def _said(values: Mapping[str, Any], name: str) -> str:
    """Raises KeyError where it is not there, or empty."""
    if not values[name]:
        raise KeyError(name)
    return str(values[name])


def _moment(timestamp: object) -> datetime | None:
    """None for what is no time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(str(timestamp))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_report(
    kind: str, fields: Mapping[str, Any], values: Mapping[str, Any]
) -> base.DeliveryReport:
    message = _said(values, "messageId")
    return base.DeliveryReport(
        provider_ref=message,
        status=STATUSES.get(kind, Status.ACCEPTED),  # of a kind new to us: taken at least
        provider_status=kind,
        is_new_word=kind not in STATUSES,
        recipient_e164=_e164(str(values.get("contactPhone") or "")),
        occurred_at=_moment(values.get("timestamp")),
        dedupe_key=str(fields.get("reportId") or f"{message}:{kind}"),
    )


def _read_inbound(
    adapter: SimpleTexting, fields: Mapping[str, Any], values: Mapping[str, Any]
) -> base.InboundMessage:
    media = values.get("mediaItems") or ()
    message = str(values.get("messageId") or "") or _said(fields, "reportId")
    return base.InboundMessage(
        provider_ref=message,
        from_e164=_e164(_said(values, "contactPhone")),
        to_value=_e164(str(values.get("accountPhone") or "")),
        text=str(values.get("text") or values.get("subject") or ""),
        media_urls=tuple(_media_url(adapter, str(item)) for item in media if item),
        dedupe_key=str(fields.get("reportId") or message),
    )


def _media_url(adapter: SimpleTexting, item: str) -> str:
    """A file is named by its id with them, and its address opens only with the account's token."""
    if item.startswith(("http://", "https://")):
        return item
    return f"{adapter.base_url}/v2/api/mediaitems/{quote(item, safe='')}"


def _read_opt_out(fields: Mapping[str, Any], values: Mapping[str, Any]) -> base.InboundMessage:
    """Who wrote STOP, or was blocked by staff. To which of the numbers, they do not tell."""
    report = _said(fields, "reportId")
    return base.InboundMessage(
        provider_ref=report,
        from_e164=_e164(str(values.get("phone") or "") or _said(values, "contactPhone")),
        to_value="",
        text="",
        keyword=OPT_OUT,
        is_provider_optout=True,
        dedupe_key=report,
    )


# --- what they list -------------------------------------------------------------------------------


def _wanted(look_up: base.LookUp) -> Mapping[str, str]:
    return {
        "contactPhone": _national(look_up.to_e164),
        "accountPhone": _national(look_up.from_value),
        "since": _utc(look_up.intended_at + SENT_EARLIEST),
        "page": "0",
        "size": str(LOOK_UP_PAGE),
    }


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def _listed(adapter: SimpleTexting, message: Mapping[str, Any]) -> base.InboundMessage:
    """The same as its webhook's, but that a STOP has an id of its own there."""
    fields = {**message, "messageId": _said(message, "id")}
    inbound = _read_inbound(adapter, {}, fields)
    return replace(inbound, sent_at=_moment(message["timestamp"]))


def _report_of(message: Mapping[str, Any], ref: str) -> base.DeliveryReport:
    """That they have it means that they took it."""
    provider_ref = _said(message, "id")
    return base.DeliveryReport(
        ref=ref,
        provider_ref=provider_ref,
        status=Status.ACCEPTED,
        recipient_e164=_e164(_said(message, "contactPhone")),
        dedupe_key=f"{provider_ref}:listed",
    )


def _fits(message: Mapping[str, Any], look_up: base.LookUp) -> bool:
    if message["id"] in look_up.other_refs or message["directionType"] != "MT":
        return False
    if _e164(str(message["contactPhone"])) != look_up.to_e164:
        return False
    if _e164(str(message["accountPhone"])) != look_up.from_value:
        return False
    if str(message["text"]).strip() != look_up.text.strip():
        return False
    sent_at = _moment(message["timestamp"])
    if sent_at is None:
        return False
    return SENT_EARLIEST <= sent_at - look_up.intended_at <= SENT_LATEST

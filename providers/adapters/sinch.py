"""Sinch's SMS REST API (XMS v1): one request for up to 1,000 recipients, each with its own text.

A batch has one reference of ours and one id of theirs; a message in it is known by its recipient.
Fields and statuses are from Sinch's developer pages, the codes from its Java package's list; that
a text may be cut into several parameters follows from their limits and is assumed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from providers import base, signatures
from providers.base import ErrorClass, Fault, Status
from providers.listing import InboundPage, InboundQuery, ListedBy, page_of
from providers.options import Option

PARAMETER_CHARS = 160  # UTF-16 units of one parameter's value
LONGEST_LIFE = timedelta(days=3)
LISTED_FROM = timedelta(minutes=-1)  # before our intent: its clock is not ours
LISTING_PAGE = 100  # the most they give; the newest first, of two weeks at most
SHORT_CODE_DIGITS = 6

BASIC = ("webhook_user", "webhook_password")
BOTH = "The user and the password go together."

ACCOUNT_STATUSES = {401, 402, 403, 404, 405, 415}
# A refusal by 400 says in a sentence what was wrong. A bare "to" may stand in any, and whose number
# is at fault is texted no more.
NAMES_THE_SENDER = re.compile(r"\b(from|originator|sender)\b")
NAMES_THE_RECIPIENT = re.compile(r"['\"`]to['\"`]|\b(recipients?|msisdn|destination)\b")

ONE_REPORT = ("recipient_delivery_report_sms", "recipient_delivery_report_mms")
TEXTS = ("mo_text", "mo_media")
REPORTS_OF_A_BATCH = ("delivery_report_sms", "delivery_report_mms")
STATUSES = {
    "queued": Status.ACCEPTED,
    "dispatched": Status.SENT,
    "delivered": Status.DELIVERED,
    "failed": Status.UNDELIVERED,
    "rejected": Status.REJECTED,
    "deleted": Status.REJECTED,  # perhaps an invalid number, perhaps one that opted out
    "aborted": Status.FAILED,
    "cancelled": Status.FAILED,
    "canceled": Status.FAILED,
    "expired": Status.EXPIRED,
    "unknown": Status.UNKNOWN,
}
FAILURES = {Status.UNDELIVERED, Status.FAILED, Status.REJECTED}
RECIPIENT_CODES = {1, 10, 11}
CARRIER_BLOCKED = {9, 13, 15, 60, 62, 300}
CONFIG_CODES = {410, 412, 413}
CONTENT_CODES = {405, 411}
FAILURE_BY_CODE = {402: Status.REJECTED, 406: Status.EXPIRED, 408: Status.REJECTED}


ABOUT = "delivery_report"
REPORTS = {
    ABOUT: Option(
        label="Reports",
        choices={
            "per_recipient_final": "One for each recipient, as soon as it is final",
            "full": "One for each request, when all of its recipients are final",
        },
        help_text="One for each request spares a thousand callbacks, and may come days later: a"
        " phone that is off is waited for.",
    )
}


class Sinch(base.Usual):
    kind = "sinch"
    label = "Sinch"
    base_url = "https://us.sms.api.sinch.com"
    credentials = ("service_plan_id", "api_token")
    optional_credentials = (*BASIC, "webhook_secret")
    max_batch = 1_000
    max_chars = 1_600
    lists_inbound = ListedBy.ACCOUNT
    options: Mapping[str, Option] = REPORTS
    busy_status = 429  # they post again and slow down; what gets another 4xx is lost

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.HttpRequest:
        first = sends[0]
        batch: dict[str, object] = {
            "from": _digits(first.from_value),
            "to": [_digits(send.to_e164) for send in sends],
            "type": "mt_text",
            **_words(sends),
            "delivery_report": access.options.get(ABOUT, REPORTS[ABOUT].usual),
            "client_reference": first.request_ref,
        }
        if first.status_callback_url:
            batch["callback_url"] = first.status_callback_url
        seconds = first.valid_seconds()
        if seconds is not None:
            life = min(timedelta(seconds=seconds), LONGEST_LIFE)
            batch["expire_at"] = _utc(datetime.now(UTC) + life)
        return base.HttpRequest(
            method="POST",
            url=f"{_plan_url(self, access)}/batches",
            headers=_bearer(access),
            json=batch,
        )

    def read_response(
        self, sends: Sequence[base.SendRequest], response: base.HttpResponse
    ) -> dict[str, base.Outcome]:
        if response.status < 300:
            return _read_taken(sends, response.json())
        outcome = _read_refusal(response, is_alone=len(sends) == 1)
        return {send.ref: outcome for send in sends}

    def problems(self, access: base.Access) -> Mapping[str, str]:
        missing = [name for name in BASIC if not access.secrets.get(name)]
        return dict.fromkeys(missing, BOTH) if len(missing) == 1 else {}

    def needs_key(self, access: base.Access) -> bool:
        return not (access.secrets.get("webhook_secret") or _basic(access))

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        """By every means that the account has; with none of them the key in the path must do."""
        secret, basic = access.secrets.get("webhook_secret"), _basic(access)
        if basic and not signatures.basic(callback, user=basic[0], password=basic[1]):
            return False
        return not secret or signatures.sinch(callback, secret=secret)

    def replay_key(self, callback: base.Callback) -> str:
        return callback.header("X-Sinch-Webhook-Signature-Nonce")

    def split(self, callback: base.Callback) -> Sequence[base.Callback]:
        """A report of a whole batch as one of each of its recipients. Raises ValueError."""
        fields = _fields(callback)
        if fields.get("type") not in REPORTS_OF_A_BATCH:
            return (callback,)
        return [
            replace(callback, body=json.dumps(report).encode()) for report in _reports_in(fields)
        ]

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        fields = _fields(callback)
        if fields.get("type") in ONE_REPORT:
            return _read_report(fields, callback.query.get(base.REF_FIELD, ""))
        if fields.get("type") in TEXTS:
            return _read_inbound(fields)
        return None

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest:
        url = f"{_plan_url(self, access)}/batches"
        if look_up.provider_ref:
            batch, to = quote(look_up.provider_ref, safe=""), _digits(look_up.to_e164)
            url = f"{url}/{batch}/delivery_report/{to}"
        else:
            since = _utc(look_up.intended_at + LISTED_FROM)
            wanted = {"client_reference": look_up.request_ref, "start_date": since}
            url = f"{url}?{urlencode(wanted)}"
        return base.HttpRequest(method="GET", url=url, headers=_bearer(access))

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        def fitting(answer: Mapping[str, Any], sought: base.LookUp) -> list[Any]:
            return [batch for batch in answer["batches"] if _is_ours(batch, sought)]

        def report_of(found: Mapping[str, Any], ref: str) -> base.DeliveryReport:
            return _report_of(found, ref, look_up.to_e164)

        return base.looked_up(look_up, response, report_of=report_of, fitting=fitting)

    def build_inbound_listing(self, query: InboundQuery, access: base.Access) -> base.HttpRequest:
        wanted = {
            "start_date": _utc(query.since),
            "page": query.page or "0",
            "page_size": str(LISTING_PAGE),
        }
        url = f"{_plan_url(self, access)}/inbounds?{urlencode(wanted)}"
        return base.HttpRequest(method="GET", url=url, headers=_bearer(access))

    def read_inbound_listing(
        self, query: InboundQuery, response: base.HttpResponse
    ) -> InboundPage | base.NoAnswer:
        if response.status != 200:
            return base.NoAnswer(str(response.status))
        answer, page = response.json(), int(query.page or "0")
        came_in = [one for one in answer["inbounds"] if one["type"] in TEXTS]
        has_more = answer["count"] > (page + 1) * LISTING_PAGE
        return page_of(came_in, _listed, next_page=str(page + 1) if has_more else "")


# --- the request ----------------------------------------------------------------------------------


def _plan_url(adapter: Sinch, access: base.Access) -> str:
    root = (access.base_url or adapter.base_url).rstrip("/")
    return f"{root}/xms/v1/{quote(access.secrets['service_plan_id'], safe='')}"


def _bearer(access: base.Access) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {access.secrets['api_token']}"}


def _basic(access: base.Access) -> tuple[str, str] | None:
    """Name and password of their callbacks; one without the other proves nothing."""
    user, password = (access.secrets.get(name) for name in BASIC)
    return (user, password) if user and password else None


def _digits(number: str) -> str:
    return number.strip().removeprefix("+")


def _e164(number: str) -> str:
    """Their numbers come as digits; short codes and names stay as they are."""
    digits = _digits(number)
    is_number = digits.isascii() and digits.isdigit() and len(digits) > SHORT_CODE_DIGITS
    return f"+{digits}" if is_number else digits


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def _words(sends: Sequence[base.SendRequest]) -> Mapping[str, object]:
    """The text itself where it is the same for all, else one that is all parameters.

    `${` in a text would be read as the start of a parameter; in a parameter's value it is not.
    """
    texts = {send.text for send in sends}
    if len(texts) == 1 and "${" not in sends[0].text:
        return {"body": sends[0].text}
    parameters: dict[str, dict[str, str]] = {}
    for send in sends:
        to = _digits(send.to_e164)
        for at, piece in enumerate(_pieces(send.text)):
            parameters.setdefault(f"p{at}", {"default": ""})[to] = piece
    return {"body": "".join(f"${{{name}}}" for name in parameters), "parameters": parameters}


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces that each fit a parameter, none with a space at a cut, where one may go.

    A character outside the basic plane counts twice.
    """
    most = PARAMETER_CHARS if max(text, default="") <= "\uffff" else PARAMETER_CHARS // 2
    while len(text) > most:
        cuts = range(most, most // 2, -1)
        cut = next((at for at in cuts if not (text[at - 1] + text[at]).count(" ")), most)
        yield text[:cut]
        text = text[cut:]
    yield text


# --- the answer -----------------------------------------------------------------------------------


def _read_taken(
    sends: Sequence[base.SendRequest], answer: Mapping[str, Any]
) -> dict[str, base.Outcome]:
    """They echo whom it goes to."""
    batch, to = answer["id"], {_digits(number) for number in answer["to"]}
    if not batch or not isinstance(batch, str) or answer.get("canceled"):
        return {send.ref: base.Unknown("no id in the answer") for send in sends}
    return {
        send.ref: base.Accepted(batch)
        if _digits(send.to_e164) in to
        else base.Unknown("the answer does not name the recipient")
        for send in sends
    }


def _read_refusal(response: base.HttpResponse, *, is_alone: bool) -> base.Outcome:
    """Nothing of a refused batch is sent; of several, one may be at fault, so each goes alone."""
    if response.status == 401:
        return base.NotSent(_code_of_401(response), fault=Fault.ACCOUNT)
    code, sentence = _refusal(response.json())
    if response.status in ACCOUNT_STATUSES:
        return base.NotSent(f"{response.status} {code}", fault=Fault.ACCOUNT)
    if response.status != 400:
        return base.Unknown(str(response.status))
    if NAMES_THE_SENDER.search(sentence):
        return base.NotSent(code, fault=Fault.SENDER)
    if not is_alone:
        return base.NotSent(code, goes_alone=True)
    is_recipient = NAMES_THE_RECIPIENT.search(sentence)
    error_class = ErrorClass.PERMANENT_RECIPIENT if is_recipient else ErrorClass.PERMANENT_CONTENT
    return base.Rejected(error_class, code)


def _code_of_401(response: base.HttpResponse) -> str:
    """Who is not let in is told so by the status alone."""
    try:
        return f"401 {_refusal(response.json())[0]}"
    except (ValueError, TypeError, LookupError, AttributeError):
        return "401"


def _refusal(answer: Mapping[str, Any]) -> tuple[str, str]:
    """Code and sentence, in either of the two shapes their pages show. Raises LookupError."""
    plain = answer.get("error", answer)
    if isinstance(plain, str):
        return plain, plain.lower()
    code = plain.get("status") or plain["code"]
    return str(code), str(plain.get("text") or plain.get("message") or "").lower()


# --- what comes back ------------------------------------------------------------------------------


def _fields(callback: base.Callback) -> Mapping[str, Any]:
    fields = json.loads(callback.body or b"{}")
    if not isinstance(fields, dict):
        raise TypeError("a callback is a JSON object")
    return fields


def _reports_in(batch: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for group in batch["statuses"]:
        for recipient in group.get("recipients", ()):  # a summary names none
            yield {
                "type": f"recipient_{batch['type']}",
                "batch_id": batch["batch_id"],
                "client_reference": batch.get("client_reference", ""),
                "recipient": recipient,
                "status": group["status"],
                "code": group["code"],
            }


def _read_report(fields: Mapping[str, Any], asked_ref: str) -> base.DeliveryReport:
    recipient = str(fields["recipient"])
    request_ref = str(fields.get("client_reference") or asked_ref)
    return _report(
        ref=base.ref_in_batch(request_ref, recipient) if request_ref else "",
        batch=str(fields["batch_id"]),
        recipient=recipient,
        word=str(fields["status"]),
        code=fields.get("code"),
        at=fields.get("operator_status_at") or fields.get("at"),
    )


def _report_of(found: Mapping[str, Any], ref: str, to_e164: str) -> base.DeliveryReport:
    """What a report of one recipient amounts to, or a batch of the listing: they took it."""
    return _report(
        ref=ref,
        batch=str(found.get("batch_id") or found["id"]),
        recipient=str(found.get("recipient") or to_e164),
        word=str(found.get("status") or "Queued"),
        code=found.get("code"),
        at=found.get("operator_status_at") or found.get("at"),
    )


def _report(
    *, ref: str, batch: str, recipient: str, word: str, code: object, at: object
) -> base.DeliveryReport:
    number = int(str(code)) if str(code).isdecimal() else -1
    status = STATUSES.get(word.lower(), Status.ACCEPTED)  # a word new to us: taken at least
    return base.DeliveryReport(
        ref=ref,
        provider_ref=batch,
        status=_status(status, number),
        provider_status=word,
        is_new_word=word.lower() not in STATUSES,
        recipient_e164=_e164(recipient),
        code=str(number) if status in FAILURES and number >= 0 else "",
        error_class=_class_of(number) if status in FAILURES else None,
        carrier_blocked=status in FAILURES and number in CARRIER_BLOCKED,
        occurred_at=_moment(at),
        dedupe_key=f"{batch}:{_digits(recipient)}:{word.lower()}:{number}",
    )


def _moment(at: object) -> datetime | None:
    """None for what is no time: a report is not refused for it, they would not post it again."""
    try:
        return datetime.fromisoformat(str(at))
    except ValueError:
        return None


def _status(status: Status, code: int) -> Status:
    if status not in FAILURES:
        return status
    return Status.REJECTED if code in CARRIER_BLOCKED else FAILURE_BY_CODE.get(code, status)


def _class_of(code: int) -> ErrorClass:
    if code in RECIPIENT_CODES:
        return ErrorClass.PERMANENT_RECIPIENT
    if code in CONTENT_CODES or code in CARRIER_BLOCKED:
        return ErrorClass.PERMANENT_CONTENT
    return ErrorClass.PERMANENT_CONFIG if code in CONFIG_CODES else ErrorClass.TRANSIENT


def _read_inbound(fields: Mapping[str, Any]) -> base.InboundMessage:
    """Of a picture message the body is an object, with the words beside the pictures."""
    body: Any = fields.get("body") or ""
    media: Sequence[Mapping[str, Any]] = ()
    if isinstance(body, dict):
        body, media = body.get("message") or body.get("subject") or "", body.get("media") or ()
    return base.InboundMessage(
        provider_ref=str(fields["id"]),
        from_e164=_e164(str(fields["from"])),
        to_value=_e164(str(fields.get("to") or "")),
        text=str(body),
        media_urls=tuple(str(one["url"]) for one in media if one.get("url")),
        dedupe_key=str(fields["id"]),
    )


def _listed(fields: Mapping[str, Any]) -> base.InboundMessage:
    return replace(_read_inbound(fields), sent_at=datetime.fromisoformat(fields["received_at"]))


def _is_ours(batch: Mapping[str, Any], look_up: base.LookUp) -> bool:
    if batch.get("client_reference") != look_up.request_ref:
        return False
    return _digits(look_up.to_e164) in {_digits(str(number)) for number in batch["to"]}

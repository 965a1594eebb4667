"""Vonage's Messages API v1: one JSON POST a message, signed JSON callbacks, one for each status.

The request is that of Vonage's own package; codes are from Vonage's list of 2021. Not confirmed:
the exact fields of errors and of texts that come in, which are read in the shapes of v1 and v0.1,
and which codes say that the time ran out, which is read from the sentence beside them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import uuid4

import jwt

from providers import base, signatures
from providers.adapters import vonage
from providers.base import ErrorClass, Fault, Status

TOKEN_KEPT, TOKEN_VALID = 600, 900  # seconds
PEM = re.compile(r"-----BEGIN ((?:RSA )?PRIVATE KEY)-----(.+)-----END \1-----", re.DOTALL)
CODE_IN_TYPE = re.compile(r"#([0-9]{4})$")
NAMES_A_NUMBER = re.compile(r"[`'\"](from|to)[`'\"]")
SAYS_TIME_RAN_OUT = re.compile(r"\b(ttl|expired|validity)\b")

THROTTLED = {1000}
RECIPIENT = {1050, 1170, 1190, 1240, 1250, 1260, 1270}
CONTENT = {1010, 1020, 1040, 1090, 1130, 1210, 1280}
ACCOUNT = {1060, 1070, 1160}
SENDER = {1120}
TRANSIENT = {1180, 1200, 1220, 1230, 1290}
NOT_ON_SEND = {1030, *TRANSIENT}  # an error of theirs or of the way: perhaps taken
CARRIER_BLOCKED = {1210, 1270, 1280}
OPTED_OUT = 1240
LIFE_REFUSED = 1130  # names the time as well, but says that it was wrong

STATUSES = {
    "submitted": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
    "rejected": Status.REJECTED,
    "undeliverable": Status.FAILED,
}
FAILURES = {Status.REJECTED, Status.FAILED}
CHANNELS = {"sms", "mms"}
TOO_SHORT = "It must have at least 32 characters: set a longer one."


class VonageMessages(base.OneByOne):
    kind = "vonage"
    label = "Vonage Messages"
    base_url = "https://api.nexmo.com"
    credentials = ("api_key", "api_secret")
    optional_credentials = ("application_id", "private_key", "signature_secret")
    max_chars = 3_200
    evidence = (
        "Not confirmed with Vonage: the exact fields of errors and of texts that come in. Give the"
        " application and its private key: without them Vonage's pages promise no reports."
    )

    def problems(self, access: base.Access) -> Mapping[str, str]:
        secrets, found = access.secrets, {}
        secret, key = secrets.get("signature_secret", ""), secrets.get("private_key", "")
        if secret and len(secret.encode()) < signatures.SHORTEST_JWT_SECRET:
            found["signature_secret"] = TOO_SHORT
        if bool(key) != bool(secrets.get("application_id")):
            name = "application_id" if key else "private_key"
            found[name] = "The application and its private key go together."
        elif key and not _is_key(key):
            found["private_key"] = "This is no private key in PEM, such as their page gives."
        return found

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.HttpRequest:
        (send,) = sends
        message: dict[str, object] = {
            "message_type": "text",
            "channel": "sms",
            "from": vonage.digits(send.from_value),
            "to": vonage.digits(send.to_e164),
            "text": send.text,
            "client_ref": send.ref,
        }
        if send.status_callback_url:
            message |= {"webhook_url": send.status_callback_url, "webhook_version": "v1"}
        seconds = vonage.life(send)
        if seconds is not None:
            message["ttl"] = seconds
        token = _token_of(access)
        return base.HttpRequest(
            method="POST",
            url=f"{(access.base_url or self.base_url).rstrip('/')}/v1/messages",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            auth=None if token else vonage.basic(access),
            json=message,
        )

    def read_outcome(self, send: base.SendRequest, response: base.HttpResponse) -> base.Outcome:
        if response.status < 300:
            ref = response.json()["message_uuid"]
            is_sound = bool(ref) and isinstance(ref, str)
            return base.Accepted(ref) if is_sound else base.Unknown("no id in the answer")
        return _read_refusal(response)

    def needs_key(self, access: base.Access) -> bool:
        return not access.secrets.get("signature_secret")

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        """By its token where the account has a secret; else the key in the path must do."""
        secret = access.secrets.get("signature_secret")
        return not secret or signatures.vonage_jwt(
            callback, secret=secret, api_key=access.secrets["api_key"]
        )

    def forged_status(self, callback: base.Callback) -> int:
        """By an error of theirs the token may be missing: after a 5xx they post again, signed."""
        return 403 if signatures.bearer(callback) else 503

    def replay_key(self, callback: base.Callback) -> str:
        return signatures.token_id(callback)

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        fields = json.loads(callback.body or b"{}")
        if not isinstance(fields, dict):
            raise TypeError("a callback is a JSON object")
        if not fields.get("message_uuid"):
            return None
        if "status" in fields:
            return _read_report(fields, callback.query.get(base.REF_FIELD, ""))
        return _read_inbound(fields)

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest:
        return vonage.build_look_up(look_up, access, product="MESSAGES")

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        return vonage.read_look_up(look_up, response, report_of=_report_of)


# --- who asks -------------------------------------------------------------------------------------


def _token_of(access: base.Access) -> str:
    """A token of the application, made anew every ten minutes; empty where there is none."""
    application, key = access.secrets.get("application_id"), access.secrets.get("private_key")
    if not application or not key:
        return ""
    return _token(application, key, int(datetime.now(UTC).timestamp()) // TOKEN_KEPT)


@lru_cache(maxsize=64)
def _token(application_id: str, private_key: str, tenth: int) -> str:
    """Of these ten minutes since 1970. Raises ValueError or PyJWTError for what is no key."""
    at = tenth * TOKEN_KEPT
    claims = {
        "application_id": application_id,
        "iat": at,
        "exp": at + TOKEN_VALID,
        "jti": str(uuid4()),
    }
    return jwt.encode(claims, _pem(private_key), algorithm="RS256")


def _pem(private_key: str) -> str:
    """The key between its marks: a form's field takes line breaks away. Raises ValueError."""
    found = PEM.fullmatch(private_key.strip())
    if found is None:
        raise ValueError("not a private key in PEM")
    return f"-----BEGIN {found[1]}-----\n{found[2].strip()}\n-----END {found[1]}-----\n"


def _is_key(private_key: str) -> bool:
    try:
        _token("any", private_key, 0)
    except (ValueError, TypeError, jwt.PyJWTError):
        return False
    return True


# --- the answer -----------------------------------------------------------------------------------


def _read_refusal(response: base.HttpResponse) -> base.Outcome:
    """By the code where there is one that we know, else by the status and what it names."""
    if response.status == 401:
        return base.NotSent("401", fault=Fault.ACCOUNT)
    code, sentence = _error(response.json())
    named = NAMES_A_NUMBER.search(sentence)
    if code in THROTTLED:
        return base.NotSent(str(code), throttled=True)
    if code in NOT_ON_SEND:
        return base.Unknown(str(code))
    number = code or response.status
    if code in SENDER or (named and named[1] == "from"):
        return base.NotSent(str(number), fault=Fault.SENDER)
    if code in RECIPIENT or named:
        return _rejected(ErrorClass.PERMANENT_RECIPIENT, number)
    if code in ACCOUNT or (response.status in vonage.ACCOUNT_STATUSES and code not in CONTENT):
        return base.NotSent(str(number), fault=Fault.ACCOUNT)
    if code in CONTENT or (response.status in {400, 422} and sentence):
        return _rejected(ErrorClass.PERMANENT_CONTENT, number)
    return base.Unknown(str(number))


def _rejected(error_class: ErrorClass, code: int) -> base.Rejected:
    return base.Rejected(
        error_class,
        str(code),
        opted_out=code == OPTED_OUT,
        carrier_blocked=code in CARRIER_BLOCKED,
    )


def _error(plain: Mapping[str, Any]) -> tuple[int, str]:
    """Code, 0 for none, and sentence. v1 has the code as the title or in the type, v0.1 by name."""
    in_type = CODE_IN_TYPE.search(str(plain.get("type") or ""))
    codes = (plain.get("code"), plain.get("title"), in_type and in_type[1])
    code = next((int(str(one)) for one in codes if str(one).isdecimal()), 0)
    words = (plain.get("title"), plain.get("detail") or plain.get("reason"))
    return code, " ".join(str(word) for word in words if word).lower()


# --- what comes back ------------------------------------------------------------------------------


def _read_report(fields: Mapping[str, Any], asked_ref: str) -> base.DeliveryReport:
    error = fields.get("error")
    code, sentence = _error(error) if isinstance(error, dict) else (0, "")
    return _report(
        ref=str(fields.get("client_ref") or asked_ref),
        message=str(fields["message_uuid"]),
        recipient=_number(fields.get("to")),
        word=str(fields["status"]),
        code=code,
        sentence=sentence,
        at=vonage.moment(str(fields.get("timestamp") or "")),
    )


def _report_of(record: Mapping[str, Any], ref: str) -> base.DeliveryReport:
    code = str(record.get("error_code") or "")
    return _report(
        ref=ref,
        message=str(record["message_id"]),
        recipient=str(record.get("to") or ""),
        word=str(record["status"]),
        code=int(code) if code.isdecimal() else 0,
        sentence=str(record.get("error_code_description") or "").lower(),
        at=vonage.moment(str(record.get("date_finalized") or "")),
    )


def _report(
    *,
    ref: str,
    message: str,
    recipient: str,
    word: str,
    code: int,
    sentence: str,
    at: datetime | None,
) -> base.DeliveryReport:
    status = STATUSES.get(word.lower(), Status.ACCEPTED)  # a word new to us: taken at least
    has_failed = status in FAILURES
    return base.DeliveryReport(
        ref=ref,
        provider_ref=message,
        status=_ending(code, sentence, status) if has_failed else status,
        provider_status=word,
        is_new_word=word.lower() not in STATUSES,
        recipient_e164=vonage.e164(recipient),
        code=str(code) if has_failed and code else "",
        error_class=_class_of(code) if has_failed else None,
        carrier_blocked=has_failed and code in CARRIER_BLOCKED,
        opted_out=has_failed and code == OPTED_OUT,
        occurred_at=at,
        dedupe_key=f"{message}:{word.lower()}:{code or ''}",
    )


def _ending(code: int, sentence: str, status: Status) -> Status:
    if code in CARRIER_BLOCKED or code == OPTED_OUT:
        return Status.REJECTED
    has_expired = code != LIFE_REFUSED and SAYS_TIME_RAN_OUT.search(sentence)
    return Status.EXPIRED if has_expired else status


def _class_of(code: int) -> ErrorClass:
    if code in RECIPIENT:
        return ErrorClass.PERMANENT_RECIPIENT
    if code in CONTENT:
        return ErrorClass.PERMANENT_CONTENT
    if code in ACCOUNT or code in SENDER:
        return ErrorClass.PERMANENT_CONFIG
    if code in THROTTLED:
        return ErrorClass.THROTTLED
    return ErrorClass.TRANSIENT if code in NOT_ON_SEND else ErrorClass.UNKNOWN


def _number(party: object) -> str:
    """v1 names a number, v0.1 an object that holds one."""
    return str(party.get("number") or "") if isinstance(party, dict) else str(party or "")


def _read_inbound(fields: Mapping[str, Any]) -> base.InboundMessage | None:
    """v0.1 nests what was written; a picture's words stand beside it."""
    party = fields["from"]
    channel = fields.get("channel") or (party.get("type") if isinstance(party, dict) else "")
    nested = fields.get("message")
    content = nested["content"] if isinstance(nested, dict) else fields
    kind = content.get("message_type") or content.get("type") or ""
    media = content.get(kind)
    media = media if isinstance(media, dict) else {}
    if channel not in CHANNELS or not (media or "text" in content):
        return None
    sms = fields.get("sms")
    return base.InboundMessage(
        provider_ref=str(fields["message_uuid"]),
        from_e164=vonage.e164(_number(party)),
        to_value=vonage.e164(_number(fields.get("to"))),
        text=str(content.get("text") or media.get("caption") or ""),
        media_urls=(str(media["url"]),) if media.get("url") else (),
        keyword=str(sms.get("keyword") or "") if isinstance(sms, dict) else "",
        dedupe_key=str(fields["message_uuid"]),
    )

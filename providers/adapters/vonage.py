"""What Vonage's SMS API and its Messages API have in common: numbers, times, and the look-up.

The look-up asks the Reports API, which has a host of its own; an account's own address serves both.
Its fields are from Vonage's definition of it; that it takes `to` together with a time is seen in a
tool of theirs only. It is a store that lags by minutes, so that nothing listed proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from providers import base
from providers.base import Status

REPORTS_HOST = "https://api.nexmo.com"
SHORT_CODE_DIGITS = 6
SHORTEST_LIFE, LONGEST_LIFE = 20, 604_800  # seconds that they keep a message
ACCOUNT_STATUSES = {401, 402, 403, 404}  # of HTTP, whatever the body says
# When Vonage had the request, seen from our intent; its clock is not ours. They allow 24 hours.
LISTED_FROM = timedelta(minutes=-1)
LISTED_UNTIL = timedelta(seconds=base.TAKEN_WITHIN_SECONDS) + timedelta(minutes=1)
# Of several parts the one that says most against the message stands for it.
WORST_FIRST = (
    *(Status.UNDELIVERED, Status.FAILED, Status.REJECTED, Status.EXPIRED, Status.UNKNOWN),
    *(Status.ACCEPTED, Status.SENT, Status.DELIVERED),
)


def digits(number: str) -> str:
    return number.strip().removeprefix("+")


def e164(number: str) -> str:
    """Their numbers come as digits; short codes and names stay as they are."""
    plain = digits(number)
    is_number = plain.isascii() and plain.isdigit() and len(plain) > SHORT_CODE_DIGITS
    return f"+{plain}" if is_number else plain


def life(send: base.SendRequest) -> int | None:
    """Seconds that they may keep it, none where nothing ends it. Raises EndsTooSoon.

    They take no life below 20 seconds, and a longer one than is left could end after the lawful
    hour: such a message waits for the next one.
    """
    seconds = send.valid_seconds()
    if seconds is None:
        return None
    if seconds < SHORTEST_LIFE:
        raise base.EndsTooSoon
    return min(seconds, LONGEST_LIFE)


def moment(text: str) -> datetime | None:
    """A time of theirs, in UTC where it names no zone; None where it cannot be read."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def basic(access: base.Access) -> tuple[str, str]:
    return access.secrets["api_key"], access.secrets["api_secret"]


# --- the look-up ----------------------------------------------------------------------------------


def build_look_up(look_up: base.LookUp, access: base.Access, *, product: str) -> base.HttpRequest:
    """`product`: SMS or MESSAGES."""
    wanted = {"account_id": access.secrets["api_key"], "product": product, "direction": "outbound"}
    if look_up.provider_ref:
        wanted["id"] = look_up.provider_ref
    else:
        wanted["date_start"] = _utc(look_up.intended_at + LISTED_FROM)
        wanted["date_end"] = _utc(look_up.intended_at + LISTED_UNTIL)
        wanted["to"] = digits(look_up.to_e164)
    root = (access.base_url or REPORTS_HOST).rstrip("/")
    url = f"{root}/v2/reports/records?{urlencode(wanted)}"
    return base.HttpRequest(method="GET", url=url, auth=basic(access))


def read_look_up(
    look_up: base.LookUp,
    response: base.HttpResponse,
    *,
    report_of: Callable[[Mapping[str, Any], str], base.DeliveryReport],
) -> base.LookUpAnswer:
    """A text of several parts has a record of each, all with our reference."""
    if response.status != 200:
        return base.NoAnswer(str(response.status))
    records = [record for record in response.json()["records"] if _is_ours(record, look_up)]
    reports = [report_of(record, look_up.ref) for record in records]
    if not reports:
        return base.NotListed()
    return base.Found(min(reports, key=lambda report: WORST_FIRST.index(report.status)))


def _is_ours(record: Mapping[str, Any], look_up: base.LookUp) -> bool:
    if look_up.provider_ref:
        return bool(record["message_id"] == look_up.provider_ref)
    return bool(look_up.ref) and record.get("client_ref") == look_up.ref


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"

"""What Vonage's two APIs have in common as the simulator speaks them: ids, numbers, and the records
of the Reports API, which are asked for at one address for both.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from providers import segments
from providers.simulator_http import Request, json_response
from providers.simulator_ledger import Ledger, LedgerEntry
from providers.simulator_wire import credentials

RECORDS = "/v2/reports/records"
SHORT_CODE_DIGITS = 6
MAX_PARTS = 1 << 8
INBOUND = 1 << 55  # in the ids of texts that come in, so that no message of ours has them
SHORTEST_LIFE, LONGEST_LIFE = 20, 604_800  # seconds
LONGEST_WINDOW = timedelta(hours=24)
NUMBER = re.compile("[0-9]{7,15}")
FILTERS = {"account_id", "product", "direction", "id", "date_start", "date_end", "to"}
# By product: who sends, and what is recorded of a message that is on its way.
PRODUCTS = {"SMS": ("vonage_sms", "accepted"), "MESSAGES": ("vonage", "submitted")}


def message_id(salt: int, seq: int) -> str:
    """Of its first part; the next ones follow."""
    return str(uuid.UUID(int=salt << 64 | seq << 8))


def ids_of(first: str, parts: int) -> list[str]:
    number = uuid.UUID(first).int
    return [str(uuid.UUID(int=number + part)) for part in range(min(parts, MAX_PARTS))]


def digits(number: str) -> str:
    return number.removeprefix("+")


def e164(number: str) -> str:
    plain = digits(number.strip())
    is_number = plain.isascii() and plain.isdigit() and len(plain) > SHORT_CODE_DIGITS
    return f"+{plain}" if is_number else plain


def problem(status: int, code: str, title: str, detail: str) -> bytes:
    kind = f"https://developer.vonage.com/api-errors/messages#{code}"
    body = {"type": kind, "title": title, "detail": detail, "instance": str(uuid.uuid4())}
    return json_response(status, body)


def account_of(request: Request) -> str:
    """Any secret is good, but there must be one; empty where there is none."""
    user, secret = credentials(request.header(b"authorization"))
    return user if secret else ""


# --- records --------------------------------------------------------------------------------------


def records(request: Request, ledger: Ledger) -> bytes:
    """Of the messages to one number in a time, or of one id; a text has one for each part."""
    query = {name: values[0] for name, values in parse_qs(request.query).items()}
    if not account_of(request) or query.get("account_id") != account_of(request):
        return problem(401, "unauthorized", "Unauthorized", "You did not provide credentials.")
    is_whole = set(query) <= FILTERS and query.get("direction") == "outbound"
    if not is_whole or query.get("product") not in PRODUCTS:
        return _not_spoken("a filter is wrong, missing, or not spoken here")
    entries = _with_id(query, ledger) if "id" in query else _in_window(query, ledger)
    if entries is None:
        return _not_spoken("give an id, or a number and two times 24 hours apart at most")
    provider, status = PRODUCTS[query["product"]]
    found = [
        _record(entry, one, status)
        for entry in entries
        if (entry.submission.provider, entry.submission.account) == (provider, query["account_id"])
        for one in _ids(entry)
        if query.get("id", one) == one
    ]
    return json_response(
        200, {"request_status": "SUCCESS", "items_count": len(found), "records": found}
    )


def _not_spoken(why: str) -> bytes:
    return problem(422, "invalid", "Invalid parameters", why)


def _with_id(query: Mapping[str, str], ledger: Ledger) -> Sequence[LedgerEntry]:
    try:
        seq = (uuid.UUID(query["id"]).int & (1 << 64) - 1) >> 8
    except ValueError:
        return ()
    entry = ledger.entry(seq)
    return [entry] if entry and entry.took else ()


def _in_window(query: Mapping[str, str], ledger: Ledger) -> Sequence[LedgerEntry] | None:
    try:
        start, end = (datetime.fromisoformat(query[name]) for name in ("date_start", "date_end"))
        sent = ledger.taken_for(e164(query["to"]))
    except (KeyError, ValueError):
        return None
    if start.tzinfo is None or end.tzinfo is None or end - start > LONGEST_WINDOW:
        return None
    return [one for one in sent if start.timestamp() <= one.received_at < end.timestamp()]


def _ids(entry: LedgerEntry) -> list[str]:
    is_cut = entry.submission.provider == PRODUCTS["SMS"][0]
    parts = segments.count(entry.submission.text).parts if is_cut else 1
    return ids_of(entry.provider_ref, parts)


def _record(entry: LedgerEntry, part: str, status: str) -> dict[str, object]:
    sent = entry.submission
    return {
        "account_id": sent.account,
        "message_id": part,
        "client_ref": sent.ref or None,
        "direction": "outbound",
        "from": digits(sent.from_value),
        "to": digits(sent.to),
        "date_received": f"{datetime.fromtimestamp(entry.received_at, UTC):%Y-%m-%dT%H:%M:%S%z}",
        "date_finalized": None,
        "status": status,
        "error_code": "0",
        "error_code_description": "",
        "currency": "USD",
        "total_price": "0.00700000",
    }

"""Reading the simulator's ledger, and laying it beside our rows for the checks to compare.

The ledger holds two JSON lines a request: `seq, received_at (real Unix seconds), provider, account,
from, to, text, ref`, then `seq, verdict, took, provider_ref`. Texts get no further than this
module: what the checks see of them is a hash and a number of segments.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from reporting.oracle.segments import segments_of

ASKED: dict[str, type | tuple[type, ...]] = {
    "seq": int, "received_at": (int, float), "to": str, "text": str, "ref": str,
}  # fmt: skip
ANSWERED: dict[str, type | tuple[type, ...]] = {"seq": int, "took": bool, "provider_ref": str}
LATEST = 4e9  # no ledger holds more requests; in Unix seconds the year 2096

TABLE = """
CREATE TEMPORARY TABLE oracle_request (
    seq bigint, real_at timestamptz, received_at timestamptz, recipient text, words text,
    segments int, ref text, took boolean, provider_ref text)
"""

COPY = """
COPY oracle_request (seq, real_at, received_at, recipient, words, segments, ref, took, provider_ref)
FROM STDIN
"""

# Each request with the attempt and the message it was for, as far as there are any.
MATCHED = """
CREATE TEMPORARY TABLE oracle_wire AS
SELECT r.*, a.id AS attempt_id, a.outcome, a.number_id, a.account_id, m.id AS message_id, m.status,
       m.kind, m.reply_kind, m.brand_id, m.lead_id, m.person_id, s.local_date,
       coalesce(c.repeats_words, false) AS repeats_words,
       coalesce(m.kind = 'reply', false) AS is_reply
FROM oracle_request r
LEFT JOIN delivery_attempt a ON a.ref = r.ref AND r.ref <> ''
LEFT JOIN delivery_message m ON m.id = a.message_id
LEFT JOIN campaigns_slot s ON s.id = m.slot_id
LEFT JOIN campaigns_campaign c ON c.id = m.campaign_id
"""

SHIFTS = "SELECT real_at, total_seconds FROM brands_clockshift ORDER BY real_at, id"
BRANDS = "SELECT short_domain, opt_out_line FROM brands_brand"


class BadLedger(Exception):
    """The ledger cannot be read; the message says which line and why, and quotes nothing of it."""


@dataclass(slots=True)
class Tally:
    """What was read. `torn` lines were cut off in writing: such a request never got its answer."""

    requests: int = 0
    taken: int = 0
    torn: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """`took` says that the provider sends the message on, whatever it answered."""

    seq: int
    received_at: float
    to: str
    text: str
    ref: str
    took: bool = False
    provider_ref: str = ""


@contextmanager
def laid_open(path: Path) -> Iterator[Tally]:
    """The ledger as the tables `oracle_request` and `oracle_wire` of this session.

    Raises BadLedger.
    """
    tally = Tally()
    with connection.cursor() as cursor:
        with transaction.atomic():
            cursor.execute(TABLE)
            _copy(cursor, read(path, tally))
            cursor.execute("ANALYZE oracle_request")
            cursor.execute(MATCHED)
            cursor.execute("ANALYZE oracle_wire")
        try:
            yield tally
        finally:
            cursor.execute("DROP TABLE oracle_wire, oracle_request")


def read(path: Path, tally: Tally) -> Iterator[Request]:
    """The requests in order, counted in `tally`. Raises BadLedger."""
    waiting: dict[str, Any] | None = None
    for number, plain in _lines(path, tally):
        if "received_at" in plain:
            if waiting is not None:
                yield _request(waiting, {}, tally)
            waiting = _checked(number, plain, ASKED)
        else:
            answer = _checked(number, plain, ANSWERED)
            if waiting is None or waiting["seq"] != answer["seq"]:
                raise BadLedger(f"line {number} answers a request that is not right before it")
            yield _request(waiting, answer, tally)
            waiting = None
    if waiting is not None:
        yield _request(waiting, {}, tally)


def _lines(path: Path, tally: Tally) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                plain = _plain(number, line)
                if plain is None:
                    tally.torn += 1
                else:
                    yield number, plain
    except OSError as error:
        raise BadLedger(f"{path}: {error.strerror or type(error).__name__}") from error


def _plain(number: int, line: bytes) -> dict[str, Any] | None:
    """The line as a dictionary; None for the beginning of one that was never finished."""
    try:
        plain = json.loads(line)
    except ValueError as error:
        content = line.strip()
        if not content or (content.startswith(b"{") and not content.endswith(b"}")):
            return None
        raise BadLedger(f"line {number} is not JSON") from error
    if not isinstance(plain, dict):
        raise BadLedger(f"line {number} is not a JSON object")
    return plain


def _checked(
    number: int, plain: dict[str, Any], fields: dict[str, type | tuple[type, ...]]
) -> dict[str, Any]:
    for name, kind in fields.items():
        value = plain.get(name)
        is_bool = isinstance(value, bool)
        if not isinstance(value, kind) or is_bool is not (kind is bool):
            raise BadLedger(f"line {number}: {name} is missing or is not what it should be")
    if not 0 <= plain["seq"] < LATEST or not 0 <= plain.get("received_at", 0) < LATEST:
        raise BadLedger(f"line {number}: seq or received_at is out of all bounds")
    return plain


def _request(asked: dict[str, Any], answer: dict[str, Any], tally: Tally) -> Request:
    took = answer.get("took", False)
    tally.requests += 1
    tally.taken += took
    return Request(
        seq=asked["seq"],
        received_at=asked["received_at"],
        to=asked["to"],
        text=asked["text"],
        ref=asked["ref"],
        took=took,
        provider_ref=answer.get("provider_ref", ""),
    )


def _copy(cursor: Any, requests: Iterable[Request]) -> None:
    shift, words = _clock(cursor), _word_hasher(cursor)
    with cursor.copy(COPY) as rows:
        for request in requests:
            real_at = datetime.fromtimestamp(request.received_at, UTC)
            rows.write_row(
                (
                    request.seq,
                    real_at,
                    real_at + shift(real_at),
                    _e164(request.to),
                    words(request.text),
                    segments_of(request.text),
                    _storable(request.ref),
                    request.took,
                    _storable(request.provider_ref),
                )
            )


def _clock(cursor: Any) -> Callable[[datetime], timedelta]:
    """How far the installation's clock was ahead at a real time."""
    cursor.execute(SHIFTS)
    shifts = cursor.fetchall()
    steps = [real_at for real_at, _ in shifts]
    ahead = [timedelta(0), *(timedelta(seconds=total) for _, total in shifts)]
    return lambda real_at: ahead[bisect_right(steps, real_at)]


def _word_hasher(cursor: Any) -> Callable[[str], str]:
    """A hash of what a text says, without the brands' links and opt-out lines."""
    cursor.execute(BRANDS)
    brands = cursor.fetchall()
    links = [rf"(?:https?://)?{re.escape(domain)}/[\w-]*" for domain, _ in brands if domain]
    lines = [re.escape(line) for _, line in brands if line]
    # Longest first: a domain or line may be the beginning of another.
    dropped = re.compile("|".join(sorted({*links, *lines}, key=len, reverse=True)) or r"(?!)")

    def words(text: str) -> str:
        said = " ".join(dropped.sub(" ", text).split())
        return blake2b(said.encode(errors="surrogatepass"), digest_size=16).hexdigest()

    return words


def _e164(recipient: str) -> str:
    """Some providers leave out the plus."""
    return f"+{recipient}" if recipient.isdigit() else _storable(recipient)


def _storable(text: str) -> str:
    """Without what Postgres cannot hold; nothing of ours contains it."""
    return text.encode(errors="replace").decode().replace("\0", "")

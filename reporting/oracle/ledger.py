"""Reading the simulator's ledger, and laying it beside our rows for the checks to compare.

The ledger holds two JSON lines a request: `seq, received_at (real Unix seconds), provider, account,
from, to, text, ref`, then `seq, verdict, took, provider_ref`. An e-mail stands there as a whole,
too, in a field `mail`; it counts as one segment. Texts get no further than this module: what the
checks see of them are hashes and a number of segments. Its lines of callbacks are read by
`callbacks`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_string, policy
from hashlib import blake2b, md5
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from reporting.oracle import callbacks
from reporting.oracle.lines import NUMBER, Fields, checked, e164, of_requests, storable
from reporting.oracle.lines import BadLedger as BadLedger
from reporting.oracle.lines import Tally as Tally
from reporting.oracle.segments import segments_of
from reporting.oracle.words import WITHOUT_REF

ASKED: Fields = {
    "seq": int, "received_at": NUMBER, "provider": str, "from": str, "to": str, "text": str,
    "ref": str,
}  # fmt: skip
ANSWERED: Fields = {"seq": int, "took": bool, "provider_ref": str}
OF_MAIL: Fields = {"mail": str}

TABLE = """
CREATE TEMPORARY TABLE oracle_request (
    seq bigint, real_at timestamptz, received_at timestamptz, recipient text, words text,
    segments int, ref text, took boolean, provider_ref text, provider text, sender text, whole text)
"""

COPY = """
COPY oracle_request (seq, real_at, received_at, recipient, words, segments, ref, took, provider_ref,
                     provider, sender, whole)
FROM STDIN
"""

# The attempt of a request that bears no reference of ours: the one that knows its id, or else the
# last one before it of the very same words to the same person from the same number. Two requests
# for one attempt are both found to be its: that is a message taken twice.
BARE = """
CREATE TEMPORARY TABLE oracle_bare AS
WITH bare AS MATERIALIZED (
    SELECT * FROM oracle_request WHERE ref = '' AND provider = ANY(%(without_ref)s)
), tried AS MATERIALIZED (
    SELECT a.id, a.provider_refs, a.intent_at, c.kind, n.value, p.phone, md5(a.text) AS whole
    FROM providers_provideraccount c
    JOIN delivery_attempt a ON a.account_id = c.id
    JOIN providers_sendernumber n ON n.id = a.number_id
    JOIN delivery_message m ON m.id = a.message_id
    JOIN compliance_person p ON p.id = m.person_id
    WHERE c.kind = ANY(%(without_ref)s) AND EXISTS (SELECT 1 FROM bare)
), by_id AS (
    SELECT b.seq, min(t.id) AS attempt_id
    FROM (SELECT id, kind, unnest(provider_refs) AS provider_ref FROM tried) t
    JOIN bare b ON b.provider_ref = t.provider_ref AND b.provider = t.kind
    WHERE b.provider_ref <> '' GROUP BY b.seq
)
SELECT seq, attempt_id FROM by_id
UNION ALL
(SELECT DISTINCT ON (b.seq) b.seq, t.id
 FROM bare b
 JOIN tried t ON t.phone = b.recipient AND t.value = b.sender AND t.kind = b.provider
             AND t.whole = b.whole
 WHERE b.seq NOT IN (SELECT seq FROM by_id)
   AND t.intent_at BETWEEN b.received_at - interval '1 minute'
                       AND b.received_at + interval '2 seconds'
 ORDER BY b.seq, t.intent_at > b.received_at, abs(extract(epoch FROM b.received_at - t.intent_at)))
"""

# Each request with the attempt and the message it was for, as far as there are any.
MATCHED = """
CREATE TEMPORARY TABLE oracle_wire AS
SELECT r.*, a.id AS attempt_id, a.outcome, a.number_id, a.account_id, m.id AS message_id, m.status,
       m.kind, m.reply_kind, m.brand_id, m.lead_id, m.person_id, s.local_date,
       coalesce(c.repeats_words, false) AS repeats_words,
       coalesce(m.kind = 'reply', false) AS is_reply,
       coalesce(t.is_test AND NOT t.to_a_lead, false) AS is_test_at_will
FROM oracle_request r
LEFT JOIN oracle_bare b ON b.seq = r.seq
LEFT JOIN delivery_attempt by_ref ON by_ref.ref = r.ref AND r.ref <> ''
LEFT JOIN delivery_attempt a ON a.id = coalesce(by_ref.id, b.attempt_id)
LEFT JOIN delivery_message m ON m.id = a.message_id
LEFT JOIN campaigns_slot s ON s.id = m.slot_id
LEFT JOIN campaigns_campaign c ON c.id = m.campaign_id
LEFT JOIN delivery_singletext t ON t.message_id = m.id AND m.kind = 'single'
"""

UNSUBSCRIBES = r"https?://\S+/u/[A-Za-z0-9_-]{22}"
SHIFTS = "SELECT real_at, total_seconds FROM brands_clockshift ORDER BY real_at, id"
BRANDS = "SELECT short_domain, opt_out_line FROM brands_brand"


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
    provider: str = ""
    sender: str = ""
    subject: str = ""  # of an e-mail

    @property
    def is_mail(self) -> bool:
        return "@" in self.to


@contextmanager
def laid_open(path: Path) -> Iterator[Tally]:
    """The ledger as tables of this session: `oracle_request` with `oracle_wire`, and those of
    `callbacks`. Raises BadLedger.
    """
    tally = Tally()
    with connection.cursor() as cursor:
        with transaction.atomic():
            shift = _clock(cursor)
            cursor.execute(TABLE)
            _copy(cursor, read(path, tally), shift)
            cursor.execute("ANALYZE oracle_request")
            cursor.execute(BARE, {"without_ref": list(WITHOUT_REF)})
            cursor.execute("ANALYZE oracle_bare")
            cursor.execute(MATCHED)
            cursor.execute("ANALYZE oracle_wire")
            callbacks.lay_open(cursor, path, tally, shift)
        try:
            yield tally
        finally:
            tables = ("oracle_wire", "oracle_bare", "oracle_request", *callbacks.TABLES)
            cursor.execute(f"DROP TABLE {', '.join(tables)}")


def read(path: Path, tally: Tally) -> Iterator[Request]:
    """The requests in order, counted in `tally`. Raises BadLedger."""
    waiting: dict[str, Any] | None = None
    for number, plain in of_requests(path, tally):
        if "received_at" in plain:
            if waiting is not None:
                yield _request(waiting, {}, tally)
            fields = {**ASKED, **OF_MAIL} if "mail" in plain else ASKED
            waiting = checked(number, plain, fields)
        else:
            answer = checked(number, plain, ANSWERED)
            if waiting is None or waiting["seq"] != answer["seq"]:
                raise BadLedger(f"line {number} answers a request that is not right before it")
            yield _request(waiting, answer, tally)
            waiting = None
    if waiting is not None:
        yield _request(waiting, {}, tally)


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
        provider=asked["provider"],
        sender=asked["from"],
        subject=_subject_of(asked.get("mail", "")),
    )


def _subject_of(mail: str) -> str:
    return str(message_from_string(mail, policy=policy.default)["Subject"] or "") if mail else ""


def _copy(cursor: Any, requests: Iterable[Request], shift: Callable[[datetime], timedelta]) -> None:
    words = _word_hasher(cursor)
    with cursor.copy(COPY) as rows:
        for request in requests:
            real_at = datetime.fromtimestamp(request.received_at, UTC)
            rows.write_row(
                (
                    request.seq,
                    real_at,
                    real_at + shift(real_at),
                    e164(request.to),
                    words(f"{request.subject}\n{request.text}"),
                    1 if request.is_mail else segments_of(request.text),
                    storable(request.ref),
                    request.took,
                    storable(request.provider_ref),
                    storable(request.provider),
                    storable(request.sender),
                    _hash(request.text),
                )
            )


def _hash(text: str) -> str:
    """As Postgres makes it."""
    return md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()


def _clock(cursor: Any) -> Callable[[datetime], timedelta]:
    """How far the installation's clock was ahead at a real time."""
    cursor.execute(SHIFTS)
    shifts = cursor.fetchall()
    steps = [real_at for real_at, _ in shifts]
    ahead = [timedelta(0), *(timedelta(seconds=total) for _, total in shifts)]
    return lambda real_at: ahead[bisect_right(steps, real_at)]


def _word_hasher(cursor: Any) -> Callable[[str], str]:
    """A hash of what a message says, without the brands' links and opt-out lines, and without the
    link by which an e-mail is unsubscribed from.
    """
    cursor.execute(BRANDS)
    brands = cursor.fetchall()
    links = [rf"(?:https?://)?{re.escape(domain)}/[\w-]*" for domain, _ in brands if domain]
    lines = [re.escape(line) for _, line in brands if line]
    # Longest first: a domain or line may be the beginning of another.
    own = sorted({*links, *lines}, key=len, reverse=True)
    dropped = re.compile("|".join((UNSUBSCRIBES, *own)))

    def words(text: str) -> str:
        said = " ".join(dropped.sub(" ", text).split())
        return blake2b(said.encode(errors="surrogatepass"), digest_size=16).hexdigest()

    return words

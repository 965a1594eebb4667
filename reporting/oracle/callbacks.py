"""What providers posted to us, by the simulator's ledger, laid beside our rows.

The ledger holds two JSON lines a callback: `callback, posted_at (real Unix seconds), kind,
provider, account, genuine, copy`, with `ref, provider_ref, word, code, to` of a report or
`provider_ref, from, to, text` of an inbound text; then `callback, answered_at, answer`, 0 for none.
Lines of others may stand between the two, and the second may be missing. No text gets further than
this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reporting.oracle.checks import compose
from reporting.oracle.lines import (
    NUMBER,
    BadLedger,
    Fields,
    Tally,
    checked,
    e164,
    of_callbacks,
    storable,
)
from reporting.oracle.words import BY_OUR_REF, OF_PARTS, REPORT_FIELDS, asked_by, end_of

POSTED: Fields = {
    "callback": int, "posted_at": NUMBER, "kind": str, "provider": str, "account": str,
    "genuine": bool, "copy": int, "provider_ref": str, "to": str,
}  # fmt: skip
KINDS: dict[str, Fields] = {
    "report": {"ref": str, "word": str, "code": str},
    "inbound": {"from": str, "text": str},
}
ANSWERED: Fields = {"callback": int, "answered_at": NUMBER, "answer": int}

# `word` is in lower case; `asks` is what an inbound text asks, `ends` the end that a report means.
# `answer` is NULL where none was noted and 0 where none came.
TABLE = """
CREATE TEMPORARY TABLE oracle_callback (
    callback bigint, kind text, genuine boolean, copy bigint, provider text, account text, ref text,
    provider_ref text, word text, code text, ends text, recipient text, sender text, asks text,
    real_posted_at timestamptz, posted_at timestamptz, real_answered_at timestamptz,
    answered_at timestamptz, answer bigint)
"""

COPY = """
COPY oracle_callback (
    callback, kind, genuine, copy, provider, account, ref, provider_ref, word, code, ends,
    recipient, sender, asks, real_posted_at, posted_at, real_answered_at, answered_at, answer)
FROM STDIN
"""

# Where each part of a text is reported: how many were told to have arrived, and of how many of
# these we said that we heard it.
WHOLE = """
CREATE TEMPORARY TABLE oracle_whole AS
SELECT c.ref, count(DISTINCT c.provider_ref) >= r.segments AS is_posted,
       count(DISTINCT c.provider_ref) FILTER (WHERE c.answer BETWEEN 200 AND 299) >= r.segments
           AS is_heard
FROM oracle_callback c JOIN oracle_request r ON r.ref = c.ref AND r.took
WHERE c.kind = 'report' AND c.genuine AND c.ends = 'delivered' AND c.provider = ANY(%(of_parts)s)
GROUP BY c.ref, r.seq, r.segments
"""

# Genuine reports of an end with the attempt they are for, by our ref or else by their id.
# `counts` is whether it speaks for its message: not when another attempt is the live one. `heard`
# is whether we answered 2xx to it, and to those of all other parts.
REPORTS = """
CREATE TEMPORARY TABLE oracle_report AS
SELECT r.*, a.message_id, NOT a.is_not_sent OR NOT EXISTS (
           SELECT 1 FROM delivery_attempt o
           WHERE o.message_id = a.message_id AND NOT o.is_not_sent) AS counts
FROM (SELECT c.callback, c.provider, c.provider_ref, c.word, c.ends, c.recipient,
             c.answer BETWEEN 200 AND 299 AND coalesce(w.is_heard, true) AS heard,
             c.answered_at, coalesce(by_ref.id, by_id.id) AS attempt_id
      FROM oracle_callback c
      LEFT JOIN oracle_whole w
             ON w.ref = c.ref AND c.ends = 'delivered' AND c.provider = ANY(%(of_parts)s)
      LEFT JOIN delivery_attempt by_ref ON by_ref.ref = c.ref AND c.ref <> ''
      LEFT JOIN (SELECT a.id, p.kind, unnest(a.provider_refs) AS provider_ref
                 FROM delivery_attempt a JOIN providers_provideraccount p ON p.id = a.account_id
                 WHERE a.provider_refs <> '{}' AND p.kind <> ALL(%(of_batches)s)) by_id
             ON by_ref.id IS NULL AND by_id.provider_ref = c.provider_ref
                AND by_id.kind = c.provider
      WHERE c.kind = 'report' AND c.genuine AND c.ends <> ''
        AND coalesce(w.is_posted, true)) r
JOIN delivery_attempt a ON a.id = r.attempt_id
"""

# Our inbox: what each entry is about, by its fields, or else by its key. The recipient is empty
# where the id is that of one message.
FIELD = """
    coalesce(e.raw->'form'->>f.$name, e.raw->'query'->>f.$name,
             substring(e.raw->>'body' FROM '"' || f.$name || '"\\s*:\\s*"([^"]*)"'))
"""
EVENTS = """
CREATE TEMPORARY TABLE oracle_event AS
SELECT e.id, p.kind AS provider, coalesce($ref, split_part(e.dedupe_key, ':', 1)) AS provider_ref,
       lower(coalesce($word, split_part(e.dedupe_key, ':', 2))) AS word,
       coalesce('+' || ltrim($recipient, '+'), '') AS recipient, e.received_at
FROM delivery_webhookevent e
JOIN providers_provideraccount p ON p.id = e.account_id
LEFT JOIN unnest(%(kinds)s::text[], %(refs)s::text[], %(words)s::text[], %(recipients)s::text[])
     AS f (kind, ref, word, recipient) ON f.kind = p.kind
"""

TABLES = ("oracle_callback", "oracle_whole", "oracle_report", "oracle_event")


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One post to us. Times are real Unix seconds; `answer` is a status, 0 or None (see above)."""

    callback: int
    posted_at: float
    kind: str
    provider: str
    account: str
    genuine: bool
    copy: int
    provider_ref: str
    to: str
    ref: str = ""
    word: str = ""
    code: str = ""
    sender: str = ""
    asks: str = ""
    answered_at: float | None = None
    answer: int | None = None


def lay_open(cursor: Any, path: Path, tally: Tally, shift: Callable[[datetime], timedelta]) -> None:
    """Make the tables of this module. Raises BadLedger."""
    cursor.execute(TABLE)
    _copy(cursor, read(path, tally), shift)
    cursor.execute("ANALYZE oracle_callback")
    of_batches = [kind for kind, (*_, recipient) in REPORT_FIELDS.items() if recipient]
    kinds, (refs, words, recipients) = (
        list(REPORT_FIELDS),
        zip(*REPORT_FIELDS.values(), strict=True),
    )
    values = {
        "of_parts": list(OF_PARTS),
        "of_batches": of_batches,
        "kinds": kinds,
        "refs": list(refs),
        "words": list(words),
        "recipients": [name or None for name in recipients],
    }
    fields = {name: compose(FIELD, name=name) for name in ("ref", "word", "recipient")}
    events = compose(EVENTS, **fields)
    made = (("oracle_whole", WHOLE), ("oracle_report", REPORTS), ("oracle_event", events))
    for name, query in made:
        cursor.execute(query, values)
        cursor.execute(f"ANALYZE {name}")


def read(path: Path, tally: Tally) -> Iterator[Callback]:
    """The callbacks in the order of their answers, counted in `tally`. Raises BadLedger."""
    waiting: dict[int, dict[str, Any]] = {}
    for number, plain in of_callbacks(path, tally):
        if "posted_at" in plain:
            posted = _posted(number, plain)
            if waiting.setdefault(posted["callback"], posted) is not posted:
                raise BadLedger(f"line {number} posts a callback that was posted before")
            tally.callbacks += 1
        else:
            answer = checked(number, plain, ANSWERED)
            if answer["callback"] not in waiting:
                raise BadLedger(f"line {number} answers a callback that does not wait for it")
            yield _callback(waiting.pop(answer["callback"]), answer)
    for posted in waiting.values():
        yield _callback(posted, {})


def _posted(number: int, plain: dict[str, Any]) -> dict[str, Any]:
    """Checked, and with what the text asks in the place of the text."""
    posted = checked(number, plain, POSTED)
    if posted["kind"] not in KINDS:
        raise BadLedger(f"line {number}: kind is missing or is not what it should be")
    checked(number, posted, KINDS[posted["kind"]])
    if posted["kind"] == "inbound":
        posted["asks"] = asked_by(posted.pop("text"))
    return posted


def _callback(posted: dict[str, Any], answer: dict[str, Any]) -> Callback:
    return Callback(
        callback=posted["callback"],
        posted_at=posted["posted_at"],
        kind=posted["kind"],
        provider=posted["provider"],
        account=posted["account"],
        genuine=posted["genuine"],
        copy=posted["copy"],
        provider_ref=posted["provider_ref"],
        to=posted["to"],
        ref=posted.get("ref", ""),
        word=posted.get("word", ""),
        code=posted.get("code", ""),
        sender=posted.get("from", ""),
        asks=posted.get("asks", ""),
        answered_at=answer.get("answered_at"),
        answer=answer.get("answer"),
    )


def _copy(
    cursor: Any, callbacks: Iterable[Callback], shift: Callable[[datetime], timedelta]
) -> None:
    def both_clocks(moment: float | None) -> tuple[datetime | None, datetime | None]:
        if moment is None:
            return None, None
        real = datetime.fromtimestamp(moment, UTC)
        return real, real + shift(real)

    with cursor.copy(COPY) as rows:
        for post in callbacks:
            times = (*both_clocks(post.posted_at), *both_clocks(post.answered_at))
            rows.write_row((*_columns(post), *times, post.answer))


def _columns(post: Callback) -> tuple[object, ...]:
    word = post.word.lower()
    known_by = post.ref if post.provider in BY_OUR_REF else post.provider_ref
    texts = (post.provider, post.account, post.ref, known_by, word, post.code)
    return (
        *(post.callback, storable(post.kind), post.genuine, post.copy),
        *map(storable, texts),
        end_of(post.provider, post.word, post.code) if post.kind == "report" else "",
        *(e164(post.to), e164(post.sender), post.asks),
    )

"""A long text that came in pieces, which some providers leave to us to join.

Its sender gets nothing until it is applied, so it may wait for its pieces; whoever is never heard
out is looked at by a person. It knows no keyword.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from delivery import sql

WAITS = timedelta(minutes=2)  # for the pieces that are missing
LABEL = "part"  # of all pieces but the one that stands for the text

PIECES = """
SELECT id, text, (raw->'part'->>'number')::int, received_at < sendonce_now() - %s
FROM delivery_inbound
WHERE person_id = %s AND account_id = %s AND applied_at IS NULL
  AND raw->'part'->>'text_ref' = %s AND raw->'part'->>'of' = %s
ORDER BY 3, id FOR UPDATE
"""
JOIN = "UPDATE delivery_inbound SET text = %s WHERE id = %s"
PUT_ASIDE = """
UPDATE delivery_inbound SET applied_at = sendonce_now(), label = %s, brand_id = %s
WHERE id = ANY(%s::bigint[])
"""


@dataclass(frozen=True, slots=True)
class Joined:
    """The text as far as it came, and the other pieces that are said with it."""

    text: str
    is_whole: bool
    others: list[int]


def join(
    inbound_id: int, *, person_id: int, account_id: int, text_ref: str, of: int
) -> Joined | None:
    """The text that this piece stands for; None while others may still come.

    Part of a transaction that holds the person's lock. A phone may have two texts under one mark:
    of two pieces for one place this one or else the first is taken, and one that says something
    else waits on, to be read after it.
    """
    rows = sql.rows(PIECES, WAITS, person_id, account_id, text_ref, str(of))
    texts = {number: text for _, text, number, _ in reversed(rows)}
    texts |= {number: text for row_id, text, number, _ in rows if row_id == inbound_id}
    is_whole = texts.keys() == set(range(1, of + 1))
    if not is_whole and not any(is_late for *_, is_late in rows):
        return None
    text = "".join(texts[number] for number in sorted(texts))
    said = [row[0] for row in rows if row[1] == texts[row[2]] and row[0] != inbound_id]
    return Joined(text, is_whole, said)


def settle(inbound_id: int, joined: Joined, brand_id: int | None) -> None:
    """The piece now says the whole text; the others are applied with it."""
    sql.count(JOIN, joined.text, inbound_id)
    sql.count(PUT_ASIDE, LABEL, brand_id, joined.others)

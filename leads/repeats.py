"""Requests that come again under their idempotency key: each is worked on once, answered alike.

A request claims its key in a statement of its own before the work, and stores its answer in the
transaction of the work. A claim whose holder died has no answer and may be taken over after a
minute; it then gets a new id, so a holder who was only slow finds its claim gone and undoes its
work. All times are the installation's: a sandbox moved a day ahead has forgotten what came before.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import connection

from brands.models import ApiKey
from leads.models import ApiRequest

KEPT = 24 * 3600  # seconds
GIVEN_UP = 60  # seconds
TRIES = 3

# The oldest rows have the lowest ids, so what is long over is found without a search.
FORGET = """
DELETE FROM leads_apirequest WHERE id IN (
    SELECT id FROM leads_apirequest
    WHERE id IN (SELECT id FROM leads_apirequest ORDER BY id LIMIT 4)
      AND at < sendonce_now() - make_interval(secs => %s) FOR UPDATE SKIP LOCKED
)
"""
CLAIM = """
INSERT INTO leads_apirequest AS r (brand_id, api_key_id, idempotency_key, body_hash)
VALUES (%(brand)s, %(api_key)s, %(key)s, %(hash)s)
ON CONFLICT (api_key_id, idempotency_key) DO UPDATE
SET id = DEFAULT, body_hash = excluded.body_hash, status = NULL,
    answer = NULL, at = excluded.at
WHERE r.at < excluded.at - make_interval(secs => %(kept)s)
   OR (r.status IS NULL AND r.body_hash = excluded.body_hash
       AND r.at < excluded.at - make_interval(secs => %(given_up)s))
RETURNING id
"""


class Reused(Exception):
    """The key came with another body before."""


class InProgress(Exception):
    """The first request under the key is still being worked on."""


class TakenOver(Exception):
    """The claim went to a repetition meanwhile, which will answer."""


class Answer(NamedTuple):
    """What the first request was answered."""

    status: int
    body: Any


def claim(api_key: ApiKey, key: str, body_hash: str) -> int | Answer:
    """The id of a new claim, or the answer there is already. Raises Reused or InProgress."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [KEPT])
    for _ in range(TRIES):
        claim_id = _insert(api_key, key, body_hash)
        if claim_id is not None:
            return claim_id
        found = ApiRequest.objects.filter(api_key=api_key, idempotency_key=key).first()
        if found is not None:  # it was given back just now
            return _answer_of(found, body_hash)
    raise InProgress


def complete(claim_id: int, answer: Answer) -> None:
    """Store the answer, in the transaction of the work. Raises TakenOver, which must undo that."""
    rows = ApiRequest.objects.filter(pk=claim_id, status=None)
    if not rows.update(status=answer.status, answer=answer.body):
        raise TakenOver


def give_back(claim_id: int) -> None:
    """The work came to nothing: a repetition need not wait."""
    ApiRequest.objects.filter(pk=claim_id, status=None).delete()


def _insert(api_key: ApiKey, key: str, body_hash: str) -> int | None:
    values: dict[str, int | str] = {
        "brand": api_key.brand_id,
        "api_key": api_key.pk,
        "key": key,
        "hash": body_hash,
        "kept": KEPT,
        "given_up": GIVEN_UP,
    }
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        row = cursor.fetchone()
    return int(row[0]) if row else None


def _answer_of(found: ApiRequest, body_hash: str) -> Answer:
    if found.body_hash != body_hash:
        raise Reused
    if found.status is None:
        raise InProgress
    return Answer(found.status, found.answer)

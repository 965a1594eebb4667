"""The partners' API of leads: a request in, the answers of `leads.posting` out, each once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from brands import api, keys
from brands.api import Fault, FieldError, Refused
from brands.models import ApiKey
from leads import api_docs, posting, problems, repeats
from leads.intake import GaveUp, Result, Taken
from leads.repeats import Answer
from leads.rows import Problem

AGAIN_IN = 1  # seconds, while the first request is at work

_PRINTABLE = re.compile(rf"[ -~]{{1,{problems.LONGEST_KEY}}}")


class Leads(APIView):
    scope = keys.Scope.LEADS_WRITE
    http_method_names = ["post"]

    @api_docs.post_leads
    def post(self, request: Request) -> Response:
        idempotency_key = _read_key(request)
        body = api.read_body(request)
        values = _read_leads(body)
        name = request.query_params.get("list")
        work = Work(api.key_of(request), values, name, is_list=isinstance(body, list))
        if idempotency_key is None:
            return _respond(work.do())
        return _once(work, idempotency_key, _hash_of([name, body]))


@dataclass(frozen=True, slots=True)
class Work:
    """What one request is to do; done again after a failure, it does the same."""

    key: ApiKey
    values: Sequence[object]
    list_name: str | None
    is_list: bool

    def do(self, claim_id: int | None = None) -> Answer:
        """Take the leads in and, under a claim, store the answer in the same transaction."""
        list_id = _find_list(self.key.brand_id, self.list_name)
        answer = Answer(200, None)

        def settle(results: Sequence[Result]) -> None:
            nonlocal answer
            answer = _answer_all(results) if self.is_list else _answer_one(results[0])
            if claim_id is not None:
                repeats.complete(claim_id, answer)

        try:
            posting.take_in(self.key, self.values, list_id, settle)
        except GaveUp as error:
            raise Refused(api.AWAY) from error
        return answer


def _once(work: Work, idempotency_key: str, body_hash: str) -> Response:
    try:
        claim = repeats.claim(work.key, idempotency_key, body_hash)
        if isinstance(claim, Answer):
            return _respond(claim, is_replayed=True)
        return _respond(_do_or_give_back(work, claim))
    except repeats.Reused as error:
        raise Refused(problems.REUSED) from error
    except (repeats.InProgress, repeats.TakenOver) as error:
        raise Refused(problems.IN_PROGRESS, retry_after=AGAIN_IN) from error


def _do_or_give_back(work: Work, claim_id: int) -> Answer:
    try:
        return work.do(claim_id)
    except Exception:
        with contextlib.suppress(DatabaseError):
            repeats.give_back(claim_id)
        raise


def _read_key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _PRINTABLE.fullmatch(key):
        error = FieldError("Idempotency-Key", problems.BAD_KEY.code, problems.BAD_KEY.detail)
        raise Refused(problems.BAD_KEY, [error])
    return key


def _read_leads(body: object) -> Sequence[object]:
    if isinstance(body, dict):
        return [body]
    if not isinstance(body, list):
        raise Refused(problems.NOT_LEADS)
    if not body:
        raise Refused(problems.NO_LEADS)
    if len(body) > problems.MOST:
        raise Refused(problems.TOO_MANY)
    return body


def _find_list(brand_id: int, name: str | None) -> int | None:
    if name is None:
        return None
    found = posting.find_list(brand_id, name)
    if found is None:
        raise Refused(
            problems.NO_LIST, [FieldError("list", problems.NO_LIST.code, problems.NO_LIST.detail)]
        )
    return found.pk


def _hash_of(said: object) -> str:
    """The same for the same values, however they are spaced and ordered."""
    try:
        text = json.dumps(said, sort_keys=True)
    except RecursionError as error:
        raise Refused(api.BAD_JSON) from error
    return hashlib.sha256(text.encode()).hexdigest()


def _answer_all(results: Sequence[Result]) -> Answer:
    told = [_told(index, result) for index, result in enumerate(results)]
    counts = dict.fromkeys(("created", "updated", "refused"), 0)
    for one in told:
        counts[one["status"]] += 1
    return Answer(200, {"results": told, **counts})


def _answer_one(result: Result) -> Answer:
    if isinstance(result, Problem):
        errors = [FieldError(result.field, result.code, result.message)] if result.field else []
        fault = Fault(problems.LEAD_REFUSED, result.code, result.message)
        return Answer(fault.status, api.problem(fault, errors))
    return Answer(201 if result.is_new else 200, _told(0, result))


def _told(index: int, result: Result) -> dict[str, Any]:
    if isinstance(result, Taken):
        return {
            "index": index,
            "status": "created" if result.is_new else "updated",
            "lead_id": result.lead_id,
            "code": None,
            "field": None,
            "message": None,
            "notice": result.notice._asdict() if result.notice else None,
        }
    told = {"index": index, "status": "refused", "lead_id": None, **result._asdict()}
    return {**told, "field": result.field or None, "notice": None}


def _respond(answer: Answer, *, is_replayed: bool = False) -> Response:
    headers = {"Idempotent-Replayed": "true"} if is_replayed else None
    kind = api.PROBLEM if answer.status >= 400 else None
    return Response(answer.body, answer.status, headers=headers, content_type=kind)

"""Sends of which nobody knows whether they were taken: the provider is asked, on a ladder.

It sends nothing. What it finds goes where reports go; what it never finds ends as not found, which
is no leave to send again. It owns the rows of `delivery_lookup`, and no status.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from delivery import outcomes, sql
from delivery.ladder import LADDER
from delivery.models import WatchEnd
from delivery.reports import Reported
from delivery.states import Status
from delivery.transactions import begin
from providers.base import Access, Found, LookUp, LookUpAnswer, NoAnswer, NotListed, Several
from providers.models import ProviderAccount
from providers.registry import adapter
from providers.transport import Transport

logger = logging.getLogger(__name__)

CHUNK = 40
AT_ONCE = 4  # requests to one account
LEASE = timedelta(minutes=5)  # longer than all that one round asks can take

# The intent's time was read from the sandbox's clock, and a provider knows real time alone.
REALLY_AT = """
a.intent_at - make_interval(secs => coalesce((
    SELECT s.total_seconds FROM brands_clockshift s
    WHERE s.real_at + make_interval(secs => s.total_seconds) <= a.intent_at
    ORDER BY s.id DESC LIMIT 1), 0))
"""
TAKE = f"""
WITH due AS (
    SELECT attempt_id FROM delivery_lookup WHERE next_at <= sendonce_now()
    ORDER BY next_at LIMIT %s FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE delivery_lookup l SET next_at = sendonce_now() + %s, tries = l.tries + 1
    FROM due WHERE l.attempt_id = due.attempt_id RETURNING l.attempt_id, l.tries
)
SELECT a.id, t.tries, m.status, m.person_id, a.account_id, a.ref, a.request_ref, a.provider_refs,
       p.phone, n.value, n.kind, a.text, {REALLY_AT}
FROM taken t
JOIN delivery_attempt a ON a.id = t.attempt_id
JOIN delivery_message m ON m.id = a.message_id
JOIN compliance_person p ON p.id = m.person_id
JOIN providers_sendernumber n ON n.id = a.number_id
ORDER BY a.id
"""  # noqa: S608 - of constants

# What else that account sends to that person, or may have: by its provider id where it has one.
OTHERS = f"""
SELECT v.attempt_id, a.provider_refs, a.ref, a.request_ref, n.value, n.kind, a.text, {REALLY_AT}
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS v (attempt_id, person_id, account_id)
JOIN delivery_message m ON m.person_id = v.person_id
JOIN delivery_attempt a ON a.message_id = m.id AND a.account_id = v.account_id
     AND a.id <> v.attempt_id AND (a.outcome IN ('', 'unknown') OR a.provider_refs <> '{{}}')
JOIN providers_sendernumber n ON n.id = a.number_id
ORDER BY a.id
"""  # noqa: S608

# After a standstill the rungs that are over do not fall together.
GO_ON = """
UPDATE delivery_lookup l SET said = v.said,
       next_at = greatest(l.since + v.after, sendonce_now() + %s)
FROM unnest(%s::bigint[], %s::text[], %s::interval[]) AS v (attempt_id, said, after)
WHERE l.attempt_id = v.attempt_id
"""
END = """
UPDATE delivery_lookup l SET said = v.said, next_at = NULL, ended_as = v.ended_as
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS v (attempt_id, said, ended_as)
WHERE l.attempt_id = v.attempt_id
"""


@dataclass(frozen=True, slots=True)
class Case:
    """An attempt that is asked about for the `tries`th time."""

    attempt_id: int
    tries: int
    status: str
    person_id: int
    account_id: int
    question: LookUp

    @property
    def is_open(self) -> bool:
        return self.status == Status.UNKNOWN


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is written of a case; it goes on where `ended_as` is empty."""

    attempt_id: int
    said: str
    ended_as: WatchEnd | None = None
    after: timedelta = timedelta()


def look_up(goes_on: Callable[[], bool] = lambda: True) -> int:
    """Ask about all that is due; returns how many answers were stored."""
    stored = 0
    while goes_on() and (cases := _take()):
        open_ones = [case for case in cases if case.is_open]
        known = accesses({case.account_id for case in open_ones})
        answers = asyncio.run(_ask(open_ones, known)) if open_ones else {}
        _store(cases, _still_alone(open_ones, answers))
        stored += len(cases)
    return stored


def _take() -> list[Case]:
    """What is due, leased for long enough to be asked about; a round that dies is made again."""
    with transaction.atomic():
        return _with_others([_case(row) for row in sql.rows(TAKE, CHUNK, LEASE)])


def _case(row: sql.Row) -> Case:
    attempt_id, tries, status, person_id, account_id, ref, request_ref, refs = row[:8]
    phone, value, kind, text, intended_at = row[8:]
    question = LookUp(
        ref=ref,
        request_ref=request_ref,
        provider_ref=refs[0] if refs else "",
        to_e164=phone or "",
        from_value=value,
        from_kind=kind,
        text=text,
        intended_at=intended_at,
    )
    return Case(attempt_id, tries, status, person_id, account_id, question)


def _with_others(cases: Sequence[Case]) -> list[Case]:
    """Each question with what else the person was sent through its account, as of now."""
    rows = sql.rows(
        OTHERS,
        [case.attempt_id for case in cases],
        [case.person_id for case in cases],
        [case.account_id for case in cases],
    )
    beside: defaultdict[int, list[sql.Row]] = defaultdict(list)
    for row in rows:
        beside[row[0]].append(row[1:])
    return [_beside(case, beside[case.attempt_id]) for case in cases]


def _beside(case: Case, others: Sequence[sql.Row]) -> Case:
    rivals = tuple(
        LookUp(
            ref=ref,
            request_ref=request_ref,
            to_e164=case.question.to_e164,
            from_value=value,
            from_kind=kind,
            text=text,
            intended_at=intended_at,
        )
        for refs, ref, request_ref, value, kind, text, intended_at in others
        if not refs
    )
    known = frozenset(ref for refs, *_ in others for ref in refs)
    return replace(case, question=replace(case.question, other_refs=known, rivals=rivals))


def accesses(account_ids: Collection[int]) -> Mapping[int, Access]:
    """Of those accounts whose credentials can be read."""
    accounts = ProviderAccount.objects.in_bulk(account_ids)
    found = {}
    for account_id, account in accounts.items():
        try:
            found[account_id] = account.access()
        except ImproperlyConfigured:
            logger.exception("an account cannot be asked", extra={"account_id": account_id})
    return found


async def _ask(cases: Sequence[Case], known: Mapping[int, Access]) -> dict[int, LookUpAnswer]:
    places: defaultdict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))

    async def ask(case: Case) -> LookUpAnswer:
        access = known.get(case.account_id)
        if access is None:
            return NoAnswer("no_credentials")
        async with places[case.account_id]:
            speaks = adapter(access.kind, access.definition)
            return await transport.look_up(speaks, case.question, access)

    async with Transport() as transport:
        answers = await asyncio.gather(*map(ask, cases))
    return {case.attempt_id: answer for case, answer in zip(cases, answers, strict=True)}


def _still_alone(
    cases: Sequence[Case], answers: Mapping[int, LookUpAnswer]
) -> Mapping[int, LookUpAnswer]:
    """What was found in a list while the person was sent something else may be that: ask again."""
    listed = [case for case in cases if not case.question.provider_ref]
    found = [case for case in listed if isinstance(answers[case.attempt_id], Found)]
    joined = {
        now.attempt_id: NoAnswer("another was sent meanwhile")
        for case, now in zip(found, _with_others(found), strict=True)
        if now.question != case.question
    }
    return {**answers, **joined}


def _store(cases: Sequence[Case], answers: Mapping[int, LookUpAnswer]) -> None:
    results = _apply(
        [
            Reported(case.attempt_id, case.account_id, answer.report)
            for case in cases
            if isinstance(answer := answers.get(case.attempt_id), Found)
        ]
    )
    verdicts = [_verdict(case, answers.get(case.attempt_id), results) for case in cases]
    with transaction.atomic():
        begin()
        outcomes.give_up([one.attempt_id for one in verdicts if one.ended_as == WatchEnd.NOT_FOUND])
        _write(verdicts)
    for case in cases:
        if isinstance(answers.get(case.attempt_id), Several):
            logger.error("a look-up found several", extra={"attempt_id": case.attempt_id})


def _apply(found: Sequence[Reported]) -> Mapping[int, str]:
    """What became of each, by attempt; what only now shows that it was taken counts as a report."""
    if not found:
        return {}
    with transaction.atomic():
        return outcomes.apply_reports(found).results


def _verdict(case: Case, answer: LookUpAnswer | None, results: Mapping[int, str]) -> Verdict:
    if answer is None:
        return Verdict(case.attempt_id, "", WatchEnd.REPORTED)
    if isinstance(answer, Found):
        if results.get(case.attempt_id) != "mismatch":
            return Verdict(case.attempt_id, "found", WatchEnd.FOUND)
        said = "found under an id that is not its own"
    elif isinstance(answer, NotListed):
        said = "not listed"
    elif isinstance(answer, Several):
        said = f"{answer.many} that fit equally well"
    else:
        said = f"no answer: {answer.detail}"
    if case.tries < len(LADDER):
        return Verdict(case.attempt_id, said[:100], after=LADDER[case.tries])
    return Verdict(case.attempt_id, said[:100], WatchEnd.NOT_FOUND)


def _write(verdicts: Sequence[Verdict]) -> None:
    ended = [one for one in verdicts if one.ended_as]
    goes_on = [one for one in verdicts if not one.ended_as]
    if ended:
        ids, said = [one.attempt_id for one in ended], [one.said for one in ended]
        sql.count(END, ids, said, [str(one.ended_as) for one in ended])
    if goes_on:
        ids, said = [one.attempt_id for one in goes_on], [one.said for one in goes_on]
        sql.count(GO_ON, LADDER[0], ids, said, [one.after for one in goes_on])

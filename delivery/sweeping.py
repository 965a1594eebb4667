"""Texts that no webhook brought: providers are asked for what came in, every few minutes.

What a listing shows goes through the very door of the webhooks (`inbound.store`, `inbound.apply`),
so that nothing is done twice. It owns the rows of `delivery_inboundsweep`, and classifies nothing.

Each turn reads one page of each listing that is due; no transaction is open meanwhile. How far one
was read moves on only when its last page is stored, and then to when its first one was asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import DataError, transaction

from delivery import inbound, sql, tallies
from delivery.reconciling import AT_ONCE, accesses
from delivery.tallies import What
from providers.base import Access, InboundMessage, NoAnswer
from providers.listing import InboundPage, InboundQuery, ListedBy
from providers.models import SenderNumber
from providers.registry import ADAPTERS, adapter
from providers.transport import Transport

logger = logging.getLogger(__name__)

CHUNK = 20  # listings of which a page is read in one turn
LEASE = timedelta(minutes=2)  # longer than one turn takes
FIRST_LOOK = timedelta(days=1)  # back from the first time
OVERLAP = timedelta(minutes=30)  # listings lag
LONGEST_OVERLAP = timedelta(days=1)
FARTHEST = timedelta(days=14)  # Sinch keeps a listing for as long
WORDS_MAY_COME = timedelta(minutes=10)  # Plivo posts again for 7 minutes what was not taken
TRIES_OF_A_PAGE = 3  # then its listing is begun again
NOT_TEXTED = (SenderNumber.Kind.ALPHANUMERIC, SenderNumber.Kind.SERVICE, SenderNumber.Kind.EMAIL)

# What was retired is texted for a while.
BEGIN = """
INSERT INTO delivery_inboundsweep (account_id, number_id, next_at)
SELECT w.account_id, w.number_id, clock_timestamp() FROM (
    SELECT a.id, NULL::bigint FROM providers_provideraccount a
    WHERE a.kind = ANY(%s::text[]) AND a.retired_at IS NULL
    UNION ALL
    SELECT a.id, n.id FROM providers_sendernumber n
    JOIN providers_provideraccount a ON a.id = n.account_id
    WHERE a.kind = ANY(%s::text[]) AND n.kind <> ALL(%s::text[])
      AND a.retired_at IS NULL AND n.retired_at IS NULL) w (account_id, number_id)
WHERE NOT EXISTS (SELECT 1 FROM delivery_inboundsweep s WHERE s.account_id = w.account_id
                  AND s.number_id IS NOT DISTINCT FROM w.number_id)
ON CONFLICT DO NOTHING
"""

TAKE = """
WITH due AS MATERIALIZED (
    SELECT s.id, n.value FROM delivery_inboundsweep s
    JOIN providers_provideraccount a ON a.id = s.account_id
    LEFT JOIN providers_sendernumber n ON n.id = s.number_id
    WHERE s.next_at <= clock_timestamp()
      AND least(a.retired_at, n.retired_at, 'infinity') > sendonce_now() - interval '30 days'
    ORDER BY s.next_at LIMIT %s FOR UPDATE OF s SKIP LOCKED
)
UPDATE delivery_inboundsweep s SET next_at = clock_timestamp() + %s, turn = s.turn + 1,
       began_at = coalesce(s.began_at, clock_timestamp())
FROM due WHERE s.id = due.id
RETURNING s.id, s.turn, s.account_id, coalesce(due.value, ''), s.swept_through, s.began_at, s.page
"""

KNOWN = """
SELECT i.account_id, i.provider_ref FROM unnest(%s::bigint[], %s::text[]) AS v (account_id, ref)
JOIN delivery_inbound i ON i.account_id = v.account_id AND i.provider_ref = v.ref
"""

GO_ON = """
UPDATE delivery_inboundsweep s SET page = v.page, next_at = clock_timestamp(), failures = 0,
       said = '', found = s.found + v.found
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::int[]) AS v (id, turn, page, found)
WHERE s.id = v.id AND s.turn = v.turn
"""
END = """
UPDATE delivery_inboundsweep s SET swept_through = s.began_at, began_at = NULL, page = '',
       next_at = clock_timestamp() + %s, failures = 0, said = '', found = s.found + v.found
FROM unnest(%s::bigint[], %s::bigint[], %s::int[]) AS v (id, turn, found)
WHERE s.id = v.id AND s.turn = v.turn
"""
FAIL = """
UPDATE delivery_inboundsweep s SET said = v.said, next_at = clock_timestamp() + %s,
       failures = s.failures + 1,
       page = CASE WHEN s.failures + 1 < %s THEN s.page ELSE '' END,
       began_at = CASE WHEN s.failures + 1 < %s THEN s.began_at END
FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS v (id, turn, said)
WHERE s.id = v.id AND s.turn = v.turn
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A page of a listing that is to be read, leased. Its times are real, UTC."""

    id: int
    number: int  # of the lease
    account_id: int
    query: InboundQuery


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep came to: texts that no webhook had brought, and whether answers wait."""

    found: int = 0
    has_answers: bool = False

    def __add__(self, other: Swept) -> Swept:
        return Swept(self.found + other.found, self.has_answers or other.has_answers)


Answers = Mapping[int, InboundPage | NoAnswer]


def sweep(goes_on: Callable[[], bool] = lambda: True) -> Swept:
    """Read what is due, page after page, as long as `goes_on`."""
    begin_new()
    swept = Swept()
    while goes_on() and (turns := _take()):
        answers = asyncio.run(_ask(turns, accesses({turn.account_id for turn in turns})))
        swept += _store(turns, answers, goes_on)
    return swept


def begin_new() -> None:
    """A row for each account and number that can be asked about and has none."""
    by = {scope: [kind for kind, one in ADAPTERS.items() if one.lists_inbound == scope]
          for scope in ListedBy}  # fmt: skip
    sql.count(BEGIN, by[ListedBy.ACCOUNT], by[ListedBy.NUMBER], [kind.value for kind in NOT_TEXTED])


def since(swept_through: datetime | None, began_at: datetime) -> datetime:
    """From when on a listing is asked for.

    What it lacked yet may be there by now. After an outage that may be more: it goes back once more
    as far as that lasted, a day at most.
    """
    if swept_through is None:
        return began_at - FIRST_LOOK
    overlap = min(max(OVERLAP, began_at - swept_through), LONGEST_OVERLAP)
    return max(swept_through - overlap, began_at - FARTHEST)


def _take() -> list[Turn]:
    with transaction.atomic():
        rows = sql.rows(TAKE, CHUNK, LEASE)
    return [
        Turn(
            sweep_id,
            turn,
            account_id,
            InboundQuery(since=since(swept_through, began_at), number=value, page=page),
        )
        for sweep_id, turn, account_id, value, swept_through, began_at, page in rows
    ]


async def _ask(turns: Sequence[Turn], known: Mapping[int, Access]) -> Answers:
    places: defaultdict[int, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))

    async def ask(turn: Turn) -> InboundPage | NoAnswer:
        access = known.get(turn.account_id)
        if access is None:
            return NoAnswer("no_credentials")
        async with places[turn.account_id]:
            speaks = adapter(access.kind, access.definition)
            return await transport.list_inbound(speaks, turn.query, access)

    async with Transport() as transport:
        answers = await asyncio.gather(*map(ask, turns))
    return {turn.id: answer for turn, answer in zip(turns, answers, strict=True)}


# --- what becomes of the pages --------------------------------------------------------------------


def _store(turns: Sequence[Turn], answers: Answers, goes_on: Callable[[], bool]) -> Swept:
    pages = [
        (turn, answer) for turn in turns if isinstance(answer := answers[turn.id], InboundPage)
    ]
    failed = [(turn, answer) for turn in turns if isinstance(answer := answers[turn.id], NoAnswer)]
    news = _news(pages)
    swept, ended, going_on = Swept(), [], []
    for turn, page in pages:
        found, is_through = _bring_in(turn.account_id, news[turn.id], goes_on)
        swept += found
        if not is_through:
            going_on.append((turn, turn.query.page, found.found))
        elif page.next_page:
            going_on.append((turn, page.next_page, found.found))
        else:
            ended.append((turn, found.found))
        if page.unreadable:
            tallies.count(What.UNREADABLE, turn.account_id)
            logger.error("listed texts cannot be read", extra={"account_id": turn.account_id})
    _write(ended, going_on, failed)
    return swept


def _news(pages: Sequence[tuple[Turn, InboundPage]]) -> Mapping[int, Sequence[InboundMessage]]:
    """By the turn, the texts that are not stored yet, the oldest first; one statement for all."""
    listed = [(turn, message) for turn, page in pages for message in page.messages]
    refs = [message.provider_ref[: inbound.LONGEST_REF] for _, message in listed]
    known = set(sql.rows(KNOWN, [turn.account_id for turn, _ in listed], refs)) if listed else set()
    now = datetime.now(UTC)
    found: dict[int, list[InboundMessage]] = {turn.id: [] for turn, _ in pages}
    for (turn, message), ref in zip(listed, refs, strict=True):
        if (turn.account_id, ref) not in known and not _may_still_speak(message, now):
            found[turn.id].append(message)
    return {sweep_id: sorted(news, key=_sent_at) for sweep_id, news in found.items()}


def _sent_at(message: InboundMessage) -> datetime:
    return message.sent_at or datetime.now(UTC)


def _may_still_speak(message: InboundMessage, now: datetime) -> bool:
    """Its webhook may still come, with the words that the listing lacks."""
    return not message.has_words and now - _sent_at(message) < WORDS_MAY_COME


def _bring_in(
    account_id: int, news: Sequence[InboundMessage], goes_on: Callable[[], bool]
) -> tuple[Swept, bool]:
    """Store and apply each as a webhook does; False beside what was done when time is up."""
    swept = Swept()
    for message in news:
        if not goes_on():
            return swept, False
        age = max(datetime.now(UTC) - _sent_at(message), timedelta())
        try:
            inbound_id = inbound.store(account_id, message, {"listed": True}, age=age)
        except (DataError, ValueError):
            tallies.count(What.UNREADABLE, account_id)
            logger.exception("a listed text cannot be stored", extra={"account_id": account_id})
            continue
        swept += Swept(1, _apply(inbound_id))
    if swept.found:
        extra = {"account_id": account_id, "found": swept.found}
        logger.warning("texts were listed that no webhook brought", extra=extra)
    return swept, True


def _apply(inbound_id: int) -> bool:
    """Whether an answer waits. What is stored and not applied is tried again by the applier."""
    try:
        return inbound.apply(inbound_id)
    except Exception:
        logger.exception("a text was stored and not applied", extra={"inbound_id": inbound_id})
        return False


def _write(
    ended: Sequence[tuple[Turn, int]],
    going_on: Sequence[tuple[Turn, str, int]],
    failed: Sequence[tuple[Turn, NoAnswer]],
) -> None:
    """What became of each turn, unless its lease ran out and another has it."""
    pause = timedelta(seconds=settings.SWEEP_EVERY_SECONDS)
    if ended:
        sql.count(END, pause, *_columns(ended))
    if going_on:
        sql.count(GO_ON, *_columns(going_on))
    if failed:
        said = [(turn, answer.detail[:100]) for turn, answer in failed]
        sql.count(FAIL, pause, TRIES_OF_A_PAGE, TRIES_OF_A_PAGE, *_columns(said))
        for turn, answer in failed:
            extra = {"account_id": turn.account_id, "why": answer.detail[:100]}
            logger.warning("a provider did not list its texts", extra=extra)


def _columns(rows: Sequence[tuple[Turn, *tuple[object, ...]]]) -> Iterator[list[object]]:
    yield [turn.id for turn, *_ in rows]
    yield [turn.number for turn, *_ in rows]
    for place in range(1, len(rows[0])):
        yield [row[place] for row in rows]

"""How well an account is heard: what it left open, words of its reports that we do not know, and
how its listings of texts are read. For its page; it changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from delivery import sql
from delivery.models import InboundSweep, ReportWord
from providers.models import ProviderAccount
from providers.registry import adapter

WALKED = 50_000  # of the newest attempts, whosever: a page reads no more
WORDS_SHOWN = 20
LINES_SHOWN = 10

# An attempt that was once unknown has a row of look-ups for good, whatever was found of it since.
LATELY = """
WITH walked AS MATERIALIZED (
    SELECT id, account_id, intent_at, is_not_sent FROM delivery_attempt ORDER BY id DESC LIMIT %s
), lately AS MATERIALIZED (
    SELECT id, intent_at > sendonce_now() - interval '1 hour' AS is_of_hour FROM walked
    WHERE account_id = %s AND NOT is_not_sent AND intent_at > sendonce_now() - interval '1 day'
)
SELECT count(l.attempt_id) FILTER (WHERE is_of_hour), count(*) FILTER (WHERE is_of_hour),
       count(l.attempt_id), count(*),
       (SELECT count(*) = %s AND min(intent_at) > sendonce_now() - interval '1 day' FROM walked)
FROM lately LEFT JOIN delivery_lookup l ON l.attempt_id = lately.id
"""


@dataclass(frozen=True, slots=True)
class Share:
    """So many outcomes were unknown, of so many messages that left or may have left."""

    unknown: int
    of: int

    def __str__(self) -> str:
        if not self.of:
            return "nothing left by it"
        return f"{self.unknown:,} of {self.of:,} ({100 * self.unknown / self.of:.2f} %)"


@dataclass(frozen=True, slots=True)
class Doubt:
    """`is_of_newest`: more left within the day than were looked at."""

    hour: Share
    day: Share
    is_of_newest: bool


def doubt(account_id: int) -> Doubt:
    """How many sends of the last hour and day had an unknown outcome, as far as is cheap to say."""
    of_hour, hour, of_day, day, is_cut = sql.one(LATELY, WALKED, account_id, WALKED)
    return Doubt(Share(of_hour, hour), Share(of_day, day), is_of_newest=bool(is_cut))


def new_words(account_id: int) -> Sequence[ReportWord]:
    """The words that came last, the newest first."""
    return list(ReportWord.objects.filter(account=account_id).order_by("-last_at")[:WORDS_SHOWN])


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing of texts: of a number, or of the whole account. Times are real, UTC."""

    of: str
    read_through: datetime | None
    said: str
    found: int


def listings(account: ProviderAccount) -> Sequence[Listing] | None:
    """How far each was read, those in trouble first; None where the provider lists nothing."""
    if adapter(account.kind, account.definition).lists_inbound is None:
        return None
    rows = InboundSweep.objects.filter(account=account).select_related("number")
    found = rows.order_by("-failures", "swept_through", "pk")[:LINES_SHOWN]
    return [
        Listing(str(row.number or "all its numbers"), row.swept_through, row.said, row.found)
        for row in found
    ]

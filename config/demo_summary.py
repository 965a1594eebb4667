"""What a demo says: its lines while it runs, and the closing table."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from brands import clock
from brands.models import Brand
from delivery import sql
from delivery.states import Reason, Status
from delivery.tallies import What

PLAIN_EVERY = 3.0  # seconds between two lines where there is no terminal
LIVE_EVERY = 0.25
RATE_OVER = 3.0  # seconds
LABEL = 20  # characters
TAKEN = ("accepted", "sent", "delivered", "undelivered", "failed", "no_report")

STATES = "SELECT status, count(*) FROM delivery_message WHERE kind <> 'reply' GROUP BY status"
BY_BRAND = """
SELECT brand_id, status, reason, count(*) FROM delivery_message
WHERE kind <> 'reply' GROUP BY 1, 2, 3 ORDER BY 2, 3
"""
ANSWERS = """
SELECT brand_id, reply_kind, count(*), count(*) FILTER (WHERE status = ANY(%s))
FROM delivery_message WHERE kind = 'reply' GROUP BY 1, 2 ORDER BY 2
"""
HEARD = "SELECT brand_id, label, count(*) FROM delivery_inbound GROUP BY 1, 2 ORDER BY 2"
TURNED_AWAY = "SELECT what, sum(count)::bigint FROM delivery_webhooktally GROUP BY 1 ORDER BY 1"
SUPPRESSED = """
SELECT c.brand_id, sum(n::bigint)::bigint FROM campaigns_slot s
JOIN campaigns_campaign c ON c.id = s.campaign_id, jsonb_each_text(s.suppressed) AS e (reason, n)
GROUP BY 1
"""
# A shift of the clock is a leap between two seconds, so the seconds with sends are real ones.
SPEED = """
SELECT m.brand_id, count(*), count(DISTINCT date_trunc('second', a.intent_at))
FROM delivery_attempt a JOIN delivery_message m ON m.id = a.message_id
GROUP BY GROUPING SETS ((m.brand_id), ())
"""
ROWS = "SELECT brand_id, sum(rows_read)::bigint FROM leads_import GROUP BY 1"
REFUSED_ROWS = """
SELECT i.brand_id, e.code, count(*) FROM leads_importerror e
JOIN leads_import i ON i.id = e.taken_in_id GROUP BY 1, 2
"""
LEADS = "SELECT brand_id, count(*) FROM leads_lead GROUP BY 1"


@dataclass(slots=True)
class Progress:
    """Counts by status, and how fast attempts are answered."""

    states: Counter[str] = field(default_factory=Counter)
    rate: float = 0.0
    _history: deque[tuple[float, int]] = field(default_factory=deque)

    def read(self) -> None:
        self.states = Counter(dict(sql.rows(STATES)))
        now, answered = time.monotonic(), self.answered
        self._history.append((now, answered))
        while len(self._history) > 2 and now - self._history[1][0] > RATE_OVER:
            self._history.popleft()
        since, before = self._history[0]
        self.rate = (answered - before) / (now - since) if now > since else 0.0

    @property
    def answered(self) -> int:
        return self.taken + self.states["rejected"] + self.states["unknown"]

    @property
    def taken(self) -> int:
        return sum(self.states[status] for status in TAKEN)

    def words(self, phase: str) -> str:
        states = self.states
        return (
            f"{phase} · planned {states['planned']:,} · sending {states['sending']:,}"
            f" · accepted {self.taken:,} · refused {states['refused'] + states['rejected']:,}"
            f" · unknown {states['unknown']:,} · {self.rate:,.0f}/s"
        )


class Told:
    """Where the demo speaks: a moving line on a terminal, a line every few seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._told_at = 0.0

    def say(self, words: str) -> None:
        self.console.print(words, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def moving(self) -> Iterator[None]:
        """While it lasts `show` may be called at any pace."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False, transient=True) as self._live:
            yield
        self._live = None

    def is_time(self) -> bool:
        every = LIVE_EVERY if self._live else PLAIN_EVERY
        if time.monotonic() - self._told_at < every:
            return False
        self._told_at = time.monotonic()
        return True

    def show(self, words: str) -> None:
        if self._live is None:
            self.say(words)
        else:
            self._live.update(Text(words), refresh=True)


@dataclass(slots=True)
class Phases:
    """How long each part took, in the order they came."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            passed = time.monotonic() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + passed

    def words(self) -> str:
        parts = [f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items()]
        return f"{', '.join(parts)}; together {sum(self.seconds.values()):.1f} s"


@dataclass(slots=True)
class Column:
    """The figures of one brand, or of all."""

    rows: int = 0
    leads: int = 0
    refused_rows: Counter[str] = field(default_factory=Counter)
    suppressed: int = 0
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    heard: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    seconds: int = 0

    def add(self, other: Column) -> None:
        self.rows += other.rows
        self.leads += other.leads
        self.refused_rows += other.refused_rows
        self.suppressed += other.suppressed
        self.ends += other.ends
        self.heard += other.heard
        self.answers += other.answers
        self.answered += other.answered

    def count(self, *statuses: str) -> int:
        return sum(number for (status, _), number in self.ends.items() if status in statuses)

    @property
    def audience(self) -> int:
        return self.ends.total()

    @property
    def speed(self) -> str:
        return f"{self.attempts / self.seconds:,.0f}" if self.seconds else "-"


Figure: TypeAlias = Callable[[Column], str]
Row: TypeAlias = tuple[str, Figure]


def time_in(zone: str) -> str:
    """The sandbox's time, at the place the zone is named after."""
    place = zone.partition("/")[2].replace("_", " ")
    return f"{clock.now().astimezone(ZoneInfo(zone)):%H:%M} in {place}"


def columns() -> dict[str, Column]:
    """Each brand's figures by its name, then those of all."""
    names: dict[int, str] = dict(Brand.objects.order_by("id").values_list("id", "name"))
    found = {brand_id: Column() for brand_id in names}
    _add_rows(found)
    for brand_id, count in sql.rows(SUPPRESSED):
        found[brand_id].suppressed = count
    for brand_id, status, reason, count in sql.rows(BY_BRAND):
        found[brand_id].ends[status, reason] = count
    _add_replies(found)
    every = Column()
    for column in found.values():
        every.add(column)
    for brand_id, attempts, seconds in sql.rows(SPEED):
        column = every if brand_id is None else found[brand_id]
        column.attempts, column.seconds = attempts, seconds
    return {**{names[pk]: column for pk, column in found.items()}, "All": every}


def _add_rows(found: dict[int, Column]) -> None:
    for brand_id, rows in sql.rows(ROWS):
        found[brand_id].rows = rows
    for brand_id, code, count in sql.rows(REFUSED_ROWS):
        found[brand_id].refused_rows[code] = count
    for brand_id, leads in sql.rows(LEADS):
        found[brand_id].leads = leads


def _add_replies(found: dict[int, Column]) -> None:
    for brand_id, label, count in sql.rows(HEARD):
        if brand_id is not None:
            found[brand_id].heard[label] = count
    for brand_id, kind, count, answered in sql.rows(ANSWERS, list(TAKEN)):
        found[brand_id].answers[kind], found[brand_id].answered[kind] = count, answered


def table(found: dict[str, Column]) -> Table:
    """A row for each figure, a column for each brand."""
    out = Table(title=f"Now {clock.now():%A %Y-%m-%d %H:%M} UTC on the sandbox's clock")
    out.add_column("", min_width=LABEL)  # gives way first
    for name in found:
        out.add_column(name.partition(" ")[0], justify="right")
    for rows in parts(found["All"]):
        for label, figure in rows:
            out.add_row(label, *(figure(column) for column in found.values()))
        out.add_section()
    return out


def parts(every: Column) -> Iterator[list[Row]]:
    """The rows of the table, part by part: what came in, what became of it, answers, how fast."""
    codes = sorted(every.refused_rows)
    yield [
        ("rows in the file", lambda column: f"{column.rows:,}"),
        *((f"  refused: {code.replace('_', ' ')}", _refused(code)) for code in codes),
        ("leads", lambda column: f"{column.leads:,}"),
        ("suppressed", lambda column: f"{column.suppressed:,}"),
        ("audience", lambda column: f"{column.audience:,}"),
    ]
    yield [(_label(end), _ended(end)) for end in sorted(every.ends, key=_order)]
    yield [
        *((f"wrote: {label}", _heard(label)) for label in sorted(every.heard)),
        *((f"answered: {kind}", _answered(kind)) for kind in sorted(every.answers)),
    ]
    yield [("sent a second", lambda column: column.speed)]


def _refused(code: str) -> Figure:
    return lambda column: f"{column.refused_rows[code]:,}"


def _ended(end: tuple[str, str]) -> Figure:
    return lambda column: f"{column.ends[end]:,}"


def _heard(label: str) -> Figure:
    return lambda column: f"{column.heard[label]:,}"


def _answered(kind: str) -> Figure:
    return lambda column: f"{column.answered[kind]:,}"


def _order(end: tuple[str, str]) -> tuple[int, str]:
    return list(Status).index(Status(end[0])), end[1]


def _label(end: tuple[str, str]) -> str:
    status, reason = end
    if not reason or reason == status:
        return status.replace("_", " ")
    return f"{status}: {Reason(reason).label[0].lower()}{Reason(reason).label[1:]}"


def turned_away() -> str:
    """What callbacks came to nothing, in words."""
    counts = [f"{What(what).label}: {count:,}" for what, count in sql.rows(TURNED_AWAY)]
    return "; ".join(counts) or "none"

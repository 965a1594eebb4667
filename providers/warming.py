"""How a new number comes up to its full speed, day by day.

The ramp is in the database's functions (`sendonce_pace` and its like, migration 0009), so that what
grants, what plans and what is shown go by the same figures. Here is how the ORM asks them, and the
words for people. It changes nothing.

Carriers publish no ramp for texts. Platforms that impose one begin with 100 to 250 messages a day
and raise that by as much each day, or by half or the double (HighLevel's SMS ramp: 100, 250, 500,
750, 1,500 …; for new agencies 250 times the day, for 7 days). That a number begins with 200 and
takes 14 days is our choice; both are fields of the number.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import DateTimeField, F, FloatField, IntegerField, QuerySet, Value
from django.db.models.expressions import RawSQL

TABLE = "providers_sendernumber"  # by this name a query of the ORM knows the number's row


def pace(now: datetime) -> RawSQL:
    """The segments a second that the number may send now, for a query that has its table once."""
    return _asked("sendonce_pace", now, FloatField())


def with_warming(numbers: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    """Numbers with their `pace` at `looked_at`, which is now. One that warms up has its `warm_day`
    of `warm_days` (from 1 on), when that day began (`warm_from`), and the messages that it may send
    in it (`warm_ceiling`)."""
    found: QuerySet[Any] = numbers.annotate(
        looked_at=Value(now, output_field=DateTimeField()),
        pace=pace(now),
        warm_days=F("warm_up_days"),
        warm_day=_asked("sendonce_warm_day", now, IntegerField()),
        warm_from=_asked("sendonce_warm_from", now, DateTimeField()),
        warm_ceiling=_asked("sendonce_warm_ceiling", now, IntegerField()),
    )
    return found


def _asked(function: str, now: datetime, answer: Any) -> RawSQL:
    return RawSQL(f'{function}("{TABLE}", %s)', [now], output_field=answer)  # noqa: S611


def in_words(number: Any) -> str:
    """Of a number `with_warming`: "day 3 of 14: 475 a day", empty for a warm one."""
    if number.warm_day is None:
        return ""
    return f"day {number.warm_day} of {number.warm_days}: {number.warm_ceiling:,} a day"

"""The one source of stored times: the database's clock, moved forward in a sandbox.

Deadlines, signatures, tokens and the limiters use real time and never ask here.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Func

SQL_NOW = "SELECT sendonce_now()"


def database_now() -> Func:
    """The default of a stored time: the same clock, read by the database itself."""
    return Func(function="sendonce_now", output_field=DateTimeField())


def now() -> datetime:
    """The database's time, plus the sandbox's shift, in UTC; one short query."""
    with connection.cursor() as cursor:
        cursor.execute(SQL_NOW)
        (moment,) = cursor.fetchone()
    assert isinstance(moment, datetime)  # noqa: S101 - narrows the driver's Any
    return moment

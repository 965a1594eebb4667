"""What Postgres would do for a query in a full table, asked of an empty one."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.db.models import QuerySet


def plan_by_indexes(rows: QuerySet[Any]) -> str:
    """The plan with only bitmaps of indexes left to choose from, inside a transaction.

    In an empty table a walk through the whole of it, or through the whole primary key, is as
    cheap as the index that the test is about, and which one wins depends on what ran before.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
    return rows.explain()

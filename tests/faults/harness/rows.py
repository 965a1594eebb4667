"""All rows of faults, in the order they are run and told."""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults.harness import (
    rows_caps,
    rows_deciding,
    rows_fairness,
    rows_mix,
    rows_poison,
    rows_providers,
    rows_records,
    rows_reports,
    rows_servers,
    rows_stops,
    rows_workers,
)
from tests.faults.harness.trials import Row

ROWS: tuple[Row, ...] = (
    *rows_workers.ROWS,
    *rows_servers.ROWS,
    *rows_providers.ROWS,
    *rows_reports.ROWS,
    *rows_deciding.ROWS,
    *rows_stops.ROWS,
    *rows_caps.ROWS,
    *rows_poison.ROWS,
    *rows_fairness.ROWS,
    *rows_records.ROWS,
    *rows_mix.ROWS,
)


class NoSuchRow(Exception):
    """A sentence that names the rows there are."""


def chosen(names: Sequence[str]) -> list[Row]:
    """Those of these names, or all. Raises NoSuchRow."""
    known = {row.name: row for row in ROWS}
    for name in names:
        if name not in known:
            raise NoSuchRow(f"There is no row {name}. There are: {', '.join(known)}.")
    return [row for row in ROWS if not names or row.name in names]

"""Takes in what a partner posted: the good leads by `leads.intake`, the refused ones for staff.

One request is one transaction and a fixed number of statements, however many leads it brings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from brands.models import ApiKey
from compliance.models import ConsentEvent
from leads import posted, problems
from leads.intake import DUPLICATE, Intake, Result
from leads.models import LeadList, RejectedLead
from leads.rows import LeadRow, Problem

# How a person agreed is the partner's to prove, by wording and address; we saw no form of theirs.
METHOD = ConsentEvent.Method.IMPORT
SOURCE = 80  # characters of a source


def find_list(brand_id: int, name: str) -> LeadList | None:
    """The brand's list of this name, in capitals or not; None if there is none in use."""
    if posted.clean(name, len(name)) != name:
        return None
    return LeadList.objects.filter(brand=brand_id, name__iexact=name, retired_at=None).first()


def take_in(
    key: ApiKey,
    values: Sequence[object],
    list_id: int | None,
    also: Callable[[Sequence[Result]], None],
) -> None:
    """Store what was posted with this key; `also` gets what became of each, in order.

    It is called inside the transaction, again if that is begun again. A lead that names no source
    has the key's name. Raises GaveUp or DatabaseError.
    """
    checked = [posted.read(value, source=key.name) for value in values]
    good = [row for row in checked if isinstance(row, LeadRow)]

    def store_refused(results: Sequence[Result]) -> None:
        each = iter(results)
        outcomes = [
            _in_our_words(next(each)) if isinstance(row, LeadRow) else row for row in checked
        ]
        _store_refused(key, values, outcomes)
        also(outcomes)

    Intake(brand_id=key.brand_id, list_id=list_id, method=METHOD).take_in(good, also=store_refused)


def _in_our_words(result: Result) -> Result:
    return problems.DUPLICATE if result is DUPLICATE else result


def _store_refused(key: ApiKey, values: Sequence[object], outcomes: Sequence[Result]) -> None:
    RejectedLead.objects.bulk_create(
        RejectedLead(
            brand_id=key.brand_id,
            source=posted.source_of(value, key.name[:SOURCE]),
            code=outcome.code,
            message=outcome.message,
            fields=posted.kept(value),
        )
        for value, outcome in zip(values, outcomes, strict=True)
        if isinstance(outcome, Problem)
    )

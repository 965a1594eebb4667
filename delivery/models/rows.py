"""How rows point at others that are never deleted."""

from __future__ import annotations

from typing import Any

from django.db import models


def parent(to: Any, **options: Any) -> models.ForeignKey[Any, Any]:
    """A key to a row that is never deleted (a trigger sees to it), so without the check's cost."""
    return models.ForeignKey(
        to,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        **options,
    )

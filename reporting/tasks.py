"""What RQ runs for reports. Safe to run twice, late, or at the same time elsewhere."""

from __future__ import annotations

from django.conf import settings

from reporting import figures


def count_figures() -> int:
    """Count for a tenth of the time between two rounds at most."""
    figures.count_stops()
    return figures.count_due(seconds=settings.FIGURES_EVERY_SECONDS / 10)

"""Move a sandbox's clock forward."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.dateparse import parse_datetime, parse_duration

from brands import clock
from delivery.shifting import CannotShift, shift_to


class Command(BaseCommand):
    help = (
        "Move the sandbox's clock forward by a duration (03:00:00) or to a time (2027-01-01T15:00Z)"
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("to", help="a duration, or an ISO 8601 time with its offset")

    def handle(self, *args: Any, to: str, **options: Any) -> None:
        duration, moment = parse_duration(to), None
        try:
            moment = parse_datetime(to)
        except ValueError as error:
            raise CommandError(f"{to}: {error}") from error
        if moment is None and duration is not None and duration > timedelta():
            moment = clock.now() + duration
        if moment is None or moment.tzinfo is None:
            raise CommandError(f"{to}: neither a duration nor a time with its offset.")
        try:
            shift_to(moment)
        except CannotShift as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"It is now {clock.now():%Y-%m-%d %H:%M:%S} UTC.")

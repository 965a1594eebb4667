"""Run the scheduler: it hands out recurring jobs; any number may run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.scheduling import make_scheduler


class Command(BaseCommand):
    help = "Run the scheduler of recurring jobs until it is stopped."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--interval", type=int, default=1, help="seconds between two looks")

    def handle(self, *args: Any, interval: int, **options: Any) -> None:
        make_scheduler(interval).run()

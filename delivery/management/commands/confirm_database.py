"""Tell Sendonce that this database is the right one, after a restore or a move."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from redis.exceptions import RedisError

from brands.models import Installation
from delivery.picking import read_mark
from delivery.worker import system_identifier
from providers import rates


class Command(BaseCommand):
    help = (
        "After a restore: what the database forgot may have been sent. Only when you know that"
        " nothing of it will be sent twice, confirm it, and sending goes on from what it holds."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--yes", action="store_true", help="confirm without asking")

    def handle(self, *args: Any, **options: Any) -> None:
        installation = Installation.objects.first()
        if installation is None:
            raise CommandError("There is no installation yet: run manage.py set_up.")
        redis, mark = rates.connect(settings.REDIS_URL), read_mark()
        identity = str(installation.identity)
        try:
            self.stdout.write(
                f"Redis last saw {rates.stored_mark(redis, identity)}, this is {mark}."
            )
            if not options["yes"] and input("Type yes to confirm this database: ") != "yes":
                raise CommandError("Nothing was changed.")
            rates.confirm_database(redis, identity, mark)
        except RedisError as error:
            raise CommandError(f"Redis does not answer: {error}") from error
        Installation.objects.update(system_identifier=system_identifier())
        self.stdout.write("Confirmed.")

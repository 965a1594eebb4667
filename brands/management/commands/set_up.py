"""The first thing to do on a new database: say what this installation is."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection

from brands.models import Installation

MAY_READ = "SELECT has_function_privilege('pg_control_system()', 'EXECUTE')"
READ = "SELECT system_identifier::text FROM pg_control_system()"


class Command(BaseCommand):
    help = (
        "Make this database an installation: a real one, or with --sandbox one that sends only to"
        " simulated providers and may move its clock. It is so for ever. Safe to run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sandbox", action="store_true", help="make it a sandbox")

    def handle(self, *args: Any, **options: Any) -> None:
        wants_sandbox = bool(options["sandbox"])
        try:
            cluster = system_identifier()
            installation, is_new = Installation.objects.get_or_create(
                id=1, defaults={"is_sandbox": wants_sandbox, "system_identifier": cluster}
            )
        except ProgrammingError as error:
            raise CommandError("The tables are not there yet: run manage.py migrate.") from error
        refuse_to_change(installation, wants_sandbox=wants_sandbox)
        self.stdout.write(f"{'Set up' if is_new else 'Already set up'}: {words(installation)}.")
        if cluster and not installation.system_identifier:
            Installation.objects.filter(system_identifier="").update(system_identifier=cluster)
        elif installation.system_identifier != cluster:
            self.stderr.write(
                "This is another Postgres cluster than the one a person confirmed: nothing is sent"
                " before manage.py confirm_database."
            )


def refuse_to_change(installation: Installation, *, wants_sandbox: bool) -> None:
    if installation.is_sandbox and not wants_sandbox:
        raise CommandError(
            "This installation is a sandbox for ever, nothing was changed. For a real one wipe its"
            " database, or use another, and run set_up again; to keep the sandbox say --sandbox."
        )
    if wants_sandbox and not installation.is_sandbox:
        raise CommandError(
            "This installation is a real one for ever, nothing was changed. For a sandbox use"
            " another database."
        )


def words(installation: Installation) -> str:
    kind = "a sandbox" if installation.is_sandbox else "a real installation"
    return f"{kind}, {installation.identity}"


def system_identifier() -> str:
    """The Postgres cluster's own number; empty where we may not read it."""
    with connection.cursor() as cursor:
        cursor.execute(MAY_READ)
        if not cursor.fetchone()[0]:
            return ""
        cursor.execute(READ)
        return str(cursor.fetchone()[0])

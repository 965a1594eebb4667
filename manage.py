#!/usr/bin/env python
"""Django's command line. `./dev manage …` runs the same with the embedded servers up."""

from __future__ import annotations

import os
import sys


def run() -> int:
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import OperationalError
    except ImportError as error:
        return fail(f"{error}. `./dev manage …` makes the environment and uses it.")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        return fail(f"A setting is wrong. {error}")
    except OperationalError as error:
        return fail(f"The database cannot be used. {error}")
    except LookupError as error:
        if "No installed app" not in str(error):
            raise
        sys.stderr.write(f"{error.args[0]}\n")
        return 1
    return 0


def fail(reason: str) -> int:
    sys.stderr.write(f"{reason.strip()}\n")
    missing = [name for name in ("DATABASE_URL", "REDIS_URL") if not os.environ.get(name)]
    if missing:
        sys.stderr.write(
            f"{' and '.join(missing)} not set: `./dev manage …` starts the embedded servers"
            " and sets them.\n"
        )
    return 1


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        return run()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

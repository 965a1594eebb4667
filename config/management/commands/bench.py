"""Benchmarks on a database of their own: `manage.py bench delivery`, `manage.py bench reports`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from redis.exceptions import RedisError

from config import bench, bench_reports, bench_run, bench_stage
from config.demo_processes import Broken
from config.management.commands.demo import whole

MAX_LATENCY_MS = 10_000


class Command(BaseCommand):
    help = (
        "Measure how fast messages are sent, or reports taken in and applied, on a database of its"
        " own, for ten minutes at most."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["delivery", "reports"])
        parser.add_argument(
            "--messages",
            type=whole(100, bench_stage.most_people()),
            default=50_000,
            metavar="N",
            help="as many people get one message or report each; 1 of 100 has opted out"
            " (%(default)s)",
        )
        parser.add_argument(
            "--workers",
            type=whole(1, 32),
            default=None,
            metavar="N",
            help="send workers (3), or processes of the web server that takes reports in (2)",
        )
        parser.add_argument(
            "--latency-ms",
            type=whole(0, MAX_LATENCY_MS),
            default=50,
            metavar="MS",
            help="how long the provider takes to answer (%(default)s)",
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
        parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            code = inside(options) if options["inside"] else outside(options)
        except (bench.NoGround, bench_run.TookTooLong, Broken) as error:
            raise CommandError(str(error)) from error
        except RedisError as error:
            raise CommandError(f"Redis cannot be used: {error}") from error
        except OSError as error:
            file = f"{error.filename} cannot be written: " if error.filename else ""
            raise CommandError(f"{file}{error.strerror or error}.") from error
        if code:
            sys.exit(code)


def outside(options: dict[str, Any]) -> int:
    arguments = [options["what"]]
    for name in ("messages", "workers", "latency_ms"):
        if options[name] is not None:
            arguments += [f"--{name.replace('_', '-')}", str(options[name])]
    if options["json"]:
        options["json"].touch()
        arguments += ["--json", str(options["json"].resolve())]
    return bench.run_apart(arguments)


def inside(options: dict[str, Any]) -> int:
    found, is_well = MEASURES[options["what"]](options)
    for line in bench_run.lines(found):
        bench.say(line)
    if options["json"]:
        bench_run.write_json(found, options["json"])
    return 0 if is_well else 1


def delivery(options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    chosen = bench_run.Options(
        messages=options["messages"],
        workers=options["workers"] or 3,
        latency_ms=options["latency_ms"],
    )
    found = bench_run.measure(chosen, options["inside"])
    return found, bench_run.is_well(found)


def reports(options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    chosen = bench_reports.Options(
        reports=options["messages"], web_processes=options["workers"] or 2
    )
    found = bench_reports.measure(chosen, options["inside"])
    return found, bench_reports.is_well(found)


MEASURES = {"delivery": delivery, "reports": reports}

"""Benchmarks on a database of their own: `manage.py bench delivery`, and its like."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from redis.exceptions import RedisError

from config import (
    bench,
    bench_adapters,
    bench_clicks,
    bench_compare,
    bench_hang,
    bench_reports,
    bench_run,
    bench_scale,
    bench_stage,
    bench_words,
    invented_accounts,
)
from config.bench_words import Figures
from config.demo_processes import Broken
from config.management.commands.demo import whole

MAX_LATENCY_MS = 10_000
PASSED_ON = ("messages", "workers", "latency_ms", "provider", "job_workers", "there", "kinds")


@dataclass(frozen=True, slots=True)
class Bench:
    """What it measures, and of how many by default.

    `run` says whether all was right, too, however slow it was. `people`: how many it makes.
    """

    what: str
    messages: int
    workers: int
    run: Callable[[dict[str, Any]], tuple[Figures, bool]]
    people: Callable[[dict[str, Any]], int] = itemgetter("messages")


class Command(BaseCommand):
    help = (
        "Measure on a database of its own, which is removed afterwards. It ends by itself. The exit"
        " code is 1 where something was wrong, never because it was slow."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = "\n".join(f"{name:<10} {one.what}" for name, one in BENCHES.items())
        parser.add_argument("what", choices=list(BENCHES))
        parser.add_argument(
            "--messages",
            type=whole(100, bench_stage.most_people()),
            metavar="N",
            help=f"how many; by default {defaults('messages')}",
        )
        parser.add_argument(
            "--workers",
            type=whole(1, 32),
            metavar="N",
            help="send workers, or processes of the web server where none sends; by default"
            f" {defaults('workers')}",
        )
        parser.add_argument(
            "--latency-ms",
            type=whole(0, MAX_LATENCY_MS),
            default=50,
            metavar="MS",
            help="how long the provider takes to answer (%(default)s)",
        )
        parser.add_argument(
            "--provider",
            choices=invented_accounts.TEXTS,
            default="twilio",
            help="delivery: who is simulated (%(default)s); sinch takes many messages in a request",
        )
        parser.add_argument(
            "--job-workers",
            type=whole(1, 64),
            nargs="+",
            metavar="N",
            help="compare: how many workers of the usual way, one count after the other; by"
            f" default as many as ours, and {bench_compare.MANY_WORKERS}",
        )
        parser.add_argument(
            "--there",
            type=whole(100, bench_stage.most_people()),
            nargs="+",
            default=list(bench_scale.SIZES),
            metavar="N",
            help="scale: how many messages are in the tables before each sending",
        )
        parser.add_argument(
            "--kinds",
            choices=list(invented_accounts.INVENTIONS),
            nargs="+",
            default=list(invented_accounts.INVENTIONS),
            metavar="KIND",
            help="adapters: which kinds of providers; by default all",
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
        parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = with_defaults(options)
        try:
            code = inside(chosen) if options["inside"] else outside(chosen)
        except (bench.NoGround, bench_run.TookTooLong, Broken) as error:
            raise CommandError(str(error)) from error
        except RedisError as error:
            raise CommandError(f"Redis cannot be used: {error}") from error
        except OSError as error:
            file = f"{error.filename} cannot be written: " if error.filename else ""
            raise CommandError(f"{file}{error.strerror or error}.") from error
        if code:
            sys.exit(code)


def defaults(name: str) -> str:
    return ", ".join(f"{getattr(one, name):,} for {key}" for key, one in BENCHES.items())


def with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """What was not said stands with the benchmark. Raises CommandError."""
    one = BENCHES[options["what"]]
    chosen = {
        **options,
        "messages": options["messages"] or one.messages,
        "workers": options["workers"] or one.workers,
    }
    chosen["job_workers"] = job_workers(chosen)
    wanted, most = one.people(chosen), bench_stage.most_people()
    if wanted > most:
        raise CommandError(f"It would take {wanted:,} people, and there are {most:,} numbers.")
    return chosen


def job_workers(options: dict[str, Any]) -> list[int]:
    """Raises CommandError."""
    found = set(options["job_workers"] or (options["workers"], bench_compare.MANY_WORKERS))
    if len(found) > bench_compare.MOST_COUNTS:
        raise CommandError(f"At most {bench_compare.MOST_COUNTS} counts can be given.")
    return sorted(found)


def outside(options: dict[str, Any]) -> int:
    arguments = [options["what"]]
    for name in PASSED_ON:
        value = options[name]
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{name.replace('_', '-')}", *map(str, values)]
    if options["json"]:
        options["json"].touch()
        arguments += ["--json", str(options["json"].resolve())]
    return bench.run_apart(arguments)


def inside(options: dict[str, Any]) -> int:
    found, is_well = BENCHES[options["what"]].run(options)
    for line in bench_words.lines(found):
        bench.say(line)
    if options["json"]:
        bench_words.write_json(found, options["json"])
    return 0 if is_well else 1


def sending(options: dict[str, Any]) -> bench_run.Options:
    return bench_run.Options(
        messages=options["messages"],
        workers=options["workers"],
        latency_ms=options["latency_ms"],
        provider=options["provider"],
    )


def delivery(options: dict[str, Any]) -> tuple[Figures, bool]:
    found = bench_run.measure(sending(options), options["inside"])
    return found, bench_run.is_well(found)


def compare(options: dict[str, Any]) -> tuple[Figures, bool]:
    found = bench_compare.measure(sending(options), options["job_workers"], options["inside"])
    return found, bench_compare.is_well(found)


def reports(options: dict[str, Any]) -> tuple[Figures, bool]:
    chosen = bench_reports.Options(reports=options["messages"], web_processes=options["workers"])
    found = bench_reports.measure(chosen, options["inside"])
    return found, bench_reports.is_well(found)


def redirects(options: dict[str, Any]) -> tuple[Figures, bool]:
    chosen = bench_clicks.Options(links=options["messages"], web_processes=options["workers"])
    found = bench_clicks.measure(chosen, options["inside"])
    return found, bench_clicks.is_well(found)


def scale(options: dict[str, Any]) -> tuple[Figures, bool]:
    found = bench_scale.measure(sending(options), options["there"], options["inside"])
    return found, bench_scale.is_well(found)


def hang(options: dict[str, Any]) -> tuple[Figures, bool]:
    found = bench_hang.measure(sending(options), options["inside"])
    return found, bench_hang.is_well(found)


def adapters(options: dict[str, Any]) -> tuple[Figures, bool]:
    found = bench_adapters.measure(adapters_of(options), options["inside"])
    return found, bench_adapters.is_well(found)


def adapters_of(options: dict[str, Any]) -> bench_adapters.Options:
    return bench_adapters.Options(
        messages=options["messages"],
        workers=options["workers"],
        latency_ms=options["latency_ms"],
        kinds=sorted(set(options["kinds"]), key=options["kinds"].index),
    )


def people_to_compare(options: dict[str, Any]) -> int:
    return bench_compare.SHARES * int(options["messages"])


def people_beside_a_hang(options: dict[str, Any]) -> int:
    return bench_hang.people_for(options["messages"])


def people_of_scale(options: dict[str, Any]) -> int:
    return bench_scale.people_for(options["messages"], options["there"])


BENCHES = {
    "delivery": Bench("messages planned and sent, with all checks", 400_000, 3, delivery),
    "compare": Bench(
        "one job for each message in the usual way, and ours", 3_000, 3, compare, people_to_compare
    ),
    "adapters": Bench(
        "messages through every kind of provider, with all its reports",
        10_000,
        2,
        adapters,
        lambda options: adapters_of(options).all_messages,
    ),
    "reports": Bench("delivery reports taken in and applied", 50_000, 2, reports),
    "redirects": Bench("short links followed", 20_000, 2, redirects),
    "hang": Bench(
        "what a provider that hangs leaves of the others' rate",
        10_000,
        3,
        hang,
        people_beside_a_hang,
    ),
    "scale": Bench("messages sent with ever more in the tables", 20_000, 3, scale, people_of_scale),
}

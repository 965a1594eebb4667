"""The benchmark of a provider that hangs: what is left of the others' rate meanwhile.

Two rounds in one run. First one account sends alone; then as many messages wait for it again, and
as many more for an account at which every request hangs. What counts is the rate of the healthy
one until all that was planned for it is answered.
"""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import asdict
from pathlib import Path

from config import bench_figures as figures
from config import bench_history as history
from config import bench_run as run
from config import bench_stage as stage
from config import demo_processes as processes
from config.bench import say
from config.bench_progress import progress
from config.bench_run import Options
from config.bench_words import Figures
from config.demo_processes import Children
from delivery import sql
from providers.models import ProviderAccount, RouteNumber

GOAL = 80.0  # per cent of the rate without it
LOOK_EVERY = 0.2  # seconds
ORDER_SECONDS = 10

WAITING = """
SELECT count(*) FROM delivery_due d JOIN providers_sendernumber n ON n.id = d.lane_id
WHERE n.account_id = %s
"""
ANSWERED = """
SELECT count(*), extract(epoch FROM max(answered_at) - min(intent_at))::float8
FROM (SELECT answered_at, intent_at FROM delivery_attempt
      WHERE id > %s AND account_id = %s AND outcome = 'accepted'
      ORDER BY answered_at LIMIT %s) first
"""
UNKNOWN = "SELECT count(*) FROM delivery_attempt WHERE account_id = %s AND outcome = 'unknown'"


def measure(options: Options, folder: Path) -> Figures:
    """All figures of one run. Raises TookTooLong or Broken."""
    site, people = run.Site.at(folder), people_for(options.messages)
    with run.at_most(run.patience(people)), processes.ended_by_signals():
        run.make_tables()
        brands = stage.found(
            simulator=site.simulator, daily_cap=10 * people, provider=options.provider
        )
        history.grow(brands, messages=0, people=people)
        healthy, hanging = ProviderAccount.objects.order_by("id")
        with run.simulated(site, options.latency_ms) as children:
            weigh_numbers(hanging, 0)
            history.start_campaigns(brands, options.messages, "Alone")
            alone, _ = one_round(children, options.workers, healthy)
            weigh_numbers(hanging, 100)
            order(site.simulator, "hang", hanging)
            history.start_campaigns(brands, 2 * options.messages, "Beside one that hangs")
            beside, is_complete = one_round(children, options.workers, healthy)
        clean, oracle = run.judge(site.ledger)
    percent = round(100 * beside / max(alone, 0.001), 1)
    return {
        "messages_per_second": {"alone": round(alone), "beside_one_that_hangs": round(beside)},
        "per_cent_of_the_rate_alone": percent,
        "is_goal_met": {f"at least {GOAL:.0f} per cent": percent >= GOAL},
        "lost_to_the_one_that_hangs": sql.one(UNKNOWN, hanging.pk)[0],
        "statuses": figures.statuses(),
        "duplicates": figures.duplicates(site.ledger),
        "is_complete": is_complete,
        "is_clean": clean,
        "oracle": oracle,
        "settings": {**asdict(options), **run.surroundings()},
    }


def people_for(messages: int) -> int:
    """Nobody gets two messages."""
    return 3 * messages


def weigh_numbers(account: ProviderAccount, weight: int) -> None:
    RouteNumber.objects.filter(number__account=account).update(weight=weight)


def order(simulator: str, mode: str, account: ProviderAccount) -> None:
    """Tell the simulator what to do with an account's requests from now on. Raises OSError."""
    name = next(iter(account.access().secrets.values()))
    body = json.dumps({"mode": mode, "account": name}).encode()
    request = urllib.request.Request(f"{simulator}/control", data=body)  # noqa: S310 - our own
    urllib.request.urlopen(request, timeout=ORDER_SECONDS).close()  # noqa: S310


def one_round(children: Children, workers: int, healthy: ProviderAccount) -> tuple[float, bool]:
    """The healthy account's messages a second, and whether all that waits came to an end."""
    run.plan()
    (planned,) = sql.one(WAITING, healthy.pk)
    stage.stop_all()
    run.start_warm(children, workers)
    before, processors = figures.last_attempt(), figures.Processors(children.pids())
    stage.release()
    rate = rate_of(healthy, planned, before, children)
    say(f"{healthy.name}: {planned:,} messages, {rate:,.0f} a second")
    with progress("Sending the rest", planned) as report:
        is_done = run.wait_for_end(children, processors, report, before=before)
    children.end_all_but("simulator")
    return rate, is_done


def rate_of(account: ProviderAccount, planned: int, before: int, children: Children) -> float:
    """Messages a second from the first claim to the answer to so many. Raises Broken."""
    with progress("Sending", planned) as report:
        while True:
            answered, seconds = sql.one(ANSWERED, before, account.pk, planned)
            report(answered)
            if answered >= planned or children.tend():
                return float(answered / max(seconds or 0.0, 0.001))
            time.sleep(LOOK_EVERY)


def is_well(found: Figures) -> bool:
    return run.is_well(found)

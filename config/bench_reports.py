"""The benchmark of delivery reports: posted as fast as they are answered, until all are applied.

The messages are handed over by SQL, for sending is measured elsewhere. Signatures, the web server,
the durable inbox and the worker that applies are those of production.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from config import bench_figures as figures
from config import bench_stage as stage
from config import demo_processes as processes
from config import invented_accounts
from config.bench import say
from config.bench_followers import warm_up
from config.bench_progress import Report, progress
from config.bench_run import at_most, make_tables, patience, per, start_warm, surroundings
from config.bench_words import Figures
from config.demo_processes import HOST, Children
from config.web import start_web
from delivery import planning, sql
from providers.models import ProviderAccount

CONNECTIONS = 32
ASK_SECONDS = 60.0
LOOK_EVERY = 0.5  # the rows themselves say when they were applied

HAND_OVER = """
WITH due AS (DELETE FROM delivery_due RETURNING message_id, lane_id),
attempts AS (
    INSERT INTO delivery_attempt (message_id, account_id, number_id, sender, ref, provider_refs,
                                  text, segments, brand_day, outcome, intent_at, answered_at)
    SELECT due.message_id, %(account)s, due.lane_id, gen_random_uuid(),
           'bench' || lpad(due.message_id::text, 17, '0'),
           ARRAY['SM' || lpad(to_hex(due.message_id), 32, '0')], 'Hi', 1, %(day)s, 'accepted',
           %(now)s, %(now)s
    FROM due RETURNING message_id
)
UPDATE delivery_message m SET status = 'accepted' FROM attempts a WHERE m.id = a.message_id
"""
REFS = """
SELECT a.ref, a.provider_refs[1], p.phone FROM delivery_attempt a
JOIN delivery_message m ON m.id = a.message_id JOIN compliance_person p ON p.id = m.person_id
ORDER BY a.id
"""
APPLIED = """
SELECT count(*), count(*) FILTER (WHERE applied_at IS NOT NULL),
       extract(epoch FROM max(applied_at) - min(received_at))::float8
FROM delivery_webhookevent
"""
DELIVERED = """
SELECT count(*) FROM delivery_message m JOIN delivery_attempt a ON a.message_id = m.id
AND NOT a.is_not_sent WHERE m.status = 'delivered' AND a.report_status = 'delivered'
"""
ANALYZE = "ANALYZE delivery_attempt, delivery_message, delivery_webhookevent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`web_processes`: of the web server; the applier is one."""

    reports: int
    web_processes: int


def measure(options: Options, folder: Path) -> Figures:
    """All figures of one run. Raises TookTooLong or Broken."""
    port, web = processes.free_port(), processes.free_port()
    with at_most(patience(options.reports)), processes.ended_by_signals():
        say(f"Making {options.reports:,} messages that wait for their reports")
        make_tables()
        stage.make(options.reports, simulator=f"http://{HOST}:{port}")
        account = ProviderAccount.objects.earliest("id")
        refs = hand_over(account, folder / "refs.csv")
        with started(options, folder, port, web) as children:
            order(port, burst(account, web, folder / "refs.csv"))
            found = take_in(children, port, refs)
    return {**found, "settings": {**asdict(options), **settings_of_it()}}


def hand_over(account: ProviderAccount, file: Path) -> int:
    """Plan, and have every message accepted under this account; how many, and a line for each."""
    planning.plan_open_slots()
    now = stage.release()
    sql.count_named(HAND_OVER, {"account": account.pk, "day": now.date(), "now": now})
    sql.rows(ANALYZE)
    rows = sql.rows(REFS)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{','.join(row)}\n" for row in rows), encoding="ascii")
    return len(rows)


def burst(account: ProviderAccount, web: int, file: Path) -> dict[str, object]:
    return {
        "provider": account.kind,
        "account": invented_accounts.known(account.kind, account.access().secrets).name,
        "url": f"http://{HOST}:{web}/webhooks/{account.kind}/{account.pk}/status",
        "file": str(file),
        "word": "delivered",
        "connections": CONNECTIONS,
    }


@contextmanager
def started(options: Options, folder: Path, port: int, web: int) -> Iterator[Children]:
    environment = {"PUBLIC_BASE_URL": f"http://{HOST}:{web}"}
    logs, run = folder / "log", folder / "run"
    with Children(environment=environment, logs=logs, run=run) as children:
        ledger = folder / "ledger.jsonl"
        processes.start_simulator(children, port=port, ledger=ledger, latency_ms=0)
        for account in ProviderAccount.objects.all():
            introduced = invented_accounts.introduction(account, f"http://{HOST}:{web}")
            ask(port, {"account": introduced})
        start_web(children, web, processes=options.web_processes)
        warm_up(web, processes=options.web_processes)
        start_warm(children, 1)
        yield children


def order(port: int, what: dict[str, object]) -> None:
    ask(port, {"burst": what})


def ask(port: int, command: Mapping[str, object] | None = None) -> dict[str, Any]:
    """What the simulator's control door says; it waits its turn among all that the simulator does.

    Raises OSError.
    """
    body = json.dumps(command).encode() if command else None
    address = f"http://{HOST}:{port}/control"
    with urllib.request.urlopen(address, data=body, timeout=ASK_SECONDS) as answer:
        said: dict[str, Any] = json.loads(answer.read())
    return said


def take_in(children: Children, port: int, reports: int) -> Figures:
    """Wait until every report is answered and applied, and read the figures off."""
    counted = figures.count_statements()
    spent = figures.Processors(
        children.pids(), {"web": ["web"], "applier": ["reports"], "simulator": ["simulator"]}
    )
    with progress("Reporting", reports) as report:
        while not is_over(reports, report) and not children.tend():
            spent.look()
            time.sleep(LOOK_EVERY)
    calls, cpu = figures.statements(are_counted=counted), spent.used()
    posted = ask(port)["callbacks"]["burst"]
    stored, applied, seconds = sql.one(APPLIED)
    delivered = sql.one(DELIVERED)[0]
    return {
        "taken_in_per_second": round(posted_of(posted) / max(posted["seconds"] or seconds, 0.001)),
        "applied_per_second": round(applied / max(seconds or 0.0, 0.001)),
        "reports": stored,
        "applied": applied,
        "delivered": delivered,
        "answers": posted["answers"],
        "is_complete": delivered == applied == stored == reports,
        "seconds_until_all_applied": round(seconds or 0.0, 2),
        "statements_per_report": per(calls.statements, max(stored, 1)),
        "cpu_seconds": cpu,
        "peak_web_mb": spent.peak_mb(),
    }


def posted_of(burst_state: dict[str, Any]) -> int:
    return sum(burst_state["answers"].values())


def is_over(reports: int, report: Report) -> bool:
    stored, applied, _ = sql.one(APPLIED)
    report(applied)
    return bool(stored >= reports and applied >= stored)


def settings_of_it() -> dict[str, object]:
    shared = ("processors", "load_before", "server")
    return {**{key: surroundings()[key] for key in shared}, "connections": CONNECTIONS}


def is_well(found: Figures) -> bool:
    return bool(found["is_complete"])

"""The benchmark of adapters: so many messages through each kind of provider, reports and all.

The kinds send one after the other, so that each has a speed of its own; what the simulator does
oddly comes at the end and for all together, because there some seconds pass in waiting. Some who
read e-mail get out of it, in each way. Then every report must have been applied, and the oracle
judges rows and ledger.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from brands import clock
from compliance.models import OptOutEvent
from config import bench_adapters_stage as stage
from config import bench_mail, invented_accounts
from config import bench_run as run
from config import demo_processes as processes
from config.bench import say
from config.bench_progress import progress
from config.bench_reports import ask
from config.bench_run import Site
from config.bench_words import Figures
from config.demo_processes import HOST, Children
from config.web import start_web
from delivery import inbox, shifting, sql
from delivery.models import WebhookEvent
from providers.base import DeliveryReport, Status
from providers.models import ProviderAccount
from providers.registry import adapter
from providers.simulator import WIRES
from reporting.oracle import callbacks
from reporting.oracle.lines import Tally

WEB_PROCESSES = 2
THINGS = 3  # that are done with a message: it is made, sent and reported on
REPORTS = {"delay_ms": 50, "jitter_ms": 400, "undelivered": 0.1, "failed": 0.1, "seed": 1}
# SimpleTexting's own 25 a second would make ten thousand reports last seven minutes.
PACE = {"provider": "simpletexting", "per_second": 2_000}
REFUSES_ONCE = {"mode": "refuse_401", "count": 1}
QUEUE_IS_BROKEN = {"at": "message", "do": "451 4.3.0 Error: queue file write error", "count": 4}
POLL = 0.2  # seconds
LOOKED_UP_AFTER = timedelta(seconds=90)  # the first look-up is due a minute after the intent
NO_NEWS = "no_news"  # how a report that moves no message is settled
QUIET = 2  # looks in a row that find nothing left
STALLED_AFTER = 60.0  # seconds in which nothing moves

LEFT_OF = """
SELECT (SELECT count(*) FROM delivery_due d JOIN campaigns_campaign c ON c.id = d.campaign_id
        WHERE c.name = %s AND c.brand_id = ANY(%s::bigint[]))
     + (SELECT count(*) FROM delivery_message m JOIN campaigns_campaign c ON c.id = m.campaign_id
        WHERE c.name = %s AND c.brand_id = ANY(%s::bigint[]) AND m.status = 'sending')
"""
BRANDS_OF = """
SELECT DISTINCT n.brand_id FROM providers_sendernumber n
JOIN providers_provideraccount a ON a.id = n.account_id WHERE a.kind = ANY(%s::text[])
"""
UNHEARD = """
SELECT (SELECT count(*) FROM delivery_webhookevent WHERE applied_at IS NULL)
     + (SELECT count(*) FROM delivery_inbound WHERE applied_at IS NULL)
     + (SELECT count(*) FROM delivery_due WHERE queue = 0)
     + (SELECT count(*) FROM delivery_attempt
        WHERE id > (SELECT attempt_id FROM delivery_frontier) AND outcome = '')
     + (SELECT count(*) FROM delivery_lookup WHERE next_at <= sendonce_now())
"""
SPEEDS = """
SELECT p.kind, count(*), count(*) / greatest(extract(
           epoch FROM max(a.answered_at) - min(a.intent_at))::float8, 0.001),
       count(*)::float8 / count(DISTINCT coalesce(nullif(a.request_ref, ''), a.ref))
FROM delivery_attempt a
JOIN providers_provideraccount p ON p.id = a.account_id
JOIN delivery_message m ON m.id = a.message_id
JOIN campaigns_campaign c ON c.id = m.campaign_id AND c.name = %s
WHERE NOT a.is_not_sent GROUP BY p.kind
"""
OUTCOMES = """
SELECT p.kind, a.outcome, count(*) FROM delivery_attempt a
JOIN providers_provideraccount p ON p.id = a.account_id
JOIN delivery_message m ON m.id = a.message_id AND m.kind = 'campaign' GROUP BY 1, 2
"""
STATUSES = """
SELECT a.kind, m.status, count(*) FROM delivery_message m
JOIN (SELECT DISTINCT n.brand_id, p.kind FROM providers_sendernumber n
      JOIN providers_provideraccount p ON p.id = n.account_id) a ON a.brand_id = m.brand_id
WHERE m.kind = 'campaign' GROUP BY 1, 2
"""

Words = dict[str, set[str]]  # by kind of provider, in lower case


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`messages` to plain people, for each kind."""

    messages: int
    workers: int
    latency_ms: float
    kinds: Sequence[str]

    @property
    def all_messages(self) -> int:
        return len(self.kinds) * (self.messages + stage.odd_messages())


def measure(options: Options, folder: Path) -> Figures:
    """All figures of one run. Raises TookTooLong or Broken."""
    site, web, mail = Site.at(folder), processes.free_port(), processes.free_port()
    with run.at_most(run.patience(THINGS * options.all_messages)), processes.ended_by_signals():
        run.make_tables()
        say(f"Making {options.all_messages:,} people")
        stage.make(
            options.kinds,
            options.messages,
            simulator=site.simulator,
            mail_server=f"smtp://{HOST}:{mail}",
        )
        planned, _ = run.plan()
        with started(options, site, web=web, mail=mail) as children:
            seconds, is_complete = send(options, site, children)
            is_complete = hear_out(children, site.port) and is_complete
        clean, oracle = run.judge(site.ledger)
    found = by_kind(options.kinds, seconds)
    posted, applied = posted_words(site.ledger), applied_words()
    return {
        "adapters": found,
        "planned": planned,
        "is_complete": is_complete,
        "reports_never_posted": missing(words_of_wires(options.kinds), posted),
        "reports_never_applied": missing(posted, applied),
        "is_clean": clean,
        "oracle": oracle,
    }


@contextlib.contextmanager
def started(options: Options, site: Site, *, web: int, mail: int) -> Iterator[Children]:
    """Simulator, web and workers; the accounts are known, and reports and answers are on."""
    here = f"http://{HOST}:{web}"
    environment = {
        "PUBLIC_BASE_URL": here,
        "TIDY_EVERY_SECONDS": "1",
        "LOOK_UP_EVERY_SECONDS": "2",
    }
    with Children(environment=environment, logs=site.logs, run=site.folder / "run") as children:
        processes.start_simulator(
            children,
            port=site.port,
            mail_port=mail,
            ledger=site.ledger,
            latency_ms=options.latency_ms,
        )
        for account in ProviderAccount.objects.all():
            ask(site.port, {"account": invented_accounts.introduction(account, here)})
        ask(site.port, {"pace": PACE})
        ask(site.port, {"reports": {**REPORTS, "intermediate": False}})
        start_web(children, web, processes=WEB_PROCESSES)
        stage.hold()
        processes.start_workers(children, options.workers)
        run.wait_for_workers(children, options.workers)
        yield children


# --- sending --------------------------------------------------------------------------------------


def send(options: Options, site: Site, children: Children) -> tuple[dict[str, float], bool]:
    """How many seconds each kind took, and whether all was sent and no process died."""
    seconds, is_complete = {}, True
    for kind in options.kinds:
        began = time.monotonic()
        stage.release(kind)
        is_complete = wait_for(children, stage.PLAIN, [kind], options.messages) and is_complete
        seconds[kind] = time.monotonic() - began
    for account in stage.first_accounts():
        name = invented_accounts.known(account.kind, account.access().secrets).name
        ask(site.port, {**REFUSES_ONCE, "account": name})
    ask(site.port, {"mail": QUEUE_IS_BROKEN})
    ask(site.port, {"reports": {**REPORTS, "intermediate": True}})
    stage.release_odd()
    odd = stage.odd_messages() * len(options.kinds)
    return seconds, wait_for(children, stage.ODD, options.kinds, odd) and is_complete


def wait_for(children: Children, campaign: str, kinds: Sequence[str], many: int) -> bool:
    """Until nothing is left of it; False where a process died or nothing moves any more."""
    brands = [brand for (brand,) in sql.rows(BRANDS_OF, list(kinds))]
    what = f"Sending by {kinds[0]}" if len(kinds) == 1 else "Sending to odd numbers"
    with progress(what, many) as report:
        moved_at, before = time.monotonic(), -1
        while left := sql.one(LEFT_OF, campaign, brands, campaign, brands)[0]:
            report(many - left)
            now = time.monotonic()
            moved_at, before = (now, left) if left != before else (moved_at, before)
            if children.tend() or now - moved_at > STALLED_AFTER:
                return False
            time.sleep(POLL)
    return True


def hear_out(children: Children, port: int) -> bool:
    """Until every report and text is in and applied, and every look-up that is due was made.

    Then some readers of e-mail get out. What was lost is asked for a minute later, to which the
    clock is moved.
    """
    say("Waiting for the reports")
    if not is_heard(children, port):
        return False
    if bench_mail.get_out(port) and not is_heard(children, port):
        return False
    shifting.shift_to(clock.now() + LOOKED_UP_AFTER)
    return is_heard(children, port)


def is_heard(children: Children, port: int) -> bool:
    quiet, before, moved_at = 0, (-1, -1), time.monotonic()
    while quiet < QUIET:
        there = ask(port)["callbacks"]
        outside = sum(there[place] for place in ("waiting", "retrying", "in_flight"))
        left = (outside, sql.one(UNHEARD)[0])
        quiet = 0 if any(left) else quiet + 1
        now = time.monotonic()
        moved_at, before = (now, left) if left != before else (moved_at, before)
        if children.tend() or now - moved_at > STALLED_AFTER:
            return False
        time.sleep(POLL)
    return True


# --- figures --------------------------------------------------------------------------------------


def by_kind(kinds: Sequence[str], seconds: dict[str, float]) -> dict[str, Figures]:
    speeds = {kind: row for kind, *row in sql.rows(SPEEDS, stage.PLAIN)}
    outcomes, statuses = counted(OUTCOMES), counted(STATUSES)
    return {
        kind: {
            "sent": speeds[kind][0],
            "seconds": round(seconds[kind], 1),
            "a_second": round(speeds[kind][1]),
            "a_request": round(speeds[kind][2], 1),
            **{name: outcomes[kind][name] for name in ("accepted", "rejected", "not_sent")},
            "unknown": outcomes[kind]["unknown"],
            **{name: statuses[kind][name] for name in ("delivered", "undelivered", "failed")},
            "no_end": sum(statuses[kind][name] for name in ("accepted", "sent", "unknown")),
        }
        for kind in kinds
    }


def counted(query: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for kind, what, many in sql.rows(query):
        found[kind][what] = many
    return found


def words_of_wires(kinds: Sequence[str]) -> Words:
    """All that the simulated providers can report."""
    found = {
        wire.name: {report.word.lower() for report in wire.words.values()}
        for wire in WIRES
        if wire.name in kinds
    }
    for kind in filter(invented_accounts.carries_mail, kinds):
        found[kind] |= set(bench_mail.WAYS_OUT.values())
    return found


def posted_words(ledger: Path) -> Words:
    """What was reported and answered 2xx, by the simulator's own ledger."""
    found: Words = defaultdict(set)
    for post in callbacks.read(ledger, Tally()):
        if post.kind == "report" and post.genuine and 200 <= (post.answer or 0) < 300:
            found[post.provider].add(post.word.lower())
    return found


def applied_words() -> Words:
    """What of the inbox moved a message or its reader, as our adapters read it.

    Nothing moves where a message is only delayed. The click to unsubscribe is not in the inbox: it
    is done when it is answered.
    """
    speaks = {
        account.pk: (account.kind, adapter(account.kind, account.definition))
        for account in ProviderAccount.objects.all()
    }
    found: Words = defaultdict(set)
    events = WebhookEvent.objects.filter(result__in=("applied", NO_NEWS))
    for account_id, raw, result in events.values_list("account_id", "raw", "result").iterator():
        kind, one = speaks[account_id]
        report = one.read_callback(inbox.from_raw(raw))
        if not isinstance(report, DeliveryReport):
            continue
        if result != NO_NEWS or report.opted_out or report.status == Status.ACCEPTED:
            found[kind].add(report.provider_status.lower())
    if OptOutEvent.objects.filter(source=OptOutEvent.Source.UNSUBSCRIBE).exists():
        for kind in filter(invented_accounts.carries_mail, {kind for kind, _ in speaks.values()}):
            found[kind].add(bench_mail.CLICK)
    return found


def missing(wanted: Words, there: Words) -> str:
    """Which words are not there, by kind; empty where all are."""
    found = {kind: sorted(words - there.get(kind, set())) for kind, words in wanted.items()}
    return "; ".join(f"{kind}: {', '.join(words)}" for kind, words in found.items() if words)


def is_well(found: Figures) -> bool:
    missed = found["reports_never_posted"] or found["reports_never_applied"]
    return bool(found["is_clean"] and found["is_complete"] and not missed)

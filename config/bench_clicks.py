"""The benchmark of redirects: short links followed as fast as they are answered, each once.

The links are made by SQL, for sending is measured elsewhere. The web server, the look-up and the
row for each click are those of production; the links are asked for on the brands' own domains.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles

from config import bench_figures as figures
from config import bench_stage as stage
from config import demo_processes as processes
from config.bench import say
from config.bench_followers import Followed, follow_all, warm_up
from config.bench_progress import progress
from config.bench_run import at_most, make_tables, patience, per, plan, surroundings
from config.bench_words import Figures
from config.demo_processes import HOST, Children
from config.web import start_web
from delivery import sql
from links.codes import new_codes

CONNECTIONS = 32
REDIRECTED = 302
WEB: dict[str, list[str]] = {"web": ["web"]}

MAKE_LINKS = """
WITH messages AS (
    SELECT m.id, m.brand_id, c.destination, row_number() OVER (ORDER BY m.id) AS place
    FROM delivery_message m JOIN campaigns_campaign c ON c.id = m.campaign_id
), links AS (
    SELECT messages.*, code
    FROM unnest(%s::text[]) WITH ORDINALITY AS c (code, place) JOIN messages USING (place)
), made AS (
    INSERT INTO links_shortlink (code, brand_id, destination)
    SELECT code, brand_id, destination FROM links ORDER BY place RETURNING id, code
)
UPDATE delivery_message m SET link_id = made.id
FROM links JOIN made USING (code) WHERE m.id = links.id
"""
IN_ANY_ORDER = """
SELECT b.short_domain, k.code FROM delivery_message m
JOIN links_shortlink k ON k.id = m.link_id JOIN brands_brand b ON b.id = k.brand_id
ORDER BY hashint8(m.id)
"""
CLICKS = "SELECT count(*), count(DISTINCT link_id) FROM links_click"
ANALYZE = "ANALYZE delivery_message, links_shortlink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`web_processes`: of the web server."""

    links: int
    web_processes: int


def measure(options: Options, folder: Path) -> Figures:
    """All figures of one run. Raises TookTooLong or Broken."""
    port = processes.free_port()
    with at_most(patience(options.links)), processes.ended_by_signals():
        say(f"Making {options.links:,} people, and links for them")
        make_tables()
        stage.make(options.links, simulator=f"http://{HOST}:{port}")
        links = make_links(plan()[0])
        with web_server(options, folder, port) as children:
            found = follow(links, children, port)
    return {**found, "settings": {**asdict(options), **settings_of_it()}}


def make_links(messages: int) -> list[tuple[str, str]]:
    """A link for each message, with its domain; in the order in which people follow them."""
    sql.count(MAKE_LINKS, new_codes(messages))
    sql.rows(ANALYZE)
    return [(domain, code) for domain, code in sql.rows(IN_ANY_ORDER)]


@contextmanager
def web_server(options: Options, folder: Path, port: int) -> Iterator[Children]:
    domains = [f"go{number}.example.com" for number in range(1, stage.BRANDS + 1)]
    environment = {
        "PUBLIC_BASE_URL": f"http://{HOST}:{port}",
        "ALLOWED_HOSTS": ",".join([HOST, *domains]),
    }
    logs, run = folder / "log", folder / "run"
    with Children(environment=environment, logs=logs, run=run) as children:
        start_web(children, port, processes=options.web_processes)
        warm_up(port, processes=options.web_processes)
        yield children


def follow(links: list[tuple[str, str]], children: Children, port: int) -> Figures:
    """Follow them all, and read the figures off."""
    counted = figures.count_statements()
    spent, own = figures.Processors(children.pids(), WEB), time.process_time()
    with progress("Following", len(links)) as report:
        followed = follow_all(links, port, connections=CONNECTIONS, report=report)
    cpu = {**spent.used(), "followers": round(time.process_time() - own, 2)}
    calls = figures.statements(are_counted=counted)
    clicks, clicked = sql.one(CLICKS)
    return {
        "redirects_per_second": round(followed.answers[REDIRECTED] / max(followed.seconds, 0.001)),
        "following_seconds": round(followed.seconds, 2),
        "answers": {str(status): count for status, count in sorted(followed.answers.items())},
        "links": len(links),
        "clicks": clicks,
        "is_complete": followed.answers[REDIRECTED] == clicks == clicked == len(links),
        **waits(followed),
        "statements_per_redirect": per(calls.statements, len(links)),
        "cpu_seconds": cpu,
        "peak_web_mb": spent.peak_mb(),
    }


def waits(followed: Followed) -> dict[str, float]:
    """Milliseconds from the tap to the redirect, of half and of 95 in 100."""
    cuts = quantiles(followed.waits, n=20) if len(followed.waits) > 1 else [0.0] * 19
    return {"p50_ms": round(1000 * cuts[9], 1), "p95_ms": round(1000 * cuts[18], 1)}


def settings_of_it() -> dict[str, object]:
    shared = ("processors", "load_before", "server")
    return {**{key: surroundings()[key] for key in shared}, "connections": CONNECTIONS}


def is_well(found: Figures) -> bool:
    return bool(found["is_complete"])

"""The web server as a child process, as the demo and the benchmarks start it."""

from __future__ import annotations

from django.conf import settings

from config.demo_processes import HOST, MANAGE, Children

THREADS = 4  # of each process; more wait for the one interpreter


def start_web(children: Children, port: int, *, processes: int = 1) -> None:
    """Start it and wait until it listens. Raises Broken."""
    python, _ = MANAGE
    children.start(
        "web",
        *(python, "-m", "granian", "--interface", "wsgi", "--host", HOST, "--port", str(port)),
        *("--workers", str(processes), "--blocking-threads", str(THREADS), "--no-access-log"),
        *("--working-dir", str(settings.BASE_DIR), "config.wsgi:application"),
        serves=True,
    )
    children.wait_for("web", port)

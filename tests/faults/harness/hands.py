"""What the processes of the harness run: the real commands, with the tricks of a row in them.

They are forked from a server that has everything loaded, so that a start takes little. They die
with the harness, even while they stand still.
"""

from __future__ import annotations

import gc
import multiprocessing.forkserver
import os
import signal
from pathlib import Path

import tests.faults.preload  # noqa: F401 isort: skip - before anything that has models
import django_rq.management.commands.rqworker  # noqa: F401 - loaded once, before the forks
from django.core.management import call_command

import config.scheduling  # noqa: F401
import providers.simulator  # noqa: F401
from config.processes import DEATH_SIGNAL, libc
from tests.faults.child import Setup, begin

WORKER = "delivery.worker.Worker"

gc.collect()
gc.freeze()  # what is loaded: else each worker looks through all of it once more


def work(setup: Setup, *queues: str) -> None:
    """An RQ worker of these queues."""
    prepare(setup)
    for trick in setup.tricks:
        trick.play()
    call_command("rqworker", *queues, worker_class=WORKER, verbosity=0)


def schedule(setup: Setup) -> None:
    prepare(setup)
    call_command("scheduler", interval=1)


def simulate(setup: Setup, port: int, mail_port: int, ledger: Path, latency_ms: float) -> None:
    prepare(setup)
    call_command(
        "simulate_providers",
        port=port,
        mail_port=mail_port,
        ledger=ledger,
        latency_ms=latency_ms,
        with_parent=True,
    )


def prepare(setup: Setup) -> None:
    """A session of its own: Ctrl-C is for the harness, which ends the others in order.

    The server that we were forked from ends when nobody holds its pipe any more; we are handed it,
    too, and let go of it, so that it ends with the harness, and we with it.
    """
    server = multiprocessing.forkserver._forkserver
    os.close(server._forkserver_alive_fd)
    libc.prctl(DEATH_SIGNAL, signal.SIGKILL)
    os.setsid()
    begin(setup)

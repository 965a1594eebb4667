"""The worker of uploads in a process of its own, with a trick that kills it on its way."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from leads import imports, tasks
from tests.faults import child
from tests.faults.child import Setup, Trick
from tests.faults.world import ADDRESS, forks


def start(trick: Trick, *, chunk: int, log: Path) -> BaseProcess:
    """Take in what waits, in chunks of so many rows."""
    place: Mapping[str, Any] = {name: connection.settings_dict[name] for name in ADDRESS}
    setup = Setup(
        database=place,
        redis_url=settings.REDIS_URL,
        journals=log.parent,
        log=log,
        tricks=(trick,),
    )
    process = forks.Process(target=run, args=(setup, chunk))
    process.start()
    return process


def run(setup: Setup, chunk: int) -> None:
    child.begin(setup)
    imports.go_on = functools.partial(imports.go_on, chunk=chunk)
    for trick in setup.tricks:
        trick.play()
    tasks.take_in_uploads()

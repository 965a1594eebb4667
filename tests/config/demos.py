"""A demo that seems to run on the test's database."""

from __future__ import annotations

import contextlib

from config import demo_wipe
from config.demo import alone
from tests.delivery.waiting import wait_until


@contextlib.contextmanager
def running():
    """Inside, a demo runs here. Afterwards none does, for the next test too."""
    with alone():
        yield
    wait_until(lambda: not demo_wipe.is_run())  # the server ends a session after it was told to

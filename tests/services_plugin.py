"""Starts private servers for one test run, before any setting is read: a conftest is too late.

Loaded by `-p tests.services_plugin`. Only the first process starts them; the workers of xdist
inherit the URLs, and each takes a Valkey database of its own. Set SENDONCE_TEST_ON_GIVEN_SERVERS=1
to test on the servers of DATABASE_URL and REDIS_URL instead.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from config.binaries import PUBLIC, Trouble, others_can_enter
from config.services import URLS, Services

PREFIX = "sendonce-test-"


def base_folder() -> Path:
    """The folder for temporary ones that Postgres' own account can enter too."""
    usual = Path(tempfile.gettempdir())
    return usual if os.geteuid() or others_can_enter(usual) else PUBLIC


def private_services(folder: Path) -> Services:
    return Services(folder, postgres_port=0, valkey_port=0, durable=False, say=lambda _: None)


def start_services() -> None:
    given = os.environ.get("SENDONCE_TEST_ON_GIVEN_SERVERS") == "1"
    wanted = [name for name in URLS if not (given and os.environ.get(name))]
    remove_left_over()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base_folder()))
    services = private_services(folder)
    atexit.register(end_services, services, os.getpid())
    os.environ.update(services.enter(wanted))


def end_services(services: Services, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of ours on its way out
        services.leave()
        shutil.rmtree(services.folder, ignore_errors=True)


def remove_left_over() -> None:
    """Stop and remove what killed test runs left behind."""
    for folder in base_folder().glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Trouble):
            ours = folder.stat().st_uid == os.geteuid()
            if ours and (folder / "run/users.lock").exists() and private_services(folder).leave():
                shutil.rmtree(folder, ignore_errors=True)


def own_database(url: str, worker: str) -> str:
    """The Valkey URL of a worker: `gw0` has database 1, and so on; 0 is the first process's."""
    return re.sub(r"(/\d*)?$", f"/{int(worker.removeprefix('gw')) + 1}", url, count=1)


if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["REDIS_URL"] = own_database(os.environ["REDIS_URL"], worker)
else:
    try:
        start_services()
    except Trouble as trouble:
        raise pytest.UsageError(str(trouble)) from trouble

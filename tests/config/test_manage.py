from __future__ import annotations

import os
import subprocess
import sys

import pytest

from config.services import ROOT

NOWHERE = "postgresql://127.0.0.1:1/sendonce"


def manage(*words: str, **urls: str) -> subprocess.CompletedProcess[str]:
    bare = {key: value for key, value in os.environ.items() if not key.endswith("_URL")}
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    return subprocess.run(command, env=bare | urls, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["no_such_command"], "Unknown command: 'no_such_command'"),
        (["migrate", "--no-such-option"], "unrecognized arguments: --no-such-option"),
        (["check", "no_such_app"], "No installed app with label 'no_such_app'"),
    ],
    ids=["command", "option", "argument"],
)
def test_a_mistake_is_explained_without_a_traceback(words: list[str], reason: str) -> None:
    done = manage(*words)
    assert done.returncode
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_out_of_reach_is_explained_without_a_traceback() -> None:
    done = manage("migrate", DATABASE_URL=NOWHERE, REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert done.stderr.startswith("The database cannot be used.")
    assert "Traceback" not in done.stderr
    assert "./dev" not in done.stderr


def test_a_newcomer_is_shown_the_way_to_the_embedded_servers() -> None:
    done = manage("migrate", DATABASE_URL=NOWHERE)
    assert "REDIS_URL not set: `./dev manage …` starts the embedded servers" in done.stderr

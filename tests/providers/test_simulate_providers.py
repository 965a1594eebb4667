from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import smtplib
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from providers.simulator_ledger import read_ledger
from providers.transport import Transport
from tests.providers.benches import Bench
from tests.providers.peers import run

LONG = 60  # seconds; to end takes a tenth of one where nothing else runs
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error::ResourceWarning", "manage.py", "simulate_providers"]


@contextlib.contextmanager
def simulator(*arguments, **options):
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def port_of(process):
    line = process.stdout.readline()
    found = re.match(r"Simulator on http://127\.0\.0\.1:(\d+), ledger ", line)
    assert found, line or process.stderr.read()
    return int(found[1])


async def sent_to(port, **changes):
    async with Transport(request_seconds=3) as transport:
        return await Bench(port, None, transport).send(**changes)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_takes_a_free_port_and_ends_cleanly_with_a_request_in_hand(tmp_path, number):
    ledger = tmp_path / "ledger.jsonl"
    with simulator("--port", 0, "--ledger", ledger) as process:
        run(sent_to(port_of(process), to_e164="+12025550008"))  # which hangs
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert [entry.verdict for entry in read_ledger(ledger)] == ["accepted_hung"]


def test_a_port_that_is_taken_is_said_and_ends_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with simulator("--port", port, "--ledger", tmp_path / "l") as process:
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith(f"CommandError: port {port} is taken")
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--port", "70000"], "--port"),
        (["--port", "http"], "--port"),
        (["--mail-port", "70000"], "--mail-port"),
        (["--latency-ms", "-1"], "--latency-ms"),
        (["--latency-ms", "nan"], "--latency-ms"),
        (["--port", "0", "--ledger", "/proc/nowhere/file"], "ledger /proc/nowhere/file"),
    ],
)
def test_a_wrong_argument_is_named(arguments, word):
    with pytest.raises(CommandError, match=word):
        call_command("simulate_providers", *arguments)


def test_speaks_smtp_on_a_port_of_its_own_and_ends_cleanly_with_a_client_there(tmp_path):
    arguments = ("--port", 0, "--mail-port", 0, "--ledger", tmp_path / "l")
    with simulator(*arguments) as process:
        port_of(process)
        found = re.match(
            r"Its mail server is smtp://127\.0\.0\.1:(\d+)$", process.stdout.readline()
        )
        with smtplib.SMTP("127.0.0.1", int(found[1]), timeout=10) as client:
            client.sendmail("b+r1@example.com", ["anna@example.com"], b"Subject: a\r\n\r\nHi\r\n")
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=LONG)
    assert (process.returncode, errors) == (0, "")
    assert [entry.submission.ref for entry in read_ledger(tmp_path / "l")] == ["r1"]


def test_a_mail_port_that_is_taken_is_said_and_ends_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ("--port", 0, "--mail-port", port, "--ledger", tmp_path / "l")
        with simulator(*arguments) as process:
            _, errors = process.communicate(timeout=LONG)
    assert errors.startswith(f"CommandError: port {port} is taken: choose another with --mail-port")


def test_ends_when_the_process_that_started_it_ends(tmp_path):
    parent = textwrap.dedent(
        """
        import subprocess, sys
        child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
        print(child.pid, child.stdout.readline(), flush=True)
        sys.stdin.read()
        """
    )
    started = subprocess.Popen(
        [
            *(sys.executable, "-c", parent, *COMMAND, "--with-parent"),
            *("--port", "0", "--ledger", str(tmp_path / "ledger.jsonl")),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with started:
        child = int(started.stdout.readline().split()[0])
        watch = os.pidfd_open(child)
        started.kill()
    _wait_for_end_of(watch)


def _wait_for_end_of(watch):
    ready, _, _ = select.select([watch], [], [], 10)
    os.close(watch)
    assert ready

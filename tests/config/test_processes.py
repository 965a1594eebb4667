from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.processes import end_recorded
from config.services import ROOT

ATTENDS = """
import os, sys
from config.processes import attend
sys.exit(attend(sys.argv[1:], os.environ, keep_open=None, started=lambda pid: None))
"""
COUNTS_SIGNALS = """
import signal, time
got = []
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, frame: got.append(number))
print("ready", flush=True)
while not got:
    time.sleep(0.01)
time.sleep(0.2)
print(*got, flush=True)
"""
OUTLIVES = "import time; print('ready', flush=True); time.sleep(60)"


def attending(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ATTENDS, *command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def outcome(*command: str, given: str = "") -> tuple[int, str]:
    process = attending(*command)
    said, _ = process.communicate(given)
    return process.returncode, said


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


class TestAttend:
    @pytest.mark.parametrize(
        ("script", "code"),
        [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)],
        ids=["well", "badly", "killed"],
    )
    def test_gives_back_the_commands_exit_code(self, script: str, code: int) -> None:
        assert outcome("sh", "-c", script)[0] == code

    def test_standard_input_passes_through(self) -> None:
        assert outcome("cat", given="two\nlines") == (0, "two\nlines")

    def test_a_command_that_is_not_there_is_named(self) -> None:
        code, said = outcome("/no/such/command")
        assert (code, said) == (127, "/no/such/command: No such file or directory\n")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_reaches_the_command_once(self, number: signal.Signals) -> None:
        process = attending(sys.executable, "-c", COUNTS_SIGNALS)
        assert first_line(process) == "ready"
        process.send_signal(number)
        assert process.communicate() == (f"{number.value}\n", None)

    def test_ctrl_c_reaches_the_command_once(self) -> None:
        master, slave = os.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", TAKES_TERMINAL, sys.executable, "-c", COUNTS_SIGNALS],
            cwd=ROOT,
            stdin=slave,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert first_line(process) == "ready"
            os.write(master, b"\x03")
            assert first_line(process) == str(signal.SIGINT.value)
        os.close(master)
        os.close(slave)

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is needed")
    def test_the_command_ends_when_we_are_killed(self) -> None:
        process = attending(sys.executable, "-c", OUTLIVES)
        assert first_line(process) == "ready"
        process.kill()
        process.communicate(timeout=10)  # its standard output closes only when the command ends


TAKES_TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{ATTENDS}"


def sleeper(belongs_to: str) -> list[str]:
    return [sys.executable, "-c", OUTLIVES, f"{belongs_to}/manage.py"]


def started(command: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert first_line(process) == "ready"
    return process


class TestEndRecorded:
    def test_ends_a_recorded_process_of_ours(self, tmp_path: Path) -> None:
        with started(sleeper("/our/checkout")) as process:
            (tmp_path / "one.pid").write_text(f"{process.pid}\n")
            assert end_recorded(tmp_path, belongs_to="/our/checkout") == 1
        assert process.returncode == -signal.SIGTERM

    def test_ends_the_group_whose_leader_is_gone(self, tmp_path: Path) -> None:
        leader = (
            f"import os, subprocess; subprocess.Popen({sleeper('/our/checkout')!r}); os._exit(0)"
        )
        with started([sys.executable, "-c", leader]) as process:
            process.wait(10)
            (tmp_path / "group.pid").write_text(f"{process.pid}\n")
            assert end_recorded(tmp_path, belongs_to="/our/checkout") == 1

    def test_leaves_a_stranger_with_a_recorded_number_alone(self, tmp_path: Path) -> None:
        with started(sleeper("/another/checkout")) as process:
            (tmp_path / "one.pid").write_text(f"{process.pid}\n")
            assert end_recorded(tmp_path, belongs_to="/our/checkout") == 0
            assert process.poll() is None
            process.kill()

    @pytest.mark.parametrize("text", ["", "x\n", "999999999\n"], ids=["empty", "word", "gone"])
    def test_a_file_without_a_live_process_is_removed(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "one.pid").write_text(text)
        assert end_recorded(tmp_path, belongs_to="/our/checkout") == 0
        assert not list(tmp_path.iterdir())

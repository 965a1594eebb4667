from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from config.demo_processes import (
    MOST_DEATHS,
    Broken,
    Children,
    end_left_over,
    ended_by_signals,
    free_port,
    is_open,
    send_workers,
)
from config.processes import is_over, waited
from config.services import ROOT

PYTHON = sys.executable
SLEEPS = "import time; time.sleep(60)"
WITH_ITS_OWN = """
import subprocess, sys
own = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(own.pid, flush=True)
own.wait()
"""
DRAINS = """
import pathlib, signal, sys, time
def drain(number, frame):
    pathlib.Path(sys.argv[1]).write_text("drained")
    time.sleep(0.05)  # longer than a tick of the clock of files
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
print("ready", flush=True)
time.sleep(60)
"""
PARENT = """
import pathlib, sys, time
from config.demo_processes import Children
folder = pathlib.Path(sys.argv[1])
with Children(environment={}, logs=folder, run=folder / "run") as children:
    children.start("child", sys.executable, "-c", "import time; time.sleep(60)")
    print(children.pids()["child"], flush=True)
    time.sleep(60)
"""


@pytest.fixture
def children(tmp_path):
    with Children(environment={"WORD": "given"}, logs=tmp_path, run=tmp_path / "run") as made:
        yield made


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or is_over(psutil.Process(pid))


def is_ready(log: Path) -> bool:
    return log.exists() and "ready" in log.read_text()


class TestChildren:
    def test_a_child_gets_the_environment_and_writes_its_log(self, children, tmp_path):
        children.start("one", PYTHON, "-c", "import os; print(os.environ['WORD'])")
        assert waited(lambda: (tmp_path / "one.log").read_text() == "given\n", 10)

    def test_a_dead_child_is_started_again(self, children):
        children.start("one", PYTHON, "-c", SLEEPS)
        before = children.pids()["one"]
        os.kill(before, signal.SIGKILL)
        assert waited(lambda: children.tend() == ["one"], 10)
        assert children.pids()["one"] != before

    def test_what_a_dead_child_had_started_is_ended_with_it(self, children, tmp_path):
        children.start("one", PYTHON, "-c", WITH_ITS_OWN, SLEEPS)
        assert waited(lambda: "\n" in (tmp_path / "one.log").read_text(), 10)
        grandchild = int((tmp_path / "one.log").read_text().split()[0])
        os.kill(children.pids()["one"], signal.SIGKILL)
        assert waited(lambda: children.tend() == ["one"], 10)
        assert waited(lambda: ended(grandchild), 10)

    def test_one_that_keeps_dying_is_given_up_with_its_last_words(self, children):
        children.start("one", PYTHON, "-c", "raise SystemExit('no such luck')")
        with pytest.raises(Broken, match=r"(?s)one does not stay up.*no such luck"):
            waited(lambda: children.tend() and False, 20)

    def test_a_killed_one_is_back_at_once_and_not_counted_as_dying(self, children):
        children.start("one", PYTHON, "-c", SLEEPS)
        seen = set()
        for _ in range(MOST_DEATHS + 2):
            seen.add(children.pids()["one"])
            children.kill("one")
        assert children.tend() == []
        assert len(seen) == MOST_DEATHS + 2
        assert all(ended(pid) for pid in seen)

    def test_the_end_lets_a_child_drain(self, tmp_path):
        done = tmp_path / "done"
        with Children(environment={}, logs=tmp_path, run=tmp_path / "run") as children:
            children.start("one", PYTHON, "-c", DRAINS, str(done))
            assert waited(lambda: is_ready(tmp_path / "one.log"), 10)
        assert done.read_text() == "drained"

    def test_one_that_serves_ends_after_the_others(self, tmp_path):
        both = {name: tmp_path / name for name in ("server", "worker")}
        with Children(environment={}, logs=tmp_path, run=tmp_path / "run") as children:
            children.start("server", PYTHON, "-c", DRAINS, str(both["server"]), serves=True)
            children.start("worker", PYTHON, "-c", DRAINS, str(both["worker"]))
            assert waited(lambda: all(is_ready(tmp_path / f"{name}.log") for name in both), 10)
        assert both["worker"].stat().st_mtime_ns < both["server"].stat().st_mtime_ns

    def test_no_pid_file_is_left_behind(self, tmp_path):
        with Children(environment={}, logs=tmp_path, run=tmp_path / "run") as children:
            children.start("one", PYTHON, "-c", SLEEPS)
            assert len(list((tmp_path / "run").iterdir())) == 1
        assert list((tmp_path / "run").iterdir()) == []

    def test_waiting_for_a_server_that_died_says_why(self, children):
        children.start("web", PYTHON, "-c", "raise SystemExit('the port is taken')")
        with pytest.raises(Broken, match="the port is taken"):
            children.wait_for("web", free_port())

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is needed")
    def test_children_die_with_a_killed_parent(self, tmp_path):
        command = [PYTHON, "-c", PARENT, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
            child = int(parent.stdout.readline())
            parent.kill()
        assert waited(lambda: ended(child), 10)

    def test_what_a_killed_parent_left_behind_is_ended(self, tmp_path):
        process = subprocess.Popen(
            [PYTHON, "-c", SLEEPS, str(ROOT / "manage.py")], start_new_session=True
        )
        (tmp_path / "one.pid").write_text(f"{process.pid}\n")
        assert end_left_over(tmp_path) == 1
        assert process.wait(10) == -signal.SIGTERM


class TestPorts:
    def test_a_taken_port_is_passed_over(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            taken = listener.getsockname()[1]
            assert is_open(taken)
            assert taken < free_port(taken) <= taken + 50

    def test_a_free_port_is_taken_as_asked(self):
        port = free_port()
        assert free_port(port) == port
        assert not is_open(port)


def test_only_send_workers_are_named_so():
    assert send_workers({"send-2": 1, "upkeep": 2, "send-1": 3}) == ["send-1", "send-2"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_demo_as_ctrl_c_does(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) == before

"""What `./dev` does with processes: runs a command in the foreground, ends what others left.

A command in the foreground reads the terminal itself. It gets the signals that were sent to us,
once: that of Ctrl-C reaches it from the terminal anyway. If we are killed it is asked to end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
WATCHED = {signal.SIGCHLD, *PASSED_ON}
FROM_KERNEL = 0x80  # si_code of what a terminal sends, to everyone in its foreground at once
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
STOP_SECONDS = 30.0

libc = ctypes.CDLL(None)


def is_over(process: psutil.Process) -> bool:
    """Whether it has ended; a zombie has, whoever must still bury it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def waited(until: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def end_with_parent() -> None:
    """For a new child: ask the kernel for SIGTERM when the parent dies. Linux only."""
    if sys.platform == "linux":
        libc.prctl(DEATH_SIGNAL, signal.SIGTERM)


def attend(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    keep_open: int | None,
    started: Callable[[int], None],
) -> int:
    """Run the command to its end; return its exit code, or 128 and the signal that ended it.

    It inherits the file `keep_open`, so that a lock on it lives as long as either of us. Signals
    stay blocked afterwards: what the caller still has to put away is put away.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)

    def prepare() -> None:
        end_with_parent()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    keep = () if keep_open is None else (keep_open,)
    try:
        child = subprocess.Popen(command, env=environment, pass_fds=keep, preexec_fn=prepare)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    started(child.pid)
    while child.poll() is None:
        number, has_it_already = next_signal()
        if number in PASSED_ON and not has_it_already:
            child.send_signal(number)
    code = child.returncode
    return 128 - code if code < 0 else code


def next_signal() -> tuple[int, bool]:
    """Wait for a signal; say too whether the terminal has sent it to our child as well."""
    if sys.platform == "darwin":
        number = signal.sigwait(WATCHED)
        return number, number == signal.SIGINT and os.isatty(0)
    received = signal.sigwaitinfo(WATCHED)
    return received.si_signo, received.si_code == FROM_KERNEL


@contextlib.contextmanager
def recorded(folder: Path) -> Iterator[Callable[[int], None]]:
    """Keep a process, or the group it leads, in a file that `./dev stop` reads, while it runs."""
    file = folder / f"{os.getpid()}.pid"

    def record(pid: int) -> None:
        file.write_text(f"{pid}\n")

    try:
        yield record
    finally:
        file.unlink(missing_ok=True)


def end_recorded(folder: Path, *, belongs_to: str) -> int:
    """End the processes and groups in the folder's pid files; return how many processes.

    A number may long belong to somebody else: only what names `belongs_to` in its command counts.
    """
    doomed = []
    for file in folder.glob("*.pid"):
        with contextlib.suppress(ValueError, IndexError):
            doomed += processes_of(int(file.read_text().split()[0]), belongs_to)
        file.unlink(missing_ok=True)
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    if not waited(lambda: all(map(is_over, doomed)), STOP_SECONDS):
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    return len(doomed)


def processes_of(number: int, belongs_to: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_it = number in (process.pid, os.getpgid(process.pid))
            if is_it and any(belongs_to in word for word in process.cmdline()):
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]

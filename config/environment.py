"""Makes `.venv` from the pinned requirements. Run by `./dev` with the machine's own Python.

Needs the standard library alone. A copy of the requirements is written into the environment last,
so one that was half made, or made from other pins, is seen and made again. Two calls at once wait
for each other: both lock the checkout's folder, and pip holds the lock too, so that one whose
caller was killed is not disturbed in its work.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
MARKER = ENVIRONMENT / "made-from.txt"
REQUIREMENTS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
QUIET_SECONDS = 10.0  # how often a log, which shows no moving line, hears of us


def say(text: str) -> None:
    sys.stderr.write(f"Sendonce: {text}\n")
    sys.stderr.flush()


def wanted() -> bytes:
    return b"".join(file.read_bytes() for file in REQUIREMENTS)


def is_ready() -> bool:
    return PYTHON.exists() and MARKER.exists() and MARKER.read_bytes() == wanted()


def lock() -> int:
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another call is making the Python environment; waiting for it")
        fcntl.flock(folder, fcntl.LOCK_EX)
    return folder


def make(held: int) -> None:
    again = "again, for the requirements have changed" if MARKER.exists() else "once"
    say(f"making the Python environment in .venv, {again}; this takes about a minute")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    started = time.monotonic()
    follow([sys.executable, "-I", "-m", "venv", str(ENVIRONMENT)], "making .venv", held)
    files = [word for file in REQUIREMENTS for word in ("-r", str(file))]
    pip = [str(PYTHON), "-I", "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    follow([*pip, "--disable-pip-version-check", *files], "installing packages", held)
    MARKER.write_bytes(wanted())
    say(f"the Python environment is ready, after {time.monotonic() - started:.0f} s")


def follow(command: list[str], what: str, held: int) -> None:
    """Run a command with signs of life in place of its output; exit with its end if it fails."""
    environment = {**os.environ, "PIP_USER": "0", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=[held],
    ) as process:
        lines = watched(process, what)
    if process.returncode:
        say(f"{what} failed. The last words were:\n" + "\n".join(lines[-15:]))
        sys.exit(1)


def watched(process: subprocess.Popen[str], what: str) -> list[str]:
    """The process's lines; while they come, one moving line, or one every 10 s into a log."""
    moving = sys.stderr.isatty()
    begun = shown = time.monotonic()
    lines: list[str] = []
    for line in ticking(process):
        if line:
            lines.append(line.rstrip())
        now = time.monotonic()
        if now - shown < (0.2 if moving else QUIET_SECONDS):
            continue
        shown = now
        found = sum(line.startswith("Collecting ") for line in lines)
        text = f"  {what}: {f'{found} found, ' if found else ''}{now - begun:.0f} s"
        sys.stderr.write(f"\r{text}\033[K" if moving else f"{text}\n")
        sys.stderr.flush()
    if moving:
        sys.stderr.write("\r\033[K")
    return lines


def ticking(process: subprocess.Popen[str]) -> Iterator[str]:
    """Its lines as they come, and an empty one for every fifth of a second without any."""
    arrived: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            arrived.put(line)
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=0.2)
        except queue.Empty:
            yield ""
            continue
        if line is None:
            return
        yield line


def main() -> int:
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        say(
            f"{sys.executable} cannot make environments, as it comes without ensurepip."
            f" On Debian and Ubuntu, install the package python{version}-venv, then try again."
        )
        return 1
    held = lock()
    try:
        if not is_ready():
            make(held)
    except OSError as error:
        say(f"the environment could not be made: {error.filename or ROOT}: {error.strerror}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

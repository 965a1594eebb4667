"""The sent journal: what left this process, written before it left, for whoever settles its death.

One file per job, in a folder on a local disk, locked while its process lives. A line is one write
with a checksum, and nothing is synced: a killed process loses none of it, a lost host may lose any.
So only on the same boot does a missing line prove something.

The line comes first and the request after it. A line that is torn, by a full disk or a death within
the write, was never followed by its request: a torn `leaving` means "did not leave", a torn outcome
"left, outcome unknown". Damage that tearing cannot explain makes the whole file unreadable; its
intents are then settled like those without a file, as unknown, when their time is over.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

logger = logging.getLogger(__name__)

SUFFIX = ".journal"
FORM = "sendonce journal 1"
REF = re.compile(r"[A-Za-z0-9_-]{22}")
TORN = b"\x18"  # ends what a short write left behind; no whole line holds this character

LEAVING, CAME_BACK, CLAIMED, DECIDED = ">", "<", "claimed", "decided"


class CannotWrite(Exception):
    """The line is not in the journal: what it announces must not be done."""


class Unreadable(Exception):
    """Not a journal, or damaged in a way that a short write does not explain."""


class Journal:
    """The journal of one job. `sender` names it and goes into `Attempt.sender`.

    Lines may be written from any thread. A forked child shares the lock: it lasts until both are
    gone.
    """

    def __init__(self, path: Path, sender: uuid.UUID, descriptor: int) -> None:
        self.path = path
        self.sender = sender
        self._descriptor = descriptor
        self._torn = False
        self._lock = threading.Lock()

    @classmethod
    def open(cls, directory: Path, installation: str) -> Journal:
        """Start a journal. Raises OSError or CannotWrite when it cannot be made."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sender = uuid.uuid4()
        hidden, path = directory / f".{sender}.new", directory / f"{sender}{SUFFIX}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        journal = cls(path, sender, os.open(hidden, flags, 0o600))
        try:
            # nobody must see a live file under its name before it is locked
            fcntl.flock(journal._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            journal._write(_header(sender, installation))
            hidden.rename(path)
        except BaseException:
            hidden.unlink(missing_ok=True)
            journal.close()
            raise
        return journal

    def claimed(self, message_ids: Iterable[int]) -> None:
        """These rows are about to be decided; one of them may kill us."""
        self._write(" ".join([CLAIMED, *map(str, message_ids)]))

    def decided(self) -> None:
        """The batch was decided, or failed with an exception: only a death leaves it open."""
        self._write(DECIDED)

    def leaving(self, *refs: str) -> None:
        """Call before the request. Whatever it raises, the request must not be made."""
        for ref in refs:
            _check_ref(ref)
        self._write(" ".join([LEAVING, *refs]))

    def came_back(self, outcomes: Mapping[str, str]) -> None:
        """What became of a request's messages, by ref, as one line of printable text each.

        One write. After CannotWrite go on without it.
        """
        for ref, line in outcomes.items():
            _check_ref(ref)
            if not line.isprintable():
                raise ValueError("an outcome is one line of printable text")
        self._write(*(f"{CAME_BACK} {ref} {line}" for ref, line in outcomes.items()))

    def close(self, *, settled: bool = False) -> None:
        """Stop writing. Only what is settled is removed; the rest waits for whoever settles it."""
        with self._lock:
            if self._descriptor < 0:
                return
            if settled:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, *texts: str) -> None:
        data = b"".join(map(_line, texts))
        with self._lock:
            if self._descriptor < 0:
                raise CannotWrite("the journal is closed")
            if self._torn:
                data = TORN + b"\n" + data
            try:
                written = os.write(self._descriptor, data)
            except OSError as error:
                raise CannotWrite(error.strerror) from error
            self._torn = written < len(data)
            if self._torn:
                raise CannotWrite("the line was cut short")


@dataclass(frozen=True, slots=True)
class Past:
    """What a journal tells.

    `left`: refs of requests that were announced; one without an entry in `outcomes` may have been
    sent or not. A ref that is not in `left` did not leave, provided that `same_boot` is true.
    `undecided`: the messages in hand when the process died within a decision.
    """

    sender: uuid.UUID
    installation: str
    same_boot: bool
    left: frozenset[str]
    outcomes: dict[str, str]
    undecided: tuple[int, ...]
    seconds_since_write: float

    @property
    def unanswered(self) -> frozenset[str]:
        return self.left - self.outcomes.keys()


@dataclass(frozen=True, slots=True)
class Held:
    """A dead process's journal, ours alone until the next one is asked for."""

    path: Path
    past: Past

    def acquit(self) -> None:
        """The rows it had in hand are marked as suspects, and that is committed: do so once."""
        with self.path.open("ab", buffering=0) as file:
            file.write(_line(DECIDED))

    def remove(self) -> None:
        """Everything in it is settled, and committed."""
        self.path.unlink(missing_ok=True)


def read(path: Path) -> Past:
    """Read a journal, live or not. Raises Unreadable or OSError."""
    with path.open("rb") as file:
        return _read(file)


def abandoned(directory: Path, installation: str) -> Iterator[Held]:
    """Journals whose process is gone, each locked while the caller works on it.

    What is unreadable, or another installation's, is left alone with a warning.
    """
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        with contextlib.ExitStack() as stack:
            try:
                past = _take(path, stack.enter_context(path.open("rb")), installation)
            except FileNotFoundError:
                continue  # its job has just settled it
            except (Unreadable, OSError) as error:
                extra = {"file": path.name, "error": str(error)}
                logger.warning("journal cannot be read", extra=extra)
                continue
            if past:
                yield Held(path, past)


def _take(path: Path, file: BinaryIO, installation: str) -> Past | None:
    """Lock and read it. None while its process lives, or where another one has it or had it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
        return None
    past = _read(file)
    if past.installation != installation:
        raise Unreadable("it is another installation's")
    if path.name != f"{past.sender}{SUFFIX}":
        raise Unreadable("it has another journal's name")
    return past


def _read(file: BinaryIO) -> Past:
    header = _read_header(file.readline())
    same_boot = header["boot"] == boot_id() != ""
    left: set[str] = set()
    outcomes: dict[str, str] = {}
    undecided: tuple[int, ...] = ()
    for kind, rest in _lines(file, strict=same_boot):
        if kind == LEAVING:
            left.update(rest.split())
        elif kind == CAME_BACK:
            ref, _, outcome = rest.partition(" ")
            outcomes[ref] = outcome
        elif kind == CLAIMED:
            undecided = tuple(map(int, rest.split()))
        elif kind == DECIDED:
            undecided = ()
        else:
            raise Unreadable("a line of a kind that is not known here")
    return Past(
        sender=uuid.UUID(header["sender"]),
        installation=header["installation"],
        same_boot=same_boot,
        left=frozenset(left),
        outcomes=outcomes,
        undecided=undecided,
        seconds_since_write=max(0.0, time.time() - os.fstat(file.fileno()).st_mtime),
    )


def _lines(file: BinaryIO, *, strict: bool) -> Iterator[tuple[str, str]]:
    """Kind and rest of each whole line. After a reboot damage is expected, and passed over."""
    for line in file:
        if not line.endswith(b"\n") or line.endswith(TORN + b"\n"):
            continue
        try:
            kind, _, rest = _text(line).partition(" ")
        except Unreadable:
            if strict:
                raise
            continue
        yield kind, rest


def _line(text: str) -> bytes:
    body = text.encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _text(line: bytes) -> str:
    checksum, _, body = line.removesuffix(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        raise Unreadable("a line is damaged")
    return body.decode()


def _header(sender: uuid.UUID, installation: str) -> str:
    header = {
        "form": FORM,
        "sender": str(sender),
        "installation": installation,
        "boot": boot_id(),
        "pid": os.getpid(),  # this and the next are for people
        "started": round(time.time(), 3),
    }
    return json.dumps(header)


def _read_header(line: bytes) -> dict[str, str]:
    try:
        header = json.loads(_text(line))
        fields = {key: str(header[key]) for key in ("form", "sender", "installation", "boot")}
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable("it has no header") from error
    if fields["form"] != FORM:
        raise Unreadable("it has another form")
    return fields


def _check_ref(ref: str) -> None:
    if not REF.fullmatch(ref):
        raise ValueError("a ref is 22 letters, digits, hyphens and underscores")


@functools.cache
def boot_id() -> str:
    """A name for this boot of the machine; empty where there is none, which is never the same boot.

    macOS has no /proc: it is `kern.bootsessionuuid`, for `kern.boottime` moves with the clock.
    """
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""

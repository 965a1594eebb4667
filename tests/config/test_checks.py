from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.checks import Error, run_checks

from config import checks, env

ROOT = Path(checks.__file__).parent.parent
SERVERS = {"DATABASE_URL": "postgresql://127.0.0.1/n", "REDIS_URL": "redis://127.0.0.1/0"}
OWN_KEY = Fernet.generate_key().decode()


@pytest.fixture
def here(settings, put_database):
    """The defaults, on one machine."""
    settings.DEBUG = False
    settings.SECRET_KEY = env.DEMO_SIGNING_KEY
    settings.CREDENTIAL_KEYS = [env.DEMO_SEALING_KEY]
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:8000"
    put_database("127.0.0.1")
    return settings


@pytest.fixture
def away(here, put_database):
    """A production as it should be."""
    here.SECRET_KEY = "x" * 50
    here.CREDENTIAL_KEYS = [OWN_KEY]
    here.ALLOWED_HOSTS = ["sms.example.com", "go.example.com"]
    here.PUBLIC_BASE_URL = "https://sms.example.com"
    put_database("db.example.com")
    return here


@pytest.fixture
def put_database(monkeypatch, settings):
    def put(host, options=()):
        database = settings.DATABASES["default"]
        monkeypatch.setitem(database, "HOST", host)
        monkeypatch.setitem(database, "OPTIONS", dict(options))

    return put


def found():
    messages = [message for check in checks.ALL for message in check()]
    return [message.id for message in messages]


def the_words():
    return " ".join(message.msg for check in checks.ALL for message in check())


class TestOnOneMachine:
    def test_the_defaults_pass(self, here):
        assert found() == []

    @pytest.mark.parametrize(
        "host", ["", "localhost", "127.0.0.1", "127.0.0.9", "::1", "/run/postgresql"]
    )
    def test_it_is_the_host_of_the_database_that_says_so(self, here, put_database, host):
        put_database(host)
        assert found() == []

    @pytest.mark.parametrize(
        ("host", "options"),
        [
            ("db.example.com", {}),
            ("10.0.0.7", {}),
            ("127.0.0.1,db.example.com", {}),
            ("", {"host": "db.example.com"}),
        ],
    )
    def test_a_database_elsewhere_says_otherwise(self, here, put_database, host, options):
        put_database(host, options)
        assert found() == ["sendonce.E001", "sendonce.E002", "sendonce.E003"]

    def test_so_does_a_public_address(self, here):
        here.PUBLIC_BASE_URL = "https://sms.example.com"
        here.ALLOWED_HOSTS = ["sms.example.com"]
        assert found() == ["sendonce.E001", "sendonce.E002"]

    def test_debug_lets_all_of_it_pass_with_a_warning(self, here, put_database):
        put_database("db.example.com")
        here.DEBUG = True
        here.ALLOWED_HOSTS = ["*"]
        assert found() == ["sendonce.W002"]


class TestInProduction:
    def test_a_proper_one_passes(self, away):
        assert found() == []

    @pytest.mark.parametrize("key", [env.DEMO_SIGNING_KEY, "short"])
    def test_the_secret_key_is_its_own_and_long(self, away, key):
        away.SECRET_KEY = key
        assert found() == ["sendonce.E001"]
        assert "SECRET_KEY" in the_words()

    def test_the_demos_credential_key_is_not_even_an_old_one(self, away):
        away.CREDENTIAL_KEYS = [OWN_KEY, env.DEMO_SEALING_KEY]
        assert found() == ["sendonce.E002"]
        assert "CREDENTIAL_KEYS" in the_words()

    def test_the_public_address_is_https(self, away):
        away.PUBLIC_BASE_URL = "http://sms.example.com"
        assert found() == ["sendonce.E003"]
        assert "PUBLIC_BASE_URL" in the_words()

    def test_personal_links_are_https(self, away):
        away.SHORT_LINK_SCHEME = "http"
        assert found() == ["sendonce.E011"]
        assert "SHORT_LINK_SCHEME" in the_words()

    def test_not_every_host_is_allowed(self, away):
        away.ALLOWED_HOSTS = ["*"]
        assert found() == ["sendonce.E004"]
        assert "ALLOWED_HOSTS" in the_words()

    def test_its_own_host_is_allowed(self, away):
        away.ALLOWED_HOSTS = ["go.example.com"]
        assert found() == ["sendonce.E010"]


class TestEverywhere:
    @pytest.mark.parametrize("url", ["nonsense", "ftp://h/", "https://", "https://h/path", "//h"])
    def test_the_public_address_is_an_address(self, here, url):
        here.PUBLIC_BASE_URL = url
        assert "sendonce.E003" in found()

    @pytest.mark.parametrize(
        ("keys", "words"),
        [
            ([], "CREDENTIAL_KEYS is empty."),
            ([OWN_KEY, "s3cret"], "Key 2 of CREDENTIAL_KEYS is not a Fernet key."),
            (["s3cret", "ß"], "Key 1, 2 of CREDENTIAL_KEYS is not a Fernet key."),
        ],
        ids=["none", "one wrong", "all wrong"],
    )
    def test_the_credential_keys_are_keys_and_are_not_repeated(self, here, keys, words):
        here.CREDENTIAL_KEYS = keys
        assert found() == ["sendonce.E005"]
        assert the_words() == words

    def test_the_journal_folder_may_still_have_to_be_made(self, here, tmp_path):
        here.JOURNAL_DIR = tmp_path / "new" / "journal"
        assert found() == []
        assert not (tmp_path / "new").exists()

    def test_the_journal_folder_is_not_a_file(self, here, tmp_path):
        (tmp_path / "file").touch()
        for here.JOURNAL_DIR in (tmp_path / "file", tmp_path / "file" / "journal"):
            assert found() == ["sendonce.E006"]
        assert "JOURNAL_DIR" in the_words()

    def test_the_journal_folder_may_be_written_to(self, here, tmp_path, monkeypatch):
        here.JOURNAL_DIR = tmp_path
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
        assert found() == ["sendonce.E006"]

    def test_the_time_zone_is_utc(self, here):
        here.TIME_ZONE = "America/New_York"
        assert found() == ["sendonce.E007"]

    @pytest.mark.parametrize("name", checks.RANGES)
    def test_numbers_lie_in_their_ranges(self, here, name):
        for edge, step in zip(checks.RANGES[name], (-1, 1), strict=True):
            setattr(here, name, edge)
            assert found() == []
            setattr(here, name, edge + step)
            assert found() == ["sendonce.E008"]
            assert the_words().startswith(f"{name} is ")

    def test_they_are_run_before_every_command(self, here):
        here.SEND_BATCH = 0
        assert "sendonce.E008" in [message.id for message in run_checks()]


class TestTheZoneData:
    @pytest.mark.parametrize(
        ("days", "ids"),
        [
            (120, []),
            (121, ["sendonce.W001"]),
            (400, ["sendonce.W001"]),
            (401, ["sendonce.E009"]),
        ],
    )
    def test_grows_old(self, here, monkeypatch, days, ids):
        released = datetime(2026, 1, 31, tzinfo=UTC)
        monkeypatch.setattr(checks, "zones_released_by", released.date)
        monkeypatch.setattr(checks.time, "time", lambda: released.timestamp() + days * 86_400)
        assert found() == ids

    def test_is_required(self, here, monkeypatch):
        monkeypatch.setattr(checks, "zones_released_by", lambda: None)
        assert [type(message) for check in checks.ALL for message in check()] == [Error]

    def test_is_dated_by_its_installation(self, monkeypatch, tmp_path):
        put_package(monkeypatch, tmp_path, "2026.6", datetime(2026, 11, 21, tzinfo=UTC))
        assert checks.zones_released_by().isoformat() == "2026-11-21"

    @pytest.mark.parametrize("year", [1970, 2027], ids=["no time kept", "installed late"])
    def test_is_dated_by_the_end_of_its_year_otherwise(self, monkeypatch, tmp_path, year):
        put_package(monkeypatch, tmp_path, "2026.6", datetime(year, 3, 1, tzinfo=UTC))
        assert checks.zones_released_by().isoformat() == "2026-12-31"

    def test_is_found_where_it_is_really_installed(self):
        assert checks.zones_released_by().year >= 2026


def put_package(monkeypatch, folder, number, installed):
    class Package:
        version = number

        def locate_file(self, path):
            return folder / "zones"

    (folder / "zones").touch()
    os.utime(folder / "zones", (installed.timestamp(),) * 2)
    monkeypatch.setattr(checks, "distribution", lambda name: Package())


def run_manage(*arguments, **changes):
    """What a shell would see of `manage.py` with these variables and none of ours."""
    names = [*checks.RANGES, "SECRET_KEY", "CREDENTIAL_KEYS", "ALLOWED_HOSTS", "PUBLIC_BASE_URL"]
    kept = {name: value for name, value in os.environ.items() if name not in [*names, "DEBUG"]}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={**SERVERS, **kept, **changes},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


class TestFromTheShell:
    def test_the_demos_defaults_do_not_start_on_another_database(self):
        url = "postgresql://u:s3cret@db.example.com/sendonce"
        ran = run_manage("rqworker", "send", DATABASE_URL=url)
        assert ran.returncode == 1
        for name in ("SECRET_KEY", "CREDENTIAL_KEYS", "PUBLIC_BASE_URL"):
            assert name in ran.stderr
        assert "s3cret" not in ran.stderr
        assert "Traceback" not in ran.stderr

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SEND_BATCH", "abc"),
            ("SEND_SLICE_SECONDS", "10s"),
            ("DEBUG", "ture"),
            ("DATABASE_URL", "nonsense"),
            ("REDIS_URL", "nonsense"),
            ("LOG_LEVEL", "LOUD"),
            ("SENTRY_DSN", "nonsense"),
        ],
    )
    def test_a_malformed_variable_is_told_in_one_line(self, name, value):
        ran = run_manage("check", **{name: value})
        assert ran.returncode == 1
        assert ran.stdout == ""
        (line,) = ran.stderr.splitlines()
        assert f"{name} must be" in line

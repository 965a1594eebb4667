from __future__ import annotations

from pathlib import Path

import pytest

from config import env

MARK = "V"  # the variable of every test here


@pytest.fixture
def given(monkeypatch):
    return lambda value: monkeypatch.setenv(MARK, value)


READERS = {
    "text": lambda: env.text(MARK, "d"),
    "names": lambda: env.names(MARK, ["a", "b"]),
    "flag": lambda: env.flag(MARK, True),
    "whole": lambda: env.whole(MARK, 7),
    "number": lambda: env.number(MARK, 2.5),
    "choice": lambda: env.choice(MARK, "x", ("x", "y")),
    "folder": lambda: env.folder(MARK, Path("/var/lib")),
    "redis": lambda: env.redis(MARK, "redis://127.0.0.1:6379/0"),
    "sentry": lambda: env.sentry(MARK),
    "database": lambda: env.database(MARK, "postgresql://u@h:5/n")["NAME"],
}
DEFAULTS = {
    "text": "d",
    "names": ["a", "b"],
    "flag": True,
    "whole": 7,
    "number": 2.5,
    "choice": "x",
    "folder": Path("/var/lib"),
    "redis": "redis://127.0.0.1:6379/0",
    "sentry": "",
    "database": "n",
}


@pytest.mark.parametrize("kind", READERS)
def test_the_default_holds_when_a_variable_is_not_set_or_blank(kind, given):
    assert READERS[kind]() == DEFAULTS[kind]
    given("  ")
    assert READERS[kind]() == DEFAULTS[kind]


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("text", " $ecret ", "$ecret"),
        ("names", "a.example, b.example,,", ["a.example", "b.example"]),
        ("flag", "No", False),
        ("flag", "1", True),
        ("whole", " 12 ", 12),
        ("number", "0.5", 0.5),
        ("choice", "y", "y"),
        ("folder", "/srv/a b", Path("/srv/a b")),
        ("redis", "unix:///run/valkey.sock", "unix:///run/valkey.sock"),
        ("redis", "rediss://:pw@cache.example.com:6380/2", "rediss://:pw@cache.example.com:6380/2"),
        ("sentry", "https://key@sentry.example.com/1", "https://key@sentry.example.com/1"),
        ("database", "postgres://u@h/other", "other"),
    ],
)
def test_a_value_is_read_as_what_it_should_be(kind, value, read, given):
    given(value)
    assert READERS[kind]() == read


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("flag", "ture", "V must be true or false, not 'ture'."),
        ("whole", "abc", "V must be a whole number, not 'abc'."),
        ("whole", "1.5", "V must be a whole number, not '1.5'."),
        ("number", "10s", "V must be a number, not '10s'."),
        ("number", "nan", "V must be a number, not 'nan'."),
        ("choice", "z", "V must be one of x, y, not 'z'."),
        ("folder", "var", "V must be a whole path from /, not 'var'."),
        ("redis", "nonsense", "V must be a URL like redis://127.0.0.1:6379/0."),
        ("redis", "redis://h:abc/0", "V must be a URL like redis://127.0.0.1:6379/0."),
        ("redis", "http://h:6379/0", "V must be a URL like redis://127.0.0.1:6379/0."),
        ("sentry", "nonsense", "V must be a URL like https://key@sentry.example.com/1."),
    ],
)
def test_a_malformed_value_is_one_sentence_with_its_variable(kind, value, words, given):
    given(value)
    with pytest.raises(env.Malformed) as refused:
        READERS[kind]()
    assert str(refused.value) == words


@pytest.mark.parametrize(
    "value",
    [
        "nonsense",
        "postgresql://u:hidden@host",
        "postgresql://u:hidden@host:port/n",
        "mysql://u:hidden@host/n",
        "postgresql://u:hidden@[host/n",
    ],
)
def test_a_malformed_database_url_is_not_repeated_since_it_may_hold_a_password(value, given):
    given(value)
    with pytest.raises(env.Malformed) as refused:
        env.database(MARK, "")
    words = "V must be a URL like postgresql://user:password@host:5432/name."
    assert str(refused.value) == words


def test_a_database_url_gives_its_options_too(given):
    given("postgresql://ada:s%3Dcret@db.example.com:6432/sendonce?sslmode=verify-full")
    found = env.database(MARK, "")
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert (found["USER"], found["PASSWORD"]) == ("ada", "s=cret")
    assert (found["HOST"], found["PORT"]) == ("db.example.com", 6432)
    assert found["OPTIONS"] == {"sslmode": "verify-full"}

"""Token buckets that a test has for itself."""

from __future__ import annotations

import pytest

from providers import rates
from tests.providers.buckets import Bench

REAL_TIME = "redis.call('TIME')"
TEST_TIME = "redis.call('HMGET', KEYS[1] .. ':clock', 'seconds', 'micros')"


@pytest.fixture
def bench(redis):
    return Bench(redis)


@pytest.fixture
def frozen(bench, monkeypatch):
    assert REAL_TIME in rates.GRANT
    monkeypatch.setattr(rates, "GRANT", rates.GRANT.replace(REAL_TIME, TEST_TIME))
    bench.set_clock()
    return bench

"""Tests of a message that are asked for on its page."""

from __future__ import annotations

import pytest

from delivery import pipeline, worker
from delivery.sender import Sender
from providers.rates import Breaker
from tests.delivery.waiting import wait_until
from tests.staff import client_of, make_user

OWN = "+12125550143"


@pytest.fixture
def staff(brand):
    return client_of(make_user(brand, "marketer"))


def form(**changes):
    values = {
        "phone": OWN,
        "agrees": "on",
        "token": "t" * 24,
        "value_first_name": "Robin",
        "value_city": "Troy",
    }
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


@pytest.fixture
def work(monkeypatch, settings, tmp_path):
    """Do what a worker does until the one message was claimed, and nothing is due."""
    settings.JOURNAL_DIR = tmp_path / "journal"
    sender = Sender(breaker := Breaker())
    monkeypatch.setattr(worker, "sender", lambda: sender)
    monkeypatch.setattr(worker, "breaker", lambda: breaker)
    monkeypatch.setattr(worker, "GIVE_UP_IDLE", 0.5)
    for name in ("TOKENS_LAST", "WRITE_WITHIN"):
        monkeypatch.setattr(pipeline, name, 60.0)

    yield lambda: wait_until(lambda: worker.send_for(10.0) == 1)
    sender.stop()

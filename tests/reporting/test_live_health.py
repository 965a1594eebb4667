"""How an account stands, in the few words that the live page has for it."""

from __future__ import annotations

from collections import Counter

import pytest

from providers.models import Halves, ProviderAccount, SenderNumber
from reporting.live_health import AccountPart
from tests.factories import NOON


def an_account(*, resting=0, numbers=3, answers=None, **fields):
    return AccountPart(
        ProviderAccount(**{"halves": Halves.FULL, **fields}),
        answers=Counter(answers or {"accepted": 90, "not_sent": 10}),
        numbers=[SenderNumber()] * numbers,
        resting=resting,
    )


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (an_account(), "Answers"),
        (an_account(answers={"accepted": 50, "not_sent": 50}), "Answers"),
        (an_account(answers={"accepted": 49, "not_sent": 51}), "Sends most back"),
        (an_account(answers={"": 0}), "Idle"),
        (an_account(halves=Halves.HALF), "Half weight"),
        (an_account(resting=1, halves=Halves.HALF), "1 of 3 numbers rests"),
        (an_account(resting=2), "2 of 3 numbers rest"),
        (an_account(halves=Halves.OUT, resting=2), "Out of use"),
        (an_account(resting=3, halves=Halves.OUT), "No number can send"),
        (an_account(paused_at=NOON, resting=3), "Paused"),
    ],
)
def test_an_account_is_called_by_the_gravest_that_holds_it(account, words):
    assert account.pill[0] == words


@pytest.mark.parametrize(("fault", "tone"), [("402", "so-bad"), ("", "so-warn")])
def test_a_pause_is_graver_where_the_provider_asked_for_it(fault, tone):
    assert an_account(paused_at=NOON, fault=fault).pill == ("Paused", tone)

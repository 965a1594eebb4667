"""A number's figures in words."""

from __future__ import annotations

import pytest

from providers.health import in_words

MANY = {"sent": 12_340, "ended": 12_340, "delivered": 11_982, "blocked": 49, "opted_out": 148}


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        pytest.param(
            MANY, "97.1 % delivered, 0.4 % blocked, 1.2 % opted out of 12,340 in 7 days", id="many"
        ),
        pytest.param({}, "Nothing sent in 7 days", id="nothing"),
        pytest.param(
            {"sent": 400, "ended": 99, "delivered": 99},
            "Too few to tell: 99 of 400 sent in 7 days have an end so far",
            id="too-few",
        ),
        pytest.param(
            {"sent": 100, "ended": 100, "delivered": 100},
            "100.0 % delivered, 0.0 % blocked, 0.0 % opted out of 100 in 7 days",
            id="just-enough",
        ),
        pytest.param(
            {"sent": 1_200, "ended": 200, "delivered": 100, "opted_out": 12},
            "50.0 % delivered, 0.0 % blocked, 1.0 % opted out of 1,200 in 7 days"
            " (1,000 without an end yet)",
            id="some-open",
        ),
    ],
)
def test_are_said_in_shares_of_what_ended(figures, words):
    assert in_words(figures) == words

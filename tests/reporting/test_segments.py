"""Segments by the standard's own examples, and beside the count that sends."""

from __future__ import annotations

import random

import pytest

from providers import segments
from reporting.oracle.segments import segments_of


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("", 1, id="nothing"),
        pytest.param("a" * 160, 1, id="160"),
        pytest.param("a" * 161, 2, id="161"),
        pytest.param("a" * 306, 2, id="306"),
        pytest.param("a" * 307, 3, id="307"),
        pytest.param("€" * 80, 1, id="80 escaped"),
        pytest.param("€" * 81, 2, id="81 escaped"),
        pytest.param("a" * 152 + "€" * 5, 2, id="an escape is not split"),
        pytest.param("é" * 160, 1, id="accents of the alphabet"),
        pytest.param("ê" * 70, 1, id="70 of other letters"),
        pytest.param("ê" * 71, 2, id="71 of other letters"),
        pytest.param("\U0001f600" * 35, 1, id="35 emoji"),
        pytest.param("\U0001f600" * 36, 2, id="36 emoji"),
        pytest.param("\U0001f600" * 67, 3, id="an emoji is not split"),
    ],
)
def test_segments(text, parts):
    assert segments_of(text) == parts


def test_both_counts_agree():
    chance = random.Random(7)
    alphabet = "aZ 0\n@£Δé€{~ê\U0001f600漢"
    for _ in range(2000):
        letters = chance.sample(alphabet, k=chance.randint(1, 4))
        text = "".join(chance.choices(letters, k=chance.randint(0, 500)))
        assert segments_of(text) == segments.count(text).parts, text

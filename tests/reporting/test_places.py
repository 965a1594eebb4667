"""The oracle's own reading of where a person may be, beside the one that sends."""

from __future__ import annotations

import pytest

from compliance.places import DATA, places_for
from reporting.oracle.checks import CannotCheck
from reporting.oracle.places import FIFTY_STATES, ZipTable, zip_table, zones_of


def names(phone: str, zip_code: str = "", state: str = "") -> set[str]:
    return {zone.key for zone in zones_of(phone, zip_code, state)}


@pytest.mark.parametrize(
    ("facts", "zones"),
    [
        pytest.param(("+12125550100", "", ""), {"America/New_York"}, id="one zone"),
        pytest.param(
            ("+18505550100", "", ""), {"America/New_York", "America/Chicago"}, id="area code of two"
        ),
        pytest.param(
            ("+12125550100", "90001", ""),
            {"America/New_York", "America/Los_Angeles"},
            id="the ZIP is added",
        ),
        pytest.param(
            ("+12125550100", "", "FL"), {"America/New_York", "America/Chicago"}, id="and the state"
        ),
        pytest.param(("+12125550100", "00000", ""), {"America/New_York"}, id="a ZIP of nowhere"),
        pytest.param(("+442079460123", "", ""), {"Europe/London"}, id="abroad"),
        pytest.param(("+999123456789", "", ""), set(), id="nowhere"),
        pytest.param(("", "", ""), set(), id="no phone"),
    ],
)
def test_places(facts, zones):
    assert names(*facts) == zones


def test_an_american_whom_nobody_can_place_may_be_in_any_state():
    anywhere = names("+12215550100")
    assert {"America/New_York", "America/Anchorage", "Pacific/Honolulu"} <= anywhere
    assert "Pacific/Guam" not in anywhere


def test_fifty_states_are_known():
    assert len(FIFTY_STATES) == 50
    assert all(zip_table().of_state[state] for state in FIFTY_STATES)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"], ids=["no file", "other columns"])
def test_a_table_that_cannot_be_read_is_told(tmp_path, text):
    path = tmp_path / "zips.csv"
    if text:
        path.write_text(text)
    with pytest.raises(CannotCheck, match=r"zips\.csv cannot be read"):
        ZipTable(path)


def test_nobody_is_placed_where_the_sender_does_not_look():
    """Else the oracle would cry wolf: each of its zones must be one of the sender's."""
    rows = (DATA / "zip_zones.csv").read_text().splitlines()[2:]
    zips = {row.split(",")[0] for row in rows[::7]}
    cases = [
        *((f"+1{area}5550100", "", "") for area in range(200, 1000)),
        *(("+12125550100", code, "") for code in zips),
        *(("+12125550100", "", state) for state in FIFTY_STATES),
    ]
    for phone, zip_code, state in cases:
        theirs = places_for(phone, zip_code, state)
        if theirs is not None:
            assert names(phone, zip_code, state) <= theirs.zones, (phone, zip_code, state)

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import gcd

import pytest
from django.core.management import CommandError, call_command

from compliance import phones
from compliance.places import places_for
from leads import invention
from leads.csvfile import Rows
from leads.imports import chunks
from leads.invention import CYCLE, LINES, PEOPLE, CannotInvent, Inventor, read_regions
from leads.rows import LeadRow

TODAY = datetime(2026, 6, 1, tzinfo=UTC)
ZONES = {
    "America/New_York": "E",
    "America/Chicago": "C",
    "America/Denver": "M",
    "America/Los_Angeles": "P",
}


def invent(count, *, seed=1, first=0, **options):
    return list(Inventor(seed, as_of=TODAY, **options).lines(count, first=first))


def rows_of(lines):
    return list(csv.DictReader(lines))


def number(row):
    return phones.parse(row["phone"]).e164


def checked(lines):
    file = io.BytesIO("".join(lines).encode())
    return [row.checked for part in chunks(Rows(file), "", 10_000) for row in part.rows]


def test_the_same_seed_makes_the_same_leads():
    assert invent(2_500) == invent(2_500)


def test_another_seed_makes_others():
    assert invent(100)[1:] != invent(100, seed=2)[1:]


def test_a_file_may_begin_anywhere():
    assert invent(2_500)[1:] == [*invent(700)[1:], *invent(1_800, first=700)[1:]]


def test_every_row_can_be_taken_in():
    assert all(isinstance(row, LeadRow) for row in checked(invent(3_000, magic=0.1)))


def test_a_million_numbers_are_all_different():
    inventor = Inventor(1, as_of=TODAY)
    assert inventor.most >= 1_000_000
    assert gcd(invention._STEP, LINES) == 1  # the rest of the argument: each line once a code
    per_code = Counter(place.area_code for place in inventor._cycle)
    assert {(place.area_code, place.rank) for place in inventor._cycle} == {
        (code, rank) for code, count in per_code.items() for rank in range(count)
    }
    assert max(per_code.values()) * (inventor.most // CYCLE) <= LINES


def test_numbers_are_different_across_cycles():
    sample = invent(3 * CYCLE, magic=0.01)
    assert len({number(row) for row in rows_of(sample)}) == 3 * CYCLE


def test_emails_are_different_and_at_example_domains():
    emails = [row["email"] for row in rows_of(invent(3_000)) if row["email"]]
    assert len(set(emails)) == len(emails)
    assert {email.partition("@")[2] for email in emails} == set(invention.DOMAINS)
    assert 0.5 < len(emails) / 3_000 < 0.7


def test_all_numbers_lie_in_555_exchanges_and_none_ends_like_a_magic_one():
    for row in rows_of(invent(CYCLE)):
        e164 = number(row)
        assert e164[5:8] == "555"
        assert not 1 <= int(e164[8:]) <= 15


def test_the_zones_have_their_shares_of_people():
    zone_of = {code: region.zone for region in read_regions() for code in region.area_codes}
    found = Counter(zone_of[number(row)[2:5]] for row in rows_of(invent(CYCLE)))
    assert found == PEOPLE


@pytest.mark.parametrize(
    "region", read_regions(), ids=lambda region: f"{region.zone}-{region.state}"
)
def test_a_region_agrees_with_the_tables_of_places(region):
    for code in region.area_codes:
        assert region.state in places_for(f"+1{code}5550100", None, None).states, code
    for _, zip_code in region.cities:
        home = places_for(None, zip_code, None)
        assert home.states == {region.state}
        assert region.zone in {ZONES.get(zone, region.zone) for zone in home.zones}


def test_most_live_where_their_number_is_from_some_elsewhere_of_some_nothing_is_known():
    def home(row):
        known = places_for(number(row), None, None)
        return "unknown" if not row["state"] else row["state"] in known.states

    found = Counter(home(row) for row in rows_of(invent(CYCLE)))
    assert 0.05 < found["unknown"] / CYCLE < 0.11
    assert 0.03 < found[False] / CYCLE < 0.09
    assert found[True] / CYCLE > 0.8


def test_consents_lie_in_the_sixty_days_before():
    moments = [datetime.fromisoformat(row["consent_at"]) for row in rows_of(invent(1_000))]
    assert TODAY - timedelta(days=60) <= min(moments) < TODAY - timedelta(days=50)
    assert TODAY - timedelta(days=10) < max(moments) <= TODAY


def test_the_asked_share_of_numbers_is_magic_with_every_ending():
    endings = Counter(int(number(row)[8:]) for row in rows_of(invent(3_000, magic=0.05)))
    magic = {ending: endings[ending] for ending in range(1, 16)}
    assert sum(magic.values()) == 150
    assert set(magic.values()) == {10}


def test_the_asked_share_of_rows_is_bad_in_every_way():
    problems = [row.code for row in checked(invent(1_000, bad=0.1)) if not isinstance(row, LeadRow)]
    assert Counter(problems) == dict.fromkeys(
        ("phone_toll_free", "phone_impossible", "consent_missing", "email_invalid"), 20
    ) | {"too_few_columns": 20}


@pytest.mark.parametrize(
    ("count", "options", "words"),
    [
        pytest.param(2_000_000, {}, "numbers to invent", id="numbers"),
        pytest.param(50_000, {"magic": 0.5}, "magic ending", id="magic numbers"),
    ],
)
def test_more_than_there_is_cannot_be_invented(count, options, words):
    with pytest.raises(CannotInvent, match=words):
        invent(count, **options)


class TestTheCommand:
    def test_writes_a_file(self, tmp_path):
        out = tmp_path / "leads.csv"
        call_command("invent_leads", "--count=5", "--seed=1", f"--out={out}", "--as-of=2026-06-01")
        assert out.read_text().splitlines(keepends=True) == invent(5)

    def test_writes_to_standard_output(self, capsys):
        call_command("invent_leads", "--count=5", "--as-of=2026-06-01")
        assert capsys.readouterr().out == "".join(invent(5))

    def test_is_as_of_today_unless_told(self, capsys):
        call_command("invent_leads", "--count=200")
        moments = [row["consent_at"] for row in rows_of(capsys.readouterr().out.splitlines())]
        newest = max(datetime.fromisoformat(moment) for moment in moments)
        assert timedelta(0) < datetime.now(UTC) - newest < timedelta(days=10)

    @pytest.mark.parametrize(
        "argument",
        ["--count=-1", "--count=x", "--seed=x", "--bad=1.5", "--magic=x", "--as-of=today"],
    )
    def test_says_what_is_wrong_with_an_argument(self, argument):
        name = argument.partition("=")[0]
        with pytest.raises(CommandError, match=name):
            call_command("invent_leads", "--count=1", argument)

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param(["--count=9000000"], id="too many"),
            pytest.param(["--count=1", "--out=/nowhere/leads.csv"], id="no such folder"),
        ],
    )
    def test_fails_with_one_sentence(self, arguments):
        with pytest.raises(CommandError) as raised:
            call_command("invent_leads", *arguments)
        assert "\n" not in str(raised.value)

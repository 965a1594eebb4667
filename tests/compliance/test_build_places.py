"""The tables of places are what the command makes of its sources."""

from __future__ import annotations

import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from compliance import places
from compliance.management.commands import build_places

TABLES = ["area_codes.csv", "zip_zones.csv", "state_zones.csv"]


def zip_row(code, state, zone, *area_codes):
    return {"zip_code": code, "state": state, "timezone": zone, "area_codes": list(area_codes)}


def lines_of(table, *rows):
    """The lines of one table built from the given ZIPs, without source and heading."""
    return build_places.build_tables(list(rows))[table].splitlines()[2:]


def line_of(table, first_word, *rows):
    return next(line for line in lines_of(table, *rows) if line.startswith(f"{first_word},"))


def test_the_tables_in_use_are_those_the_command_makes():
    out = StringIO()
    call_command("build_places", check=True, stdout=out)
    assert out.getvalue().split("\n")[:3] == [f"{name}: as built" for name in TABLES]


def test_the_command_writes_its_tables_into_a_folder(tmp_path):
    call_command("build_places", to=tmp_path, stdout=StringIO())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(TABLES)
    assert (tmp_path / "area_codes.csv").read_bytes() == (
        places.DATA / "area_codes.csv"
    ).read_bytes()


def test_a_table_changed_by_hand_is_found(tmp_path):
    call_command("build_places", to=tmp_path, stdout=StringIO())
    with (tmp_path / "zip_zones.csv").open("a") as file:
        file.write("96910,96910,GU,America/New_York\n")
    with pytest.raises(CommandError, match=r"zip_zones\.csv is not what the sources give"):
        call_command("build_places", to=tmp_path, check=True, stdout=StringIO())


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path):
    with pytest.raises(CommandError, match="nowhere is not a folder"):
        call_command("build_places", to=tmp_path / "nowhere")


def test_a_missing_source_is_a_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "zipcodes", None)
    with pytest.raises(CommandError, match="zipcodes is missing"):
        call_command("build_places", check=True)


def test_each_table_names_its_sources():
    for text in build_places.build_tables([]).values():
        assert text.startswith("# Made by manage.py build_places from zipcodes 3.0.0 and phonenum")


def test_zips_with_one_state_and_zone_make_a_run_even_over_gaps():
    rows = [
        zip_row("32401", "FL", "America/Chicago"),
        zip_row("32409", "FL", "America/Chicago"),
        zip_row("32410", "FL", "America/New_York"),
    ]
    assert lines_of("zip_zones.csv", *rows) == [
        "32401,32409,FL,America/Chicago",
        "32410,32410,FL,America/New_York",
    ]


def test_a_run_ends_with_its_first_three_digits_when_the_next_number_is_missing():
    next_door, far = (
        zip_row("32500", "FL", "America/Chicago"),
        zip_row("32602", "FL", "America/Chicago"),
    )
    rows = [zip_row("32499", "FL", "America/Chicago"), next_door, far]
    assert lines_of("zip_zones.csv", *rows) == [
        "32499,32500,FL,America/Chicago",
        "32602,32602,FL,America/Chicago",
    ]


def test_military_zips_name_no_place():
    assert lines_of("zip_zones.csv", zip_row("09012", "AE", "")) == []


def test_a_junk_zone_leaves_the_zip_with_its_state():
    assert lines_of("zip_zones.csv", zip_row("99634", "AK", "Napakiak")) == ["99634,99634,AK,"]


def test_an_area_code_has_the_zones_of_both_sources():
    """phonenumbers says New York of 448, which also covers the western panhandle."""
    assert line_of("area_codes.csv", "448") == "448,FL,America/New_York"
    panhandle = zip_row("32401", "FL", "America/Chicago", "448")
    both = "448,FL,America/Chicago America/New_York"
    assert line_of("area_codes.csv", "448", panhandle) == both


def test_zips_outside_the_main_state_of_an_area_code_are_noise():
    denver = zip_row("80201", "CO", "America/Denver", "303")
    rows = [
        denver,
        {**denver, "zip_code": "80202"},
        zip_row("73933", "OK", "America/Chicago", "303"),
    ]
    assert line_of("area_codes.csv", "303", *rows) == "303,CO,America/Denver"


def test_a_new_area_code_takes_its_state_from_phonenumbers():
    assert line_of("area_codes.csv", "728") == "728,FL,America/New_York"


def test_a_state_has_the_zones_of_its_zips_and_of_its_area_codes():
    reno = zip_row("89501", "NV", "America/Los_Angeles", "775")
    zones = line_of("state_zones.csv", "NV", reno).split(",")[1].split()
    assert zones == ["America/Boise", "America/Denver", "America/Los_Angeles"]

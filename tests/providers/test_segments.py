from __future__ import annotations

import pytest

from providers.segments import GSM_BASIC, Encoding, Segments, count, cut

GSM7, UCS2 = Encoding.GSM7, Encoding.UCS2


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        pytest.param("a" * 160, Segments(GSM7, 160, 1), id="160 a"),
        pytest.param("a" * 161, Segments(GSM7, 161, 2), id="161 a"),
        pytest.param("a" * 306, Segments(GSM7, 306, 2), id="306 a"),
        pytest.param("a" * 307, Segments(GSM7, 307, 3), id="307 a"),
        pytest.param("a" * 459, Segments(GSM7, 459, 3), id="459 a"),
        pytest.param("a" * 460, Segments(GSM7, 460, 4), id="460 a"),
        pytest.param("€" * 80, Segments(GSM7, 160, 1), id="80 euro signs"),
        pytest.param("€" * 81, Segments(GSM7, 162, 2), id="81 euro signs"),
        pytest.param("a" * 152 + "€" + "a" * 152, Segments(GSM7, 306, 3), id="euro on the seam"),
        pytest.param("я" * 70, Segments(UCS2, 70, 1), id="70 Cyrillic"),
        pytest.param("я" * 71, Segments(UCS2, 71, 2), id="71 Cyrillic"),
        pytest.param("я" * 134, Segments(UCS2, 134, 2), id="134 Cyrillic"),
        pytest.param("я" * 135, Segments(UCS2, 135, 3), id="135 Cyrillic"),
        pytest.param("😀" * 35, Segments(UCS2, 70, 1), id="35 emoji"),
        pytest.param("😀" * 36, Segments(UCS2, 72, 2), id="36 emoji"),
        pytest.param("я" * 66 + "😀" + "я" * 66, Segments(UCS2, 134, 3), id="emoji on the seam"),
        pytest.param("a" * 99 + "\u2019", Segments(UCS2, 100, 2), id="one curly quote"),
        pytest.param("", Segments(GSM7, 0, 1), id="nothing"),
    ],
)
def test_a_text_takes_as_many_segments_as_the_carriers_bill(text, counted):
    assert count(text) == counted


def test_the_base_alphabet_has_its_127_characters_without_escape():
    assert len(set(GSM_BASIC)) == len(GSM_BASIC) == 127


@pytest.mark.parametrize("character", list("\f^{}\\[~]|€"))
def test_an_extension_character_counts_twice(character):
    assert count(character) == Segments(GSM7, 2, 1)


@pytest.mark.parametrize("character", list("`“\u2013…çÁ😀"))
def test_a_character_outside_both_tables_makes_the_whole_text_unicode(character):
    assert count(f"plain {character}").encoding is UCS2


@pytest.mark.parametrize(
    ("text", "room"),
    [("a", 160), ("a" * 161, 306), ("a" * 307, 459), ("я", 70), ("я" * 71, 134)],
    ids=["one", "two", "three", "one-unicode", "two-unicode"],
)
def test_its_room_is_what_fits_into_so_many_segments(text, room):
    assert count(text).room == room
    assert count(text + text[0] * (room - len(text))).parts == count(text).parts
    assert count(text + text[0] * (room - len(text) + 1)).parts == count(text).parts + 1


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("", [0]),
        ("a" * 160, [160]),
        ("a" * 161, [153, 8]),
        ("a" * 152 + "\u20ac" + "a" * 152, [152, 152, 1]),
        ("\u044f" * 71, [67, 4]),
        ("\u044f" * 66 + "\U0001f600" + "\u044f" * 66, [66, 66, 1]),
    ],
)
def test_a_text_is_cut_where_its_parts_end(text, lengths):
    parts = cut(text)
    assert "".join(parts) == text
    assert [len(part) for part in parts] == lengths
    assert len(parts) == count(text).parts

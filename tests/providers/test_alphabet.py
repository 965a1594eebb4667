from __future__ import annotations

import pytest

from providers.alphabet import COMMON, Dear, dear_characters, instead_of, name_of, pieces, plainer
from providers.segments import is_gsm

APOSTROPHE, DASH, SMILE = "\u2019", "\u2013", "\U0001f600"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
DARK_THUMB = "\U0001f44d\U0001f3fd"
FLAG = "\U0001f1fa\U0001f1f8"


class TestDearCharacters:
    def test_are_told_once_each_in_their_order(self):
        found = dear_characters(f"It{APOSTROPHE}s on {DASH} it{APOSTROPHE}s here")
        assert found == [
            Dear(APOSTROPHE, "curly apostrophe", "'", 2),
            Dear(DASH, "en dash", "-", 1),
        ]

    def test_are_none_in_a_plain_text(self):
        assert dear_characters("Hi [Zoé], 5€ {off} ~ ^ \\ |\n") == []

    @pytest.mark.parametrize(
        "character", [FAMILY, DARK_THUMB, FLAG, "e\u0301", "1\ufe0f\u20e3"], ids=ascii
    )
    def test_are_what_a_person_sees_as_one(self, character):
        assert [one.character for one in dear_characters(f"a {character} b")] == [character]


class TestInstead:
    @pytest.mark.parametrize(
        ("character", "instead"),
        [
            ("\u201c", '"'),
            ("\u2026", "..."),
            ("\u00a0", " "),
            ("\u200b", ""),
            ("\u00e1", "a"),
            ("e\u0301", "\u00e9"),
            ("\u00bd", "1/2"),
            ("\ufb01", "fi"),
            (SMILE, ""),
            (FAMILY, ""),
            ("1\ufe0f\u20e3", "1"),
            ("\u044f", None),
            ("\u65e5", None),
            ("\u0142", None),
        ],
        ids=ascii,
    )
    def test_says_the_same_or_nothing(self, character, instead):
        assert instead_of(character) == instead

    def test_is_plain_for_all_that_we_name(self):
        assert [c for c, (_, instead) in COMMON.items() if is_gsm(c) or not is_gsm(instead)] == []

    def test_makes_a_text_plain(self):
        text = f"It{APOSTROPHE}s {SMILE} 1\ufe0f\u20e3"
        assert plainer(text) == "It's  1"

    def test_leaves_what_has_no_plain_form(self):
        assert plainer("\u044f \u2013") == "\u044f -"


class TestName:
    @pytest.mark.parametrize(
        ("character", "name"),
        [
            (APOSTROPHE, "curly apostrophe"),
            (SMILE, "emoji, grinning face"),
            (FLAG, "emoji, flag"),
            ("\u00e1", "small letter a with acute"),
            ("\x01", "unknown character"),
        ],
        ids=ascii,
    )
    def test_is_what_people_call_it(self, character, name):
        assert name_of(character) == name


@pytest.mark.parametrize("text", ["", "plain", f"{SMILE}", f"a{APOSTROPHE}b{FAMILY}c"], ids=ascii)
def test_pieces_join_to_the_text_and_mark_the_very_characters(text):
    parts = pieces(text)
    assert "".join(part for part, _ in parts) == text
    assert all(is_gsm(part) is not is_dear for part, is_dear in parts)

from __future__ import annotations

import re
from collections import Counter
from unittest.mock import patch

from django.urls import Resolver404, resolve

from links import codes


class TestNewCodes:
    def test_makes_as_many_as_asked_for(self):
        assert [len(codes.new_codes(count)) for count in (0, 1, 500)] == [0, 1, 500]

    def test_has_eight_letters_of_an_alphabet_of_57_without_look_alikes(self):
        assert len(set(codes.ALPHABET)) == len(codes.ALPHABET) == 57
        assert not set(b"0O1Il") & set(codes.ALPHABET)
        pattern = re.compile(f"[{codes.ALPHABET.decode()}]{{8}}")
        assert all(pattern.fullmatch(code) for code in codes.new_codes(500))

    def test_repeats_none_among_a_hundred_thousand(self):
        assert len(set(codes.new_codes(100_000))) == 100_000

    def test_favours_no_letter(self):
        every_byte = bytes(range(256)) * 57
        with patch("os.urandom", side_effect=lambda count: every_byte[:count]):
            seen = Counter("".join(codes.new_codes(57 * 4)))  # exactly the bytes that are fair
        assert set(seen.values()) == {32}

    def test_reads_again_when_too_many_bytes_were_thrown_away(self):
        reads = iter([b"\xff" * 2_000, b"\x00" * 2_000])
        with patch("os.urandom", side_effect=lambda count: next(reads)[:count]):
            assert codes.new_codes(2) == ["22222222", "22222222"]

    def test_asks_the_operating_system_once_for_a_whole_batch(self):
        fair = bytes(range(200))
        with patch("os.urandom", side_effect=lambda count: (fair * count)[:count]) as urandom:
            codes.new_codes(500)
        assert urandom.call_count == 1


class TestNewCode:
    def test_is_another_one_each_time(self):
        assert codes.new_code() != codes.new_code()

    def test_leads_to_the_redirect(self):
        assert resolve(f"/{codes.new_code()}").url_name == "follow"


class TestLinkUrl:
    def test_is_https_on_the_brands_domain(self):
        assert codes.link_url("go.example.com", "abcd2345") == "https://go.example.com/abcd2345"

    def test_is_plain_http_on_this_machine_when_told_so(self):
        url = codes.link_url("127.0.0.1:8000", "abcd2345", scheme="http")
        assert url == "http://127.0.0.1:8000/abcd2345"


class TestTheAddress:
    def test_is_nothing_else_at_the_root(self):
        for path in ("/abcd234", "/abcd23456", "/abcd234l", "/abcd2345/", "/abcd2345\n"):
            try:
                found = resolve(path).url_name
            except Resolver404:
                found = None
            assert found != "follow", path

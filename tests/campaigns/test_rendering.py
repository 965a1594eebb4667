from __future__ import annotations

import pytest

from campaigns.rendering import NAMES, BadTemplate, MissingValue, check_template, fill_in

ADA = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "city": "Albany",
    "state": "NY",
    "zip_code": "12207",
    "brand": "Acme",
    "link": "https://go.example.com/abcd2345",
}


class TestFillIn:
    @pytest.mark.parametrize("name", sorted(NAMES))
    def test_puts_each_name_in(self, name):
        assert fill_in(f"<{{{name}}}>", ADA) == f"<{ADA[name]}>"

    def test_puts_in_several_and_the_same_one_twice(self):
        text = "{first_name} {last_name}, {brand} calls {first_name}: {link}"
        filled = "Ada Lovelace, Acme calls Ada: https://go.example.com/abcd2345"
        assert fill_in(text, ADA) == filled

    def test_leaves_a_text_without_names_as_it_is(self):
        assert fill_in("50 % off! $5 \\1 %s", ADA) == "50 % off! $5 \\1 %s"

    @pytest.mark.parametrize("values", [{}, {"first_name": ""}], ids=["missing", "empty"])
    def test_falls_back_where_nothing_is_known(self, values):
        assert fill_in("Hi {first_name|there, friend}!", values) == "Hi there, friend!"

    def test_falls_back_to_nothing_where_the_template_says_so(self):
        assert fill_in("Hi{first_name|}!", {}) == "Hi!"

    def test_needs_no_fall_back_where_the_value_is_known(self):
        assert fill_in("Hi {first_name|there}!", ADA) == "Hi Ada!"

    @pytest.mark.parametrize("values", [{}, {"city": ""}], ids=["missing", "empty"])
    def test_names_what_is_missing(self, values):
        with pytest.raises(MissingValue, match=r"^city$"):
            fill_in("Jobs in {city}", values)

    @pytest.mark.parametrize(
        "value", ["{link}", "{first_name}", "}{", "{0.__class__}", "\\g<1>", "{brand|x}"]
    )
    def test_never_reads_a_value_as_a_template(self, value):
        assert fill_in("{first_name}, {brand}", {**ADA, "first_name": value}) == f"{value}, Acme"

    def test_takes_no_attribute_and_no_format(self):
        assert fill_in("{first_name!r} {first_name.x} {first_name:>9}", ADA) == (
            "{first_name!r} {first_name.x} {first_name:>9}"
        )


class TestCheckTemplate:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "No names at all",
            "Hi {first_name|there}, {brand} has jobs in {city|your town}: {link}",
            "{first_name|}{last_name|}",
        ],
    )
    def test_lets_a_good_one_pass(self, text):
        check_template(text)

    @pytest.mark.parametrize("name", ["nickname", "phone", "email", "__class__", "firstname"])
    def test_refuses_a_name_it_does_not_know_and_lists_the_others(self, name):
        with pytest.raises(BadTemplate) as refused:
            check_template(f"Hi {{{name}}}")
        words = f"{{{name}}} is not a name we know; use one of: "
        assert str(refused.value).startswith(words)
        assert all(known in str(refused.value) for known in NAMES)

    @pytest.mark.parametrize(
        ("text", "brace"),
        [
            ("Hi {first_name", "{"),
            ("Hi first_name}", "}"),
            ("{{first_name}}", "{"),
            ("{ first_name }", "{"),
            ("{First_Name}", "{"),
            ("{first_name|{city}}", "{"),
            ("{first_name!r}", "{"),
            ("{first_name.__class__}", "{"),
            ("{}", "{"),
            ("{0}", "{"),
            (":-}", "}"),
        ],
    )
    def test_refuses_a_brace_that_stands_alone(self, text, brace):
        with pytest.raises(BadTemplate, match=rf"^A \{brace} stands alone"):
            check_template(text)

    def test_what_it_lets_pass_can_be_filled_in_whole(self):
        text = "".join(f"{{{name}|x}}" for name in sorted(NAMES))
        check_template(text)
        assert "{" not in fill_in(text, ADA)

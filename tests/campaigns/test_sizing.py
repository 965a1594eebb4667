from __future__ import annotations

from dataclasses import replace

import pytest
from django.conf import settings
from django.db import connection

from campaigns import sizing
from campaigns.sizing import Longest, largest, longest_values, longest_values_soon, said
from delivery.steps import add_link, add_opt_out_line, fill_in_text, refuse_unfit
from providers import segments
from tests.delivery.stepping import a_draft, with_slot
from tests.factories import make_brand, make_lead, make_list

pytestmark = pytest.mark.django_db

ZOE = "Zo\u00eb"  # \u00eb is not in GSM-7


@pytest.fixture
def brand():
    return make_brand(name="Acme", short_domain="go.example.com")


def a_list(brand, *names):
    return make_list(brand, *(make_lead(brand, first_name=name) for name in names))


class TestLongestValues:
    def test_are_the_longest_within_gsm_and_beyond_it(self, brand):
        listed = a_list(brand, "Al", "Ferenc", ZOE, "", "\u00c1g")
        assert longest_values(listed.pk, "{first_name}") == Longest(
            {"first_name": "Ferenc"}, {"first_name": ZOE}
        )

    def test_weigh_characters_as_they_are_billed(self, brand):
        listed = a_list(brand, "abcde", "[[[[", "\u044f\u044f\u044f", "\U0001f600\U0001f600")
        assert longest_values(listed.pk, "{first_name}") == Longest(
            {"first_name": "[[[["}, {"first_name": "\U0001f600\U0001f600"}
        )

    def test_know_the_same_alphabet_as_the_counter(self, brand):
        listed = a_list(brand, *segments.GSM_BASIC, *segments.GSM_EXTENSION)
        assert longest_values(listed.pk, "{first_name}").wide == {}

    def test_keep_each_name_apart(self, brand):
        leads = [make_lead(brand, first_name="Alexandra", city="Ely")]
        leads += [make_lead(brand, first_name="Al", city="Chicago")]
        found = longest_values(make_list(brand, *leads).pk, "{city} {first_name}")
        assert found.plain == {"city": "Chicago", "first_name": "Alexandra"}

    def test_are_nobody_elses(self, brand):
        make_lead(brand, first_name="Alexandra")
        assert longest_values(a_list(brand, "Al").pk, "{first_name}").plain == {"first_name": "Al"}

    def test_take_one_statement_and_none_without_names(self, brand, statements):
        listed = a_list(brand, "Al")
        assert statements(lambda: longest_values(listed.pk, "{first_name} {city} {zip_code}")) == 1
        assert statements(lambda: longest_values(listed.pk, "{brand} {link}")) == 0


class TestSoon:
    def test_gives_up_when_the_list_takes_too_long(self, brand, monkeypatch):
        slow = "SELECT {columns} FROM (SELECT pg_sleep(9)) s, leads_listentry e"
        monkeypatch.setattr(sizing, "OF_LIST", f"{slow}, leads_lead l")
        monkeypatch.setattr(sizing, "PATIENCE_MS", 20)
        listed = a_list(brand, "Al")
        assert longest_values_soon(listed.pk, "{first_name}") is None
        monkeypatch.undo()  # and does not try again with each letter that is typed
        assert longest_values_soon(listed.pk, "{first_name}") is None

    def test_leaves_the_time_limit_as_it_was(self, brand):
        longest_values_soon(a_list(brand, "Al").pk, "{first_name}")
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)

    def test_asks_the_database_once_a_minute(self, brand, statements):
        listed = a_list(brand, "Al")
        first = longest_values_soon(listed.pk, "{first_name}")
        again = []
        asked = statements(lambda: again.append(longest_values_soon(listed.pk, "{first_name}")))
        assert (again, asked) == ([first], 0)

    def test_does_without_a_cache(self, brand, monkeypatch):
        monkeypatch.setattr(sizing, "cache", None)
        found = longest_values_soon(a_list(brand, "Al").pk, "{first_name}")
        assert found is not None
        assert found.plain == {"first_name": "Al"}


class TestLargest:
    def test_takes_a_short_name_that_needs_the_large_alphabet(self, brand):
        listed = a_list(brand, ZOE, "Alexandra")
        text = "Hi {first_name}" + "x" * 60
        assert largest(text, brand, longest_values(listed.pk, text)) == 2

    def test_is_never_less_than_anybody_gets(self, brand):
        names = ["", "Al", "Alexandra", ZOE, "[x]" * 8, "\U0001f600" * 5, "y" * 30]
        listed = a_list(brand, *names)
        for length in range(20, 150, 3):
            text = "{first_name|you} {city|here}" + "x" * length
            most = largest(text, brand, longest_values(listed.pk, text))
            each = [said(text, {"first_name": name, "city": ""}, brand) for name in names]
            assert most == max(segments.count(one).parts for one in each), length

    def test_counts_a_list_without_people(self, brand):
        assert largest("Hi {first_name}", brand, sizing.NOBODY) == 1


@pytest.mark.parametrize(
    "text",
    [
        " Hi {first_name|there}, {brand} has {link} \n",
        "Hi {city|you} {link} {link}",
        "{first_name}: Reply STOP to opt out",
        "No names",
        "x" * 139,
    ],
)
def test_a_text_reads_and_counts_as_the_walk_sends_it(brand, text):
    values = {"first_name": ZOE, "city": ""}
    found = with_slot(template=text)
    draft = a_draft(values=values, code=sizing.SAMPLE_CODE)
    for step in (fill_in_text, add_link, add_opt_out_line, refuse_unfit):
        draft = step(draft, replace(found, link_scheme=settings.SHORT_LINK_SCHEME))
    assert said(text, values, brand) == draft.text
    assert segments.count(said(text, values, brand)).parts == draft.segments

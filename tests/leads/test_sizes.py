from __future__ import annotations

import pytest
from django.db import connection

from leads import sizes
from leads.models import LeadList
from tests.factories import make_brand, make_lead, make_list


def size_of(lead_list):
    found = sizes.with_sizes(LeadList.objects.all()).get(pk=lead_list.pk)
    return found.counted, found.estimated


@pytest.mark.django_db
class TestWithSizes:
    def test_counts_each_list(self, sandbox):
        brand = make_brand()
        people = [make_lead(brand) for _ in range(3)]
        three, none = make_list(brand, *people), make_list(brand)
        assert (size_of(three)[0], size_of(none)[0]) == (3, 0)

    def test_counts_no_further_than_it_has_to(self, sandbox, monkeypatch):
        monkeypatch.setattr(sizes, "COUNTED", 2)
        brand = make_brand()
        assert size_of(make_list(brand, *(make_lead(brand) for _ in range(5))))[0] == 3

    def test_estimates_a_list_of_which_postgres_has_heard(self, sandbox):
        brand = make_brand()
        big = make_list(brand, *(make_lead(brand) for _ in range(20)))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE leads_listentry")
        assert size_of(big) == (20, 20)
        assert size_of(make_list(brand)) == (0, None)


@pytest.mark.parametrize(
    ("counted", "estimated", "words"),
    [
        (0, None, "0"),
        (10_000, 99, "10,000"),
        (10_001, None, "more than 10,000"),
        (10_001, 9_000, "more than 10,000"),
        (10_001, 12_345, "about 12,000"),
        (10_001, 1_268_000, "about 1,300,000"),
    ],
)
def test_says_it_as_exactly_as_it_knows(counted, estimated, words):
    assert sizes.in_words(counted, estimated) == words

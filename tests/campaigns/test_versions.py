from __future__ import annotations

import pytest

from campaigns.models import Template
from campaigns.versions import add_version
from tests.factories import make_brand

pytestmark = pytest.mark.django_db


def a_template():
    return Template.objects.create(brand=make_brand(), name="Spring")


def test_versions_are_numbered_as_they_come():
    template = a_template()
    assert [add_version(template, text).number for text in ("One", "Two", "One")] == [1, 2, 3]


def test_the_same_words_again_are_no_new_version():
    template = a_template()
    first = add_version(template, "One")
    assert add_version(template, "One") == first
    assert template.versions.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_get_a_number_each(at_once):
    template = a_template()
    numbers = at_once(lambda n: add_version(template, f"Text {n}").number, threads=4)
    assert sorted(numbers) == [1, 2, 3, 4]

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from compliance.models import OptOutEvent, Person
from tests.factories import make_brand, make_lead, make_person

ADD = reverse("admin:compliance_optoutevent_add")

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_superuser("staff"))
    return client


class TestAnOptOutTypedIn:
    @pytest.mark.parametrize("typed", ["+12125550100", "(212) 555-0100", "ada@Example.com "])
    def test_binds_the_person_however_it_is_written(self, staff, typed):
        make_person(phone="+12125550100", email="ada@example.com")
        staff.post(ADD, {"address": typed, "note": "By phone"})
        event, person = OptOutEvent.objects.get(), Person.objects.get()
        assert (event.person, event.source, event.note) == (person, "staff", "By phone")
        assert (person.opted_out_at, person.opt_out_event_id) == (event.at, event.pk)

    @pytest.mark.parametrize("is_first", [True, False], ids=["the lead's", "the e-mail's owner"])
    def test_binds_whom_a_lead_names_beside(self, staff, is_first):
        person, owner = make_person(), make_person(phone=None, email="ada@example.com")
        make_lead(make_brand(), person, email_person=owner)
        staff.post(ADD, {"address": person.phone if is_first else owner.email, "note": ""})
        assert not Person.objects.filter(opted_out_at=None).exists()

    def test_leaves_everybody_else_alone(self, staff):
        person, other = make_person(), make_person()
        make_lead(make_brand(), person)
        make_lead(make_brand(), other)
        staff.post(ADD, {"address": person.phone, "note": ""})
        assert list(Person.objects.filter(opted_out_at=None)) == [other]

    def test_is_kept_for_a_number_that_nobody_has_brought_yet(self, staff):
        staff.post(ADD, {"address": "+1 212 555 0100", "note": ""})
        assert Person.objects.get(phone="+12125550100").opted_out_at is not None

    @pytest.mark.parametrize(
        ("typed", "words"),
        [
            pytest.param("", "This field is required.", id="nothing"),
            pytest.param("ada@", "This is not an e-mail address.", id="half an address"),
            pytest.param("hello", "class=", id="words"),
        ],
    )
    def test_says_what_is_wrong_by_the_field_and_changes_nothing(self, staff, typed, words):
        page = staff.post(ADD, {"address": typed, "note": "By phone"})
        assert page.status_code == 200
        assert page.context["adminform"].form.errors["address"]
        assert words in page.text
        assert "By phone" in page.text
        assert not Person.objects.exists()

    def test_is_never_changed(self, staff):
        person = make_person()
        staff.post(ADD, {"address": person.phone, "note": ""})
        url = reverse("admin:compliance_optoutevent_change", args=[OptOutEvent.objects.get().pk])
        assert staff.post(url, {"address": person.phone, "note": "x"}).status_code == 403


class TestThePeople:
    @pytest.mark.parametrize(
        "typed", ["+12125550100", "(212) 555-0100", "212.555.0100", "Ada@Example.com "]
    )
    def test_are_found_by_number_or_address_as_people_type_them(self, staff, typed):
        person = make_person(phone="+12125550100", email="ada@example.com")
        make_person(phone="+12125550101")
        rows = staff.get(reverse("admin:compliance_person_changelist"), {"q": typed})
        assert list(rows.context["cl"].result_list) == [person]

    def test_are_found_by_an_index(self, staff, django_assert_max_num_queries):
        with django_assert_max_num_queries(20) as queries:
            staff.get(reverse("admin:compliance_person_changelist"), {"q": "+12125550100"})
        (found,) = [q["sql"] for q in queries if 'FROM "compliance_person"' in q["sql"]]
        assert "UPPER" not in found
        assert "LIKE" not in found

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from compliance.models import OptOutEvent, Person
from tests.factories import make_person

ADD = reverse("admin:compliance_optoutevent_add")

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_superuser("staff"))
    return client


class TestAnOptOutTypedIn:
    def test_binds_the_person(self, staff):
        person = make_person()
        staff.post(ADD, {"person": person.pk, "note": "By phone"})
        event, person = OptOutEvent.objects.get(), Person.objects.get()
        assert (event.person, event.source, event.note) == (person, "staff", "By phone")
        assert (person.opted_out_at, person.opt_out_event_id) == (event.at, event.pk)

    def test_is_never_changed(self, staff):
        person = make_person()
        staff.post(ADD, {"person": person.pk, "note": ""})
        url = reverse("admin:compliance_optoutevent_change", args=[OptOutEvent.objects.get().pk])
        assert staff.post(url, {"person": person.pk, "note": "x"}).status_code == 403


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

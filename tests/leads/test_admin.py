from __future__ import annotations

import pytest
from django.urls import reverse

from leads.models import Lead
from tests.factories import make_brand, make_lead, make_person
from tests.staff import client_of, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sandbox")]


def change_of(lead):
    return reverse("admin:leads_lead_change", args=[lead.pk])


def a_form(**changes):
    return {"status": "active", "first_name": "Ada", "last_name": "", "city": "", **changes}


@pytest.fixture
def lead():
    return make_lead(make_brand())


@pytest.fixture
def marketer(lead):
    return client_of(make_user(lead.brand, "marketer"))


class TestALead:
    def test_is_switched_off(self, lead, marketer):
        marketer.post(change_of(lead), a_form(status="inactive"))
        lead.refresh_from_db()
        assert lead.status == "inactive"

    def test_is_not_erased_by_a_word(self, lead, marketer):
        page = marketer.post(change_of(lead), a_form(status="erased"))
        assert page.context["adminform"].form.errors["status"]
        lead.refresh_from_db()
        assert lead.status == "active"

    def test_that_was_erased_stays_so(self, lead, marketer):
        Lead.objects.update(status="erased")
        assert marketer.post(change_of(lead), a_form()).status_code == 403
        assert marketer.get(change_of(lead)).status_code == 200
        lead.refresh_from_db()
        assert lead.status == "erased"

    def test_keeps_what_an_import_wrote_meanwhile(self, lead, marketer, monkeypatch):
        save = Lead.save

        def overtaken(row, *args, **kwargs):
            Lead.objects.filter(pk=row.pk).update(source="spring-fair", city="Boston")
            save(row, *args, **kwargs)

        monkeypatch.setattr(Lead, "save", overtaken)
        marketer.post(change_of(lead), a_form(first_name="Grace"))
        lead.refresh_from_db()
        assert (lead.first_name, lead.source, lead.city) == ("Grace", "spring-fair", "Boston")

    def test_shows_no_phone_that_only_another_brand_knows(self, lead, marketer):
        owner = make_person(phone="+12125550199", email="ada@example.com")
        Lead.objects.update(email_person=owner)
        page = marketer.get(change_of(lead)).text
        assert "ada@example.com" in page
        assert "+12125550199" not in page

from __future__ import annotations

import pytest
from django.urls import reverse

from brands import clock
from brands.models import Brand
from campaigns.models import Campaign
from providers.models import ProviderAccount, SenderNumber
from tests.factories import make_account, make_brand, make_campaign, make_list, make_number
from tests.staff import client_of, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sandbox")]


def a_campaign():
    brand = make_brand()
    return make_campaign(brand, make_list(brand))


MAKERS = [make_brand, a_campaign, make_account, make_number]
NAMES = ["brand", "campaign", "account", "number"]


def url(row, does):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{does}", args=[row.pk])


def is_paused(row):
    return type(row).objects.get(pk=row.pk).paused_at is not None


@pytest.mark.parametrize("make", MAKERS, ids=NAMES)
class TestTheBrake:
    def test_pauses_and_resumes(self, make):
        row, owner = make(), client_of(make_user())
        owner.post(url(row, "pause"))
        assert is_paused(row)
        owner.post(url(row, "resume"))
        assert not is_paused(row)

    def test_takes_no_get(self, make):
        row = make()
        assert client_of(make_user()).get(url(row, "pause")).status_code == 405
        assert not is_paused(row)

    def test_is_not_there_for_members_of_other_brands(self, make):
        row = make()
        response = client_of(make_user(make_brand(), "admin")).post(url(row, "pause"))
        assert response.status_code == 404
        assert not is_paused(row)

    def test_stands_on_the_page(self, make):
        row = make()
        change = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
        page = client_of(make_user()).get(reverse(change, args=[row.pk]))
        assert f'action="{url(row, "pause")}"' in page.text


class TestWhoMayBrake:
    def test_a_marketer_pauses_a_brand_that_they_may_not_change(self):
        brand = make_brand()
        client = client_of(make_user(brand, "marketer"))
        client.post(url(brand, "pause"))
        assert is_paused(brand)

    def test_an_analyst_pauses_nothing(self):
        campaign = a_campaign()
        client = client_of(make_user(campaign.brand, "analyst"))
        assert client.post(url(campaign, "pause")).status_code == 403
        assert not is_paused(campaign)


class TestResuming:
    def test_forgives_the_fault_of_an_account(self):
        account = make_account(paused_at=clock.now(), fault="20003")
        client_of(make_user()).post(url(account, "resume"))
        account = ProviderAccount.objects.get()
        assert (account.fault, account.resumed_at is None) == ("", False)

    def test_clears_why_a_campaign_was_paused(self):
        campaign = a_campaign()
        Campaign.objects.update(paused_at=clock.now(), pause_reason="Too many strikes")
        client_of(make_user()).post(url(campaign, "resume"))
        assert Campaign.objects.get().pause_reason == ""

    def test_leaves_the_others_of_its_kind_alone(self):
        first, second = make_number(paused_at=clock.now()), make_number(paused_at=clock.now())
        client_of(make_user()).post(url(first, "resume"))
        assert [is_paused(first), is_paused(second)] == [False, True]
        assert SenderNumber.objects.count() == 2
        assert not Brand.objects.exists()

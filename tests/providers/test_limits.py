"""Limits as rows: what the table refuses, whose network a name is, and the presets."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from providers import limit_presets
from providers.carriers import Carrier, counts, network
from providers.limit_presets import PRESETS
from providers.models import Limit
from tests.factories import make_account, make_brand, make_limit, make_number


def owner_for(preset):
    if preset.owner == "brand":
        return make_brand()
    if preset.owner == "account":
        return make_account(kind=preset.kinds[0] if preset.kinds else "twilio")
    return make_number(kind=preset.kinds[0] if preset.kinds else "long_code")


@pytest.mark.django_db
class TestTheTable:
    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param({"amount": 0}, id="nothing"),
            pytest.param({"amount": -1}, id="less than nothing"),
            pytest.param({"amount": float("nan")}, id="no number"),
            pytest.param({"amount": float("inf")}, id="no end"),
            pytest.param({"amount": 1.5}, id="half a message a day"),
            pytest.param({"unit": "letters"}, id="letters"),
            pytest.param({"per": "week"}, id="a week"),
            pytest.param({"carrier": "nobody"}, id="an unknown carrier"),
            pytest.param({"kind": "pigeon"}, id="an unknown kind"),
            pytest.param({"zone": ""}, id="a day of nowhere"),
            pytest.param({"per": "second", "zone": "UTC"}, id="a second's zone"),
            pytest.param({"per": "second", "zone": "", "carrier": "att"}, id="a carrier's second"),
            pytest.param(
                {"per": "second", "zone": "", "unit": "segments"}, id="what its column says"
            ),
        ],
    )
    def test_refuses(self, sandbox, fields):
        values = {"amount": 5, "account": make_account(), "zone": "UTC", **fields}
        with pytest.raises(DatabaseError), transaction.atomic():
            Limit.objects.create(**values)

    def test_refuses_a_limit_of_nobody_and_of_two(self, sandbox):
        for owners in ({}, {"account": make_account(), "number": make_number()}):
            with pytest.raises(IntegrityError), transaction.atomic():
                Limit.objects.create(amount=5, zone="UTC", **owners)

    def test_refuses_a_kind_of_one_number(self, sandbox):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_limit(5, number=make_number(), kind="long_code")

    def test_refuses_the_same_limit_twice(self, sandbox):
        account = make_account()
        make_limit(5, account=account)
        make_limit(5, account=account, unit="segments")
        with pytest.raises(IntegrityError), transaction.atomic():
            make_limit(6, account=account)

    def test_lets_only_the_amount_change(self, sandbox):
        make_limit(5, account=make_account())
        Limit.objects.update(amount=6)
        with pytest.raises(DatabaseError), transaction.atomic():
            Limit.objects.update(unit="segments")
        assert Limit.objects.values_list("amount", "unit").get() == (6, "messages")

    def test_says_itself_in_words(self, sandbox):
        limit = make_limit(
            200_000, brand=make_brand(), unit="segments", kind="long_code", carrier="t_mobile"
        )
        assert str(limit) == "200,000 segments a day by Long code (10DLC) to T-Mobile"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("T-Mobile USA, Inc.", "t_mobile"),
        ("TMOBILE", "t_mobile"),
        ("Metro by T-Mobile", "t_mobile"),
        ("MetroPCS", "t_mobile"),
        ("Sprint Spectrum", "t_mobile"),
        ("AT&T Mobility", "att"),
        ("ATT", "att"),
        ("New Cingular Wireless", "att"),
        ("Verizon Wireless", "verizon"),
        *((carrier.value, carrier.value) for carrier in Carrier),
        ("Mint Mobile", ""),
        ("Boost Mobile", ""),
        ("Seattle Wireless", ""),
        ("", ""),
    ],
)
def test_the_network_of_a_carriers_name(name, found):
    assert network(name) == found


def test_a_limit_for_everybody_counts_everybody():
    assert counts("", "Verizon", counts_unknown=False)


@pytest.mark.django_db
class TestPresets:
    @pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
    def test_can_be_used_and_name_their_source(self, sandbox, preset):
        owner = owner_for(preset)
        limit_presets.apply(preset.name, owner)
        assert owner.limits.count() == len(preset.limits)
        assert preset.source

    def test_set_the_speed_of_a_number_in_its_own_column(self, sandbox):
        number = make_number(kind="toll_free")
        limit_presets.apply("toll-free", number)
        number.refresh_from_db()
        assert number.segments_per_second == 3

    def test_change_the_amount_of_what_stands_there_already(self, sandbox):
        brand = make_brand()
        limit_presets.apply("10dlc-1", brand)
        before = set(brand.limits.values_list("pk", flat=True))
        limit_presets.apply("10dlc-75", brand)
        assert set(brand.limits.values_list("pk", flat=True)) == before
        assert brand.limits.get(per="day").amount == 200_000

    def test_leave_other_limits_as_they_are(self, sandbox):
        brand = make_brand()
        make_limit(7, brand=brand)
        limit_presets.apply("10dlc-1", brand)
        assert brand.limits.get(unit="messages").amount == 7

    def test_set_anew_what_counts_by_another_day(self, sandbox):
        brand = make_brand()
        make_limit(
            5, brand=brand, unit="segments", zone="UTC", kind="long_code", carrier="t_mobile"
        )
        limit_presets.apply("10dlc-1", brand)
        daily = brand.limits.get(per="day")
        assert (daily.zone, daily.counted_at) == ("America/Los_Angeles", None)

    def test_are_offered_to_whom_they_fit_alone(self, sandbox):
        offered = {one.name for one in limit_presets.for_owner(make_number(kind="short_code"))}
        assert offered == {"short-code"}
        with pytest.raises(KeyError):
            limit_presets.apply("toll-free", make_brand())

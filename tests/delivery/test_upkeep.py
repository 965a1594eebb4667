from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest

from brands.models import Brand, Installation
from campaigns.models import Campaign
from delivery import upkeep
from delivery.claims import REPLIES
from delivery.models import CapCounter, Due, Message
from delivery.upkeep import anything_due, is_reply_due, sweep_expired
from providers.models import ProviderAccount, SenderNumber
from tests.factories import NOON, fill_queue, make_brand, make_slot

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
WEEK = timedelta(days=7)


def ended():
    return Counter(
        Message.objects.exclude(status="planned").values_list("status", "reason").order_by()
    )


def cap(kind, model, used, day="2035-03-07"):
    model.objects.update(daily_cap=5)
    CapCounter.objects.create(key=f"{kind}:{model.objects.get().pk}:{day}", used=used)


HELD_BY = {
    "nothing-but-time": ("no_capacity", lambda: None),
    "stop-all": ("stop_all", lambda: Installation.objects.update(stopped_at=NOON)),
    "brand-paused": ("brand_paused", lambda: Brand.objects.update(paused_at=NOON)),
    "campaign-paused": ("campaign_paused", lambda: Campaign.objects.update(paused_at=NOON)),
    "number-paused": ("lane_paused", lambda: SenderNumber.objects.update(paused_at=NOON)),
    "number-retired": ("lane_paused", lambda: SenderNumber.objects.update(retired_at=NOON)),
    "number-rests": ("lane_paused", lambda: SenderNumber.objects.update(rests_until=NOON + HOUR)),
    "account-paused": ("lane_paused", lambda: ProviderAccount.objects.update(paused_at=NOON)),
    "account-retired": ("lane_paused", lambda: ProviderAccount.objects.update(retired_at=NOON)),
    "brand-cap": ("brand_cap", lambda: cap("brand", Brand, 5)),
    "campaign-cap": ("campaign_cap", lambda: cap("campaign", Campaign, 5)),
    "a-cap-with-room": ("no_capacity", lambda: cap("brand", Brand, 4)),
    "yesterdays-cap": ("no_capacity", lambda: cap("brand", Brand, 5, "2035-03-06")),
}


class TestSweepExpired:
    def test_ends_what_is_too_late(self, slot, lane):
        fill_queue(slot, lane, 3, now=NOON, expires_at=NOON)
        assert sweep_expired() == 3
        assert ended() == {("expired", "no_capacity"): 3}
        assert not Due.objects.exists()

    def test_leaves_what_is_in_time(self, slot, lane):
        fill_queue(slot, lane, 3, now=NOON, expires_at=NOON + HOUR)
        assert sweep_expired() == 0
        assert Due.objects.count() == 3

    @pytest.mark.parametrize(("reason", "hold"), HELD_BY.values(), ids=HELD_BY.keys())
    def test_says_what_kept_it_out(self, slot, lane, reason, hold):
        fill_queue(slot, lane, 1, now=NOON, expires_at=NOON)
        hold()
        sweep_expired()
        assert ended() == {("expired", reason): 1}

    @pytest.mark.parametrize("reason", ["quiet_hours", "person_limit", "throttled", "brand_cap"])
    def test_says_what_held_it_before(self, slot, lane, reason):
        fill_queue(slot, lane, 1, now=NOON, expires_at=NOON, reason=reason)
        sweep_expired()
        assert ended() == {("expired", reason): 1}

    def test_ends_suspects_too(self, slot, lane):
        fill_queue(slot, lane, 1, now=NOON, expires_at=NOON, crashes=1)
        assert sweep_expired() == 1

    def test_goes_on_until_nothing_is_left(self, slot, lane, monkeypatch, statements):
        monkeypatch.setattr(upkeep, "CHUNK", 10)
        fill_queue(slot, lane, 25, now=NOON, expires_at=NOON)
        assert sweep_expired() == 25

    def test_ends_each_row_once(self, slot, lane):
        fill_queue(slot, lane, 3, now=NOON, expires_at=NOON)
        assert [sweep_expired(), sweep_expired()] == [3, 0]

    def test_reads_another_brands_cap_for_nobody(self, slot, lane):
        full = make_brand(daily_cap=0)
        fill_queue(slot, lane, 1, now=NOON, expires_at=NOON)
        fill_queue(make_slot(lane, brand=full), lane, 1, now=NOON, expires_at=NOON)
        sweep_expired()
        assert ended() == {("expired", "no_capacity"): 1, ("expired", "brand_cap"): 1}

    @pytest.mark.django_db(transaction=True)
    def test_at_once_in_many_places_ends_each_row_once(self, slot, lane, at_once, monkeypatch):
        monkeypatch.setattr(upkeep, "CHUNK", 7)
        fill_queue(slot, lane, 100, now=NOON, expires_at=NOON)
        assert sum(at_once(lambda _: sweep_expired(), threads=4)) == 100
        assert ended() == {("expired", "no_capacity"): 100}


class TestAnythingDue:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            pytest.param({}, True, id="due"),
            pytest.param({"crashes": 1}, True, id="suspect"),
            pytest.param({"not_before": NOON + HOUR}, False, id="later"),
            pytest.param({"expires_at": NOON}, False, id="expired"),
        ],
    )
    def test_is_what_may_be_sent_now(self, slot, lane, fields, expected):
        fill_queue(slot, lane, 1, now=NOON, **fields)
        assert anything_due() is expected

    def test_is_nothing_in_an_empty_queue(self, sandbox):
        assert anything_due() is False


class TestIsReplyDue:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            pytest.param({}, True, id="due"),
            pytest.param({"queue": 7}, False, id="of a campaign"),
            pytest.param({"crashes": 1}, False, id="suspect"),
            pytest.param({"not_before": NOON + HOUR}, False, id="later"),
            pytest.param({"expires_at": NOON}, False, id="expired"),
        ],
    )
    def test_is_an_answer_that_may_be_sent_now(self, slot, lane, fields, expected):
        fill_queue(slot, lane, 1, now=NOON, **{"queue": REPLIES, **fields})
        assert is_reply_due() is expected

    def test_is_nothing_in_an_empty_queue(self, sandbox):
        assert is_reply_due() is False


def test_a_cap_is_of_the_brands_own_day(sandbox):
    brand = make_brand(daily_cap=5, zone="Asia/Tokyo")
    CapCounter.objects.create(key=f"brand:{brand.pk}:{date(2035, 3, 8)}", used=5)
    assert upkeep.capped(NOON) == ([brand.pk], [])

"""A limit that is set in the middle of its day counts what went out on it before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from compliance.models import Person
from delivery import recounting, tasks
from delivery.models import Attempt, CapCounter
from providers.models import Limit, SenderNumber
from tests.delivery import taking
from tests.factories import (
    NOON,
    fill_queue,
    make_limit,
    make_number,
    make_slot,
    set_clock,
)

pytestmark = pytest.mark.django_db

take = taking.take  # a fixture
MINUTE = timedelta(minutes=1)


@pytest.fixture
def sent(slot, lane, take):
    """Five messages of one segment that left by the number an hour ago."""
    fill_queue(slot, lane, 5, now=NOON)
    take(slot)
    Attempt.objects.update(outcome="accepted", intent_at=NOON - timedelta(hours=1))
    return slot


def a_new_limit(**fields):
    return make_limit(100, counted_at=None, made_at=NOON - MINUTE, **fields)


def used(limit):
    counter = CapCounter.objects.filter(key__startswith=f"{limit.unit}:{limit.pk}:").first()
    return counter.used if counter else None


class TestANewLimit:
    def test_counts_what_left_by_its_number_that_day(self, sent, lane):
        limit = a_new_limit(number=lane)
        assert recounting.count_new() == 1
        assert used(limit) == 5
        assert Limit.objects.get().counted_at is not None

    def test_counts_nothing_of_other_numbers(self, sent):
        limit = a_new_limit(number=make_number())
        recounting.count_new()
        assert used(limit) == 0

    def test_counts_nothing_of_the_day_before(self, sent, lane):
        Attempt.objects.update(intent_at=NOON - timedelta(hours=13))
        limit = a_new_limit(number=lane)
        recounting.count_new()
        assert used(limit) == 0

    @pytest.mark.parametrize("outcome", ["", "unknown"])
    def test_counts_what_may_have_left(self, sent, lane, outcome):
        Attempt.objects.update(outcome=outcome)
        limit = a_new_limit(account=lane.account)
        recounting.count_new()
        assert used(limit) == 5

    def test_counts_nothing_that_did_not_leave(self, sent, lane):
        Attempt.objects.update(outcome="not_sent", is_not_sent=True)
        limit = a_new_limit(account=lane.account)
        recounting.count_new()
        assert used(limit) == 0

    def test_counts_segments(self, lane, take):
        slot = make_slot(lane, text="x" * 170)
        fill_queue(slot, lane, 2, now=NOON)
        take(slot)
        limit = a_new_limit(brand=slot.campaign.brand, unit="segments")
        recounting.count_new()
        assert used(limit) == 4

    def test_counts_numbers_of_its_kind_alone(self, sent, lane):
        SenderNumber.objects.update(kind="short_code")
        limits = [
            a_new_limit(account=lane.account, kind=kind) for kind in ("toll_free", "short_code")
        ]
        assert recounting.count_new() == 2
        assert [used(limit) for limit in limits] == [0, 5]

    @pytest.mark.parametrize(("counts", "found"), [(True, 4), (False, 1)])
    def test_counts_the_people_of_its_carrier(self, sent, counts, found):
        first, second, *_ = Person.objects.order_by("pk")
        Person.objects.filter(pk=first.pk).update(carrier="Sprint")
        Person.objects.filter(pk=second.pk).update(carrier="Verizon")
        limit = a_new_limit(brand=sent.campaign.brand, carrier="t_mobile", counts_unknown=counts)
        recounting.count_new()
        assert used(limit) == found

    def test_waits_until_every_batch_that_did_not_see_it_has_ended(self, sent, lane):
        make_limit(100, number=lane, counted_at=None, made_at=NOON - timedelta(seconds=5))
        assert recounting.count_new() == 0

    def test_counts_a_long_day_in_parts(self, sent, lane, monkeypatch):
        """No statement may take as long as the transaction gives it."""
        monkeypatch.setattr(recounting, "AT_ONCE", 2)
        limit = a_new_limit(number=lane)
        recounting.count_new()
        assert used(limit) == 5

    def test_is_counted_once(self, sent, lane):
        a_new_limit(number=lane)
        assert [recounting.count_new(), recounting.count_new()] == [1, 0]

    def test_lets_pass_what_it_has_left_from_then_on(self, sent, lane, take):
        limit = a_new_limit(number=lane)
        Limit.objects.update(amount=7)
        tasks.fail_over()
        fill_queue(sent, lane, 5, now=NOON)
        assert len(take(sent).intents) == 2
        assert used(limit) == 7


def test_the_first_attempt_of_a_day_is_found_among_many(sent):
    template = Attempt.objects.values().first()
    Attempt.objects.all().delete()
    days = {}
    for n in range(40):
        row = template | {"id": 1000 + 3 * n, "ref": f"r{n}", "message_id": 10**9 + n}
        row["intent_at"] = NOON - timedelta(hours=40 - n)
        days[row["id"]] = row["intent_at"]
        Attempt.objects.create(**row)
    for moment in (NOON - timedelta(hours=41), NOON - timedelta(hours=17), NOON):
        expected = min((pk for pk, at in days.items() if at >= moment), default=1000 + 3 * 39 + 1)
        first = recounting._first_since(moment)
        assert [pk for pk in days if pk >= first] == [pk for pk in days if pk >= expected]


def test_a_limit_keeps_what_it_counts(lane):
    from django.db import DatabaseError, transaction

    limit = make_limit(5, number=lane)
    Limit.objects.update(amount=6)
    with pytest.raises(DatabaseError), transaction.atomic():
        Limit.objects.update(unit="segments")
    set_clock(NOON + MINUTE)
    limit.refresh_from_db()
    assert (limit.amount, limit.unit) == (6, "messages")

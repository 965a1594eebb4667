from __future__ import annotations

from datetime import timedelta

import pytest

from delivery import tallies
from delivery.models import WebhookTally
from delivery.tallies import What
from tests.factories import NOON, make_account, set_clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def account(sandbox):
    return make_account()


def counted():
    rows = WebhookTally.objects.order_by("hour", "what")
    return [(row.account_id, row.what, row.hour, row.count) for row in rows]


class TestCount:
    @pytest.mark.parametrize("what", What)
    def test_adds_to_its_hour(self, account, what):
        for _ in range(3):
            tallies.count(what, account.pk)
        assert counted() == [(account.pk, what.value, NOON, 3)]

    def test_begins_again_with_the_next_hour(self, account):
        tallies.count(What.FORGED, account.pk)
        set_clock(NOON + timedelta(hours=1))
        tallies.count(What.FORGED, account.pk)
        hour = NOON + timedelta(hours=1)
        assert counted() == [(account.pk, "forged", NOON, 1), (account.pk, "forged", hour, 1)]

    def test_is_of_each_account(self, account):
        tallies.count(What.FORGED, account.pk)
        tallies.count(What.FORGED, make_account().pk)
        assert [row[3] for row in counted()] == [1, 1]

    def test_of_no_account_is_one_row(self, sandbox):
        for _ in range(3):
            tallies.count(What.NO_ACCOUNT)
        assert counted() == [(None, "no_account", NOON, 3)]

    @pytest.mark.django_db(transaction=True)
    def test_loses_none_that_come_at_once(self, account, at_once):
        def count(_):
            for _ in range(20):
                tallies.count(What.FORGED, account.pk)

        at_once(count, threads=4)
        assert [row[3] for row in counted()] == [80]

"""What a provider's trouble does to its account or number."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from brands import clock
from delivery import faults, picking, planning, sql
from delivery.models import Attempt, Due
from leads.models import ListEntry
from providers.base import Fault, NotSent
from providers.models import ProviderAccount, RouteNumber, SenderNumber
from tests.delivery import walking
from tests.delivery.walking import come_back, last_attempt
from tests.factories import NOON, fill_queue, make_leads, make_number

pytestmark = pytest.mark.django_db

ACCOUNT_FAULT = NotSent("20003", fault=Fault.ACCOUNT)
SENDER_FAULT = NotSent("21606", fault=Fault.SENDER)
UNREACHABLE = NotSent("no_connection", unreachable=True)
THROTTLED = NotSent("429", throttled=True, retry_after=40.0)
TEN_SECONDS = timedelta(seconds=10)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def intents(slot, lane, journal):
    """Some, whose answers are awaited."""

    def intents(many):
        fill_queue(slot, lane, many, now=NOON)
        return walking.hand_over(journal)

    return intents


@pytest.fixture
def said(caplog):
    """The codes of each pause that was said."""
    caplog.set_level(logging.ERROR, logger="delivery.faults")
    return lambda: [record.codes for record in caplog.records if hasattr(record, "codes")]


class TestPause:
    def test_is_said_once_for_many_refusals(self, intents, said):
        come_back(intents(20), ACCOUNT_FAULT)
        assert said() == [["20003"]]

    def test_is_said_once_for_refusals_that_come_one_by_one(self, intents, said):
        for intent in intents(5):
            come_back([intent], ACCOUNT_FAULT)
        assert said() == [["20003"]]
        assert ProviderAccount.objects.get().paused_at == first_answer()

    def test_is_of_the_number_alone_where_that_is_at_fault(self, lane, intents):
        sister = make_number(lane.account)
        come_back(intents(1), SENDER_FAULT)
        paused = SenderNumber.objects.filter(paused_at__isnull=False)
        assert [number.pk for number in paused] == [lane.pk]
        assert sister.account.paused_at is None

    @pytest.mark.parametrize("outcome", [UNREACHABLE, THROTTLED, NotSent("transport_closed")])
    def test_is_for_faults_only(self, intents, outcome):
        come_back(intents(1), outcome)
        assert ProviderAccount.objects.get().paused_at is None
        assert SenderNumber.objects.get().paused_at is None

    @pytest.mark.parametrize(
        ("model", "outcome"),
        [(ProviderAccount, ACCOUNT_FAULT), (SenderNumber, SENDER_FAULT)],
        ids=["account", "number"],
    )
    def test_is_not_for_what_left_before_it_was_mended(self, intents, said, model, outcome):
        """A slow answer, or one out of a dead worker's journal."""
        late = intents(1)
        model.objects.update(resumed_at=clock.now())
        come_back(late, outcome)
        assert model.objects.get().paused_at is None
        assert said() == []

    @pytest.mark.parametrize(
        ("model", "outcome"),
        [(ProviderAccount, ACCOUNT_FAULT), (SenderNumber, SENDER_FAULT)],
        ids=["account", "number"],
    )
    def test_comes_again_where_it_was_not_mended(self, intents, said, model, outcome):
        model.objects.update(resumed_at=clock.now())
        come_back(intents(1), outcome)
        assert model.objects.get().paused_at is not None
        assert len(said()) == 1

    def test_of_nothing_asks_for_nothing(self, statements):
        assert statements(lambda: faults.pause([], NOON)) == 0


class TestRest:
    def test_of_an_account_that_was_not_reached_is_ten_seconds_for_all_its_numbers(
        self, lane, intents
    ):
        make_number(lane.account)
        other = make_number()
        come_back(intents(1), UNREACHABLE)
        until = last_attempt().answered_at + TEN_SECONDS
        resting = dict(SenderNumber.objects.values_list("account_id", "rests_until"))
        assert resting == {lane.account_id: until, other.account_id: None}
        assert SenderNumber.objects.filter(rests_until=until).count() == 2

    @pytest.mark.parametrize("outcome", [THROTTLED, NotSent("transport_closed"), ACCOUNT_FAULT])
    def test_is_for_refused_connections_only(self, intents, outcome):
        come_back(intents(1), outcome)
        assert SenderNumber.objects.get().rests_until is None

    def test_is_written_once_for_a_burst(self, lane):
        """Else each answer of a batch would write the row that all the others wait for."""
        faults.rest([lane.account_id], NOON)
        faults.rest([lane.account_id], NOON + timedelta(seconds=4))
        lane.refresh_from_db()
        assert lane.rests_until == NOON + TEN_SECONDS

    def test_goes_on_while_the_account_cannot_be_reached(self, lane):
        faults.rest([lane.account_id], NOON)
        faults.rest([lane.account_id], NOON + timedelta(seconds=6))
        lane.refresh_from_db()
        assert lane.rests_until == NOON + timedelta(seconds=16)

    def test_never_shortens_a_longer_one(self, lane):
        SenderNumber.objects.update(rests_until=NOON + MINUTE)
        faults.rest([lane.account_id], NOON)
        lane.refresh_from_db()
        assert lane.rests_until == NOON + MINUTE


class TestWhileItRests:
    def test_nobody_picks_it_until_the_rest_ends(self, lane, intents):
        come_back(intents(3), UNREACHABLE)
        Due.objects.update(not_before=NOON - MINUTE)
        assert picked() == []
        SenderNumber.objects.update(rests_until=clock.now())
        assert picked() == [lane.pk]

    def test_planning_goes_by_the_others(self, lane, slot, intents):
        other = make_number()
        RouteNumber.objects.create(route=slot.route, number=other, order=1)
        come_back(intents(1), UNREACHABLE)
        Due.objects.all().delete()
        assert planned(slot) == {other.pk}

    def test_planning_keeps_to_it_where_there_is_no_other(self, lane, slot, intents):
        come_back(intents(1), UNREACHABLE)
        Due.objects.all().delete()
        assert planned(slot) == {lane.pk}


def first_answer():
    return Attempt.objects.earliest("id").answered_at


def picked():
    """The lanes that a worker would ask for tokens of."""
    return [lane_id for _, lane_id, *_ in sql.rows(picking.WHOLE_OUTLINE, 500)]


def planned(slot):
    """The lanes of what is planned for new leads of the slot."""
    for lead in make_leads(slot.campaign.brand, 20):
        ListEntry.objects.create(
            lead_list_id=slot.campaign.lead_list_id, lead=lead, places=lead.places
        )
    assert planning.plan_open_slots() == 20
    return set(Due.objects.values_list("lane_id", flat=True))


@pytest.mark.django_db(transaction=True)
def test_workers_that_are_refused_together_pause_once_and_send_all_elsewhere(
    lane, slot, intents, at_once, said
):
    other = make_number()
    RouteNumber.objects.create(route=slot.route, number=other, order=1)
    refused = intents(40)
    at_once(lambda n: come_back(refused[n::4], ACCOUNT_FAULT), threads=4)
    assert len(said()) == 1
    assert set(Due.objects.values_list("lane_id", flat=True)) == {other.pk}
    assert ProviderAccount.objects.get(pk=lane.account_id).paused_at is not None
    walking.assert_all_adds_up()

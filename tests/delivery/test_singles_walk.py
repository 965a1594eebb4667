from __future__ import annotations

from datetime import timedelta

import pytest

from brands.models import Brand, Installation
from campaigns.rendering import Mail
from compliance import phones
from compliance.models import Person
from delivery import picking, routing, settling, singles, upkeep
from delivery.claims import Grant
from delivery.models import Attempt, Due
from delivery.outcomes import apply_reports
from delivery.revival import revive
from delivery.states import Reason, Status
from links.models import ShortLink
from providers.base import Accepted, ErrorClass, Fault, NotSent, Rejected, Unknown
from providers.models import SenderNumber
from providers.rates import Breaker
from tests.delivery import singles_asked, texting, walking
from tests.delivery.singles_asked import TEXT, VALUES
from tests.delivery.waiting import wait_until
from tests.factories import (
    NOON,
    make_due,
    make_lead,
    make_number,
    make_route,
    make_slot,
    phone,
    set_clock,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NIGHT = NOON + 11 * HOUR  # 23:00 in New York
REFUSED = Rejected(ErrorClass.PERMANENT_CONTENT, "30007")

# Fixtures: asking needs all of them.
brand = singles_asked.brand
lane = singles_asked.lane
campaign = singles_asked.campaign
user = singles_asked.user
ask = singles_asked.ask


class TestTheWalk:
    def test_sends_the_very_text_of_the_preview(self, ask, campaign, journal):
        message = ask()
        (intent,) = walking.hand_over(journal)
        link = ShortLink.objects.get()
        seen = singles.preview(campaign, Mail("", TEXT), VALUES)
        assert intent.send.text == seen.text.replace("abcdefgh", link.code)
        assert (intent.send.segments, intent.send.to_e164) == (1, message.person.phone)
        assert link.destination == "https://jobs.example.com/"

    def test_is_accepted_and_delivered(self, ask, journal):
        message = ask()
        (intent,) = walking.hand_over(journal)
        walking.come_back([intent], Accepted("SM1"))
        apply_reports([walking.reported(intent, provider_ref="SM1")])
        message.refresh_from_db()
        assert message.status == Status.DELIVERED
        walking.assert_all_adds_up()

    def test_goes_out_at_night_and_past_the_close_of_the_window(self, ask, journal):
        set_clock(NIGHT)
        message = ask()
        (intent,) = walking.hand_over(journal)
        assert intent.window_closes_at == message.expires_at

    def test_at_the_close_of_the_window_it_may_still_be_written(self, ask, brand, journal):
        set_clock(NOON + 9 * HOUR - timedelta(seconds=30))  # 20:59:30 in New York
        message = ask()
        (intent,) = walking.hand_over(journal)
        assert intent.window_closes_at == message.expires_at

    def test_is_not_held_for_what_the_person_had_lately_but_counts(self, ask, brand, journal):
        for n in range(3):
            ask(key=f"k{n}")
            assert len(walking.hand_over(journal)) == 1
        (person,) = Person.objects.all()
        assert len(person.recent) == 3
        assert list(walking.caps().values()) == [3]

    def test_holds_a_campaign_to_the_same_person_afterwards(self, ask, brand, lane, journal):
        lead = make_lead(brand)
        ask(phones.parse(lead.person.phone))
        assert len(walking.hand_over(journal)) == 1
        slot = make_slot(lane, lead, brand=brand)
        make_due(slot, lead, lane, now=NOON)
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == Reason.PERSON_LIMIT

    def test_waits_at_the_brands_cap(self, ask, brand, journal):
        Brand.objects.update(daily_cap=1)
        ask()
        assert len(walking.hand_over(journal)) == 1
        ask(key="k2")
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == Reason.BRAND_CAP

    @pytest.mark.parametrize(
        ("stop", "reason"),
        [
            pytest.param(
                lambda: Installation.objects.update(stopped_at=NOON), Reason.STOP_ALL, id="all"
            ),
            pytest.param(
                lambda: Brand.objects.update(paused_at=NOON), Reason.BRAND_PAUSED, id="the-brand"
            ),
        ],
    )
    def test_is_held_while_sending_is_stopped_and_expires_with_that_reason(
        self, ask, journal, stop, reason
    ):
        message = ask()
        stop()
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == reason
        set_clock(NOON + 11 * MINUTE)
        upkeep.sweep_expired()
        message.refresh_from_db()
        assert (message.status, message.reason) == (Status.EXPIRED, reason)
        walking.assert_all_adds_up()

    def test_a_stop_from_that_phone_binds_until_its_start(self, ask, brand, lane, journal):
        message = ask()
        walking.hand_over(journal)
        texting.say(lane, message.person, "STOP")
        second = ask(key="k2")
        walking.hand_over(journal)
        second.refresh_from_db()
        assert (second.status, second.reason) == (Status.REFUSED, Reason.OPTED_OUT)
        set_clock(NOON + 20 * MINUTE)
        texting.say(lane, message.person, "START")
        third = ask(key="k3")
        walking.hand_over(journal)
        third.refresh_from_db()
        assert third.status == Status.SENDING

    def test_waits_while_a_text_of_the_person_is_being_read(self, ask, lane, journal):
        message = ask()
        texting.store(lane, message.person, "hello")
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == Reason.INBOUND_WAITING

    def test_asks_the_database_no_more_for_ten_than_for_two(self, ask, journal, statements):
        def many(count, key):
            for n in range(count):
                ask(phones.parse(phone()), key=f"{key}{n}")
            return statements(lambda: walking.hand_over(journal))

        many(1, "warm")  # sets of places are read once in a process's life
        assert many(2, "a") == many(10, "b")

    def test_a_batch_without_singles_asks_for_none(self, brand, lane, journal, statements, ask):
        slot = make_slot(lane, brand=brand)
        make_due(slot, make_lead(brand), lane, now=NOON)
        without = statements(lambda: walking.hand_over(journal))
        make_due(slot, make_lead(brand), lane, now=NOON)
        ask()
        assert statements(lambda: walking.hand_over(journal)) == without + 1


class TestAfterTheAnswer:
    def test_what_did_not_leave_goes_round_in_its_own_queue(self, ask, brand, journal):
        message = ask()
        walking.come_back(walking.hand_over(journal), NotSent("429", throttled=True))
        due = Due.objects.get(message=message)
        assert (due.queue, due.reason, due.expires_at) == (
            -brand.pk,
            Reason.THROTTLED,
            message.expires_at,
        )
        set_clock(NOON + MINUTE)
        (again,) = walking.hand_over(journal)
        walking.come_back([again], Accepted("SM1"))
        walking.assert_all_adds_up()

    def test_a_fault_sends_it_by_another_number(self, ask, brand, lane, journal):
        other = make_number()
        ask()
        brand.route_set.get().numbers.create(number=other)
        (intent,) = walking.hand_over(journal)
        walking.come_back([intent], NotSent("401", fault=Fault.ACCOUNT))
        assert Due.objects.get().lane == other

    @pytest.mark.parametrize(
        ("outcome", "status"),
        [
            pytest.param(REFUSED, Status.REJECTED, id="rejected"),
            pytest.param(Unknown("lost"), Status.UNKNOWN, id="unknown"),
        ],
    )
    def test_it_ends_like_any_other(self, ask, journal, outcome, status):
        message = ask()
        walking.come_back(walking.hand_over(journal), outcome)
        message.refresh_from_db()
        assert message.status == status
        walking.assert_all_adds_up()

    def test_what_was_taken_after_all_is_revived_and_counts(self, ask, journal):
        message = ask()
        (intent,) = walking.hand_over(journal)
        as_sent = (walking.caps(), Person.objects.get().recent)
        walking.come_back([intent], NotSent("429", throttled=True))
        assert revive(intent.attempt_id)
        message.refresh_from_db()
        assert message.status == Status.ACCEPTED
        recent = [entry[1:] for entry in Person.objects.get().recent]
        assert (walking.caps(), recent) == (as_sent[0], [entry[1:] for entry in as_sent[1]])
        walking.assert_all_adds_up()

    def test_a_fault_keeps_to_the_campaigns_own_route(self, ask, campaign, journal):
        one, two = make_number(), make_number()
        campaign.route = make_route(campaign.brand, one, two, is_default=False)
        first = ask().due.lane
        walking.come_back(walking.hand_over(journal), NotSent("401", fault=Fault.ACCOUNT))
        assert Due.objects.get().lane == ({one, two} - {first}).pop()

    def test_it_keeps_its_priority(self, ask, journal):
        before = ask().due.priority
        walking.come_back(walking.hand_over(journal), NotSent("429", throttled=True))
        assert Due.objects.get().priority == before == 0

    def test_the_journal_of_a_dead_worker_settles_it(self, ask, journal):
        message = ask()
        (intent,) = walking.hand_over(journal)
        settling.reconcile()
        set_clock(NOON + 15 * MINUTE)
        settling.reconcile()
        message.refresh_from_db()
        assert message.status == Status.UNKNOWN
        assert Attempt.objects.get().pk == intent.attempt_id

    def test_rows_of_a_resting_number_move_to_the_brands_others(self, ask, brand, lane):
        message = ask()
        other = make_number()
        brand.route_set.get().numbers.create(number=other)
        SenderNumber.objects.filter(pk=lane.pk).update(paused_at=NOON)
        assert routing.move_resting() == 1
        assert Due.objects.get(message=message).lane == other

    def test_rows_of_a_resting_number_keep_to_the_campaigns_own_route(self, ask, campaign, lane):
        one, two = make_number(), make_number()
        campaign.route = make_route(campaign.brand, one, two, is_default=False)
        first = ask().due.lane
        SenderNumber.objects.filter(pk=first.pk).update(paused_at=NOON)
        assert routing.move_resting() == 1
        assert Due.objects.get().lane == ({one, two} - {first}).pop()

    def test_of_two_routes_of_the_brand_each_row_keeps_to_its_own(self, ask, campaign, lane):
        """Both wait in the brand's queue for the same number."""
        usual, own = make_number(), make_number()
        campaign.brand.route_set.get().numbers.create(number=usual, order=1)
        by_default = ask(phones.parse(phone()))
        campaign.route = make_route(campaign.brand, lane, is_default=False)
        campaign.route.numbers.create(number=own, order=1)
        by_its_own = ask(phones.parse(phone()))
        SenderNumber.objects.filter(pk=lane.pk).update(paused_at=NOON)
        assert routing.move_resting() == 2
        lanes = dict(Due.objects.values_list("message", "lane"))
        assert lanes == {by_default.pk: usual.pk, by_its_own.pk: own.pk}


class TestPicking:
    @pytest.fixture
    def picker(self, redis, sandbox):
        return picking.Picker(redis=redis, installation=str(sandbox.identity), breaker=Breaker())

    def test_grants_the_brands_queue_of_single_messages(self, ask, brand, lane, picker):
        ask()
        grants = []
        wait_until(lambda: grants.extend(picker.grants(10)) or grants)
        assert grants == [Grant(-brand.pk, lane.pk, 1)]

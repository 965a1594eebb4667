"""Limits of a day in the walk: what they hold, for whom, until when, and what comes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance.models import Person
from delivery.models import CapCounter, Due
from providers.base import Accepted, ErrorClass, NotSent, Rejected
from providers.models import SenderNumber
from tests.delivery import taking
from tests.delivery.mailing import make_mail_slot, make_reader, make_sender
from tests.delivery.taking import a_message, states
from tests.delivery.walking import (
    assert_all_adds_up,
    caps,
    come_back,
    hand_over,
    make_reply,
)
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_due,
    make_lead,
    make_limit,
    make_number,
    make_route,
    make_slot,
    set_clock,
)

pytestmark = pytest.mark.django_db

take = taking.take  # a fixture
PACIFIC = "America/Los_Angeles"
LONG = "x" * 170 + " {first_name|there}"  # two segments
IN_NEW_YORK = NOON.replace(day=8, hour=5)
IN_LOS_ANGELES = NOON.replace(day=8, hour=8)


def held():
    """Reasons of what waits, and until when."""
    return list(Due.objects.values_list("reason", "not_before").distinct())


def limit_of(owner, lane, brand, amount, **fields):
    """A limit of the number, of its account or of the brand."""
    found = {"number": lane, "account": lane.account, "brand": brand}
    return make_limit(amount, **{owner: found[owner]}, **fields)


class TestALimit:
    @pytest.mark.parametrize(
        ("owner", "reason"),
        [("number", "number_cap"), ("account", "account_cap"), ("brand", "brand_cap")],
    )
    def test_holds_what_is_too_many_until_the_next_day(self, slot, lane, take, owner, reason):
        limit_of(owner, lane, slot.campaign.brand, 2)
        fill_queue(slot, lane, 5, now=NOON)
        assert len(take(slot).intents) == 2
        assert held() == [(reason, IN_NEW_YORK)]

    def test_counts_by_the_day_of_its_own_zone(self, slot, lane, take):
        limit_of("number", lane, None, 2, zone=PACIFIC)
        fill_queue(slot, lane, 3, now=NOON)
        take(slot)
        assert held() == [("number_cap", IN_LOS_ANGELES)]

    def test_in_segments_is_used_to_its_last_one_and_no_further(self, lane, take):
        limit = limit_of("number", lane, None, 5, unit="segments")
        slot = make_slot(lane, text=LONG)
        fill_queue(slot, lane, 4, now=NOON)
        assert len(take(slot).intents) == 2
        assert caps()[f"segments:{limit.pk}:2035-03-07"] == 4

    def test_leaves_a_short_text_what_is_too_little_for_a_long_one(self, lane, take):
        limit_of("number", lane, None, 3, unit="segments")
        long, short = make_slot(lane, text=LONG), make_slot(lane)
        fill_queue(long, lane, 2, now=NOON)
        take(long)
        a_message(short)
        assert len(take(short).intents) == 1

    def test_binds_no_other_number(self, slot, lane, take):
        limit_of("number", make_number(), None, 1)
        fill_queue(slot, lane, 3, now=NOON)
        assert len(take(slot).intents) == 3

    @pytest.mark.parametrize(
        ("kind", "taken"),
        [("long_code", 1), ("toll_free", 3), ("", 1)],
    )
    def test_of_a_kind_binds_numbers_of_that_kind(self, slot, lane, take, kind, taken):
        limit_of("account", lane, None, 1, kind=kind)
        fill_queue(slot, lane, 3, now=NOON)
        assert len(take(slot).intents) == taken

    def test_of_long_codes_binds_services_too_for_they_may_send_by_them(self, slot, lane, take):
        SenderNumber.objects.update(kind="service")
        limit_of("account", lane, None, 1, kind="long_code")
        fill_queue(slot, lane, 3, now=NOON)
        assert len(take(slot).intents) == 1

    def test_is_shared_by_the_numbers_of_an_account(self, slot, lane, take):
        other = make_number(lane.account)
        limit_of("account", lane, None, 4)
        fill_queue(slot, lane, 3, now=NOON)
        fill_queue(slot, other, 3, now=NOON)
        assert len(take(slot).intents) == 4

    def test_takes_of_all_that_bind_or_of_none(self, slot, lane, take):
        small = limit_of("number", lane, None, 1)
        large = limit_of("account", lane, None, 100)
        fill_queue(slot, lane, 5, now=NOON)
        take(slot)
        day = "2035-03-07"
        assert (
            caps().items()
            >= {
                f"messages:{small.pk}:{day}": 1,
                f"messages:{large.pk}:{day}": 1,
            }.items()
        )

    def test_whose_day_is_not_counted_yet_lets_nothing_pass(self, slot, lane, take):
        limit_of("number", lane, None, 100, counted_at=None)
        fill_queue(slot, lane, 2, now=NOON)
        assert take(slot).intents == []
        ((reason, until),) = held()
        assert reason == "number_cap"
        assert timedelta(0) < until - NOON < timedelta(minutes=2)

    def test_of_a_brand_without_a_zone_goes_by_the_brands_day(self, lane, take):
        slot = make_slot(lane, brand=make_brand(zone="Asia/Tokyo"))
        limit_of("brand", lane, slot.campaign.brand, 1)
        fill_queue(slot, lane, 2, now=NOON)
        take(slot)
        assert held() == [("brand_cap", NOON.replace(day=8, hour=15))]


class TestTheDay:
    @pytest.mark.parametrize(
        ("now", "until"),
        [
            # The clocks go forward on 11 March 2035 and back on 4 November.
            pytest.param((2035, 3, 11, 18), (2035, 3, 12, 7), id="of 23 hours"),
            pytest.param((2035, 11, 4, 18), (2035, 11, 5, 8), id="of 25 hours"),
        ],
    )
    def test_ends_at_midnight_in_the_limits_zone(self, slot, lane, take, now, until):
        set_clock(datetime(*now, tzinfo=UTC))
        limit = limit_of("number", lane, None, 1, zone=PACIFIC)
        fill_queue(slot, lane, 2, now=datetime(*now, tzinfo=UTC))
        take(slot)
        assert held() == [("number_cap", datetime(*until, tzinfo=UTC))]
        day = datetime(*now, tzinfo=UTC).date()
        assert caps()[f"messages:{limit.pk}:{day}"] == 1

    def test_that_is_over_leaves_the_next_one_whole(self, slot, lane, take):
        limit = limit_of("number", lane, None, 1, zone=PACIFIC)
        CapCounter.objects.create(key=f"messages:{limit.pk}:2035-03-06", used=1)
        fill_queue(slot, lane, 1, now=NOON)
        assert len(take(slot).intents) == 1


class TestACarriersLimit:
    @pytest.fixture
    def slot(self, lane):
        slot = make_slot(lane)
        self.lane, self.brand = lane, slot.campaign.brand
        return slot

    def limit(self, amount=1, **fields):
        fields = {"unit": "segments", "zone": PACIFIC, "carrier": "t_mobile", **fields}
        return make_limit(amount, brand=self.brand, **fields)

    def people(self, slot, *carriers):
        messages = fill_queue(slot, self.lane, len(carriers), now=NOON)
        for message, carrier in zip(messages, carriers, strict=True):
            Person.objects.filter(pk=message.person_id).update(carrier=carrier)
        return messages

    @pytest.mark.parametrize(
        "carrier", ["T-Mobile", "T-Mobile USA, Inc.", "Sprint", "MetroPCS", "TMOBILE"]
    )
    def test_holds_its_own_people(self, slot, take, carrier):
        self.limit()
        self.people(slot, carrier, carrier)
        assert len(take(slot).intents) == 1
        assert held() == [("carrier_cap", IN_LOS_ANGELES)]

    @pytest.mark.parametrize("carrier", ["AT&T Mobility", "Verizon Wireless", "ATT"])
    def test_holds_nobody_else(self, slot, take, carrier):
        self.limit()
        self.people(slot, carrier, carrier, carrier)
        assert len(take(slot).intents) == 3

    @pytest.mark.parametrize("carrier", ["", "Mint Mobile"])
    @pytest.mark.parametrize(("counts", "taken"), [(True, 1), (False, 3)])
    def test_counts_people_of_whom_it_is_not_known_when_it_says_so(
        self, slot, take, carrier, counts, taken
    ):
        self.limit(counts_unknown=counts)
        self.people(slot, carrier, carrier, carrier)
        assert len(take(slot).intents) == taken

    def test_is_one_for_all_accounts_of_the_brand(self, slot, take):
        limit = self.limit(3)
        other = make_number(make_account(kind="plivo"))
        self.people(slot, "Sprint", "Sprint")
        fill_queue(slot, other, 4, now=NOON)
        assert len(take(slot).intents) == 3
        assert caps()[f"segments:{limit.pk}:2035-03-07"] == 3

    def test_for_long_codes_binds_no_toll_free_number(self, slot, take):
        self.limit(kind="long_code")
        SenderNumber.objects.update(kind="toll_free")
        self.people(slot, "Sprint", "Sprint")
        assert len(take(slot).intents) == 2

    def test_binds_no_mail(self, slot, take):
        self.limit()
        lane = make_sender()
        make_route(slot.campaign.brand, lane, channel="email")
        mails = make_mail_slot(slot.campaign.brand)
        for _ in range(2):
            reader = make_reader(slot.campaign.brand, person={"carrier": "Sprint"})
            make_due(mails, reader, lane, now=NOON)
        assert len(take(mails).intents) == 2

    def test_binds_no_other_brand(self, slot, take):
        self.limit()
        other = make_slot(self.lane)
        self.people(other, "Sprint", "Sprint")
        assert len(take(other).intents) == 2


class TestReplies:
    def test_are_held_by_no_limit_but_count_on_it(self, slot, lane, journal):
        limit = limit_of("number", lane, None, 1)
        CapCounter.objects.create(key=f"messages:{limit.pk}:2035-03-07", used=1)
        make_reply(make_lead(slot.campaign.brand).person, slot.campaign.brand, lane)
        assert len(hand_over(journal)) == 1
        assert caps()[f"messages:{limit.pk}:2035-03-07"] == 2

    def test_that_go_past_the_end_stop_nothing_that_was_taken_with_them(self, slot, lane, journal):
        """As would a batch that is rolled back, and is the same when it is decided again."""
        limit = limit_of("number", lane, None, 1)
        fill_queue(slot, lane, 1, now=NOON)
        make_reply(make_lead(slot.campaign.brand).person, slot.campaign.brand, lane)
        assert len(hand_over(journal)) == 2
        assert caps()[f"messages:{limit.pk}:2035-03-07"] == 2

    def test_that_come_to_nothing_give_back_what_they_counted(self, slot, lane, journal):
        limit = limit_of("number", lane, None, 10)
        make_reply(make_lead(slot.campaign.brand).person, slot.campaign.brand, lane)
        come_back(hand_over(journal), NotSent("429", throttled=True))
        assert caps()[f"messages:{limit.pk}:2035-03-07"] == 0


class TestGivingBack:
    @pytest.mark.parametrize(
        ("outcome", "left"),
        [
            (NotSent("429", throttled=True), 0),
            (Rejected(ErrorClass.PERMANENT_CONTENT, "30"), 0),
            (Accepted("SM1"), 2),
        ],
        ids=["not sent", "rejected", "accepted"],
    )
    def test_is_of_the_segments_that_were_counted(self, lane, journal, outcome, left):
        limit = limit_of("number", lane, None, 50, unit="segments")
        a_message(make_slot(lane, text=LONG))
        come_back(hand_over(journal), outcome)
        assert caps()[f"segments:{limit.pk}:2035-03-07"] == left
        assert_all_adds_up()

    def test_finds_the_counter_though_the_limit_is_gone_and_the_day_over(self, slot, lane, journal):
        limit = limit_of("number", lane, None, 50)
        a_message(slot)
        intents = hand_over(journal)
        key = f"messages:{limit.pk}:2035-03-07"
        limit.delete()
        set_clock(NOON + timedelta(days=1))
        come_back(intents, NotSent("429", throttled=True))
        assert caps()[key] == 0

    def test_leaves_limits_alone_that_came_later(self, slot, lane, journal):
        a_message(slot)
        intents = hand_over(journal)
        limit_of("number", lane, None, 50)
        come_back(intents, NotSent("429", throttled=True))
        assert not CapCounter.objects.filter(key__startswith="messages:").exists()


class TestStatements:
    def test_are_as_many_for_one_limit_as_for_many_and_for_400_rows(
        self, slot, lane, take, statements
    ):
        fill_queue(slot, lane, 1, now=NOON)
        take(slot)  # reads the zones of the places, once in a process's life
        fill_queue(slot, lane, 10, now=NOON)
        without = statements(lambda: take(slot))
        brand = slot.campaign.brand
        for owner in ("number", "account", "brand"):
            for unit in ("messages", "segments"):
                limit_of(owner, lane, brand, 10_000, unit=unit)
        limit_of("brand", lane, brand, 10_000, unit="segments", zone=PACIFIC, carrier="t_mobile")
        fill_queue(slot, lane, 10, now=NOON)
        assert statements(lambda: take(slot)) == without
        fill_queue(slot, lane, 400, now=NOON)
        assert statements(lambda: take(slot)) == without
        assert states() == {"sending": 421}

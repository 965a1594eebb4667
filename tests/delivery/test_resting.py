"""Numbers that carriers block rest, longer each time, and their messages leave by the others."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from delivery import faults, outcomes, resting
from delivery.models import Due
from delivery.routing import move_resting
from providers import rests
from providers.base import ErrorClass, Rejected
from providers.base import Status as Word
from providers.models import ProviderAccount, RouteNumber, SenderNumber
from tests.delivery import walking
from tests.factories import NOON, fill_queue, make_leads, make_number, set_clock

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
REFUSED = Rejected(ErrorClass.PERMANENT_RECIPIENT, "7", carrier_blocked=True)


@pytest.fixture
def sent(slot, lane, journal):
    """Messages of the number, so many of them delivered and so many blocked; the rest is open."""

    def sent(*, delivered=0, blocked=0, without_end=0, now=NOON):
        fill_queue(slot, lane, delivered + blocked + without_end, now=now)
        intents = walking.hand_over(journal)
        report(intents[:delivered], Word.DELIVERED)
        report(intents[delivered : delivered + blocked], Word.REJECTED, carrier_blocked=True)
        return intents

    return sent


def report(intents, word, **fields):
    outcomes.apply_reports([walking.reported(one, word, **fields) for one in intents])


def number():
    return SenderNumber.objects.order_by("pk").first()


def minutes_of_rest(since=NOON):
    until = number().rests_until
    return None if until is None else round((until - since) / MINUTE)


class TestANumber:
    @pytest.mark.parametrize(
        ("delivered", "blocked", "is_resting"),
        [
            pytest.param(0, 4, False, id="fewer-than-five"),
            pytest.param(0, 5, True, id="five"),
            pytest.param(45, 5, True, id="a-tenth"),
            pytest.param(46, 5, False, id="less-than-a-tenth"),
        ],
    )
    def test_rests_when_five_and_a_tenth_were_blocked(self, sent, delivered, blocked, is_resting):
        sent(delivered=delivered, blocked=blocked)
        assert resting.rest_blocked() == is_resting
        assert minutes_of_rest() == (60 if is_resting else None)

    def test_says_why(self, sent):
        sent(delivered=7, blocked=5)
        resting.rest_blocked()
        found = number()
        assert (found.rests_because, found.block_rests) == ("blocks", 1)
        assert found.rest_words == "carriers blocked 5 of 12 messages within an hour"

    def test_is_judged_by_what_has_an_end(self, sent):
        sent(blocked=5, without_end=200)
        assert resting.rest_blocked() == 1

    def test_is_judged_by_refusals_too(self, sent):
        walking.come_back(sent(without_end=5), REFUSED)
        assert resting.rest_blocked() == 1

    @pytest.mark.parametrize(("after", "is_resting"), [(59 * MINUTE, True), (61 * MINUTE, False)])
    def test_is_judged_by_the_last_hour(self, sent, after, is_resting):
        sent(blocked=5)
        set_clock(NOON + after)
        assert resting.rest_blocked() == is_resting

    def test_that_is_blocked_as_the_account_allows_sends_on(self, sent):
        ProviderAccount.objects.update(blocks_least=6)
        sent(blocked=5)
        assert resting.rest_blocked() == 0
        ProviderAccount.objects.update(blocks_least=5, blocks_percent=60)
        sent(delivered=5)
        assert resting.rest_blocked() == 0

    def test_does_not_rest_for_another(self, sent):
        other = make_number()
        sent(blocked=5)
        resting.rest_blocked()
        other.refresh_from_db()
        assert other.rests_until is None

    @pytest.mark.parametrize("why", ["paused_at", "retired_at"])
    def test_that_is_out_of_use_is_left_alone(self, sent, why):
        sent(blocked=5)
        SenderNumber.objects.update(**{why: NOON})
        assert resting.rest_blocked() == 0

    def test_is_put_to_rest_once(self, sent):
        sent(blocked=5)
        assert [resting.rest_blocked() for _ in range(2)] == [1, 0]

    @pytest.mark.django_db(transaction=True)
    def test_is_put_to_rest_once_by_many_at_once(self, sent, at_once):
        sent(blocked=5)
        assert sum(at_once(lambda _: resting.rest_blocked(), threads=4)) == 1
        assert number().block_rests == 1


class TestTheRest:
    @pytest.fixture
    def again(self, sent):
        """Block it at this time, and tell for how many minutes it rests."""

        def again(at):
            set_clock(NOON + at)
            SenderNumber.objects.update(rests_until=None)
            sent(blocked=5, now=NOON + at)
            resting.rest_blocked()
            return minutes_of_rest(NOON + at)

        return again

    def test_grows_with_each_one_and_the_last_stands_for_all_after(self, again):
        assert [again(hours * HOUR) for hours in (0, 2, 4, 6)] == [60, 240, 1440, 1440]

    def test_is_as_long_as_the_account_says(self, again):
        ProviderAccount.objects.update(block_rest_hours=[2])
        assert [again(timedelta()), again(3 * HOUR)] == [120, 120]

    def test_is_a_day_where_the_account_says_nothing(self, again):
        ProviderAccount.objects.update(block_rest_hours=[])
        assert again(timedelta()) == 1440

    @pytest.mark.parametrize(("after", "minutes"), [(7 * DAY - HOUR, 240), (7 * DAY + HOUR, 60)])
    def test_is_a_first_one_again_after_seven_days(self, again, after, minutes):
        again(timedelta())
        assert again(after) == minutes

    def test_is_not_repeated_for_the_same_blocks(self, sent):
        sent(blocked=5)
        resting.rest_blocked()
        set_clock(NOON + 30 * MINUTE)
        SenderNumber.objects.update(rests_until=None)
        assert resting.rest_blocked() == 0

    def test_that_a_person_ended_is_not_repeated_for_the_same_blocks(self, sent):
        sent(blocked=5)
        resting.rest_blocked()
        set_clock(NOON + 10 * MINUTE)
        assert rests.end(SenderNumber.objects.all(), NOON + 10 * MINUTE) == 1
        assert resting.rest_blocked() == 0
        assert number().rests_until is None

    def test_is_for_a_time_not_shortened_by_a_lost_connection(self, sent, lane):
        sent(blocked=5)
        resting.rest_blocked()
        faults.rest([lane.account_id], NOON)
        assert (minutes_of_rest(), number().rests_because) == (60, "blocks")

    def test_of_a_lost_connection_is_none_for_blocks(self, lane):
        SenderNumber.objects.update(rests_because="blocks", rests_until=NOON - HOUR)
        faults.rest([lane.account_id], NOON)
        assert number().rests_because == ""


class TestWhatWaits:
    @pytest.fixture
    def other(self, slot):
        made = make_number()
        RouteNumber.objects.create(route=slot.route, number=made)
        return made

    def test_leaves_by_the_others(self, sent, slot, lane, other):
        sent(blocked=5)
        resting.rest_blocked()
        fill_queue(slot, lane, 3, now=NOON)
        move_resting()
        assert Counter(Due.objects.values_list("lane_id", flat=True)) == {other.pk: 3}

    def test_for_an_answer_leaves_by_the_number_itself(self, sent, slot, lane, other, journal):
        sent(blocked=5)
        resting.rest_blocked()
        brand = slot.campaign.brand
        walking.make_reply(make_leads(brand, 1)[0].person, brand, lane)
        move_resting()
        (intent,) = walking.hand_over(journal)
        assert intent.lane_id == lane.pk

    def test_for_an_answer_goes_elsewhere_when_the_provider_is_away(self, slot, lane, other):
        faults.rest([lane.account_id], NOON + HOUR)
        brand = slot.campaign.brand
        reply = walking.make_reply(make_leads(brand, 1)[0].person, brand, lane)
        Due.objects.filter(message=reply).update(lane=lane)
        move_resting()
        assert Due.objects.get(message=reply).lane == other


class TestTheCost:
    def test_is_two_statements_for_any_number_of_messages(self, sent, statements):
        sent(delivered=40, blocked=2)
        assert statements(resting.rest_blocked) == 2
        sent(blocked=5)
        assert statements(resting.rest_blocked) == 2

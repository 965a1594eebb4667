from __future__ import annotations

from collections import Counter
from datetime import date, time, timedelta

import pytest
from django.core.cache import cache
from django.db import DatabaseError, connection, transaction
from django_redis.exceptions import ConnectionInterrupted

from brands import clock
from brands.models import Brand, Installation
from campaigns.models import Campaign, Slot
from compliance.hours import SendingHours
from delivery.models import Attempt, Due, Inbound, InboundReview, Message
from delivery.states import Status
from providers.base import Accepted, ErrorClass, NotSent, Rejected, Unknown
from providers.models import ProviderAccount, SenderNumber
from reporting import live, live_health
from reporting.live_board import board
from reporting.live_finish import Finish, Span, Timing, finish, span_of
from tests.delivery.walking import come_back, hand_over
from tests.factories import (
    NOON,
    fill_queue,
    make_brand,
    make_installation,
    make_leads,
    make_number,
    make_person,
    make_places,
    make_route,
    make_slot,
    set_clock,
)
from tests.staff import make_user

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def lane(sandbox):
    return make_number(value="+12025550100")


def seen_by(user, snapshot=None):
    snapshot = snapshot or live.measure()
    return board(user, snapshot, Installation.objects.get(), clock.now())


def everything():
    return seen_by(make_user())


def recount(slot):
    """The groups of a slot, from its rows one by one."""
    group_of = {status: group for group, held in live.GROUPS.items() for status in held}
    return Counter(group_of[one.status] for one in Message.objects.filter(slot=slot))


def forget(identity):
    """Let the next look count again, as when what is kept has grown old."""
    cache.delete(f"{live.KEY}:{identity}:fresh")


def set_states(messages, *statuses):
    """Give the messages these states, in turn, whatever the moves say."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for message, status in zip(messages, statuses, strict=False):
            cursor.execute(
                "UPDATE delivery_message SET status = %s WHERE id = %s", [status, message.pk]
            )
            if status != "planned":
                cursor.execute("DELETE FROM delivery_due WHERE message_id = %s", [message.pk])
        cursor.execute("SET LOCAL session_replication_role = origin")


class TestGroups:
    def test_hold_each_status_once(self):
        assert sorted(s for held in live.GROUPS.values() for s in held) == sorted(Status)


class TestFigures:
    def test_add_up_to_the_audience_half_way_through_a_walk(self, lane, journal):
        slot = make_slot(lane)
        fill_queue(slot, lane, 6, now=NOON)
        fill_queue(slot, lane, 3, now=NOON, not_before=NOON + HOUR, reason="quiet_hours")
        taken, refused, lost, back, *_ = ([one] for one in hand_over(journal))
        come_back(taken, Accepted("SM1"))
        come_back(refused, Rejected(ErrorClass.PERMANENT_CONTENT, "30007"))
        come_back(lost, Unknown("timeout"))
        come_back(back, NotSent("connect", unreachable=True))
        seen = everything()
        (row,) = seen.rows
        assert row.figures.groups == recount(slot)
        assert row.figures.groups == {
            "waiting": 4, "sending": 2, "accepted": 1, "failed": 1, "unknown": 1,
        }  # fmt: skip
        assert seen.figures.audience == Message.objects.filter(slot=slot).count() == 9

    def test_count_every_status_there_is(self, lane):
        slot = make_slot(lane)
        set_states(fill_queue(slot, lane, len(Status), now=NOON), *Status.values)
        assert everything().rows[0].figures.groups == recount(slot)

    def test_say_why_messages_wait(self, lane):
        slot = make_slot(lane)
        fill_queue(slot, lane, 2, now=NOON, not_before=NOON + HOUR)
        fill_queue(slot, lane, 3, now=NOON, not_before=NOON + HOUR, reason="person_limit")
        fill_queue(slot, lane, 4, now=NOON)
        waits = {"local_hour": 2, "person_limit": 3, "next": 4}
        assert dict(everything().waits) == waits
        assert sum(waits.values()) == Due.objects.count()

    def test_leave_out_what_ended_long_ago(self, lane):
        old, new = make_slot(lane), make_slot(lane)
        for slot, ago in ((old, 16 * MINUTE), (new, 14 * MINUTE)):
            fill_queue(slot, lane, 1, now=NOON)
            Slot.objects.filter(pk=slot.pk).update(state="closed", closed_at=NOON - ago)
        seen = everything()
        assert [row.slot.pk for row in seen.ended] == [new.pk]
        assert seen.rows == []
        assert seen.figures.audience == 0

    def test_leave_out_tests_and_replies(self, lane):
        brand = make_slot(lane).campaign.brand
        Message.objects.create(
            brand=brand, person=make_person(), kind="single", idempotency_key="a",
            expires_at=NOON + HOUR,
        )  # fmt: skip
        assert everything().figures.audience == 0


HOLDS = {
    "stop_all": lambda: Installation.objects.update(stopped_at=NOON),
    "brand_paused": lambda: Brand.objects.update(paused_at=NOON),
    "campaign_paused": lambda: Campaign.objects.update(paused_at=NOON),
    "number-paused": lambda: SenderNumber.objects.update(paused_at=NOON),
    "number-rests": lambda: SenderNumber.objects.update(rests_until=NOON + HOUR),
    "account-paused": lambda: ProviderAccount.objects.update(paused_at=NOON),
    "account-retired": lambda: ProviderAccount.objects.update(retired_at=NOON),
    "warm_up": lambda: SenderNumber.objects.update(
        rests_until=NOON + HOUR, rests_because="warm_up"
    ),
    "brand_cap": lambda: Brand.objects.update(daily_cap=0),
    "campaign_cap": lambda: Campaign.objects.update(daily_cap=0),
}


class TestBrakes:
    @pytest.mark.parametrize(("name", "hold"), HOLDS.items(), ids=HOLDS)
    def test_are_why_messages_wait_while_they_hold(self, lane, name, hold):
        fill_queue(make_slot(lane), lane, 2, now=NOON)
        hold()
        reason = "lane_paused" if "-" in name else name
        assert dict(everything().waits) == {reason: 2}

    def test_show_at_once_though_the_figures_are_older(self, lane):
        slot = make_slot(lane)
        fill_queue(slot, lane, 2, now=NOON)
        before = live.measure()
        Campaign.objects.update(paused_at=NOON)
        (row,) = seen_by(make_user(), before).rows
        assert dict(row.waits) == {"campaign_paused": 2}
        assert row.finish is None

    def test_that_were_let_go_hold_for_a_minute_only(self, lane):
        fill_queue(
            make_slot(lane), lane, 2, now=NOON, not_before=NOON + MINUTE, reason="campaign_paused"
        )
        assert dict(everything().waits) == {"next": 2}


class TestWhoSees:
    @pytest.fixture
    def two(self, lane):
        mine, theirs = make_slot(lane), make_slot(make_number())
        fill_queue(mine, lane, 2, now=NOON)
        fill_queue(theirs, SenderNumber.objects.latest("id"), 5, now=NOON)
        return mine, theirs

    @pytest.mark.parametrize("role", ["admin", "marketer", "analyst"])
    def test_a_member_sees_rows_and_sums_of_their_brand_only(self, two, role):
        seen = seen_by(make_user(two[0].campaign.brand, role))
        assert [row.slot for row in seen.rows] == [two[0]]
        assert seen.figures.audience == 2
        assert [one.name for one in seen.brands] == [two[0].campaign.brand.name]

    def test_a_superuser_sees_all(self, two):
        assert everything().figures.audience == 7

    def test_an_account_shows_the_attempts_of_the_users_brands_only(self, two, journal, lane):
        make_route(two[1].campaign.brand, lane, is_default=False)
        fill_queue(two[1], lane, 3, now=NOON)
        hand_over(journal)
        user = make_user(two[0].campaign.brand, "analyst")
        parts = live_health.accounts(user, live.measure(), NOON)
        assert [(part.account, part.attempts) for part in parts] == [(lane.account, 2)]

    def test_only_who_may_send_gets_buttons(self, two):
        brand = two[0].campaign.brand
        braking = {
            role: seen_by(make_user(brand, role)).rows[0].may_brake
            for role in ("admin", "marketer", "analyst")
        }
        assert braking == {"admin": True, "marketer": True, "analyst": False}


class TestRate:
    @pytest.fixture
    def real(self, db):
        """A lane, in an installation whose clock never leapt."""
        make_installation()
        return make_number()

    def attempts(self, slot, lane, many, ago):
        at = clock.now() - timedelta(seconds=ago)
        for message in fill_queue(slot, lane, many, now=at):
            Attempt.objects.create(
                message=message, account=lane.account, number=lane,
                sender="00000000-0000-0000-0000-000000000001", ref=f"r{message.pk}", text="Hi",
                segments=1, brand_day=NOON.date(), intent_at=at,
            )  # fmt: skip

    def rate(self):
        (row,) = everything().rows
        return round(row.rate, 1)

    def test_is_that_of_the_last_ten_seconds(self, real):
        slot = make_slot(real, on=clock.now().date())
        self.attempts(slot, real, 30, ago=30)
        self.attempts(slot, real, 20, ago=2)
        assert self.rate() == 2.0

    def test_of_a_slow_campaign_is_that_of_the_last_minute(self, real):
        slot = make_slot(real, on=clock.now().date())
        self.attempts(slot, real, 1, ago=70)
        self.attempts(slot, real, 6, ago=30)
        assert self.rate() == 0.1

    def test_counts_no_attempt_that_certainly_did_not_leave(self, real):
        slot = make_slot(real, on=clock.now().date())
        self.attempts(slot, real, 20, ago=2)
        Attempt.objects.update(outcome="not_sent", is_not_sent=True)
        assert self.rate() == 0.0

    def test_counts_nothing_from_before_a_leap_of_the_clock(self, real):
        slot = make_slot(real, on=clock.now().date())
        self.attempts(slot, real, 20, ago=5)
        set_clock(clock.now() + timedelta(seconds=20))
        assert live.measure().tries == []

    def test_looks_at_the_newest_attempts_only(self, real, monkeypatch):
        monkeypatch.setattr(live, "TAIL", 10)
        slot = make_slot(real, on=clock.now().date())
        self.attempts(slot, real, 5, ago=6)
        self.attempts(slot, real, 10, ago=3)
        snapshot = live.measure()
        assert sum(one.attempts for one in snapshot.tries) == 10
        assert 5.5 < snapshot.window < 50


def text_in(lane, brand, ago=timedelta(), label="", many=1):
    for _ in range(many):
        ref = f"in{Inbound.objects.count()}"
        one = Inbound.objects.create(
            account=lane.account, brand=brand, provider_ref=ref, label=label, text="…",
            from_value="+12125550123", to_value=lane.value,
        )  # fmt: skip
        Inbound.objects.filter(pk=one.pk).update(received_at=NOON - ago)
    return one


class TestReplies:
    def read(self, user=None):
        return live_health.replies(user or make_user(), live.measure())

    def test_are_those_of_the_brands_day(self, lane):
        east, far = make_brand(), make_brand(zone="Pacific/Auckland")  # 6:00 on Thursday there
        for brand in (east, far):
            text_in(lane, brand, ago=HOUR)
            text_in(lane, brand, ago=11 * HOUR, label="stop")
        found = self.read()
        assert (found.texts, found.stops, found.is_all) == (3, 1, True)

    def test_are_at_least_so_many_where_the_newest_are_all_of_today(self, lane, monkeypatch):
        monkeypatch.setattr(live, "TAIL", 3)
        text_in(lane, make_brand(), many=4)
        found = self.read()
        assert (found.texts, found.is_all) == (3, False)

    def test_are_of_the_users_brands(self, lane):
        mine, theirs = make_brand(), make_brand()
        one = text_in(lane, theirs, many=2)
        InboundReview.objects.create(inbound=one, person=make_person())
        found = self.read(make_user(mine, "marketer"))
        assert (found.texts, found.to_judge) == (0, 0)
        assert self.read().to_judge == 1

    def test_that_were_judged_do_not_wait(self, lane):
        one = text_in(lane, make_brand())
        InboundReview.objects.create(inbound=one, person=make_person(), decided_at=NOON)
        assert self.read().to_judge == 0


class TestLook:
    @pytest.fixture
    def identity(self, sandbox):
        return sandbox.identity

    def test_counts_once_for_all_who_look(self, identity, lane, monkeypatch):
        monkeypatch.setattr(live, "kept_for", lambda took: 60.0)
        first = live.look(identity)
        fill_queue(make_slot(lane), lane, 1, now=NOON)
        assert live.look(identity) == first
        forget(identity)
        assert live.look(identity) != first

    def test_shows_what_was_while_another_counts(self, identity):
        first = live.look(identity)
        forget(identity)
        cache.add(f"{live.KEY}:{identity}:busy", 1, 10)
        assert live.look(identity) is not None
        assert live.look(identity) == first

    def test_counts_by_itself_without_redis(self, identity, lane, monkeypatch):
        def gone(*args):
            raise ConnectionInterrupted(connection=None)

        fill_queue(make_slot(lane), lane, 1, now=NOON)
        monkeypatch.setattr(live.cache, "get_many", gone)
        assert len(live.look(identity).counts) == 1

    def test_shows_what_was_where_counting_is_too_slow(self, identity, monkeypatch):
        first = live.look(identity)
        forget(identity)
        monkeypatch.setattr(live, "COUNTS", "SELECT pg_sleep(2), %s, %s, %s")
        monkeypatch.setattr(live.measure, "__kwdefaults__", {"patience_ms": 50})
        assert live.look(identity) == first

    def test_says_so_where_there_is_nothing_from_before(self, identity, monkeypatch):
        monkeypatch.setattr(live, "COUNTS", "SELECT pg_sleep(2), %s, %s, %s")
        monkeypatch.setattr(live.measure, "__kwdefaults__", {"patience_ms": 50})
        with pytest.raises(live.TooSlow):
            live.look(identity)

    def test_hides_no_other_error(self, identity, monkeypatch):
        monkeypatch.setattr(live, "COUNTS", "SELECT %s, %s, %s, 1 FROM nothing")
        with pytest.raises(DatabaseError):
            live.look(identity)

    @pytest.mark.parametrize(
        ("took", "kept"), [(0.001, 1.5), (0.5, 5.0), (9.0, 15.0)], ids=["quick", "half", "slow"]
    )
    def test_keeps_a_result_as_long_as_it_cost(self, took, kept):
        assert live.kept_for(took) == kept

    def test_takes_as_many_statements_for_many_slots_as_for_one(self, lane, statements):
        fill_queue(make_slot(lane), lane, 1, now=NOON)
        one = statements(live.measure)
        for _ in range(5):
            fill_queue(make_slot(lane), lane, 2, now=NOON)
        assert statements(live.measure) == one


NINE = time(9)
EAST, WEST = ("America/New_York",), ("America/Los_Angeles",)


class TestZones:
    def test_are_those_of_the_people_on_the_lists(self, lane):
        brand = make_brand()
        leads = [
            *make_leads(brand, 2, places=make_places(*EAST)),
            *make_leads(brand, 1, places=make_places(*WEST)),
            *make_leads(brand, 1, places=make_places(*EAST, *WEST)),
        ]
        slot = make_slot(lane, *leads, brand=brand)
        zones = live.measure().zones[slot.campaign.lead_list_id]
        assert {tuple(sorted(each)) for each in zones} == {EAST, WEST, (*WEST, *EAST)}
        span = everything().coming or everything().rows
        assert span[0].span.first == NOON
        assert span[0].span.last == NOON + 3 * HOUR

    def test_are_read_again_only_after_a_while(self, lane, statements):
        make_slot(lane)
        first = live.measure()
        assert statements(lambda: live.measure(first)) == statements(live.measure) - 1

    def test_are_read_at_once_for_a_list_that_is_new(self, lane):
        first = live.measure()
        slot = make_slot(lane, *make_leads(make_brand(), 1))
        assert live.measure(first).zones == {slot.campaign.lead_list_id: [EAST]}


SPAN = Span(NOON, NOON + 3 * HOUR, NOON + 7 * HOUR)
ALL_PLANNED = Span(NOON, NOON, NOON + 4 * HOUR)
FINISH = {
    "by-the-rate": (ALL_PLANNED, {"ready": 3600, "rate": 1.0}, Finish(NOON + HOUR)),
    "nothing-left": (ALL_PLANNED, {"rate": 1.0}, None),
    "nothing-moves": (ALL_PLANNED, {"ready": 5}, None),
    "by-those-who-wait": (
        ALL_PLANNED,
        {"later": 1, "later_at": NOON + HOUR},
        Finish(NOON + HOUR),
    ),
    "by-those-who-wait-at-the-rate": (
        ALL_PLANNED,
        {"later": 3600, "later_at": NOON + HOUR, "rate": 1.0},
        Finish(NOON + 2 * HOUR),
    ),
    "by-the-last-zone": (SPAN, {"ready": 1, "rate": 1.0}, Finish(NOON + 3 * HOUR)),
    "too-slow": (ALL_PLANNED, {"ready": 20_000, "rate": 1.0}, Finish(NOON + 4 * HOUR, True)),
}


class TestFinish:
    @pytest.mark.parametrize(("span", "given", "expected"), FINISH.values(), ids=FINISH)
    def test_is_when_the_last_one_leaves(self, span, given, expected):
        given = {"ready": 0, "later": 0, "later_at": None, "rate": 0.0, **given}
        assert finish(now=NOON, span=span, **given) == expected

    def test_span_of_nobody_is_in_the_brands_zone(self):
        hours = SendingHours(time(9), time(20))
        timing = Timing(date(2035, 3, 7), NINE, HOUR, hours, "America/Chicago")
        assert span_of(timing, []) == Span(NOON - 2 * HOUR, NOON - 2 * HOUR, NOON - HOUR)

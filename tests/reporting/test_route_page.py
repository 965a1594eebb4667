from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client

from brands import clock
from delivery.models import AccountTally, CapCounter
from providers.models import ProviderAccount, RouteNumber, SenderNumber, WeightChange
from reporting import route_hour, route_page
from reporting.route_hour import AccountHour
from tests.factories import (
    NOON,
    make_account,
    make_brand,
    make_limit,
    make_number,
    make_route,
    set_clock,
)
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def staff(sandbox):
    set_clock(NOON)
    return client_of(make_user())


def shown(client: Client, route) -> str:
    return " ".join(client.get(f"/admin/route/{route.pk}/").content.decode().split())


def tally(account, ago=MINUTE, **words):
    return AccountTally.objects.create(account=account, at=NOON - ago, sender=uuid4(), **words)


class TestTheMost:
    def test_says_how_much_leaves_in_a_minute_and_what_binds_it(self, staff):
        lane = make_number(make_account(name="East", segments_per_second=2), segments_per_second=9)
        found = shown(staff, make_route(make_brand(), lane))
        assert "120 <small>a minute</small>" in found
        assert "Bound by the account East" in found

    def test_is_less_for_longer_texts(self, staff):
        found = shown(staff, make_route(make_brand(), make_number(segments_per_second=3)))
        assert "180 <small>" in found
        assert "60 <small>" in found

    def test_reckons_with_what_is_left_of_a_day(self, staff):
        lane = make_number(segments_per_second=100)
        make_limit(50, number=lane)
        assert "50 messages a day, 50 left today" in shown(staff, make_route(make_brand(), lane))

    def test_says_that_nothing_can_leave(self, staff):
        lane = make_number(paused_at=NOON)
        found = shown(staff, make_route(make_brand(), lane))
        assert "Nothing can leave by it now" in found
        assert "Number paused" in found

    def test_of_a_route_without_numbers_says_what_to_do(self, staff):
        assert "No number yet" in shown(staff, make_route(make_brand()))


class TestWhoSends:
    def shares(self, route):
        return [(one.number.value, round(one.share, 2)) for one in route_hour.senders(route, NOON)]

    def test_shares_follow_both_weights(self, sandbox):
        full, half = make_account(), make_account(halves=1)
        lanes = [make_number(full, value="+12025550101"), make_number(half, value="+12025550102")]
        route = make_route(make_brand(), *lanes)
        assert self.shares(route) == [("+12025550101", 0.67), ("+12025550102", 0.33)]

    def test_who_stands_behind_has_no_share_while_the_first_can_send(self, sandbox):
        first, behind = make_number(value="+12025550101"), make_number(value="+12025550102")
        route = make_route(make_brand(), first, behind)
        RouteNumber.objects.filter(number=behind).update(order=1)
        assert self.shares(route) == [("+12025550101", 1.0), ("+12025550102", 0.0)]
        ProviderAccount.objects.filter(pk=first.account_id).update(halves=0)
        assert self.shares(route) == [("+12025550101", 0.0), ("+12025550102", 1.0)]

    @pytest.mark.parametrize(
        ("number", "account", "words"),
        [
            ({}, {}, "Sends"),
            ({"paused_at": NOON}, {}, "Number paused"),
            ({"paused_at": NOON, "fault": "21606"}, {}, "Number refused: 21606"),
            ({}, {"paused_at": NOON}, "Account paused"),
            ({}, {"paused_at": NOON, "fault": "401"}, "Account refused: 401"),
            ({"rests_until": NOON + 5 * MINUTE}, {}, "Rests until 17:05 UTC"),
            ({}, {"halves": 0}, "Account is out"),
            ({}, {"weight": 0}, "Has no weight"),
        ],
    )
    def test_the_state_of_a_number_says_what_keeps_it(self, staff, number, account, words):
        lane = make_number(value="+12025550101")
        SenderNumber.objects.filter(pk=lane.pk).update(**number)
        ProviderAccount.objects.filter(pk=lane.account_id).update(**account)
        (sender,) = route_hour.senders(make_route(make_brand(), lane), NOON)
        assert route_page._state(sender, NOON)[0] == words

    def test_a_number_whose_day_is_full_says_so(self, staff):
        lane = make_number()
        limit = make_limit(5, number=lane)
        CapCounter.objects.create(key=f"messages:{limit.pk}:{NOON.date()}", used=5)
        assert "A limit of the day is reached" in shown(staff, make_route(make_brand(), lane))


class TestTheLastHour:
    def test_counts_what_each_account_answered(self, staff):
        account = make_account(name="East")
        tally(account, accepted=90, unknown=10)
        tally(account, 59 * MINUTE, accepted=1100)
        found = shown(staff, make_route(make_brand(), make_number(account)))
        assert "<b>1,190</b> Accepted" in found
        assert "<b>10</b> Lost or 5xx: unknown" in found
        assert "0.8 %" in found

    def test_leaves_out_what_is_older(self, sandbox):
        account = make_account()
        tally(account, 66 * MINUTE, accepted=5)
        (hour,) = route_hour.last_hour([account], make_user(), NOON)
        assert hour.requests == 0

    def test_its_spans_add_up_to_the_whole(self, sandbox):
        account = make_account()
        for ago in range(0, 60, 7):
            tally(account, ago * MINUTE, accepted=ago, throttled=1)
        (hour,) = route_hour.last_hour([account], make_user(), NOON)
        assert sum(span.total() for span in hour.course()) == hour.requests == 261

    def test_shows_shares_alone_where_brands_of_others_send_by_it_too(self, sandbox):
        set_clock(NOON)
        mine, account = make_brand(), make_account(name="Shared")
        route = make_route(mine, make_number(account))
        tally(account, accepted=1234, unknown=4321)
        user = make_user(mine, "admin")
        assert "1,234" in shown(client_of(user), route)
        make_route(make_brand(), make_number(account))
        found = shown(client_of(user), route)
        assert "1,234" not in found
        assert "77.8 %" in found

    def test_says_which_account_got_nothing(self, staff):
        found = shown(staff, make_route(make_brand(), make_number()))
        assert "Nothing went to it." in found

    def test_a_share_is_never_rounded_to_all_or_nothing(self):
        assert route_page._percent(0.0001) == "under 0.1 %"
        assert route_page._percent(0.99999) == "99.9 %"
        assert [route_page._percent(share) for share in (0.0, 1.0)] == ["0.0 %", "100.0 %"]

    def test_the_highest_bar_fills_the_picture(self):
        begins = NOON
        hour = AccountHour(make_account(), begins, is_counted=True)
        hour.spans[begins].update(accepted=30, unknown=10)
        hour.spans[begins + 5 * MINUTE].update(accepted=20)
        first, second, third, *_ = route_page._bars(hour.course())
        assert [part["height"] for part in first] == ["22.5", "7.5"]
        assert [part["height"] for part in second] == ["15.0"]
        assert third == []


class TestWhyWeightsMoved:
    def test_names_the_reason(self, staff):
        account = make_account(name="East")
        WeightChange.objects.create(
            account=account, before=100, after=100, halves_before=2, halves_after=1,
            reason="31 of 120 answers in the last minute were lost or 5xx", at=clock.now(),
        )  # fmt: skip
        found = shown(staff, make_route(make_brand(), make_number(account)))
        assert "full weight to half weight" in found
        assert "31 of 120 answers" in found

    def test_leaves_out_other_accounts(self, staff):
        other = make_account()
        WeightChange.objects.create(account=other, before=1, after=2, reason="Set by somebody")
        found = shown(staff, make_route(make_brand(), make_number()))
        assert "weights moved in the last seven days." in found
        assert "Set by somebody" not in found


def test_of_another_brand_there_is_no_page(sandbox):
    user = make_user(make_brand(), "admin")
    route = make_route(make_brand(), make_number())
    assert client_of(user).get(f"/admin/route/{route.pk}/").status_code == 404


def test_takes_as_many_statements_whatever_the_route_holds(staff, statements):
    brand = make_brand()
    small, large = (
        make_route(brand, make_number()),
        make_route(brand, *(make_number() for _ in range(6)), is_default=False),
    )
    for lane in SenderNumber.objects.all():
        tally(lane.account, accepted=1)
    shown(staff, small)
    assert statements(lambda: shown(staff, small)) == statements(lambda: shown(staff, large))


def test_the_route_of_the_admin_leads_there(staff):
    route = make_route(make_brand(), make_number())
    found = staff.get(f"/admin/providers/route/{route.pk}/change/").content.decode()
    assert f'href="/admin/route/{route.pk}/"' in found


def a_busy_route():
    east = make_account(name="Twilio, main", segments_per_second=300)
    west = make_account(name="Vonage of Greater New England and Beyond, overflow", kind="vonage")
    spare = make_account(name="Plivo, spare", kind="plivo")
    lanes = [
        make_number(east, value="+12025550101", segments_per_second=100),
        make_number(east, value="+12025550102", segments_per_second=100),
        make_number(west, value="+12025550103", segments_per_second=75),
        make_number(spare, value="+12025550104", segments_per_second=3.75),
    ]
    route = make_route(make_brand(name="Harbor Jobs"), *lanes, name="All numbers")
    RouteNumber.objects.filter(number=lanes[-1]).update(order=1)
    ProviderAccount.objects.filter(pk=west.pk).update(halves=1, halves_since=NOON - 3 * MINUTE)
    SenderNumber.objects.filter(pk=lanes[1].pk).update(rests_until=NOON + 30 * MINUTE)
    for ago in range(60):
        tally(east, ago * MINUTE, accepted=900 - 9 * ago, rejected=3, throttled=ago % 7)
        tally(west, ago * MINUTE, accepted=400, unknown=120 if ago < 6 else 1, unreachable=ago % 2)
    WeightChange.objects.create(
        account=west, before=100, after=100, halves_before=2, halves_after=1, at=NOON - 3 * MINUTE,
        reason="31 of 120 answers in the last minute were lost or 5xx",
    )  # fmt: skip
    return route


def test_is_read_at_a_glance(page, site):
    route = a_busy_route()
    log_in(page, site, make_user())
    page.goto(f"{site}/admin/route/{route.pk}/")
    page.get_by_text("The most it can send now").wait_for()
    shoot(page, "route")

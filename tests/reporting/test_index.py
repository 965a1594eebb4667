from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from django.core.cache import cache
from django.test import Client

from brands.models import Installation
from campaigns.models import Campaign, Slot
from delivery.models import Attempt, Inbound, Message
from providers.models import ProviderAccount
from reporting import live
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_campaign,
    make_leads,
    make_list,
    make_number,
    make_route,
    make_slot,
    open_slot,
    set_clock,
)
from tests.reporting.test_live import forget, set_states
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
HIDE = "Object.defineProperty(document, 'hidden', {value: true, configurable: true})"
SHOW = "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))"
INDEX, PART = "/admin/", "/admin/live/"


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch):
    """What changed shows at the next look, as it does in real life within seconds."""
    monkeypatch.setattr(live, "kept_for", lambda took: 0.05)


@pytest.fixture
def lane(sandbox):
    return make_number(make_account(name="Twilio, main"), value="+12025550100")


def a_busy_world():
    """Three brands, with something in every state."""
    twilio = make_number(make_account(name="Twilio, main"), value="+12025550100")
    plivo = make_number(make_account(name="Plivo, overflow", kind="plivo"), value="+12025550101")
    nurse = make_brand(name="NurseNow")
    make_route(nurse, twilio, plivo)
    slot = make_slot(brand=nurse, name="Night shifts in Boston")
    states = ["delivered"] * 60 + ["accepted"] * 25 + ["sending"] * 4 + ["failed"] * 3
    states += ["unknown"] * 2 + ["refused"] * 5 + ["rejected"] + ["expired"] * 2
    handed = fill_queue(slot, twilio, len(states), now=NOON)
    set_states(handed, *states)
    record_attempts(handed[:94], twilio, plivo)
    fill_queue(slot, twilio, 40, now=NOON)
    fill_queue(slot, plivo, 30, now=NOON, not_before=NOON + HOUR)
    fill_queue(slot, plivo, 9, now=NOON, not_before=NOON + HOUR, reason="person_limit")
    drive = make_brand(name="DriveUp Delivery Partners of Greater New England and Beyond")
    make_route(drive, plivo)
    paused = make_slot(brand=drive, name="A campaign with a name that goes on for quite a while")
    fill_queue(paused, plivo, 35, now=NOON)
    Campaign.objects.filter(pk=paused.campaign_id).update(
        paused_at=NOON, pause_reason="20 of the last 1000 messages failed by an error of ours"
    )
    later = make_slot(brand=nurse, name="Evening reminders", at=time(19))
    ended = make_slot(brand=drive, name="Morning drivers", at=time(8))
    set_states(fill_queue(ended, plivo, 20, now=NOON), *["delivered"] * 18, "failed", "refused")
    Slot.objects.filter(pk=ended.pk).update(state="closed", closed_at=NOON - HOUR / 10)
    Inbound.objects.create(
        account=twilio.account, brand=nurse, provider_ref="in1", text="STOP", label="stop",
        from_value="+12125550123", to_value=twilio.value,
    )  # fmt: skip
    ProviderAccount.objects.filter(pk=plivo.account_id).update(paused_at=NOON, fault="402")
    return slot, paused, later


def record_attempts(messages, *lanes):
    for number, message in enumerate(messages):
        lane = lanes[number % 7 == 6]
        outcome = "not_sent" if number % 30 == 29 else "unknown" if number % 40 == 9 else "accepted"
        Attempt.objects.create(
            message=message, account=lane.account, number=lane, ref=f"r{message.pk}", text="Hi",
            sender="00000000-0000-0000-0000-000000000001", segments=1, brand_day=NOON.date(),
            intent_at=NOON + timedelta(hours=1), outcome=outcome, is_not_sent=outcome == "not_sent",
        )  # fmt: skip


def part_of(user):
    return client_of(user).get(PART, headers={"HX-Request": "true"})


class TestIndex:
    def test_shows_the_audience_as_the_sum_of_its_states(self, sandbox):
        a_busy_world()
        html = client_of(make_user()).get(INDEX).text
        tiles = re.findall(r'<dd id="now-\w+">([\d,]+)</dd>', html)
        (audience,) = re.findall(r'id="now-audience">([\d,]+)<', html)
        moving = Message.objects.filter(slot__state="open")
        assert sum(map(int, tiles)) == int(audience) == moving.count()

    def test_shows_nothing_of_other_brands(self, sandbox):
        slot, paused, _ = a_busy_world()
        html = client_of(make_user(slot.campaign.brand, "analyst")).get(INDEX).text
        assert "Night shifts in Boston" in html
        assert paused.campaign.name not in html
        assert paused.campaign.brand.name not in html
        assert 'id="now-audience">181<' in html

    def test_offers_each_role_what_it_may_do(self, sandbox):
        brand = a_busy_world()[0].campaign.brand
        offered = {}
        for role in ("admin", "marketer", "analyst"):
            html = client_of(make_user(brand, role)).get(INDEX).text
            offered[role] = ["Pretend phone" in html, "Pause Night" in html, "Read them" in html]
            assert "Pause Twilio" not in html
        nothing, everything = [False] * 3, [True] * 3
        assert offered == {"admin": everything, "marketer": everything, "analyst": nothing}

    def test_says_how_each_account_stands(self, sandbox):
        a_busy_world()
        html = client_of(make_user()).get(INDEX).text
        accounts = html.partition('aria-label="By provider"')[2].partition("</section>")[0]
        pills = re.findall(r'<span class="so-pill so-(\w+)">([^<]*)</span>', accounts)
        assert pills == [("good", "Answers"), ("bad", "Paused")]

    @pytest.mark.parametrize("kind", ["smtp", "plivo"])
    def test_leads_to_the_pretend_mailbox_where_there_is_email(self, sandbox, kind):
        brand = a_busy_world()[0].campaign.brand
        make_account(kind=kind)
        html = client_of(make_user(brand, "marketer")).get(INDEX).text
        assert ('href="http://127.0.0.1:9/mail"' in html) is (kind == "smtp")
        assert 'href="http://127.0.0.1:9/phone"' in html

    @pytest.mark.parametrize("role", ["partner", "none"])
    def test_says_what_to_do_to_who_is_no_member(self, sandbox, role):
        user = make_user(make_brand(), "partner")
        if role == "none":
            user.membership_set.all().delete()
        client = client_of(user)
        assert "You are no member of a brand yet" in client.get(INDEX).text
        assert client.get(PART).status_code == 403

    def test_stands_without_an_installation(self, db):
        assert "Nothing is set up yet" in client_of(make_user()).get(INDEX).text

    def test_says_that_counting_takes_too_long(self, sandbox, monkeypatch):
        def slow(*args, **kwargs):
            raise live.TooSlow

        monkeypatch.setattr(live, "measure", slow)
        html = client_of(make_user()).get(INDEX).text
        assert "Counting takes too long at the moment" in html

    def test_says_of_when_old_figures_are(self, lane):
        live.look(Installation.objects.get().identity)
        set_clock(NOON + HOUR)
        cache.set(f"{live.KEY}:{Installation.objects.get().identity}:fresh", 1, 10)
        assert "these figures are of 17:0" in part_of(make_user()).text

    def test_takes_as_many_queries_for_many_as_for_few(self, sandbox, statements, monkeypatch):
        monkeypatch.setattr(live, "kept_for", lambda took: 60)
        a_busy_world()
        user = make_user()
        looks = client_of(user)
        looks.get(PART)
        few = statements(lambda: looks.get(PART))
        for number in range(8):
            lane = make_number()
            fill_queue(make_slot(lane, name=f"More {number}"), lane, 3, now=NOON)
            make_number(lane.account, rests_until=NOON + HOUR)
        forget(Installation.objects.get().identity)
        looks.get(PART)
        assert "More 7" in looks.get(PART).text
        assert statements(lambda: looks.get(PART)) == few

    def test_leads_to_the_log_in_page_when_the_session_has_ended(self, sandbox):
        response = Client().get(PART, headers={"HX-Request": "true"})
        assert (response.status_code, response.headers["HX-Redirect"]) == (204, INDEX)

    def test_shows_the_first_fifty_and_says_how_many_more(self, lane):
        brand = make_brand()
        make_route(brand, lane)
        people = make_list(brand)
        for number in range(60):
            campaign = make_campaign(brand, people, name=f"Campaign no. {number}")
            slot = open_slot(campaign, on=NOON.date(), at=time(12))
            fill_queue(slot, lane, 1 + (number == 59), now=NOON)
        html = part_of(make_user()).text
        assert html.count('<li id="slot-') == 50
        assert "And 10 more." in html
        assert 'id="now-audience">61<' in html
        assert "Campaign no. 59" in html  # the one with the most to do


class TestNothingMoves:
    def test_tells_the_steps_to_a_first_campaign(self, sandbox):
        html = part_of(make_user(make_brand(), "marketer")).text
        assert "Make your first campaign" in html
        assert html.count("so-did") == 1  # there is a brand

    def test_ticks_the_steps_that_are_done(self, lane):
        brand = make_brand()
        make_route(brand, lane)
        campaign = make_campaign(brand, make_list(brand, *make_leads(brand, 1)))
        assert part_of(make_user(brand, "marketer")).text.count("so-did") == 4
        Campaign.objects.filter(pk=campaign.pk).update(started_at=NOON)
        assert "Nothing moves, and nothing is planned" in part_of(make_user()).text

    def test_tells_what_is_next_and_when(self, lane):
        make_slot(lane, name="Tonight", at=time(19))
        make_slot(lane, name="Next week", on=NOON.date() + timedelta(days=7), at=time(10))
        html = part_of(make_user()).text
        assert "Nothing moves right now" in html
        assert "first at 19:00 EST" in html
        assert "Wed 14 Mar, 10:00" in html

    def test_keeps_what_just_ended_in_sight(self, lane):
        slot = make_slot(lane, name="Morning drivers", at=time(8))
        set_states(fill_queue(slot, lane, 1, now=NOON), "delivered")
        Slot.objects.update(state="closed", closed_at=NOON - HOUR / 10)
        assert "6 min ago" in part_of(make_user()).text


def test_shows_what_moves(page, site):
    a_busy_world()
    make_account(kind="smtp")
    log_in(page, site, make_user())
    page.goto(site + INDEX)
    page.get_by_text("Live", exact=True).wait_for()
    shoot(page, "index")
    page.emulate_media(color_scheme="dark")
    page.reload()
    shoot(page, "index-dark")


def test_counts_change_by_themselves(page, site):
    slot, _, _ = a_busy_world()
    log_in(page, site, make_user())
    page.goto(site + INDEX)
    delivered = page.locator("#now-delivered")
    assert delivered.inner_text() == "60"
    page.get_by_text("Why they wait").click()  # shut
    Message.objects.filter(slot=slot, status="accepted").update(status="delivered")
    page.wait_for_function("document.querySelector('#now-delivered').innerText === '85'")
    assert not page.locator("#now-waits").evaluate("one => one.open")


def test_a_button_pauses_and_resumes_a_campaign(page, site):
    brand = a_busy_world()[0].campaign.brand
    log_in(page, site, make_user(brand, "marketer"))
    page.goto(site + INDEX)
    row = page.locator("li", has=page.get_by_role("link", name="Night shifts in Boston"))
    row.get_by_role("button", name="Pause").click()
    page.get_by_text("Night shifts in Boston is paused.").wait_for()
    row.get_by_text("Paused", exact=True).wait_for()
    assert Campaign.objects.get(name="Night shifts in Boston").paused_at
    row.get_by_role("button", name="Resume").click()
    page.get_by_text("Night shifts in Boston sends again.").wait_for()
    assert row.get_by_text("Paused", exact=True).count() == 0


def test_a_superuser_pauses_an_account(page, site):
    a_busy_world()
    log_in(page, site, make_user())
    page.goto(site + INDEX)
    page.get_by_role("button", name="Pause Twilio, main").click()
    page.get_by_text("Account Twilio, main is paused").wait_for()
    assert ProviderAccount.objects.get(name="Twilio, main").paused_at


def test_says_when_the_server_does_not_answer_and_goes_on_when_it_does(page, site, provoked):
    provoked += ["500", "Response Status Error"]
    a_busy_world()
    log_in(page, site, make_user())
    page.goto(site + INDEX)
    page.route("**/admin/live/", lambda route: route.fulfill(status=500, body="no"))
    page.get_by_text("Not live: the server does not answer. Trying again in 4 seconds").wait_for()
    page.get_by_text("Trying again in 8 seconds").wait_for()
    assert page.locator("#now-delivered").inner_text() == "60"
    page.unroute("**/admin/live/")
    page.get_by_text("Live", exact=True).wait_for(timeout=30_000)


def test_asks_nothing_while_it_is_hidden(page, site):
    a_busy_world()
    log_in(page, site, make_user())
    page.goto(site + INDEX)
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true})"
    )
    page.get_by_text("Not live while this page is hidden").wait_for()
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_text("Live", exact=True).wait_for()


def test_leaves_selected_text_alone(page, site):
    slot, _, _ = a_busy_world()
    log_in(page, site, make_user())
    page.goto(site + INDEX)
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#now-audience'))")
    Message.objects.filter(slot=slot, status="accepted").update(status="delivered")
    with page.expect_response("**/admin/live/"):
        pass
    page.wait_for_timeout(200)
    assert page.evaluate("getSelection().toString()") == "216"
    page.evaluate("getSelection().removeAllRanges()")
    page.wait_for_function("document.querySelector('#now-delivered').innerText === '85'")


def test_two_hundred_campaigns_are_readable(page, site):
    lane = make_number(make_account(name="Twilio, main"))
    for name in ("NurseNow", "DriveUp"):
        brand = make_brand(name=name)
        make_route(brand, lane)
        people = make_list(brand)
        for number in range(100):
            campaign = make_campaign(brand, people, name=f"{name} no. {number}")
            fill_queue(open_slot(campaign, on=NOON.date(), at=time(12)), lane, 2, now=NOON)
    log_in(page, site, make_user())
    page.goto(site + INDEX)
    page.get_by_text("40 more that move less").click()
    page.get_by_text("And 150 more.").wait_for()
    page.get_by_text("40 more that move less").click()
    shoot(page, "index-200")


def test_first_steps(page, site):
    log_in(page, site, make_user(make_brand(name="NurseNow"), "marketer"))
    page.goto(site + INDEX)
    page.get_by_text("Make your first campaign").wait_for()
    shoot(page, "index-first")


def test_what_is_next(page, site):
    lane = make_number(make_account(name="Twilio, main"))
    brand = make_brand(name="NurseNow")
    make_route(brand, lane)
    make_slot(brand=brand, name="Tonight", at=time(19))
    make_slot(brand=brand, name="Next week", on=NOON.date() + timedelta(days=7), at=time(10))
    log_in(page, site, make_user())
    page.goto(site + INDEX)
    page.get_by_text("Nothing moves right now").wait_for()
    shoot(page, "index-next")

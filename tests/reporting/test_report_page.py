from __future__ import annotations

import csv
import re
from datetime import timedelta
from html import unescape
from io import StringIO
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from brands import access
from brands.access import Ability
from brands.models import Membership
from campaigns.models import Slot
from delivery.models import Message
from delivery.states import Status
from reporting import report_page, report_rows_page
from reporting.report import Group, TooSlow, What
from tests.factories import DAY, NOON, make_account, make_brand, make_number, make_slot
from tests.reporting.outcomes import count_all, make_message, make_stop
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

URL = "/admin/report/"
ROWS = "/admin/report/rows/"
FILE = "/admin/report/table.csv"
TOMORROW = DAY + timedelta(days=1)
CELL = re.compile(r'<td class="so-num[^"]*" data-what="(\w+)">(.*?)</td>', re.S)
LINK = re.compile(r'<a href="([^"]+)">([\d,]+)</a>')
ROW = re.compile(r"<tr><td.*?</tr>", re.S)
LAST_NUMBER = re.compile(r'<td class="so-num">(\d+)</td></tr>')
NEXT = re.compile(r'<a class="so-button[^"]*" href="([^"]+)">Next</a>')

SOME = (Status.DELIVERED, Status.FAILED, Status.UNKNOWN, Status.SENT, Status.PLANNED)


class World:
    """Two brands at home in two zones, two providers, two days, and every outcome."""

    def __init__(self):
        self.lanes = [make_number(make_account(name=name)) for name in ("Twilio", "=Plivo")]
        self.brands = [
            make_brand(name="Acorn Jobs"),
            make_brand(name="Birch Staffing", zone="America/Los_Angeles"),
        ]
        self.slots = [
            make_slot(self.lanes[0], brand=brand, on=on)
            for brand in self.brands
            for on in (DAY, TOMORROW)
        ]
        for n, slot in enumerate(self.slots):
            statuses = Status if n == 0 else SOME
            for m, status in enumerate(statuses):
                lane = self.lanes[(n + m) % 2]
                make_message(slot, lane, status, clicks=status == Status.DELIVERED)
            for reason in ("opted_out", "person_limit")[n % 2 :]:
                make_message(slot, self.lanes[0], "refused", reason=reason)
            Slot.objects.filter(pk=slot.pk).update(suppressed={"opted_out": n, "sunset": 2})
        for brand in self.brands:
            make_stop(brand, self.lanes[0])
        make_stop(self.brands[0], self.lanes[1], at=NOON + timedelta(days=1))
        count_all(*self.slots)

    @property
    def query(self):
        return {"first": DAY, "last": TOMORROW}


@pytest.fixture(scope="class")
def world(shared_sandbox):
    """Read by all tests of a class; made once, for it takes a second."""
    return World()


def get(user, address=URL, **query):
    return client_of(user).get(address, query)


def figures(html, table="figures"):
    """The cells of the table, by rows, as (what, text)."""
    (body,) = re.findall(rf'<table[^>]*id="{table}">(.*?)</table>', html, re.S)
    rows = [CELL.findall(row) for row in body.split("<tr")]
    return [
        [(what, re.sub(r"<small>.*?</small>|<[^>]+>", "", text)) for what, text in row]
        for row in rows
        if row
    ]


def number(text):
    """Zero for the dash of what cannot be told."""
    return int(text.replace(",", "")) if text[0].isdigit() else 0


def rows_behind(client, address):
    """Walk the pages behind a figure; returns how many rows, or people left out, they list."""
    found = []
    for _ in range(50):
        if address is None:
            break
        html = client.get(address).text
        if 'id="rows"' in html:
            found += ROW.findall(html.split('id="rows"')[1].split("</table>")[0])
        more = NEXT.search(html)
        address = ROWS + unescape(more[1]) if more else None
    assert len(found) == len(set(found))
    if "what=suppressed" in html or (found and LAST_NUMBER.search(found[0])):
        return sum(int(LAST_NUMBER.search(row)[1]) for row in found)
    return len(found)


class TestFigures:
    @pytest.mark.parametrize("group", Group)
    def test_lead_to_as_many_rows(self, world, group, monkeypatch):
        monkeypatch.setattr(report_rows_page, "PAGE", 7)
        client = client_of(make_user())
        html = client.get(URL, {**world.query, "group": group.value}).text
        links = {unescape(address): number(text) for address, text in LINK.findall(html)}
        assert len(links) > 30
        behind = {address: rows_behind(client, address) for address in links}
        assert behind == links

    @pytest.mark.parametrize("group", Group)
    def test_are_all_links_but_the_zeros(self, world, group):
        html = get(make_user(), **world.query, group=group.value).text
        for what, text in CELL.findall(html):
            shown = re.sub(r"<small>.*?</small>|<[^>]+>", "", text)
            assert ("href" in text) == (number(shown) > 0), what

    @pytest.mark.parametrize("group", Group)
    def test_add_up_down_to_the_total(self, world, group):
        total, *lines = figures(get(make_user(), **world.query, group=group.value).text)
        for n, (what, text) in enumerate(total):
            assert sum(number(line[n][1]) for line in lines) == number(text) > 0, what

    def test_count_what_there_is(self, world):
        (total, *_) = figures(get(make_user(), **world.query).text)
        sums = {what: number(text) for what, text in total}
        assert sums["planned"] == Message.objects.count() == 36
        assert (sums["delivered"], sums["clicks"], sums["stops"]) == (4, 4, 3)

    def test_of_reasons_add_up_to_refused(self, world):
        html = get(make_user(), **world.query).text
        total, *lines = figures(html, "refused")
        assert sum(number(line[0][1]) for line in lines) == number(total[0][1]) == 10
        assert "The person had enough messages lately" in html

    def test_of_another_brand_are_not_counted(self, world):
        user = make_user(world.brands[0], "analyst")
        html = get(user, **world.query).text
        (total, *_) = figures(html)
        assert number(dict(total)["planned"]) == 15 + 2 + 5 + 1
        assert "Birch" not in html

    def test_have_no_links_for_who_may_not_see_rows(self, world, monkeypatch):
        monkeypatch.setitem(access.MAY, Membership.Role.ANALYST, frozenset({Ability.FIGURES}))
        user = make_user(world.brands[0], "analyst")
        html = get(user, **world.query).text
        assert number(dict(figures(html)[0])["planned"]) > 0
        assert ROWS not in html
        assert get(user, ROWS, **world.query, what="planned").status_code == 403

    def test_take_as_many_statements_for_more_of_everything(self, world):
        user = make_user()
        client = client_of(user)

        def statements(group):
            with CaptureQueriesContext(
                connection,
            ) as captured:
                client.get(URL, {**world.query, "group": group.value})
            return len(captured)

        statements(Group.DAY)
        before = [statements(group) for group in Group]
        for _ in range(3):
            brand, lane = make_brand(), make_number()
            slot = make_slot(lane, brand=brand)
            make_message(slot, lane, "delivered")
            count_all(slot)
        assert [statements(group) for group in Group] == before


class TestForeign:
    @pytest.fixture
    def user(self, world):
        return make_user(world.brands[0], "admin")

    @pytest.mark.parametrize("address", [URL, FILE, ROWS])
    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(lambda world: {"brand": world.brands[1].pk}, id="another brand"),
            pytest.param(lambda world: {"brand": 10**9}, id="no brand"),
            pytest.param(lambda world: {"brand": "x"}, id="no number"),
            pytest.param(lambda world: {"brand": "9" * 30}, id="a huge number"),
            pytest.param(
                lambda world: {"campaign": world.slots[2].campaign_id}, id="another's campaign"
            ),
            pytest.param(lambda world: {"campaign": 10**9}, id="no campaign"),
            pytest.param(lambda world: {"account": make_account().pk}, id="another's account"),
            pytest.param(lambda world: {"account": "-1"}, id="no account"),
        ],
    )
    def test_is_not_there(self, world, user, address, value):
        query = {**world.query, "what": "planned", **value(world)}
        assert get(user, address, **query).status_code == 404

    @pytest.mark.parametrize("address", [URL, FILE, ROWS])
    def test_pages_are_for_staff_with_a_brand(self, world, address):
        assert get(make_user(world.brands[0], "partner"), address).status_code == 403

    @pytest.mark.parametrize("address", [URL, FILE, ROWS])
    def test_nothing_is_changed_by_a_post(self, world, user, address):
        assert client_of(user).post(address).status_code == 405

    def test_account_of_an_opt_out_alone_can_be_asked_for(self, world, user):
        lane = make_number()
        make_stop(world.brands[0], lane)
        count_all()
        response = get(user, **world.query, account=lane.account_id)
        assert dict(figures(response.text)[0])["stops"] == "1"


class TestWrongDays:
    @pytest.mark.parametrize(
        ("days", "says"),
        [
            pytest.param({"first": "soon"}, "Enter a valid date.", id="no date"),
            pytest.param({"first": ""}, "Choose a day.", id="empty"),
            pytest.param({"last": "2035-02-30"}, "Enter a valid date.", id="no such day"),
            pytest.param(
                {"first": "2035-03-08"}, "This day is before the first one.", id="wrong order"
            ),
            pytest.param(
                {"first": "2034-01-31", "last": "2035-03-07"}, "400 days at most", id="too long"
            ),
            pytest.param(
                {"first": "0001-01-01", "last": "9999-12-31"}, "400 days at most", id="all time"
            ),
        ],
    )
    def test_are_told_by_their_field_and_kept(self, world, days, says):
        response = get(make_user(), first=days.get("first", DAY), last=days.get("last", DAY))
        assert response.status_code == 200
        assert says in response.text
        assert all(f'value="{day}"' in response.text for day in days.values())
        assert 'id="figures"' not in response.text

    @pytest.mark.parametrize("address", [FILE, ROWS])
    def test_lead_from_elsewhere_to_the_form_that_tells(self, world, address):
        response = get(make_user(), address, first="soon", what="planned")
        assert response.url == f"{URL}?first=soon&what=planned"

    @pytest.mark.parametrize("edge", ["0001-01-01", "9999-12-31"])
    def test_at_the_ends_of_time_are_days(self, world, edge):
        assert get(make_user(), first=edge, last=edge).status_code == 200

    @pytest.mark.parametrize(
        "query", [{"group": "moon"}, {"page": "0"}, {"page": "x"}, {"page": "9" * 30}]
    )
    def test_and_other_values_are_no_error_of_ours(self, world, query):
        response = get(make_user(), **world.query, **query)
        assert (response.status_code, 'id="figures"' in response.text) == (200, False)

    def test_400_days_are_few_enough(self, world):
        response = get(make_user(), first=DAY - timedelta(days=399), last=DAY)
        assert 'id="figures"' in response.text


class TestDefaults:
    def test_are_the_last_seven_days(self, world):
        html = get(make_user()).text
        assert 'name="first" value="2035-03-01"' in html
        assert 'name="last" value="2035-03-07"' in html

    def test_says_when_it_was_counted(self, world):
        html = get(make_user(world.brands[0], "analyst"), **world.query).text
        assert "Figures as of 7 Mar 2035, 12:00 EST" in html

    def test_a_table_of_many_lines_is_paged(self, world, monkeypatch):
        monkeypatch.setattr(report_page, "PAGE", 4)
        first = get(make_user(), **world.query, group="all").text
        more = NEXT.search(first)
        second = client_of(make_user()).get(URL + unescape(more[1])).text
        assert "Lines 1 to 4 of" in first
        assert "Lines 5 to 8 of" in second
        assert figures(first)[0] == figures(second)[0]  # the total is of all lines
        assert figures(first)[1:] != figures(second)[1:]

    def test_what_takes_too_long_is_told(self, world, monkeypatch):
        def take_long(*args, **kwargs):
            raise TooSlow

        monkeypatch.setattr(report_page.report, "table", take_long)
        response = get(make_user(), **world.query)
        assert "Choose fewer days or fewer brands" in response.text


class TestNothing:
    def test_a_brand_without_slots_is_told_that_nothing_happened(self, sandbox):
        html = get(make_user(make_brand(), "analyst")).text
        assert "Nothing happened on these days" in html

    def test_slots_not_counted_yet_are_told(self, sandbox):
        make_slot(make_number())
        assert "1 slot of these days has not been counted yet" in get(make_user()).text


class TestFile:
    def read(self, response):
        return list(csv.reader(StringIO(response.content.decode("utf-8-sig"))))

    @pytest.mark.parametrize("group", Group)
    def test_holds_the_table_shown(self, world, group):
        query = {**world.query, "group": group.value}
        head, *lines = self.read(get(make_user(), FILE, **query))
        total, *shown = figures(get(make_user(), **query).text)
        first = head.index("Planned")
        expected = [[number(text) for _, text in line] for line in [*shown, total]]
        assert [list(map(int, line[first:-2])) for line in lines] == expected

    def test_has_no_formulas(self, world):
        _head, *lines = self.read(get(make_user(), FILE, **world.query, group="provider"))
        assert "'=Plivo" in [line[0] for line in lines]

    def test_has_the_days_in_its_name(self, world):
        response = get(make_user(), FILE, **world.query)
        assert 'filename="report-2035-03-07-2035-03-08.csv"' in response["Content-Disposition"]


class TestRows:
    @pytest.mark.parametrize("what", What)
    def test_say_what_they_are(self, world, what):
        query = {**world.query, "what": what.value, "brand": world.brands[0].pk}
        html = get(make_user(), ROWS, **query).text
        for word in ("Wed 7 Mar 2035 to Thu 8 Mar 2035", "Acorn Jobs"):
            assert word in html

    @pytest.mark.parametrize(
        ("role", "sees"), [("admin", True), ("marketer", True), ("analyst", False)]
    )
    def test_hide_numbers_and_texts_from_who_may_not_read_them(self, world, role, sees):
        user = make_user(world.brands[0], role)
        make_stop(world.brands[0], world.lanes[0], text="Stop it, it is me, Ada")
        stops = get(user, ROWS, **world.query, what="stops").text
        assert ("+12125550143" in stops) == ("it is me" in stops) == sees
        phone = Message.objects.filter(brand=world.brands[0]).first().person.phone
        assert (phone in get(user, ROWS, **world.query, what="planned").text) == sees

    def test_tell_where_the_report_says_otherwise(self, world):
        make_message(world.slots[0], world.lanes[0], "delivered")
        html = get(make_user(), ROWS, **world.query, what="delivered").text
        assert '<strong id="count">5</strong>' in html
        assert "The report says 4" in html

    def test_are_not_counted_without_end(self, world, monkeypatch):
        monkeypatch.setattr(report_rows_page, "COUNT_TO", 10)
        html = get(make_user(), ROWS, **world.query, what="planned").text
        assert '<strong id="count">10+</strong>' in html
        assert "The report says 36." in html

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param({}, id="no column"),
            pytest.param({"what": "moon"}, id="no such column"),
            pytest.param({"what": "refused", "status": "moon"}, id="no such status"),
            pytest.param({"what": "refused", "reason": "moon"}, id="no such reason"),
        ],
    )
    def test_of_no_figure_are_not_there(self, world, query):
        assert get(make_user(), ROWS, **world.query, **query).status_code == 404

    @pytest.mark.parametrize("after", ["", "x", "1", "1.x", "9" * 40, "99999999999999999999.1"])
    def test_begin_at_the_beginning_where_the_place_is_none(self, world, after):
        html = get(make_user(), ROWS, **world.query, what="planned", after=after).text
        assert len(ROW.findall(html.split('id="rows"')[1].split("</table>")[0])) == 36

    @pytest.mark.parametrize("what", ["planned", "stops", "suppressed"])
    def test_take_as_many_statements_for_more_of_them(self, world, what):
        client = client_of(make_user())

        def statements():
            with CaptureQueriesContext(connection) as captured:
                client.get(ROWS, {**world.query, "what": what})
            return len(captured)

        statements()
        before = statements()
        for slot in (make_slot(make_number()), make_slot(make_number())):
            make_message(slot, make_number(), "delivered")
            make_stop(slot.campaign.brand, make_number())
            Slot.objects.filter(pk=slot.pk).update(suppressed={"sunset": 1})
        assert statements() == before


def many_days(world, days=30):
    """A past in which something happened every day."""
    for n in range(1, days):
        slot = make_slot(world.lanes[n % 2], brand=world.brands[n % 2], on=DAY - timedelta(days=n))
        for status in (*[Status.DELIVERED] * (n % 5), *SOME):
            make_message(slot, world.lanes[n % 2], status)
        count_all(slot)


class TestInABrowser:
    def test_a_figure_leads_to_its_messages(self, page, site):
        world = World()
        many_days(world)
        log_in(page, site, make_user())
        page.goto(f"{site}/admin/")
        page.get_by_role("link", name="Report").first.click()
        page.get_by_label("From").fill("2035-02-10")
        page.get_by_text("All", exact=True).first.click()
        page.get_by_label("Acorn Jobs").check()
        page.get_by_role("button", name="Show").click()
        page.get_by_role("heading", name="By day", exact=True).wait_for()
        shoot(page, "report")
        page.get_by_role("link", name="Day, brand and provider").click()
        page.get_by_role("heading", name="By day, brand and provider").wait_for()
        shoot(page, "report-all")
        cell = page.locator('#figures tr.so-total td[data-what="delivered"] a')
        shown = cell.inner_text()
        cell.click()
        page.locator("#rows").wait_for()
        assert page.locator("#count").inner_text() == shown
        shoot(page, "report-rows")
        page.locator("#rows a").first.click()
        page.wait_for_url("**/delivery/message/*/change/")

    def test_wrong_days_are_told_where_they_stand(self, page, site):
        log_in(page, site, make_user(make_brand(), "analyst"))
        page.goto(f"{site}{URL}?first=2035-03-07&last=2035-03-01")
        page.get_by_text("This day is before the first one.").wait_for()
        shoot(page, "report-wrong")

    def test_an_empty_report_says_so(self, page, site):
        log_in(page, site, make_user(make_brand(), "analyst"))
        page.goto(f"{site}{URL}")
        page.get_by_text("Nothing happened on these days").wait_for()
        shoot(page, "report-empty")

    def test_stays_readable_in_the_dark_and_with_many_brands(self, page, site):
        world = World()
        for n in range(48):
            brand = make_brand(name=f"Brand number {n} with a name as long as some people like")
            make_message(make_slot(world.lanes[0], brand=brand), world.lanes[0], "delivered")
        count_all(*Slot.objects.filter(local_date=DAY))
        page.emulate_media(color_scheme="dark")
        log_in(page, site, make_user())
        page.goto(f"{site}{URL}?{urlencode({'first': DAY, 'last': DAY, 'group': 'brand'})}")
        page.get_by_text("All", exact=True).first.click()
        page.get_by_label("Brand number 47").wait_for()
        shoot(page, "report-dark")

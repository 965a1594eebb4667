"""The page of a test message, in a browser."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import urllib.request
from urllib.parse import urlsplit

import pytest
import uvloop

from campaigns.models import Campaign, Template
from compliance import consent
from delivery import inbox
from delivery.models import Due, Message
from delivery.states import Status
from delivery.wording import MEANS
from links.models import Click, ShortLink
from providers.simulator import HOST, Simulator
from reporting.oracle import answers, checks, ledger
from reporting.oracle.checks import Scope
from tests.delivery import singles_asked, testing_asked
from tests.delivery.singles_asked import TEXT
from tests.delivery.waiting import wait_until
from tests.factories import (
    make_account,
    make_brand,
    make_campaign,
    make_list,
    make_number,
    make_route,
)
from tests.reporting.world import said
from tests.staff import log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

staff = testing_asked.staff
work = testing_asked.work

# Fixtures: what can be sent.
brand = singles_asked.brand
lane = singles_asked.lane
campaign = singles_asked.campaign


class Street:
    """The simulated providers, in a thread with a loop of their own."""

    def __init__(self, path):
        self.path = path
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()))

    async def _serve(self):
        self._loop, self._simulator = asyncio.get_running_loop(), Simulator(self.path)
        server = await self._loop.create_server(self._simulator.connection, HOST, 0)
        self.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._simulator.ended
        server.close()
        await self._simulator.close()

    def start(self):
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self):
        self._loop.call_soon_threadsafe(self._simulator.end)
        self._thread.join(10)

    def told(self, **command):
        order = json.dumps(command).encode()
        urllib.request.urlopen(f"{self.url}/control", order, timeout=5).close()


@pytest.fixture
def street(tmp_path):
    street = Street(tmp_path / "ledger.jsonl")
    street.start()
    yield street
    street.stop()


@pytest.fixture
def acme(site, settings, street):
    """A brand of a sandbox on one machine, as the demo makes them."""
    settings.PUBLIC_BASE_URL = site
    settings.SHORT_LINK_SCHEME = "http"
    brand = make_brand(name="Acme", short_domain=urlsplit(site).netloc, link_hosts=[HOST])
    lane = make_number(make_account(name="Twilio East", base_url=street.url))
    make_route(brand, lane)
    to = f"{street.url}/phone"  # some page of this machine
    return make_campaign(brand, make_list(brand), name="Spring nurses", text=TEXT, destination=to)


@pytest.fixture
def opened(acme, page, site):
    """The form, as a marketer sees it. The page is closed before the street that it may ask."""
    log_in(page, site, make_user(acme.brand, "marketer"))
    page.goto(f"{site}/admin/campaign/{acme.pk}/test/")
    return page


def fill(page):
    page.get_by_label("Your phone number").fill("(212) 555-0143")
    page.get_by_label("This is my own phone").check()


class TestInABrowser:
    def test_a_test_goes_to_the_phone_and_its_link_leads_on(self, opened, street, work):
        page, jobs = opened, f"{street.url}/phone"
        street.told(reports={})
        page.get_by_label("First name").fill("Kim")
        page.locator("#preview", has_text="Hi Kim, Springfield has work").wait_for()
        shoot(page, "test-form")
        fill(page)
        page.get_by_role("button", name="Send me a test").click()
        page.get_by_text("Waits for its turn").wait_for()
        shoot(page, "test-waits")
        work()
        page.get_by_text("Twilio East accepted it.").wait_for()
        wait_until(is_delivered)
        page.get_by_text(MEANS[Status.DELIVERED]).wait_for()
        shoot(page, "test-delivered")
        with page.expect_popup() as opening:
            page.get_by_role("link", name="Read it on the pretend phone").click()
        text = opening.value.locator("#texts .bubble", has_text="Hi Kim")
        link = re.search(r"http://\S+", text.first.text_content())[0]
        page.goto(link)
        assert page.url.partition("#")[0] == jobs  # it opens the first phone when it has asked
        assert Click.objects.get().link == ShortLink.objects.get()
        assert oracle_says(street.path) == {}

    def test_bad_input_is_said_by_its_field(self, opened):
        page = opened
        page.get_by_label("Your phone number").fill("my phone")
        page.get_by_label("First name").fill("")
        page.get_by_role("button", name="Send me a test").click()
        page.get_by_text("This does not read as one phone number.").wait_for()
        assert page.get_by_label("Your phone number").input_value() == "my phone"
        assert page.get_by_text("Tick this").count() == 1
        shoot(page, "test-wrong")

    def test_a_hasty_double_click_sends_one(self, opened, acme):
        page = opened
        fill(page)
        page.get_by_role("button", name="Send me a test").dblclick(no_wait_after=True)
        page.get_by_text("Waits for its turn").wait_for()
        assert Due.objects.count() == 1

    def test_what_holds_it_is_said(self, opened, acme, work):
        page = opened
        fill(page)
        page.get_by_role("button", name="Send me a test").click()
        page.get_by_text("Waits for its turn").wait_for()
        person = Message.objects.get().person
        consent.opt_out([person.pk], source="staff")
        work()
        page.get_by_text("The person opted out. Text START from that phone").wait_for()
        page.emulate_media(color_scheme="dark")
        page.reload()
        shoot(page, "test-refused-dark")
        page.get_by_role("link", name="Send another").click()
        page.get_by_role("button", name="Send me a test").wait_for()
        shoot(page, "test-form-dark")

    def test_a_campaign_without_a_text_says_so(self, page, site, acme):
        Campaign.objects.update(
            template=Template.objects.create(brand=acme.brand, name="Empty"),
            name="A campaign with a name that is really rather long, as long as names may be made",
        )
        log_in(page, site, make_user(acme.brand, "marketer"))
        page.goto(f"{site}/admin/campaign/{acme.pk}/test/")
        page.get_by_text("There is nothing to send yet").wait_for()
        shoot(page, "test-no-text")


def is_delivered():
    """When the last of its reports has come and was applied."""
    inbox.apply_waiting()
    return Message.objects.get().status == Status.DELIVERED


def oracle_says(path):
    """What is wrong by the simulator's ledger."""
    with ledger.laid_open(path):
        return said(checks.run(answers.WITH_LEDGER, Scope(now=checks.installation_now())))

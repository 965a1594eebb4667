"""The pretend phone in a browser, against the server that the simulator has."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import pytest
import uvloop

from providers.simulator_behaviour import BadControl
from providers.simulator_http import Connection
from providers.simulator_ledger import Ledger, Submission
from providers.simulator_phone import Phones

pytest_plugins = ["tests.browser"]

ANNA, BEN = "+15550100123", "+15550100456"
SHOP, CLUB = "+15550199001", "+15550199002"
PHONE_SIZE = {"width": 390, "height": 844}
LONG = "x" * 1600


@dataclass(frozen=True)
class Said:
    at: float
    to: str
    text: str
    answer: int


class Street:
    """Phones that can be texted; the server runs in a thread with a loop of its own."""

    def __init__(self, path):
        self.answers = []
        self.objection = ""
        self.takes = 200
        self._said = {}
        self._path = path
        self._open_ones = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()))

    async def _serve(self):
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._ledger = Ledger(self._path)
        phones = Phones(
            ledger=self._ledger, answer=self._answer, heard=lambda phone: self._said.get(phone, [])
        )

        def handle(request, connection):
            connection.answer(phones.handle(request))

        server = await self._loop.create_server(
            lambda: Connection(handle, self._open_ones), "127.0.0.1", 0
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/phone"
        self._ready.set()
        await self._ended.wait()
        server.close()
        for connection in list(self._open_ones):
            connection.abort()
        while self._open_ones:
            await asyncio.sleep(0)
        self._ledger.close()

    def _answer(self, phone, to, text):
        if self.objection:
            raise BadControl(self.objection)
        self.answers.append((phone, to, text))
        self._said.setdefault(phone, []).append(Said(time.time(), to, text, self.takes))
        return "SM1"

    def start(self):
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(10)

    def text(self, text="Two new jobs near you", *, to=ANNA, by=SHOP):
        """The phone gets a text."""
        done = threading.Event()

        def note():
            sent = Submission("twilio", "AC1", by, to, text, "r1")
            self._ledger.note(sent, verdict="accepted", took=True, provider_ref="SM0")
            done.set()

        self._loop.call_soon_threadsafe(note)
        assert done.wait(10)


@pytest.fixture
def street(tmp_path):
    street = Street(tmp_path / "ledger.jsonl")
    street.start()
    yield street
    street.stop()


@pytest.fixture
def opened(street, page):
    """Opens the page, at one phone if it is named. It is closed before the server that it asks."""

    def opened(phone=""):
        page.goto(f"{street.url}#{phone}")
        return page

    return opened


def bubbles(page):
    return page.locator("#texts .bubble").all_text_contents()


def wait_for(page, text):
    page.locator("#texts .bubble", has_text=text).first.wait_for()


class TestReading:
    def test_before_the_first_text_the_page_says_so(self, opened):
        page = opened()
        page.get_by_text("No text has arrived yet").first.wait_for()
        assert page.get_by_text("Nobody is texted.").is_visible()

    def test_the_first_text_shows_up_by_itself(self, opened, street):
        page = opened()
        page.locator("#live:text('Live')").wait_for()
        street.text("Hello Anna")
        wait_for(page, "Hello Anna")
        assert page.locator("#title").text_content() == "+1 (555) 010-0123"

    def test_the_newest_text_is_at_the_bottom_and_in_view(self, opened, street):
        for n in range(40):
            street.text(f"Text number {n}")
        page = opened(ANNA)
        wait_for(page, "Text number 39")
        assert bubbles(page)[-1] == "Text number 39"
        assert page.get_by_text("Text number 39").first.is_visible()
        gap = "log => log.scrollHeight - log.scrollTop - log.clientHeight"
        assert page.locator("#log").evaluate(gap) <= 1

    def test_each_business_has_its_own_conversation(self, opened, street):
        street.text("From the shop", by=SHOP)
        street.text("From the club", by=CLUB)
        page = opened(ANNA)
        wait_for(page, "From the club")
        assert bubbles(page) == ["From the club"]
        page.get_by_role("button", name="+1 (555) 019-9001").click()
        assert bubbles(page) == ["From the shop"]

    def test_a_phone_is_found_by_a_part_of_its_number(self, opened, street):
        street.text("For Anna", to=ANNA)
        street.text("For Ben", to=BEN)
        page = opened(BEN)
        wait_for(page, "For Ben")
        page.get_by_role("searchbox").fill("0123")
        assert page.locator("#list li").count() == 1
        page.keyboard.press("Enter")
        wait_for(page, "For Anna")

    def test_a_phone_that_got_nothing_can_be_opened_by_its_number(self, opened, street):
        street.text("For Anna")
        page = opened(ANNA)
        wait_for(page, "For Anna")
        page.get_by_role("searchbox").fill("(555) 010-0999")
        page.keyboard.press("Enter")
        page.get_by_text("As soon as +1 (555) 010-0999 gets one").wait_for()
        assert page.url.endswith("#+15550100999")

    def test_what_is_no_number_is_told_in_words(self, opened, street):
        page = opened()
        page.get_by_role("searchbox").fill("Anna")
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text="Enter a number such as").wait_for()


class TestHostileTexts:
    def test_markup_stays_text(self, opened, street):
        hostile = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
        street.text(hostile)
        page = opened(ANNA)
        wait_for(page, "<script>")
        assert bubbles(page) == [hostile]
        assert page.locator("#texts img, #texts script").count() == 0
        assert "Pretend phone" in page.title()

    def test_a_script_that_is_not_the_pages_own_does_not_run(self, opened, provoked):
        provoked.append("Content Security Policy")
        page = opened()
        page.evaluate(
            "() => { const bad = document.createElement('script');"
            " bad.textContent = 'window.owned = 1'; document.body.append(bad); }"
        )
        assert page.evaluate("() => window.owned") is None

    def test_a_text_without_spaces_stays_inside_the_phone(self, opened, street):
        street.text(LONG)
        page = opened(ANNA)
        wait_for(page, "xxx")
        cut_off = "bubble => bubble.scrollWidth > bubble.clientWidth"
        assert page.locator("#texts .bubble").evaluate(cut_off) is False

    def test_a_link_is_clickable_and_tells_nothing_about_us(self, opened, street):
        street.text("New jobs (https://go.example.com/abc?d=1). Reply STOP")
        page = opened(ANNA)
        wait_for(page, "New jobs")
        link = page.locator("#texts a")
        assert link.get_attribute("href") == "https://go.example.com/abc?d=1"
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert bubbles(page) == ["New jobs (https://go.example.com/abc?d=1). Reply STOP"]

    @pytest.mark.parametrize(
        "text",
        ["javascript:alert(1)", "data:text/html,x", "http://", "https://[broken"],
        ids=["script", "data", "no host", "broken"],
    )
    def test_what_is_no_web_address_is_no_link(self, opened, street, text):
        street.text(text)
        page = opened(ANNA)
        page.locator("#texts .bubble").wait_for()
        assert page.locator("#texts a").count() == 0
        assert bubbles(page) == [text]

    def test_writing_direction_cannot_leave_its_bubble(self, opened, street):
        street.text("\u202eevil")
        page = opened(ANNA)
        wait_for(page, "evil")
        isolated = "bubble => getComputedStyle(bubble).unicodeBidi"
        assert page.locator("#texts .bubble").evaluate(isolated) in {"isolate", "plaintext"}


class TestAnswering:
    def test_stop_goes_to_the_business_that_is_shown(self, opened, street):
        street.text("From the shop", by=SHOP)
        street.text("From the club", by=CLUB)
        page = opened(ANNA)
        wait_for(page, "From the club")
        page.get_by_role("button", name="+1 (555) 019-9001").click()
        page.get_by_role("button", name="STOP", exact=True).click()
        wait_for(page, "STOP")
        assert street.answers == [(ANNA, SHOP, "STOP")]

    def test_enter_sends_what_is_typed_and_empties_the_box(self, opened, street):
        street.text()
        page = opened(ANNA)
        box = page.get_by_role("textbox", name="Answer as this person")
        box.fill("Yes <b>please</b> 👍")
        box.press("Enter")
        wait_for(page, "please")
        assert street.answers == [(ANNA, SHOP, "Yes <b>please</b> 👍")]
        assert box.input_value() == ""

    @pytest.mark.parametrize(
        ("status", "words"),
        [(200, "✓✓ Received (200)"), (403, "Not taken (403)"), (0, "Sending…")],
        ids=["taken", "refused", "not yet answered"],
    )
    def test_what_became_of_an_answer_stands_below_it(self, opened, street, status, words):
        street.takes = status
        street.text()
        page = opened(ANNA)
        page.get_by_role("button", name="HELP").click()
        page.locator("#texts .out .tick", has_text=words).wait_for()

    def test_an_error_is_told_in_words_and_the_text_is_kept(self, opened, street, provoked):
        provoked.append("400 (Bad Request)")
        street.objection = "no account sends from this number"
        street.text()
        page = opened(ANNA)
        box = page.get_by_role("textbox", name="Answer as this person")
        box.fill("Yes")
        box.press("Enter")
        page.get_by_text("Not sent: no account sends from this number.").wait_for()
        assert box.input_value() == "Yes"

    def test_a_text_that_is_too_long_is_not_sent(self, opened, street):
        street.text()
        page = opened(ANNA)
        box = page.get_by_role("textbox", name="Answer as this person")
        box.fill(LONG + "y")
        box.press("Enter")
        page.get_by_text("this one has 1,601").wait_for()
        assert street.answers == []

    def test_a_sender_without_a_number_cannot_be_answered(self, opened, street):
        street.text(by="MG0123")
        page = opened(ANNA)
        page.locator("#texts .bubble").wait_for()
        assert page.get_by_role("button", name="STOP", exact=True).is_disabled()


class TestAskingAgain:
    def test_typed_words_and_place_stay_when_a_text_arrives(self, opened, street):
        for n in range(40):
            street.text(f"Text number {n}")
        page = opened(ANNA)
        wait_for(page, "Text number 39")
        box = page.get_by_role("textbox", name="Answer as this person")
        box.fill("half an ans")
        page.locator("#log").evaluate("log => { log.scrollTop = 100; }")
        street.text("One more")
        page.get_by_role("button", name="New text").wait_for()
        assert page.locator("#log").evaluate("log => log.scrollTop") == 100
        assert box.input_value() == "half an ans"
        page.get_by_role("button", name="New text").click()
        assert page.locator("#newest").is_hidden()

    def test_typed_words_wait_for_the_return_to_their_conversation(self, opened, street):
        street.text("For Anna", to=ANNA)
        street.text("For Ben", to=BEN)
        page = opened(ANNA)
        wait_for(page, "For Anna")
        box = page.get_by_role("textbox", name="Answer as this person")
        box.fill("for Anna's shop")
        page.locator("#list button", has_text="0456").click()
        wait_for(page, "For Ben")
        assert box.input_value() == ""
        page.locator("#list button", has_text="0123").click()
        wait_for(page, "For Anna")
        assert box.input_value() == "for Anna's shop"

    def test_the_box_is_a_line_high_in_each_conversation(self, opened, street):
        street.text("For Anna", to=ANNA)
        street.text("For Ben", to=BEN)
        page = opened(ANNA)
        wait_for(page, "For Anna")
        page.locator("#list button", has_text="0456").click()
        wait_for(page, "For Ben")
        assert 25 <= page.locator("#words").bounding_box()["height"] <= 45

    def test_a_simulator_that_is_gone_is_told_and_the_texts_stay(self, opened, street, provoked):
        provoked += ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"]
        street.text("Still here")
        page = opened(ANNA)
        wait_for(page, "Still here")
        street.stop()
        page.get_by_text("The simulator does not answer").wait_for()
        assert bubbles(page) == ["Still here"]


class TestOnASmallScreen:
    def test_a_phone_opens_over_the_list_and_back_leads_to_it(self, opened, page, street):
        page.set_viewport_size(PHONE_SIZE)
        street.text("For Anna")
        opened()
        page.locator("#list button").click()
        wait_for(page, "For Anna")
        assert page.locator("#list").is_hidden()
        page.get_by_role("button", name="Back to the phones").click()
        page.locator("#list button").wait_for()
        assert page.locator("#log").is_hidden()

    def test_nothing_is_wider_than_the_screen(self, opened, page, street):
        page.set_viewport_size({"width": 320, "height": 568})
        street.text(LONG)
        opened(ANNA)
        wait_for(page, "xxx")
        assert page.evaluate("() => document.documentElement.scrollWidth") == 320
        assert page.get_by_role("button", name="STOP", exact=True).is_visible()

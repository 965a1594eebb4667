"""The pretend mailbox in a browser, against the server that the simulator has."""

from __future__ import annotations

import asyncio
import threading
from email.message import EmailMessage

import pytest
import uvloop

from providers.simulator_behaviour import BadControl
from providers.simulator_http import Connection
from providers.simulator_ledger import Ledger, Submission
from providers.simulator_mailbox import Mailboxes
from tests.staff import shoot

pytest_plugins = ["tests.browser"]

ANNA, BEN = "anna@example.com", "ben@example.com"
PHONE_SIZE = {"width": 390, "height": 844}


class Post:
    """Mailboxes that can be mailed to; the server runs in a thread with a loop of its own."""

    def __init__(self, path):
        self.said, self.followed = [], []
        self.objection = ""
        self.answer = 200
        self._path = path
        self._open_ones = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()))

    async def _serve(self):
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._ledger = Ledger(self._path)
        boxes = Mailboxes(ledger=self._ledger, say=self._say, follow=self._follow)

        def handle(request, connection):
            connection.answer(boxes.handle(request))

        server = await self._loop.create_server(
            lambda: Connection(handle, self._open_ones), "127.0.0.1", 0
        )
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mail"
        self._ready.set()
        await self._ended.wait()
        server.close()
        for connection in list(self._open_ones):
            connection.abort()
        while self._open_ones:
            await asyncio.sleep(0)
        self._ledger.close()

    def _say(self, entry, report, answered):
        if self.objection:
            raise BadControl(self.objection)
        self.said.append(report.word)
        answered(self.answer)

    def _follow(self, entry, url, answered):
        self.followed.append(url)
        answered(self.answer)

    def start(self):
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self):
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(10)

    def mail(
        self, subject="Two new jobs", *, to=ANNA, html="", url="http://127.0.0.1/u/1", mailto=""
    ):
        """The mailbox gets a mail."""
        message = EmailMessage()
        message["From"], message["To"] = "The Shop <jobs@shop.example.com>", to
        message["Subject"] = subject
        if mailto:
            message["List-Unsubscribe"] = f"<mailto:{mailto}?subject=unsubscribe>"
        elif url:
            message["List-Unsubscribe"] = f"<{url}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content("Hi, two new jobs.")
        if html:
            message.add_alternative(html, subtype="html")
        sent = Submission(
            *("smtp", "shop", "jobs@shop.example.com", to, "Hi, two new jobs.", "r1"),
            mail=message.as_string(),
        )
        done = threading.Event()

        def note():
            self._ledger.note(sent, verdict="accepted", took=True, provider_ref="Q1")
            self._ledger.flush()
            done.set()

        self._loop.call_soon_threadsafe(note)
        assert done.wait(10)


@pytest.fixture
def post(tmp_path):
    post = Post(tmp_path / "ledger.jsonl")
    post.start()
    yield post
    post.stop()


@pytest.fixture
def provoked():
    return ["status of 400"]


def text_of(page, selector):
    return page.locator(selector).inner_text()


class TestTheList:
    def test_tells_that_nothing_has_arrived(self, post, page):
        page.goto(post.url)
        page.get_by_text("No e-mail has arrived yet").wait_for()

    def test_shows_a_mailbox_by_itself_and_opens_it(self, post, page):
        page.goto(post.url)
        post.mail()
        page.get_by_role("button", name=ANNA).click()
        page.get_by_role("heading", name="Two new jobs").wait_for()
        assert text_of(page, "article pre") == "Hi, two new jobs."

    def test_says_what_is_no_address(self, post, page):
        page.goto(post.url)
        page.get_by_placeholder("Find or open an address").fill("anna")
        page.keyboard.press("Enter")
        page.get_by_text("Type an address such as anna@example.com").wait_for()

    def test_opens_an_address_that_has_no_mail_yet(self, post, page):
        page.goto(post.url)
        page.get_by_placeholder("Find or open an address").fill(BEN)
        page.keyboard.press("Enter")
        page.get_by_text("As soon as one does, it shows up here by itself.").wait_for()
        post.mail(to=BEN)
        page.get_by_role("heading", name="Two new jobs").wait_for()

    def test_finds_by_a_part(self, post, page):
        post.mail()
        post.mail(to=BEN)
        page.goto(post.url)
        page.get_by_role("button", name=ANNA).wait_for()
        page.get_by_placeholder("Find or open an address").fill("ben")
        assert page.locator("#list b").all_inner_texts() == [BEN]


class TestAMail:
    def test_shows_html_in_a_frame_that_runs_nothing(self, post, page):
        post.mail(html="<h1>Jobs</h1><script>parent.document.title = 'x'</script>")
        page.goto(f"{post.url}#{ANNA}")
        frame = page.frame_locator("article iframe")
        frame.get_by_role("heading", name="Jobs").wait_for()
        assert page.title() == f"{ANNA} · Pretend mailbox"

    @pytest.fixture
    def provoked(self):
        return ["Blocked script execution"]

    def test_shows_its_text_instead_when_asked(self, post, page):
        post.mail(html="<h1>Jobs</h1>")
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("button", name="Text").click()
        assert text_of(page, "article pre") == "Hi, two new jobs."
        assert page.locator("article iframe").is_hidden()

    def test_its_words_are_words_and_never_html(self, post, page):
        post.mail("<img src=x onerror=alert(1)>")
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("heading", name="<img src=x onerror=alert(1)>").wait_for()

    def test_fits_a_narrow_screen(self, post, page):
        post.mail("x" * 300, html="<p>Hi</p>")
        page.set_viewport_size(PHONE_SIZE)
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("button", name="Complain").wait_for()
        shoot(page, "mailbox")
        page.set_viewport_size(PHONE_SIZE)
        page.get_by_role("button", name="All").click()
        page.get_by_role("button", name=ANNA).wait_for()


class TestAct:
    def test_unsubscribe_follows_the_address_in_the_mail(self, post, page):
        post.mail()
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("button", name="Unsubscribe").click()
        page.get_by_text("✓ The click was received (200)").wait_for()
        assert post.followed == ["http://127.0.0.1/u/1"]

    def test_leave_by_mail_writes_to_the_account(self, post, page):
        post.mail(mailto="unsubscribe+r1@bounces.example.com")
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("button", name="Leave by mail").click()
        page.get_by_text("✓ The mail was received (200)").wait_for()
        assert post.said == ["unsubscribed"]

    def test_leave_by_mail_needs_an_address(self, post, page):
        post.mail()
        page.goto(f"{post.url}#{ANNA}")
        assert page.get_by_role("button", name="Leave by mail").is_disabled()

    def test_complain_tells_the_account(self, post, page):
        post.mail()
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("button", name="Complain").click()
        page.get_by_text("✓ The complaint was received (200)").wait_for()
        assert post.said == ["complaint"]

    def test_says_when_it_was_not_taken(self, post, page):
        post.answer = 503
        post.mail()
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("button", name="Complain").click()
        page.get_by_text("The complaint was not taken (503)").wait_for()

    def test_says_why_it_cannot_be_done(self, post, page):
        post.objection = "the account shop has no inbound_url"
        post.mail()
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("button", name="Complain").click()
        page.get_by_text("Not done: the account shop has no inbound_url.").wait_for()

    def test_unsubscribe_is_not_offered_where_the_mail_does_not(self, post, page):
        post.mail(url="")
        page.goto(f"{post.url}#{ANNA}")
        page.get_by_role("button", name="Unsubscribe").wait_for()
        assert page.get_by_role("button", name="Unsubscribe").is_disabled()

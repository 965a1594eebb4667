"""How an account is heard: unknown outcomes, words we do not know, its listings; and its page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from brands import clock
from delivery import hearing, words
from delivery.hearing import Doubt, Share
from delivery.models import InboundSweep
from delivery.outcomes import apply_reports
from providers.base import Accepted, NotSent, Unknown
from tests.delivery.walking import come_back, hand_over, reported
from tests.factories import NOON, fill_queue, make_account, make_number, make_slot, set_clock
from tests.staff import client_of, log_in, make_user, shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
LOST = Unknown("timeout")


@pytest.fixture
def sent(lane, journal):
    """So many messages of an account with this outcome."""

    def sent(many, outcome, lane=lane):
        fill_queue(make_slot(lane), lane, many, now=clock.now())
        intents = hand_over(journal)
        come_back(intents, outcome)
        return intents

    return sent


class TestUnknownOutcomes:
    def test_are_counted_among_all_that_left(self, sent, lane):
        sent(2, LOST)
        sent(6, Accepted("SM1"))
        assert hearing.doubt(lane.account_id) == Doubt(Share(2, 8), Share(2, 8), is_of_newest=False)

    def test_still_count_when_a_report_has_settled_them(self, sent, lane):
        (intent,) = sent(1, LOST)
        apply_reports([reported(intent)])
        assert hearing.doubt(lane.account_id).hour == Share(1, 1)

    def test_are_none_of_another_account(self, sent, lane):
        sent(1, LOST)
        sent(3, Accepted("SM1"), make_number())
        assert hearing.doubt(lane.account_id).hour == Share(1, 1)

    def test_leave_out_what_certainly_did_not_leave(self, sent, lane):
        sent(1, LOST)
        sent(1, NotSent("429", throttled=True))
        assert hearing.doubt(lane.account_id).hour == Share(1, 1)

    def test_of_the_hour_are_forgotten_before_those_of_the_day(self, sent, lane):
        sent(1, LOST)
        set_clock(NOON + 2 * HOUR)
        assert hearing.doubt(lane.account_id) == Doubt(Share(0, 0), Share(1, 1), is_of_newest=False)
        set_clock(NOON + 25 * HOUR)
        assert hearing.doubt(lane.account_id).day == Share(0, 0)

    def test_of_more_than_a_page_may_read_are_those_of_the_newest(self, sent, lane, monkeypatch):
        monkeypatch.setattr(hearing, "WALKED", 3)
        sent(2, LOST)
        sent(2, Accepted("SM1"))
        assert hearing.doubt(lane.account_id) == Doubt(Share(1, 3), Share(1, 3), is_of_newest=True)

    def test_take_one_statement(self, sent, lane, statements):
        sent(3, LOST)
        assert statements(lambda: hearing.doubt(lane.account_id)) == 1

    def test_are_said_with_their_share(self):
        assert str(Share(3, 1250)) == "3 of 1,250 (0.24 %)"
        assert str(Share(0, 0)) == "nothing left by it"


def swept(lane, **fields):
    fields = {"next_at": datetime.now(UTC), **fields}
    return InboundSweep.objects.create(account=lane.account, number=lane, **fields)


class TestListings:
    def test_show_those_in_trouble_first(self, lane):
        swept(lane, swept_through=datetime(2026, 11, 21, tzinfo=UTC))
        other = make_number(lane.account)
        swept(other, said="503", failures=1)
        found = hearing.listings(lane.account)
        assert [(one.of, one.said) for one in found] == [(other.value, "503"), (lane.value, "")]

    def test_are_none_of_a_provider_that_lists_nothing(self, sandbox):
        assert hearing.listings(make_account(kind="pineapple")) is None


class TestThePageOfAnAccount:
    def look(self, account):
        url = reverse("admin:providers_provideraccount_change", args=[account.pk])
        return client_of(make_user()).get(url).text

    def test_shows_words_that_we_do_not_know_and_how_often_they_came(self, lane):
        words.note([(lane.account_id, "quantum"), (lane.account_id, "quantum")])
        page = self.look(lane.account)
        assert "quantum" in page
        assert "2 times · first" in page

    def test_shows_the_newest_of_many_words(self, lane):
        words.note((lane.account_id, f"word{n:02}") for n in range(hearing.WORDS_SHOWN + 1))
        page = self.look(lane.account)
        assert sum(f"word{n:02}" in page for n in range(hearing.WORDS_SHOWN + 1)) == 20

    def test_shows_how_many_outcomes_are_unknown(self, sent, lane):
        sent(1, LOST)
        assert "Last hour: 1 of 1 (100.00 %)." in self.look(lane.account)

    def test_shows_no_word_as_markup(self, lane):
        words.note([(lane.account_id, "<script>")])
        assert "<strong>&lt;script&gt;</strong>" in self.look(lane.account)

    def test_says_so_when_nothing_came_yet(self, lane):
        page = self.look(lane.account)
        assert "None came so far." in page
        assert "Last day: nothing left by it." in page
        assert "Not read yet" in page

    def test_has_none_of_it_before_there_is_an_account(self, sandbox):
        page = client_of(make_user()).get(reverse("admin:providers_provideraccount_add")).text
        assert "How it is heard" not in page


def test_the_page_opens_and_fits_a_phone(page, site):
    account = make_account(name="An account with a long name that somebody thought was a good one")
    lane = make_number(account)
    log_in(page, site, make_user(username="kim"))
    path = reverse("admin:providers_provideraccount_change", args=[account.pk])
    page.goto(f"{site}{path}")
    shoot(page, "account-not-heard-yet")
    words.note([(account.pk, "a-very-long-word-of-theirs-of-forty-letters")] * 1234)
    words.note([(account.pk, "PARTIALLY_DELIVERED")])
    swept(lane, swept_through=datetime(2026, 11, 21, 12, tzinfo=UTC), found=3)
    swept(make_number(account), said="BrokenOff", failures=2)
    page.goto(f"{site}{path}")
    page.get_by_text("PARTIALLY_DELIVERED").wait_for()
    shoot(page, "account-heard")

"""Texts whose webhook was lost: the simulator lists them, and they pass the webhooks' door."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.urls import get_resolver

from delivery import sql, sweeping, tasks
from delivery.claims import REPLIES
from delivery.models import Inbound, InboundReview, InboundSweep
from delivery.sweeping import FIRST_LOOK, OVERLAP, Swept
from providers.models import ProviderAccount, SenderNumber
from tests.delivery.callers import text
from tests.delivery.providing import Provider
from tests.delivery.texting import answers, is_out, on_hold
from tests.delivery.walking import hand_over
from tests.factories import (
    NOON,
    make_account,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_slot,
    phone,
)
from tests.faults.world import running_simulator
from tests.providers.peers import answer

pytestmark = pytest.mark.django_db

KINDS = ["twilio", "sinch", "simpletexting"]
NAMED_BY = {"twilio": "account_sid", "plivo": "auth_id", "sinch": "service_plan_id"}
MINUTE = timedelta(minutes=1)
REAL_NOW = "UPDATE delivery_inboundsweep SET next_at = clock_timestamp()"
BACK = "UPDATE delivery_inboundsweep SET next_at = clock_timestamp(), swept_through = %s"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    with running_simulator(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def addresses():
    """To load them takes seconds, which no open transaction of a text may stand still for."""
    return get_resolver().url_patterns


@pytest.fixture
def line(simulator, sandbox):
    """A number of a brand, on an account of this kind with the simulator."""

    def line(kind="twilio", **fields):
        fields = {"base_url": f"http://127.0.0.1:{simulator.port}", **fields}
        return make_number(make_account(kind=kind, **fields), brand=make_brand())

    return line


@pytest.fixture
def lane(line):
    return line()


@pytest.fixture
def lost(simulator):
    """A text that its provider took, and of which no webhook came."""

    def lost(lane, sender, words="STOP"):
        access = lane.account.access()
        account = {
            "provider": access.kind,
            "name": access.secrets[NAMED_BY.get(access.kind, "api_token")],
        }
        simulator.obey(
            account={**account, "token": "t0", "inbound_url": "http://127.0.0.1:9/in"},
        )
        sender = getattr(sender, "phone", sender)
        told = {"account": account["name"], "provider": account["provider"], "lost": True}
        simulator.obey(inbound={"from": sender, "to": lane.value, "text": words, **told})

    return lost


@pytest.fixture
def broken():
    """A provider that answers every question with 503."""
    provider = Provider()
    provider.read = lambda body: ({}, "")
    provider.answer = lambda fields: answer(503)
    yield provider
    provider.stop()


def due_again():
    sql.count(REAL_NOW)


def texts():
    return list(Inbound.objects.order_by("id").values_list("text", flat=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_whose_webhook_was_lost_stops_what_has_no_intent_yet(line, lost, journal, kind):
    lane = line(kind)
    lead = make_lead(lane.brand)
    message = make_due(make_slot(lane, brand=lane.brand), lead, lane, now=NOON)
    lost(lane, lead.person)
    assert sweeping.sweep() == Swept(1, has_answers=True)
    (confirmation,) = hand_over(journal)
    assert confirmation.queue == REPLIES
    message.refresh_from_db()
    assert (message.status, message.reason) == ("refused", "opted_out")
    assert is_out(lead.person, lane.brand)


def test_what_is_listed_again_is_applied_once(lane, lost):
    lost(lane, make_person(), "START")
    assert sweeping.sweep().found == 1
    due_again()
    assert sweeping.sweep() == Swept()
    assert (texts(), answers()) == (["START"], ["join"])
    assert InboundSweep.objects.get().found == 1


def test_what_a_webhook_brought_is_not_brought_again(lane, lost):
    sender = phone()
    lost(lane, sender, "hello")
    sweeping.sweep()
    ref = Inbound.objects.get().provider_ref
    Inbound.objects.all().delete()
    text(lane.account, provider_ref=ref, sender=sender, to=lane.value, text="hello")
    due_again()
    assert sweeping.sweep() == Swept()
    assert texts() == ["hello"]


def test_all_pages_are_read_and_the_oldest_of_each_is_first(line, lost, monkeypatch):
    lane = line("sinch")
    monkeypatch.setattr("providers.adapters.sinch.LISTING_PAGE", 2)
    for n in range(5):
        lost(lane, phone(), f"text {n}")
    assert sweeping.sweep().found == 5
    assert texts() == ["text 3", "text 4", "text 1", "text 2", "text 0"]
    row = InboundSweep.objects.get()
    assert (row.page, row.began_at, row.turn) == ("", None, 3)


@pytest.mark.parametrize("kind", ["twilio", "plivo", "simpletexting"])
def test_every_provider_s_pages_lead_to_the_last(line, lost, monkeypatch, kind):
    module = f"providers.adapters.{kind}"
    monkeypatch.setattr(f"{module}.{'LOOK_UP_PAGE' if kind == 'plivo' else 'LISTING_PAGE'}", 2)
    monkeypatch.setattr(sweeping, "WORDS_MAY_COME", timedelta())
    lane = line(kind)
    for n in range(5):
        lost(lane, phone(), f"text {n}")
    assert sweeping.sweep().found == 5


def test_time_that_is_up_between_two_texts_leaves_the_page_for_the_next_turn(lane, lost):
    for _ in range(3):
        lost(lane, phone(), "hello")
    goes_on = iter([True, True, True, False, False]).__next__
    assert sweeping.sweep(goes_on).found == 2
    row = InboundSweep.objects.get()
    assert (row.swept_through, row.began_at is None) == (None, False)
    assert sweeping.sweep().found == 1
    assert InboundSweep.objects.get().swept_through == row.began_at


class TestHowFarItWasRead:
    def test_is_where_the_reading_began_in_real_time(self, lane):
        before = datetime.now(UTC)
        sweeping.sweep()
        row = InboundSweep.objects.get()
        assert before - MINUTE < row.swept_through < datetime.now(UTC) + MINUTE
        pause = timedelta(seconds=settings.SWEEP_EVERY_SECONDS)
        assert row.next_at - row.swept_through >= pause

    def test_stays_when_the_provider_answers_with_an_error(self, lane, broken, caplog):
        through = datetime.now(UTC) - 10 * MINUTE
        sweeping.begin_new()
        sql.count(BACK, through)
        ProviderAccount.objects.update(base_url=f"http://127.0.0.1:{broken.port}")
        with caplog.at_level(logging.WARNING):
            sweeping.sweep()
        row = InboundSweep.objects.get()
        assert (row.swept_through, row.said, row.failures) == (through, "503", 1)
        assert "a provider did not list its texts" in caplog.text
        due_again()
        sweeping.sweep()
        assert InboundSweep.objects.get().failures == 2

    def test_moves_on_after_the_error_is_over(self, lane, lost):
        address = lane.account.base_url
        ProviderAccount.objects.update(base_url="http://127.0.0.1:9")
        lost(lane, phone(), "hello")
        sweeping.sweep()
        assert InboundSweep.objects.get().failures == 1
        ProviderAccount.objects.update(base_url=address)
        due_again()
        assert sweeping.sweep().found == 1
        row = InboundSweep.objects.get()
        assert (row.failures, row.said) == (0, "")

    def test_of_one_account_waits_for_no_other(self, lane, line, lost):
        line(base_url="http://127.0.0.1:9")
        lost(lane, phone(), "hello")
        assert sweeping.sweep().found == 1

    def test_is_a_matter_of_each_number_where_numbers_are_listed(self, lane):
        make_number(lane.account)
        make_number(lane.account, kind="service", value="MG1")
        make_number(lane.account, kind="alphanumeric", value="ACME")
        sweeping.sweep()
        lanes = SenderNumber.objects.filter(kind="long_code").order_by("id")
        swept = InboundSweep.objects.order_by("number").values_list("number", flat=True)
        assert list(swept) == [lane.pk for lane in lanes]

    def test_is_a_matter_of_the_account_where_that_is_listed(self, line):
        lane = line("sinch")
        make_number(lane.account)
        sweeping.sweep()
        assert InboundSweep.objects.get().number_id is None

    def test_is_kept_for_no_provider_that_lists_nothing(self, line):
        line("pineapple")
        sweeping.sweep()
        assert not InboundSweep.objects.exists()

    def test_goes_on_for_a_while_for_what_was_retired(self, lane, lost):
        sweeping.sweep()
        lost(lane, phone(), "hello")
        due_again()
        ProviderAccount.objects.update(retired_at=NOON - timedelta(days=31))
        assert sweeping.sweep().found == 0
        ProviderAccount.objects.update(retired_at=NOON - timedelta(days=1))
        assert sweeping.sweep().found == 1


class TestFromWhenOn:
    NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("age", "back"),
        [
            pytest.param(5 * MINUTE, 5 * MINUTE + OVERLAP, id="every few minutes"),
            pytest.param(120 * MINUTE, 240 * MINUTE, id="after an outage as far back again"),
            pytest.param(timedelta(days=3), timedelta(days=4), id="by a day at most"),
            pytest.param(timedelta(days=30), timedelta(days=14), id="never farther than is kept"),
        ],
    )
    def test_is_before_the_last_one(self, age, back):
        assert sweeping.since(self.NOW - age, self.NOW) == self.NOW - back

    def test_is_a_day_ago_the_first_time(self):
        assert sweeping.since(None, self.NOW) == self.NOW - FIRST_LOOK


class TestALateText:
    def test_was_received_when_it_was_sent_by_the_installation_s_clock(self, lane, lost):
        lost(lane, phone(), "hello")
        sweeping.sweep()
        assert abs(Inbound.objects.get().received_at - NOON) < MINUTE

    def test_that_says_stop_is_confirmed_to_nobody_hours_later(self, lane, listed):
        person = make_person()
        listed(lane, person, "STOP", age=timedelta(hours=3))
        assert is_out(person, lane.brand)
        assert answers() == []

    def test_that_says_join_is_looked_at_by_a_person(self, lane, listed):
        listed(lane, make_person(), "START", age=timedelta(hours=3))
        assert answers() == []
        assert InboundReview.objects.count() == 1


@pytest.fixture
def listed(monkeypatch, lost):
    """Sweep up a text that its provider says to be so old."""

    def listed(lane, sender, words, *, age):
        monkeypatch.setattr(sweeping, "_sent_at", lambda _: datetime.now(UTC) - age)
        lost(lane, sender, words)
        sweeping.sweep()

    return listed


class TestATextWithoutItsWords:
    def test_waits_for_its_webhook(self, line, lost):
        lane = line("plivo")
        lost(lane, phone(), "STOP")
        assert sweeping.sweep().found == 0
        assert texts() == []

    def test_holds_its_sender_when_none_comes(self, line, listed):
        lane, person = line("plivo"), make_person()
        listed(lane, person, "STOP", age=timedelta(minutes=11))
        assert on_hold(person)
        assert (texts(), InboundReview.objects.count()) == ([""], 1)

    def test_is_a_stop_when_the_webhook_comes_after_all(self, line, listed):
        lane, person = line("plivo"), make_person()
        listed(lane, person, "STOP", age=timedelta(minutes=11))
        ref = Inbound.objects.get().provider_ref
        fields = {"sender": person.phone, "to": lane.value, "text": "STOP"}
        assert text(lane.account, provider_ref=ref, **fields).status_code == 200
        assert is_out(person, lane.brand)
        assert texts() == ["STOP"]


class TestTwoSweepers:
    def test_never_read_the_same_listing_at_once(self, lane):
        sweeping.begin_new()
        assert len(sweeping._take()) == 1
        assert sweeping._take() == []

    def test_share_what_is_due(self, lane, line, monkeypatch):
        line()
        sweeping.begin_new()
        monkeypatch.setattr(sweeping, "CHUNK", 1)
        ((first,), (second,)) = sweeping._take(), sweeping._take()
        assert first.account_id != second.account_id

    def test_of_which_one_stood_still_write_down_what_the_other_read(self, lane, lost):
        """The lease of the first one runs out while it reads."""
        lost(lane, phone(), "hello")
        sweeping.begin_new()
        (slow,) = sweeping._take()
        due_again()
        assert sweeping.sweep().found == 1
        row = InboundSweep.objects.get()
        sweeping._write([], [(slow, "7", 1)], [])
        again = InboundSweep.objects.get()
        assert (again.page, again.found, again.next_at) == ("", 1, row.next_at)


def test_an_account_whose_credentials_cannot_be_read_is_tried_again_later(lane):
    ProviderAccount.objects.update(sealed_credentials=b"broken")
    sweeping.sweep()
    assert InboundSweep.objects.get().said == "no_credentials"


def test_ten_listings_take_as_many_statements_as_one(lane, line, statements):
    sweeping.sweep()

    def swept():
        due_again()
        sweeping.sweep()

    one = statements(swept)
    for _ in range(9):
        line()
    sweeping.begin_new()
    assert statements(swept) == one


def test_the_job_wakes_the_worker_of_replies(lane, lost, monkeypatch):
    called = []
    monkeypatch.setattr(tasks, "call_replies", lambda: called.append(True))
    lost(lane, make_person())
    assert tasks.sweep_inbound() == 1
    assert called == [True]

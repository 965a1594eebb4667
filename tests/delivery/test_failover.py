"""A route with two accounts in order: what the first does not take leaves by the second."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from brands import clock
from brands.models import Brand
from campaigns.models import Slot
from compliance.models import Person
from delivery import picking, pipeline, sql, worker
from delivery.models import Attempt, Due, Message
from delivery.routing import move_resting
from delivery.sender import Sender
from delivery.worker import Slice
from providers import rates
from providers.base import Accepted, ErrorClass, Fault, NotSent, Rejected, Unknown
from providers.models import ProviderAccount, RouteNumber, SenderNumber
from providers.simulator_ledger import read_ledger
from tests.delivery import walking
from tests.delivery.providing import Provider
from tests.delivery.walking import come_back
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_slot,
)
from tests.faults.world import pass_over_magic_numbers, running_simulator

pytestmark = pytest.mark.django_db

FAULT = NotSent("20003", fault=Fault.ACCOUNT)
UNREACHABLE = NotSent("no_connection", unreachable=True)
OPTED_OUT = Rejected(ErrorClass.PERMANENT_RECIPIENT, "21610", opted_out=True)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def first(sandbox):
    return make_number()


@pytest.fixture
def slot(first):
    return make_slot(first)


@pytest.fixture
def second(slot):
    """A number of another account, next in the order of the route."""
    number = make_number()
    RouteNumber.objects.create(route=slot.route, number=number, order=1)
    return number


@pytest.fixture
def message(slot, first):
    return make_due(slot, make_lead(slot.campaign.brand), first, now=NOON)


@pytest.fixture
def back(message, journal):
    """Hand over what is due, and let it come back like this."""

    def back(outcome):
        intents = walking.hand_over(journal)
        come_back(intents, outcome)
        return intents

    return back


def status():
    return Message.objects.get().status


def lanes_of_what_waits():
    return set(Due.objects.values_list("lane_id", flat=True))


def picked():
    """The lanes that a worker would ask for tokens of."""
    return [lane_id for _, lane_id, *_ in sql.rows(picking.WHOLE_OUTLINE, 500)]


class TestAMessage:
    @pytest.mark.parametrize("outcome", [FAULT, UNREACHABLE], ids=["fault", "unreachable"])
    def test_leaves_with_the_next_claim_by_the_other_account(self, second, back, outcome):
        back(outcome)
        (again,) = back(Accepted("u1"))
        assert (again.lane_id, again.account_id) == (second.pk, second.account_id)
        assert status() == "accepted"

    def test_shows_its_attempts_with_both(self, first, second, back):
        back(FAULT)
        back(Accepted("u1"))
        seen = Attempt.objects.order_by("id").values_list("account", "outcome", "code", "fault")
        assert list(seen) == [
            (first.account_id, "not_sent", "20003", "account"),
            (second.account_id, "accepted", "", ""),
        ]

    def test_keeps_its_words_and_its_link_and_has_a_new_reference(self, second, back):
        back(FAULT)
        back(Accepted("u1"))
        old, new = Attempt.objects.order_by("id")
        assert old.text == new.text
        assert old.ref != new.ref

    def test_counts_once(self, second, back):
        back(FAULT)
        back(Accepted("u1"))
        assert set(walking.caps().values()) == {1}
        assert len(Person.objects.get().recent) == 1

    @pytest.mark.parametrize(
        "outcome",
        [OPTED_OUT, Rejected(ErrorClass.PERMANENT_CONTENT, "30007"), Unknown("timeout")],
        ids=["opted-out", "rejected", "unknown"],
    )
    def test_never_goes_over_once_a_provider_answered_otherwise(self, second, back, outcome):
        back(outcome)
        assert not Due.objects.exists()
        assert back(Accepted("u1")) == []
        assert status() in {"rejected", "unknown"}

    def test_waits_when_both_refuse_us_and_never_bounces(self, second, back):
        back(FAULT)
        back(NotSent("401", fault=Fault.ACCOUNT))
        due = Due.objects.get()
        assert (due.lane, due.reason, due.tries) == (second, "account_fault", 2)
        assert due.not_before > clock.now()
        assert move_resting() == 0

    def test_goes_on_when_one_of_them_is_mended(self, first, second, back):
        back(FAULT)
        back(NotSent("401", fault=Fault.ACCOUNT))
        mended = ProviderAccount.objects.filter(pk=first.account_id)
        mended.update(paused_at=None, fault="", resumed_at=clock.now())
        assert move_resting() == 1
        (again,) = back(Accepted("SM1"))
        assert again.lane_id == first.pk


class TestWhatWaits:
    """Rows of a number that nobody has claimed yet."""

    @pytest.fixture
    def waiting(self, slot, first, message, back):
        """Ten that are due, and half an hour ahead ten more."""
        fill_queue(slot, first, 10, now=NOON, not_before=NOON + 30 * MINUTE)

        def waiting(outcome):
            back(outcome)
            Due.objects.filter(message=message).delete()
            Message.objects.filter(pk=message.pk).update(status="cancelled")
            fill_queue(slot, first, 10, now=NOON)

        return waiting

    @pytest.mark.parametrize("outcome", [FAULT, UNREACHABLE], ids=["fault", "unreachable"])
    def test_moves_to_the_other_account(self, first, second, waiting, outcome):
        waiting(outcome)
        assert (picked(), lanes_of_what_waits()) == ([], {first.pk})
        assert move_resting() == 20
        assert (picked(), lanes_of_what_waits()) == ([second.pk], {second.pk})
        assert Due.objects.filter(not_before__gt=clock.now()).count() == 10

    def test_stays_without_another_account_and_is_picked_when_the_rest_ends(self, first, waiting):
        waiting(UNREACHABLE)
        assert (move_resting(), picked()) == (0, [])
        SenderNumber.objects.update(rests_until=clock.now())
        assert picked() == [first.pk]

    def test_stays_while_the_other_account_is_paused_itself(self, first, second, waiting):
        ProviderAccount.objects.filter(pk=second.account_id).update(paused_at=NOON)
        waiting(UNREACHABLE)
        assert (move_resting(), lanes_of_what_waits()) == (0, {first.pk})

    def test_that_is_a_reply_leaves_by_another_number_of_its_brand(self, slot, first, second):
        reply = walking.make_reply(make_person(), slot.campaign.brand, first)
        foreign = walking.make_reply(make_person(), make_brand(), first)
        SenderNumber.objects.filter(pk=first.pk).update(paused_at=NOON)
        assert move_resting() == 1
        assert Due.objects.get(message=reply).lane == second
        assert Due.objects.get(message=foreign).lane == first


# --- with real requests --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    with running_simulator(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture
def slice_(monkeypatch, journal, sandbox, redis):
    """A worker's, with a sender of its own.

    However long it takes: nothing is too late, and no batch is smaller than the one before.
    """
    for name in ("TOKENS_LAST", "WRITE_WITHIN"):
        monkeypatch.setattr(pipeline, name, 60.0)
    monkeypatch.setattr(worker, "DECIDE_WITHIN", 60.0)
    breaker = rates.Breaker()
    sender = Sender(breaker)
    monkeypatch.setattr(worker, "breaker", lambda: breaker)
    monkeypatch.setattr(worker, "sender", lambda: sender)
    yield Slice(sandbox, journal)
    sender.stop()


@pytest.fixture
def run(slice_):
    """One claim of a worker's, all of it stored; says how many rows it took."""

    def run():
        for _ in range(100):  # what it knows of the queue may be a fifth of a second old
            rows = slice_.turn()
            while slice_.sender.under_way or slice_.unstored:
                slice_.store(wait=0.05)
            if rows:
                return rows
        raise AssertionError("nothing was claimed")

    return run


def fill_buckets(redis, installation):
    """What the numbers may send in a tenth of a second; that is more than these tests send."""
    numbers = list(SenderNumber.objects.select_related("account"))
    brand_id = Brand.objects.get().pk
    wants = [
        rates.Want(
            queue=1, lane_id=number.pk, account_id=number.account_id, brand_id=brand_id,
            rows=0, segments_each=1,
        )
        for number in numbers
    ]  # fmt: skip
    rates.grant(
        redis,
        installation=str(installation.identity),
        wants=wants,
        limits=rates.Limits(lanes={number.pk: number.segments_per_second for number in numbers}),
        returned=rates.Returned(),
        read_mark=picking.read_mark,
    )
    time.sleep(0.1)


@pytest.fixture
def two_providers(simulator, settings, sandbox, redis):
    """A Twilio account and then a Plivo account, and forty messages that wait for the first."""

    def two_providers(*, first_at="", in_flight=256):
        settings.SEND_BATCH = 20
        pass_over_magic_numbers(60)
        here = f"http://127.0.0.1:{simulator.port}"
        accounts = (
            make_account(base_url=first_at or here, in_flight=in_flight),
            make_account(kind="plivo", base_url=here),
        )
        lanes = [make_number(account) for account in accounts]
        slot = make_slot(lanes[0])
        RouteNumber.objects.create(route=slot.route, number=lanes[1], order=1)
        fill_queue(slot, lanes[0], 40, now=NOON)
        fill_buckets(redis, sandbox)
        return accounts

    return two_providers


def sent_by(account, outcome):
    return Attempt.objects.filter(account=account, outcome=outcome).count()


def assert_each_was_taken_once(simulator, attempts):
    refs = set(Attempt.objects.values_list("ref", flat=True))
    mine = [entry for entry in read_ledger(simulator.ledger) if entry.submission.ref in refs]
    taken = [entry.submission.to for entry in mine if entry.took]
    assert sorted(taken) == sorted(Person.objects.values_list("phone", flat=True))
    assert len(mine) == attempts
    assert not Due.objects.exists()
    walking.assert_all_adds_up()


class TestWithRealRequests:
    def test_a_provider_that_refuses_us_half_way_costs_each_message_one_more_claim(
        self, two_providers, simulator, run, caplog
    ):
        first, second = two_providers()
        assert run() == 20
        sid = first.access().secrets["account_sid"]
        simulator.obey(mode="refuse_401", account=sid)
        assert [run(), run()] == [20, 20]
        assert (sent_by(first, "accepted"), sent_by(first, "not_sent")) == (20, 20)
        assert sent_by(second, "accepted") == 20
        assert set(Message.objects.values_list("status", flat=True)) == {"accepted"}
        assert [line.message for line in caplog.records].count("paused after a fault") == 1
        assert_each_was_taken_once(simulator, attempts=60)

    def test_a_provider_that_is_away_costs_each_message_one_more_claim(
        self, two_providers, simulator, run
    ):
        _, second = two_providers(first_at="http://127.0.0.1:9")
        assert run() == 20
        assert move_resting() == 20  # what was not claimed yet
        assert [run(), run()] == [20, 20]
        assert sent_by(second, "accepted") == 40
        assert_each_was_taken_once(simulator, attempts=40)


class TestAProviderThatHangs:
    """It takes requests and answers none; each would be given up after fifteen seconds."""

    @pytest.fixture
    def hanging(self, two_providers, slice_):
        """More messages wait for it than a worker has in hand at once, and others for another."""
        provider = Provider()
        provider.go_on.clear()
        here = f"http://127.0.0.1:{provider.port}"
        hanging, healthy = two_providers(first_at=here, in_flight=30)
        fill_queue(Slot.objects.get(), healthy.numbers.get(), 100, now=NOON)
        yield hanging
        provider.go_on.set()
        while slice_.sender.under_way:
            slice_.store(wait=0.05)
        provider.stop()

    def test_keeps_nothing_of_the_others_back(self, hanging, slice_):
        """All of theirs has left and was answered before the first of its own is given up."""
        while Attempt.objects.exclude(account=hanging).filter(outcome="accepted").count() < 100:
            slice_.turn()
            assert not Attempt.objects.filter(account=hanging, outcome="unknown").exists()
        assert Attempt.objects.filter(account=hanging, outcome="").exists()

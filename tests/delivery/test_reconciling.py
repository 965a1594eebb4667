"""Sends that were perhaps taken: the simulator is asked, at the times of the ladder."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from brands import clock
from brands.models import Brand
from compliance.models import Person
from delivery import reconciling
from delivery.ladder import LADDER
from delivery.models import Attempt, Lookup, Message
from delivery.outcomes import apply_reports
from leads.models import Lead
from providers.base import REQUEST_SECONDS, Accepted, Unknown
from providers.models import ProviderAccount, SenderNumber
from providers.registry import adapter
from providers.simulator_ledger import read_ledger
from providers.transport import CONNECT_SECONDS, Transport
from tests.delivery.walking import come_back, hand_over, reported
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_due,
    make_number,
    make_slot,
    set_clock,
)
from tests.faults.world import pass_over_magic_numbers, running_simulator

pytestmark = pytest.mark.django_db

UNKNOWN = Unknown("timeout")
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    with running_simulator(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture
def doubtful(simulator, sandbox, journal):
    """So many messages whose answers were lost; `taken` says whether the provider has them."""

    def doubtful(many=1, *, kind="twilio", taken=True, outcome=UNKNOWN, **account):
        here = {"base_url": f"http://127.0.0.1:{simulator.port}", **account}
        lane = make_number(make_account(kind=kind, **here))
        pass_over_magic_numbers(many)
        fill_queue(make_slot(lane), lane, many, now=NOON)
        intents = hand_over(journal)
        if taken:
            asyncio.run(submit(intents))
        come_back(intents, outcome)
        return intents

    return doubtful


async def submit(intents):
    """One after the other, as many requests as messages."""
    async with Transport() as transport:
        for intent in intents:
            speaks = adapter(intent.access.kind)
            outcomes = await transport.send(speaks, [intent.send], intent.access)
            assert isinstance(outcomes[intent.send.ref], Accepted)


def another(journal):
    """The intents of one more message to the same person, by the same number."""
    Person.objects.update(recent=[])
    lane = SenderNumber.objects.get()
    slot = make_slot(lane, brand=Brand.objects.get())
    make_due(slot, Lead.objects.get(), lane, now=clock.now())
    return hand_over(journal)


def after(span):
    """The clock stands so long after the intents."""
    set_clock(Lookup.objects.latest("since").since + span + SECOND)


def statuses():
    return list(Message.objects.order_by("id").values_list("status", flat=True))


def rows():
    return list(Lookup.objects.order_by("attempt_id").values_list("tries", "said", "ended_as"))


@pytest.mark.parametrize("kind", ["twilio", "plivo", "sinch", "simpletexting"])
def test_what_the_provider_has_is_accepted(doubtful, kind):
    doubtful(kind=kind)
    after(LADDER[0])
    assert reconciling.look_up() == 1
    assert statuses()[0] in ("accepted", "sent", "delivered")
    assert rows() == [(1, "found", "found")]
    assert Attempt.objects.get().provider_refs != []


def test_nothing_is_asked_before_a_minute_is_over(doubtful):
    doubtful()
    assert reconciling.look_up() == 0
    assert (statuses(), rows()) == (["unknown"], [(0, "", "")])


def test_what_the_provider_does_not_have_is_asked_about_four_times_and_never_sent_again(doubtful):
    doubtful(taken=False)
    for tries, span in enumerate(LADDER, 1):
        assert statuses() == ["unknown"]
        after(span)
        assert reconciling.look_up() == 1
        assert reconciling.look_up() == 0
        assert Lookup.objects.get().tries == tries
    assert (statuses(), rows()) == (["not_found"], [(4, "not listed", "not_found")])
    assert not Attempt.objects.filter(is_not_sent=True).exists()


def test_one_that_turns_up_late_is_found_on_the_next_rung(doubtful):
    (intent,) = doubtful(taken=False)
    after(LADDER[0])
    reconciling.look_up()
    asyncio.run(submit([intent]))
    after(LADDER[1])
    reconciling.look_up()
    assert rows() == [(2, "found", "found")]


def test_a_provider_that_does_not_answer_is_asked_again_and_given_up_at_the_end(doubtful):
    doubtful(taken=False, base_url="http://127.0.0.1:9")
    for span in LADDER:
        after(span)
        reconciling.look_up()
    ((tries, said, ended_as),) = rows()
    assert (tries, ended_as) == (4, "not_found")
    assert said.startswith("no answer: ")


def test_after_a_long_standstill_the_rungs_do_not_fall_together(doubtful):
    """Four questions in one second say no more than one does."""
    doubtful(taken=False, base_url="http://127.0.0.1:9")
    after(LADDER[-1])
    reconciling.look_up()
    assert (statuses(), Lookup.objects.get().tries) == (["unknown"], 1)
    set_clock(clock.now() + LADDER[0] + SECOND)
    reconciling.look_up()
    assert Lookup.objects.get().tries == 2


def test_a_lease_outlasts_the_longest_round():
    longest = reconciling.CHUNK / reconciling.AT_ONCE * (REQUEST_SECONDS + CONNECT_SECONDS)
    assert timedelta(seconds=longest) < reconciling.LEASE


def test_an_account_whose_credentials_cannot_be_read_keeps_no_other_waiting(doubtful):
    doubtful(taken=False)
    ProviderAccount.objects.update(sealed_credentials=b"broken")
    doubtful()
    after(LADDER[0])
    assert reconciling.look_up() == 2
    assert [said for _, said, _ in rows()] == ["no answer: no_credentials", "found"]


def test_a_report_before_the_look_up_spares_it(doubtful):
    (intent,) = doubtful(taken=False)
    apply_reports([reported(intent)])
    after(LADDER[0])
    reconciling.look_up()
    assert (statuses(), rows()) == (["delivered"], [(1, "", "reported")])


def test_two_that_fit_alike_are_told_and_left_open(doubtful, caplog):
    intents = doubtful()
    asyncio.run(submit(intents))
    after(LADDER[0])
    with caplog.at_level(logging.ERROR):
        reconciling.look_up()
    assert rows() == [(1, "2 that fit equally well", "")]
    assert "a look-up found several" in caplog.text
    assert statuses() == ["unknown"]


@pytest.mark.parametrize("taken", [True, False])
def test_what_is_known_to_be_another_message_is_not_taken_for_it(doubtful, journal, taken):
    """The person got the same words twice; the answer to the second was lost."""
    doubtful()
    after(LADDER[0])
    reconciling.look_up()
    intents = another(journal)
    if taken:
        asyncio.run(submit(intents))
    come_back(intents, UNKNOWN)
    after(LADDER[0])
    reconciling.look_up()
    assert rows()[1] == ((1, "found", "found") if taken else (1, "not listed", ""))


def test_one_of_theirs_is_not_taken_for_two_of_ours(doubtful, journal):
    """The person was to get the same words twice, both answers were lost, and one was taken."""
    doubtful(kind="simpletexting")
    come_back(another(journal), UNKNOWN)
    Attempt.objects.update(text=Attempt.objects.earliest("id").text)  # but for its own link
    after(LADDER[0])
    reconciling.look_up()
    assert statuses() == ["unknown", "unknown"]
    assert rows() == [(1, "2 that fit equally well", "")] * 2


@pytest.fixture
def one_more(simulator, journal):
    """Other words to the same person by the same number, taken, and no answer of it stored."""

    return lambda: asyncio.run(submit(another(journal)))


def test_what_may_be_another_of_ours_is_found_for_none(doubtful, one_more):
    """The provider lists no words, and the one it has is not the one that is asked about."""
    doubtful(kind="plivo", taken=False)
    one_more()
    after(LADDER[0])
    reconciling.look_up()
    assert statuses() == ["unknown", "sending"]
    assert rows() == [(1, "2 that fit equally well", "")]


@pytest.fixture
def one_more_meanwhile(one_more, monkeypatch):
    """The same, right before the provider is asked."""
    ask = reconciling._ask

    def sent_before(*args):
        one_more()
        return ask(*args)

    monkeypatch.setattr(reconciling, "_ask", sent_before)


def test_what_was_sent_while_the_provider_was_asked_is_not_taken_for_it(
    doubtful, one_more_meanwhile
):
    doubtful(kind="plivo", taken=False)
    after(LADDER[0])
    reconciling.look_up()
    assert rows() == [(1, "no answer: another was sent meanwhile", "")]


def test_what_goes_by_its_id_is_found_whatever_else_was_sent(
    doubtful, one_more_meanwhile, simulator
):
    doubtful(kind="plivo")
    *_, taken = read_ledger(simulator.ledger)
    Attempt.objects.update(provider_refs=[taken.provider_ref])
    after(LADDER[0])
    reconciling.look_up()
    assert rows() == [(1, "found", "found")]


def test_many_are_asked_about_with_as_many_statements_as_one(doubtful, statements):
    def asked(many):
        doubtful(many)
        after(LADDER[0])
        return statements(reconciling.look_up)

    assert asked(1) == asked(30)
    assert set(statuses()) == {"sent"}


def test_an_attempt_that_is_leased_is_not_asked_about_twice_at_once(doubtful):
    doubtful(taken=False)
    after(LADDER[0])
    assert len(reconciling._take()) == 1
    assert reconciling._take() == []
    set_clock(clock.now() + reconciling.LEASE + SECOND)
    assert len(reconciling._take()) == 1


def test_what_was_taken_for_sure_is_never_asked_about(doubtful):
    doubtful(outcome=Accepted("SM1"))
    assert not Lookup.objects.exists()

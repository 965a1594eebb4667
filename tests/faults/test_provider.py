"""A provider that leaves us without an answer: it got the message once, and once it stays."""

from __future__ import annotations

import pytest

from delivery.models import Attempt
from delivery.states import Status
from tests.faults.provider import answering

WITHOUT_AN_ANSWER = ["close_after_read", "half_answer", "garbage", "500", "503", "close_not_taken"]
UNSTORABLE_IDS = {"too long": "S" * 65, "with a NUL": "SM\x00", "with a DEL": "SM\x7f"}


def recipients(outcome):
    found = Attempt.objects.filter(outcome=outcome)
    return sorted(found.values_list("message__person__phone", flat=True))


def test_a_request_on_a_kept_connection_that_is_read_and_not_answered_is_never_made_again(world):
    def twice_then_silent(number, on_this_connection):
        return f"SM{number}" if on_this_connection < 3 else None

    with answering(twice_then_silent) as provider:
        world.fill(8, twice=0, in_flight=1, url=provider.url)
        world.send_all(world.start())
        world.send_the_rest()
    seen = provider.recipients
    assert len(seen) == len(set(seen)) == 8
    assert recipients("unknown") == sorted([seen[2], seen[5]])
    assert world.count(Status.UNKNOWN, Status.ACCEPTED) == 8


@pytest.mark.parametrize("mode", WITHOUT_AN_ANSWER)
def test_a_request_without_a_clear_answer_is_never_made_again(world, mode):
    world.fill(20, in_flight=4)
    world.simulator.obey(mode=mode, account=world.sid, every=4, count=3)
    world.send_all(world.start())
    assert world.count(Status.UNKNOWN) == 3
    world.send_the_rest()
    assert world.received() == 20
    world.assert_sent_once(unknown=3)


@pytest.mark.parametrize("sid", UNSTORABLE_IDS.values(), ids=UNSTORABLE_IDS)
def test_an_id_that_cannot_be_stored_leaves_its_own_message_in_doubt_and_no_other(world, sid):
    with answering(lambda number, _: sid if number == 3 else f"SM{number}") as provider:
        world.fill(8, twice=0, in_flight=1, url=provider.url)
        world.send_all(world.start())
        world.send_the_rest()
    assert len(set(provider.recipients)) == len(provider.recipients) == 8
    assert recipients("unknown") == provider.recipients[2:3]
    assert world.count(Status.ACCEPTED) == 7

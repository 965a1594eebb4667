"""A STOP while somebody holds its person's lock and does not go on: it is applied all the same.

The server ends who is frozen between two statements. Who is frozen while it reads an answer it
waits for; that one is ended for the text's sake.
"""

from __future__ import annotations

import contextlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import psycopg
import pytest
from django.db import OperationalError, connection

from compliance.models import OptOutEvent
from delivery import blockers, claims, inbound, sql
from delivery.models import Attempt, Inbound
from providers.base import InboundMessage
from tests.delivery.waiting import WAITING, has_transaction
from tests.factories import make_brand, make_number, make_person
from tests.faults.child import Struck
from tests.faults.world import eventually

WITHIN = 8.0  # seconds, as long as a webhook waits
YOUNG = blockers.PATIENCE + 0.5  # seconds: longer than a text waits, and too young to be ended
GIVES_UP_WITHIN = 12.0  # seconds: its lock time-out of 7.5, and room for a crowded machine

LOCK = "SELECT 1 FROM compliance_person WHERE id = %s FOR NO KEY UPDATE"
UNREAD = "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"
IS_WRITING = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'ClientWrite'"

refs = count(1)


@pytest.fixture
def lane(transactional_db, sandbox):
    return make_number(brand=make_brand())


@pytest.fixture
def person(lane):
    return make_person()


@pytest.fixture
def holder(lane):
    """Somebody else's connection to the database."""
    own = connection.get_new_connection(connection.get_connection_params())
    own.autocommit = True
    with contextlib.closing(own):
        yield own


def store(lane, person):
    message = InboundMessage(
        provider_ref=f"SM{next(refs)}", from_e164=person.phone, to_value=lane.value, text="STOP"
    )
    return inbound.store(lane.account_id, message, {})


def apply(inbound_id):
    """How many seconds it takes."""
    began = time.monotonic()
    inbound.apply(inbound_id)
    return time.monotonic() - began


def hold(holder, person, *, name="", as_a_worker=False):
    """Lock the person, in a transaction that begins now."""
    cursor = holder.cursor()
    cursor.execute("SELECT set_config('application_name', %s, false)", [name])
    cursor.execute("BEGIN")
    if as_a_worker:
        cursor.execute(claims.BEGIN_CLAIM, [claims.SHIFT_LOCK])
    cursor.execute(LOCK, [person.pk])


def is_alive(holder):
    try:
        holder.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def is_applied(inbound_id):
    is_event = OptOutEvent.objects.filter(person__inbound=inbound_id).exists()
    return is_event and Inbound.objects.get(pk=inbound_id).applied_at is not None


def test_who_holds_the_lock_and_says_no_more_is_ended(lane, person, holder):
    """It has no time-outs of its own, such as a console that somebody left open."""
    stop = store(lane, person)
    hold(holder, person)
    assert apply(stop) < WITHIN
    assert is_applied(stop)
    assert not is_alive(holder)


def test_who_holds_the_lock_and_does_not_read_its_answer_loses_it(lane, person, holder):
    """With all the time-outs of a worker, which end it at nothing while the server writes.

    Where it could write for a moment, its statement timed out, and the transaction was rolled back.
    """
    stop = store(lane, person)
    hold(holder, person, as_a_worker=True)
    holder.pgconn.send_query(UNREAD.encode())
    eventually(lambda: sql.rows(IS_WRITING, holder.info.backend_pid))
    assert apply(stop) < WITHIN
    assert is_applied(stop)
    eventually(lambda: not has_transaction(holder.info.backend_pid))


def test_who_has_held_the_lock_for_a_short_time_is_left_in_peace(lane, person, holder):
    stop = store(lane, person)
    hold(holder, person)

    def let_go():
        eventually(lambda: holder.execute(WAITING).fetchone())
        time.sleep(YOUNG)
        holder.execute("ROLLBACK")

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(let_go)
        assert blockers.PATIENCE < apply(stop) < WITHIN
    assert done.exception() is None
    assert is_alive(holder)
    assert is_applied(stop)


def test_another_text_that_is_being_applied_is_never_ended(lane, person, holder):
    """This one gives up in time for an answer to the provider, and is applied later."""
    stop = store(lane, person)
    hold(holder, person, name=blockers.APPLICATION)
    began = time.monotonic()
    with pytest.raises(OperationalError):
        inbound.apply(stop)
    assert 5 < time.monotonic() - began < GIVES_UP_WITHIN
    assert is_alive(holder)
    assert not is_applied(stop)
    holder.execute("ROLLBACK")
    Inbound.objects.update(received_at=Inbound.objects.get().received_at - inbound.SWEEP_AFTER)
    assert inbound.apply_waiting() == 1
    assert is_applied(stop)


@pytest.mark.parametrize(
    "struck",
    [
        Struck(target="delivery.facts:gather", at="after", signal=signal.SIGSTOP),
        Struck(target="delivery.intents:write", at="after", signal=signal.SIGSTOP),
    ],
    ids=["decides", "has written its intents"],
)
def test_a_worker_frozen_in_its_decision_does_not_keep_a_stop(world, struck):
    """Its intents are gone with it, and none comes after the STOP."""
    world.fill(30)
    worker = world.start(struck)
    eventually(lambda: worker.is_stopped)
    person = world.messages[0].person
    stop = store(world.lanes[0], person)
    assert apply(stop) < WITHIN
    assert is_applied(stop)
    assert not Attempt.objects.exists()
    worker.kill()
    world.settle()
    world.send_the_rest()
    assert not Attempt.objects.filter(message__person=person, message__kind="campaign").exists()
    world.assert_consistent()
    assert world.received() >= world.people - 1

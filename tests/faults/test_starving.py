"""A great campaign in front of slow numbers: answers and other brands do not wait behind it."""

from __future__ import annotations

import time

import django_rq
import pytest

from config.demo_processes import MANAGE, WORKER
from delivery import sql, tasks
from delivery.models import Attempt, Due
from delivery.states import Status
from tests.factories import NOON, fill_queue, make_brand, make_number, make_slot, phone
from tests.faults.web import a_text, in_time, serving
from tests.faults.world import eventually, pass_over_magic_numbers

WAITING = 20_000  # due messages of the first brand
ELSEWHERE = 2_000  # of them for a number that has tokens
SLOW, QUICK = 0.4, 20.0  # segments a second; a campaign waits for the slow one's second token
CONFIRMED_WITHIN = 2.0  # seconds from the post of a STOP
SENT_WITHIN = 5.0
SLICES = 12

COPIES = """
WITH people AS (
    INSERT INTO compliance_person (phone) SELECT * FROM unnest(%(phones)s::text[]) RETURNING id
), leads AS (
    INSERT INTO leads_lead SELECT (jsonb_populate_record(l, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('leads_lead', 'id')), 'person_id', p.id))).*
    FROM people p, leads_lead l JOIN delivery_message m ON m.lead_id = l.id
    WHERE m.id = %(message)s RETURNING id, person_id
), messages AS (
    INSERT INTO delivery_message SELECT (jsonb_populate_record(m, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('delivery_message', 'id')), 'lead_id', l.id,
        'person_id', l.person_id))).*
    FROM leads l, delivery_message m WHERE m.id = %(message)s RETURNING id
)
INSERT INTO delivery_due SELECT (jsonb_populate_record(d, jsonb_build_object(
    'message_id', m.id))).*
FROM messages m, delivery_due d WHERE d.message_id = %(message)s
"""


@pytest.fixture
def web(world, redis):
    with serving(world) as web:
        yield web
    redis.flushdb()


def wait_in_line(slot, lane, many):
    """Due rows for people of their own; none has a number that means something to the simulator.

    All are copies of a first one, made by one statement: by the models they take a minute.
    """
    (first,) = fill_queue(slot, lane, 1, now=NOON)
    phones = []
    while len(phones) < many - 1:
        pass_over_magic_numbers(1)
        phones.append(phone())
    values = {"phones": phones, "message": first.pk}
    assert sql.count_named(COPIES, values) == many - 1
    return phones


def start_workers(web):
    """One for replies and one for all the rest, with their queues."""
    for _ in range(SLICES):
        django_rq.get_queue("send").enqueue(tasks.send_slice, result_ttl=0, job_timeout=-1)
    for queue in ("replies", "send"):
        web.children.start(queue, *MANAGE, "rqworker", queue, *WORKER)
    eventually(lambda: web.world.received() > 2 * QUICK)


def received_at(world, person, kind):
    refs = set(Attempt.objects.filter(message__kind=kind).values_list("ref", flat=True))
    found = [
        entry.received_at
        for entry in world.ledger()
        if entry.submission.to == person and entry.submission.ref in refs
    ]
    assert len(found) <= 1
    return found[0] if found else None


def make_campaign_in_front(world, brand):
    """Twenty thousand rows, most of them for a slow number; returns it with its people."""
    slow, quick = (
        make_number(world.account, segments_per_second=rate, brand=brand) for rate in (SLOW, QUICK)
    )
    slot = make_slot(slow, brand=brand)
    people = wait_in_line(slot, slow, WAITING - ELSEWHERE)
    wait_in_line(slot, quick, ELSEWHERE)
    sql.rows("ANALYZE")
    return slow, people


def run_out_of_tokens(slow):
    """Until the campaign took what it may of the number: the next token comes seconds later."""
    sent = Attempt.objects.filter(number=slow)
    before = sent.count()
    eventually(lambda: sent.count() > before)


def make_one_message(world):
    """Of another brand, for a number of its own; returns its recipient."""
    lane = make_number(world.account, segments_per_second=QUICK)
    pass_over_magic_numbers(1)
    (message,) = fill_queue(make_slot(lane), lane, 1, now=NOON)
    return message.person.phone


def test_neither_a_confirmation_nor_another_brand_waits_behind_twenty_thousand(world, web):
    world.fill(0, twice=0)
    slow, people = make_campaign_in_front(world, make_brand())
    start_workers(web)

    def what_comes_in():
        run_out_of_tokens(slow)
        assert Due.objects.filter(lane=slow).count() > WAITING / 2
        writer, posted_at = people.pop(), time.time()
        other = make_one_message(world)
        stop = web.post(a_text(world, writer, "STOP", to=slow.value))
        assert stop.answer == 200
        eventually(lambda: received_at(world, writer, "reply"), "there was no confirmation")
        eventually(lambda: received_at(world, other, "campaign"), "another brand was not sent")
        confirmed = received_at(world, writer, "reply") - stop.posted_at
        sent = received_at(world, other, "campaign") - posted_at
        return {"confirmation": (confirmed, CONFIRMED_WITHIN), "other brand": (sent, SENT_WITHIN)}

    in_time(what_comes_in)
    assert world.count(Status.ACCEPTED) < WAITING / 10
    web.children.end()
    web.assert_the_ledger_is_clean()

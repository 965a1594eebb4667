"""A web server that dies among the callbacks that it is to take in."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from django.db.models import Count

from compliance.models import OptOutEvent
from delivery import inbox
from delivery.models import Attempt, Inbound, Message, WebhookEvent
from delivery.states import Status
from tests.faults.web import a_report, a_text, serving
from tests.faults.world import eventually

POSTERS = 16
KILLED_PEOPLE = 240  # messages whose reports come while the web server is killed, and some texts

chance = random.Random(20261121)


@pytest.fixture
def web(world):
    with serving(world) as web:
        yield web


def send_all(world, people):
    world.fill(people, twice=0)
    world.send_all(world.start())
    assert world.count(Status.ACCEPTED) == people


def reports(world, *words):
    attempts = Attempt.objects.select_related("message__person").order_by("id")
    return [
        a_report(world, attempt, word, attempt.message.person.phone)
        for attempt in attempts
        for word in words
    ]


def in_any_order(posts):
    return chance.sample(posts, len(posts))


def opt_outs():
    return dict(OptOutEvent.objects.values_list("person__phone").annotate(times=Count("id")))


class TestAWebServerThatIsKilled:
    def test_has_stored_what_it_answered_and_takes_the_rest_when_it_comes_again(self, world, web):
        send_all(world, KILLED_PEOPLE)
        people = [message.person.phone for message in world.messages]
        stops = [a_text(world, person, "STOP") for person in people[::4]]
        posts = in_any_order(reports(world, "sent", "delivered") + stops)
        with at_work(POSTERS) as pool:
            under_way = [pool.submit(web.post_when_up, post) for post in posts]
            for share in (0.2, 0.5, 0.8):
                eventually(partial(has_answered, web, share * len(posts)))
                web.kill()
                web.start_again()
            done = [one.result() for one in under_way]

        assert {one.answer for one in done} == {200, 0}
        assert stored() >= {key(one.post) for one in done if one.answer == 200}
        assert stored() <= {key(post) for post in posts}
        missed = [replace(one.post, copy=2) for one in done if one.answer == 0]
        assert {one.answer for one in web.post_all(missed, threads=POSTERS)} == {200}
        assert stored() == {key(post) for post in posts}
        assert not Inbound.objects.filter(applied_at=None).exists()
        assert opt_outs() == {stop.fields["From"]: 1 for stop in stops}
        assert inbox.apply_waiting() == WebhookEvent.objects.count() == 2 * KILLED_PEOPLE
        assert world.count(Status.DELIVERED) == KILLED_PEOPLE
        world.send_all(world.start())
        confirmed = Message.objects.filter(kind="reply", status="accepted")
        assert Counter(confirmed.values_list("person__phone", flat=True)) == opt_outs()
        web.assert_the_ledger_is_clean()


@contextmanager
def at_work(threads):
    """A pool that is left at once when something fails, whatever it has still to do."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def has_answered(web, many):
    return sum(1 for one in web.posted if one.answer) >= many


def key(post):
    """What a callback is known by."""
    return post.fields["MessageSid"], post.fields.get("MessageStatus", "text")


def stored():
    """The callbacks that are in the database, each once."""
    keys = WebhookEvent.objects.values_list("dedupe_key", flat=True)
    texts = Inbound.objects.values_list("provider_ref", flat=True)
    found = [tuple(one.split(":")[:2]) for one in keys] + [(one, "text") for one in texts]
    assert len(found) == len(set(found))
    return set(found)

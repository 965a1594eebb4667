"""More callbacks than can be answered at once, and a web server that dies among them."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from django.apps import apps
from django.db.models import Count, Sum

from compliance.models import OptOutEvent
from delivery import inbox
from delivery.models import (
    Attempt,
    CapCounter,
    Due,
    Inbound,
    Message,
    Sticky,
    WebhookEvent,
    WebhookTally,
)
from delivery.states import Status
from links.models import ShortLink
from tests.factories import NOON, fill_queue, make_brand, make_number, make_slot
from tests.faults import child
from tests.faults.web import Heartbeat, a_report, a_text, serving
from tests.faults.world import eventually, pass_over_magic_numbers

POSTERS = 16
REPORTED = 1000  # messages: each is said to be sent and delivered, and delivered once more
FORGED = 300
UNREADABLE = 100
TOO_MANY = "&".join(["a=1"] * 501)  # fields
CAMPAIGN = 200  # messages that are sent meanwhile, at so many a second:
RATE = 20
STOP_WITHIN = 5.0  # seconds
KILLED_PEOPLE = 240  # messages whose reports come while the web server is killed, and some texts

OF_THE_CAMPAIGN = {Attempt, Due, ShortLink, Sticky, CapCounter}

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


def sizes():
    """How many rows each table has, but for those that a campaign fills."""
    models = set(apps.get_models(include_auto_created=True)) - OF_THE_CAMPAIGN
    return Counter({model: model.objects.count() for model in models if model._meta.managed})


def tally():
    return dict(WebhookTally.objects.values_list("what").annotate(times=Sum("count")))


def opt_outs():
    return dict(OptOutEvent.objects.values_list("person__phone").annotate(times=Count("id")))


def start_another_campaign(world):
    """A slow one, to people of its own; returns what some of them answer."""
    pass_over_magic_numbers(CAMPAIGN)
    brand = make_brand()
    lane = make_number(world.account, segments_per_second=RATE, brand=brand)
    messages = fill_queue(make_slot(lane, brand=brand), lane, CAMPAIGN, now=NOON)
    people = [message.person.phone for message in messages]
    return [a_text(world, person, "STOP", to=lane.value) for person in people[10:-20:20]]


class TestAFlood:
    def test_of_reports_is_applied_once_and_a_stop_inside_it_acts(self, world, web):
        send_all(world, REPORTED)
        genuine = in_any_order(reports(world, "sent", "delivered"))
        genuine += [replace(post, copy=2) for post in genuine if is_said(post, "delivered")]
        lies = reports(world, "failed")
        forged = [replace(post, is_genuine=False) for post in chance.sample(lies, FORGED)]
        unreadable = [replace(post, body=TOO_MANY) for post in chance.sample(lies, UNREADABLE)]
        flood = in_any_order(genuine + forged + unreadable)
        stops = start_another_campaign(world)
        for stop in stops:
            flood.insert(chance.randrange(len(flood)), stop)
        before = sizes()
        workers = [world.start(), world.start(does=child.apply)]
        with Heartbeat() as heartbeat:
            done = web.post_all(flood, threads=POSTERS)
        eventually(lambda: not inbox.is_waiting() and world.is_quiet())
        for worker in workers:
            worker.end()

        answers = Counter((one.post.is_genuine, one.post.body is None, one.answer) for one in done)
        assert answers == {
            (True, True, 200): len(genuine) + len(stops),
            (False, True, 403): FORGED,
            (True, False, 400): UNREADABLE,
        }
        assert tally() == {"forged": FORGED, "unreadable": UNREADABLE}
        assert sizes() - before == {
            WebhookEvent: 2 * REPORTED,
            WebhookTally: 2,
            Inbound: len(stops),
            OptOutEvent: len(stops),
            Message: len(opt_outs()),
        }
        assert set(WebhookEvent.objects.values_list("result", flat=True)) <= {"applied", "no_news"}
        assert world.count(Status.DELIVERED) == REPORTED
        assert opt_outs() == {stop.fields["From"]: 1 for stop in stops}
        took = sorted(one.took for one in done if one.post.what == "inbound")
        assert took[0 if heartbeat.stood_still else -1] < STOP_WITHIN
        web.assert_the_ledger_is_clean()


def is_said(post, word):
    return post.fields.get("MessageStatus") == word


class TestAWebServerThatIsKilled:
    def test_has_stored_what_it_answered_and_takes_the_rest_when_it_comes_again(self, world, web):
        send_all(world, KILLED_PEOPLE)
        people = [message.person.phone for message in world.messages]
        stops = [a_text(world, person, "STOP") for person in people[::4]]
        posts = in_any_order(reports(world, "sent", "delivered") + stops)
        with ThreadPoolExecutor(POSTERS) as pool:
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

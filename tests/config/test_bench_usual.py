from __future__ import annotations

from datetime import timedelta

import pytest

from brands import clock
from brands.models import Brand
from compliance import consent
from compliance.models import Person, Places
from config import bench_usual
from config.bench_usual import NotNow
from delivery.models import Attempt, CapCounter, Due, Message, Sticky
from links.models import ShortLink
from tests.factories import make_account, make_brand, make_due, make_lead, make_number, make_slot

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh(sandbox, redis):
    """What a process keeps for its life."""
    for kept in (bench_usual.session, bench_usual.redis, bench_usual.sender, bench_usual._ahead):
        kept.cache_clear()


@pytest.fixture
def provider(monkeypatch):
    """What was posted, and the answer to it."""
    posts = []

    class Answer:
        status_code = 201

        def raise_for_status(self):
            if self.status_code >= 400:
                raise bench_usual.RequestException

        def json(self):
            return {"sid": "SM1"}

    class Session:
        answer = Answer()

        def post(self, url, data, auth, timeout):
            posts.append((url, data))
            return self.answer

    session = Session()
    session.posts = posts
    monkeypatch.setattr(bench_usual, "session", lambda: session)
    return session


def planned() -> Message:
    return planned_for(1)[0]


def planned_for(people: int) -> list[Message]:
    """Messages whose rows in our queue were taken out."""
    brand = make_brand(daily_cap=5)
    lane = make_number(make_account(), brand=brand)
    leads = [make_lead(brand) for _ in range(people)]
    slot = make_slot(lane, *leads, brand=brand)
    messages = [make_due(slot, lead, lane, now=clock.now()) for lead in leads]
    Due.objects.all().delete()
    return messages


class TestSendOne:
    def test_sends_one_text_with_a_link_and_the_way_out(self, provider):
        message = planned()
        bench_usual.send_one(message.pk)
        ((url, form),) = provider.posts
        link = ShortLink.objects.get()
        assert url.endswith("/Messages.json")
        assert form["To"] == message.person.phone
        assert form["Body"] == (
            f"Hi Ada, see https://{message.brand.short_domain}/{link.code} Reply STOP to opt out"
        )

    def test_keeps_what_our_delivery_keeps(self, provider):
        message = planned()
        bench_usual.send_one(message.pk)
        message.refresh_from_db()
        attempt = Attempt.objects.get()
        assert (message.status, message.link.code) == ("accepted", ShortLink.objects.get().code)
        assert (attempt.outcome, attempt.provider_refs) == ("accepted", ["SM1"])
        assert [entry[1] for entry in message.person.recent] == [message.pk]
        assert set(CapCounter.objects.values_list("used", flat=True)) == {1}
        assert Sticky.objects.get().number == attempt.number

    def test_commits_the_intent_before_the_request(self, provider, monkeypatch):
        message = planned()
        seen = []
        monkeypatch.setattr(bench_usual, "hand_over", lambda attempt: seen.append(status()) or "S")

        def status():
            return Message.objects.get(pk=message.pk).status

        bench_usual.send_one(message.pk)
        assert seen == ["sending"]

    def test_is_not_sure_of_an_answer_without_an_id(self, provider):
        provider.answer.status_code = 500
        message = planned()
        bench_usual.send_one(message.pk)
        message.refresh_from_db()
        assert (message.status, Attempt.objects.get().outcome) == ("unknown", "unknown")

    def test_refuses_whoever_opted_out(self, provider):
        message = planned()
        consent.opt_out([message.person_id], source="import")
        bench_usual.send_one(message.pk)
        message.refresh_from_db()
        assert (message.status, message.reason, provider.posts) == ("refused", "opted_out", [])

    @pytest.mark.parametrize(
        "hold",
        [
            pytest.param(lambda: Brand.objects.update(paused_at=clock.now()), id="pause"),
            pytest.param(lambda: Brand.objects.update(daily_cap=0), id="cap"),
            pytest.param(
                lambda: Places.objects.update(zones=["Pacific/Auckland"]), id="quiet hours"
            ),
            pytest.param(lambda: Person.objects.update(recent=just_now()), id="person limit"),
        ],
    )
    def test_leaves_for_later_what_must_wait(self, provider, hold):
        message = planned()
        hold()
        with pytest.raises(NotNow):
            bench_usual.send_one(message.pk)
        message.refresh_from_db()
        assert (message.status, provider.posts) == ("planned", [])

    def test_does_not_ask_more_than_it_must(self, provider, statements):
        first, second = planned_for(2)
        bench_usual.send_one(first.pk)
        assert statements(lambda: bench_usual.send_one(second.pk)) <= 21


def just_now() -> list[list[object]]:
    at = clock.now() - timedelta(minutes=5)
    return [[at.timestamp(), 0, "", ""]]

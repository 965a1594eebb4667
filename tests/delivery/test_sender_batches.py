"""One request with several messages: one pace, one line before it, an outcome for each."""

from __future__ import annotations

import json
import time

import pytest

from delivery.intents import Intent
from delivery.journal import CannotWrite, Journal, read
from delivery.sender import Parcel, Sender
from providers.base import Accepted, NotSent, SendRequest, Unknown, ref_in_batch
from providers.rates import Breaker
from tests.delivery.providing import Provider
from tests.providers.peers import an_access, answer

REQUEST, ANOTHER = "q" * 22, "r" * 22
ACCOUNT = 8


def read_json(body):
    fields = json.loads(body)
    return fields, tuple(fields["to"])


def taken(batch):
    body = {"id": f"B{batch['client_reference']}", "to": batch["to"]}
    return answer(201, json.dumps(body).encode())


@pytest.fixture
def provider():
    started = Provider()
    started.read, started.answer = read_json, taken
    yield started
    started.stop()


@pytest.fixture
def breaker():
    return Breaker()


@pytest.fixture
def sender(breaker):
    started = Sender(breaker)
    yield started
    started.stop()


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path, "installation") as opened:
        yield opened


@pytest.fixture
def an_intent(provider):
    secrets = {"service_plan_id": "plan-1", "api_token": "t0"}

    def an_intent(message_id, request_ref=REQUEST, **changes):
        to = f"+1212555{message_id:04d}"
        send = SendRequest(
            ref=ref_in_batch(request_ref, to),
            request_ref=request_ref,
            to_e164=to,
            from_value="+12025550100",
            text=f"message {message_id}",
            segments=1,
        )
        values = {
            "attempt_id": message_id,
            "message_id": message_id,
            "queue": 7,
            "brand_id": 1,
            "lane_id": 6,
            "account_id": ACCOUNT,
            "segments_per_second": 1e6,
            "in_flight": 64,
            "access": an_access(provider.port, kind="sinch", secrets=secrets),
            "send": send,
            "window_closes_at": None,
        }
        return Intent(**{**values, **changes})

    return an_intent


@pytest.fixture
def send(sender, journal):
    def send(*intents, within=2.0, into=journal):
        now, answers = time.monotonic(), []
        sender.submit(Parcel([(intent, now + within) for intent in intents], into))
        while sender.under_way and time.monotonic() < now + 20:
            answers += sender.collect(wait=5)
        return {one.intent.message_id: one.outcome for one in answers}

    return send


class TestARequest:
    def test_carries_all_of_its_messages(self, send, an_intent, provider):
        outcomes = send(*map(an_intent, range(1, 6)))
        assert outcomes == dict.fromkeys(range(1, 6), Accepted(f"B{REQUEST}"))
        assert [len(to) for to in provider.texts] == [5]

    def test_leaves_beside_another(self, send, an_intent, provider):
        send(an_intent(1), an_intent(2, ANOTHER), an_intent(3), an_intent(4, ANOTHER))
        assert sorted(provider.texts) == [
            ("12125550001", "12125550003"),
            ("12125550002", "12125550004"),
        ]

    def test_has_the_lines_of_all_before_it_leaves(
        self, send, an_intent, provider, journal, monkeypatch
    ):
        seen = []
        provider.on_request = lambda: seen.append(read(journal.path).left)
        one, other = an_intent(1), an_intent(2)
        send(one, other)
        assert seen == [{one.send.ref, other.send.ref}]

    def test_has_the_outcome_of_each_in_the_journal(self, send, an_intent, journal):
        one, other = an_intent(1), an_intent(2)
        send(one, other)
        assert read(journal.path).outcomes.keys() == {one.send.ref, other.send.ref}

    def test_that_cannot_be_journaled_keeps_all_here(
        self, send, an_intent, provider, journal, monkeypatch
    ):
        def full(*refs):
            raise CannotWrite("no space left")

        monkeypatch.setattr(journal, "leaving", full)
        outcomes = send(an_intent(1), an_intent(2))
        assert set(outcomes.values()) == {NotSent("journal_not_written")}
        assert provider.texts == []

    def test_leaves_by_the_earliest_of_its_deadlines(self, sender, an_intent, provider, journal):
        now = time.monotonic()
        sender.submit(Parcel([(an_intent(1), now + 5), (an_intent(2), now - 1)], journal))
        outcomes = sender.collect(wait=5)
        assert {one.outcome for one in outcomes} == {NotSent("too_late")}
        assert provider.texts == []

    def test_that_is_not_answered_leaves_all_unknown(self, send, an_intent, provider):
        provider.answer = lambda batch: answer(500)
        outcomes = send(an_intent(1), an_intent(2))
        assert set(outcomes.values()) == {Unknown("500")}

    def test_that_is_throttled_is_one_strike(self, send, an_intent, provider, breaker):
        provider.answer = lambda batch: answer(429, retry_after="1")
        send(*map(an_intent, range(1, 6)))
        assert breaker.rest_left(ACCOUNT, now=time.monotonic()) == 0

    def test_takes_the_time_of_all_its_segments(self, send, an_intent, provider):
        arrivals = []
        provider.on_request = lambda: arrivals.append(time.monotonic())
        slow = {"segments_per_second": 10.0}
        send(an_intent(1, **slow), an_intent(2, **slow), an_intent(3, ANOTHER, **slow))
        first, second = arrivals
        assert 0.15 < second - first < 1

    def test_takes_one_place_of_its_account(self, send, an_intent, provider):
        send(*(an_intent(n, REQUEST, in_flight=1) for n in range(1, 6)))
        assert provider.most_open == 1

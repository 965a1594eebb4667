"""Messages in Sinch's batches, their whole way: planned, claimed, sent, reported, and split."""

from __future__ import annotations

import json
import time

import pytest
from django.conf import settings
from django.test import Client
from django.urls import get_resolver

from delivery import pipeline, planning, tasks, worker
from delivery.models import Attempt, Due, Message
from delivery.sender import Sender
from delivery.states import Status
from providers import simulator_signing
from providers.base import Accepted
from providers.rates import Breaker
from providers.registry import adapter
from providers.simulator_ledger import read_ledger
from tests.delivery.waiting import wait_until
from tests.delivery.walking import assert_all_adds_up, come_back, hand_over
from tests.factories import (
    NOON,
    fill_queue,
    make_account,
    make_brand,
    make_lead,
    make_leads,
    make_number,
    make_person,
    make_slot,
)
from tests.faults.world import running_simulator

INVALID = "+12125550001"  # the simulator refuses every request that holds it


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    with running_simulator(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def addresses():
    """To load them takes seconds, which no open transaction of an answer may stand still for."""
    return get_resolver().url_patterns


@pytest.fixture
def lane(transactional_db, sandbox, live_server, settings, simulator):
    settings.PUBLIC_BASE_URL = live_server.url
    account = make_account(kind="sinch", base_url=f"http://127.0.0.1:{simulator.port}")
    secrets = account.access().secrets
    simulator.reset()
    simulator.obey(
        account={
            "provider": "sinch",
            "name": secrets["service_plan_id"],
            "token": secrets["webhook_secret"],
        }
    )
    simulator.obey(reports={})
    return make_number(account)


@pytest.fixture
def work(monkeypatch, settings, tmp_path):
    """Send and apply reports, as workers do, until nothing waits any more."""
    settings.JOURNAL_DIR = tmp_path / "journal"
    sender = Sender(breaker := Breaker())
    monkeypatch.setattr(worker, "sender", lambda: sender)
    monkeypatch.setattr(worker, "breaker", lambda: breaker)
    monkeypatch.setattr(worker, "GIVE_UP_IDLE", 0.3)
    for name in ("TOKENS_LAST", "WRITE_WITHIN"):
        monkeypatch.setattr(pipeline, name, 60.0)

    def is_over():
        worker.send_for(1.0)
        tasks.apply_reports()
        open_ones = (Status.PLANNED, Status.SENDING, Status.ACCEPTED, Status.SENT)
        return not Message.objects.filter(status__in=open_ones).exists()

    yield lambda: wait_until(is_over)
    sender.stop()


def planned(lane, *leads):
    slot = make_slot(lane, *leads, brand=leads[0].brand, text="Hi {first_name|there}: {link}")
    assert planning.plan_open_slots() == len(leads)
    return slot


def taken(simulator, leads):
    """What the provider took for these people: their phones, and the batch of each."""
    phones = {lead.person.phone for lead in leads}
    found = [one for one in read_ledger(simulator.ledger) if one.submission.to in phones]
    return [(one.submission.to, one.provider_ref) for one in found if one.took]


def test_a_campaign_leaves_in_one_request_and_arrives(lane, work, simulator):
    leads = make_leads(make_brand(), 30)
    planned(lane, *leads)
    work()
    assert set(Message.objects.values_list("status", flat=True)) == {Status.DELIVERED}
    found = taken(simulator, leads)
    assert sorted(phone for phone, _ in found) == sorted(lead.person.phone for lead in leads)
    assert len({batch for _, batch in found}) < len(leads)
    assert_all_adds_up()


def test_a_request_that_is_refused_for_one_is_split_and_each_other_leaves_once(
    lane, work, simulator
):
    brand = make_brand()
    leads = make_leads(brand, 9)
    wrong = make_lead(brand, make_person(phone=INVALID))
    planned(lane, *leads, wrong)
    work()
    states = dict(Message.objects.values_list("lead", "status"))
    assert states.pop(wrong.pk) == Status.REJECTED
    assert set(states.values()) == {Status.DELIVERED}
    found = taken(simulator, [*leads, wrong])
    assert sorted(phone for phone, _ in found) == sorted(lead.person.phone for lead in leads)
    refused = Attempt.objects.filter(is_not_sent=True)
    assert refused.filter(message__lead=wrong).count() == 1
    assert not Due.objects.exists()
    assert_all_adds_up()


class TestOneReportForEachRequest:
    @pytest.fixture
    def intents(self, transactional_db, sandbox, journal):
        lane = make_number(make_account(kind="sinch", options={"delivery_report": "full"}))
        fill_queue(make_slot(lane), lane, 3, now=NOON)
        intents = hand_over(journal)
        come_back(intents, Accepted("01FC66621XXXXX119Z8PMV1QPQ"))
        return intents

    def test_is_asked_for_by_an_account_that_chose_it(self, intents):
        sends = [intent.send for intent in intents]
        request = adapter("sinch").build_request(sends, intents[0].access)
        assert request.json["delivery_report"] == "full"

    def test_settles_all_of_its_messages(self, intents):
        batch = {
            "type": "delivery_report_sms",
            "batch_id": "01FC66621XXXXX119Z8PMV1QPQ",
            "client_reference": intents[0].send.request_ref,
            "total_message_count": 3,
            "statuses": [
                self.group("Delivered", 0, intents[:2]),
                self.group("Failed", 27, intents[2:]),
            ],
        }
        assert self.posted(intents[0], json.dumps(batch)) == 200
        tasks.apply_reports()
        states = list(Message.objects.order_by("pk").values_list("status", flat=True))
        assert states == [Status.DELIVERED, Status.DELIVERED, Status.UNDELIVERED]

    def group(self, status, code, intents):
        recipients = [intent.send.to_e164.removeprefix("+") for intent in intents]
        return {"status": status, "code": code, "count": len(intents), "recipients": recipients}

    def posted(self, intent, body):
        secret, at = intent.access.secrets["webhook_secret"], str(int(time.time()))
        headers = {
            "X-Sinch-Webhook-Signature": simulator_signing.sinch(secret, body, "n1", at),
            "X-Sinch-Webhook-Signature-Nonce": "n1",
            "X-Sinch-Webhook-Signature-Timestamp": at,
        }
        path = intent.send.status_callback_url.removeprefix(settings.PUBLIC_BASE_URL)
        return Client().post(path, body, "application/json", headers=headers).status_code

"""Reports that name nothing but the provider's own id, as SimpleTexting's."""

from __future__ import annotations

import json

import pytest
from django.db import transaction

from delivery import inbox
from delivery.models import Attempt, Lookup, Message, ProviderRef, WebhookEvent
from delivery.outcomes import apply_reports
from delivery.reports import Reported
from providers.base import Accepted, Callback, DeliveryReport, Status, Unknown
from providers.registry import adapter
from tests.delivery.walking import come_back, hand_over
from tests.factories import NOON, fill_queue, make_account, make_number, make_slot
from tests.providers.declaring import definition_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(sandbox, journal):
    """So many messages that were handed over by an account of this kind."""

    def sent(many=1, kind="simpletexting", **account):
        lane = make_number(make_account(kind=kind, **account))
        fill_queue(make_slot(lane), lane, many, now=NOON)
        return hand_over(journal)

    return sent


def arrive(account_id, message_id, *, report_id, kind="DELIVERY_REPORT"):
    """A report comes into the inbox of the account."""
    body = {"reportId": report_id, "type": kind, "values": {"messageId": message_id}}
    callback = Callback(
        method="POST", url="", headers={}, query={}, form={}, body=json.dumps(body).encode()
    )
    event = adapter("simpletexting").read_callback(callback)
    inbox.append(account_id, [(event, callback)])


def statuses():
    return list(Message.objects.order_by("id").values_list("status", flat=True))


def results():
    return list(WebhookEvent.objects.order_by("id").values_list("result", flat=True))


def test_find_the_message_that_was_taken_under_the_id(sent):
    one, other = sent(2)
    come_back([one], Accepted("m1"))
    come_back([other], Accepted("m2"))
    arrive(one.account_id, "m2", report_id="r1")
    inbox.apply_waiting()
    delivered = Message.objects.get(status="delivered")
    assert delivered.pk == other.message_id


def test_wait_for_the_answer_that_tells_the_id(sent):
    (intent,) = sent()
    arrive(intent.account_id, "m1", report_id="r1")
    assert inbox.apply_waiting() == 0
    come_back([intent], Accepted("m1"))
    assert inbox.apply_waiting() == 1
    assert statuses() == ["delivered"]


def test_of_another_account_find_nothing(sent):
    (intent,) = sent()
    come_back([intent], Accepted("m1"))
    arrive(make_account(kind="simpletexting").pk, "m1", report_id="r1")
    inbox.apply_waiting()
    assert statuses() == ["accepted"]


def test_go_by_the_order_in_which_they_came_when_the_answer_comes_between(sent, monkeypatch):
    """The first report is passed over, and so is the second, though its message is known by now."""
    (intent,) = sent()
    arrive(intent.account_id, "m1", report_id="r1", kind="NON_DELIVERED_REPORT")
    arrive(intent.account_id, "m1", report_id="r2")
    monkeypatch.setattr(inbox, "CHUNK", 1)
    original = inbox.outcomes.apply_reports

    def then_it_is_answered(reports):
        applied = original(reports)
        come_back([intent], Accepted("m1"))
        return applied

    monkeypatch.setattr(inbox.outcomes, "apply_reports", then_it_is_answered)
    inbox.apply_waiting()
    inbox.apply_waiting()
    assert statuses() == ["undelivered"]
    assert results() == ["applied", "no_news"]


def test_of_many_messages_are_found_by_one_statement(sent, statements):
    def applied(many):
        for intent in sent(many):
            come_back([intent], Accepted(f"m{intent.attempt_id}"))
            arrive(intent.account_id, f"m{intent.attempt_id}", report_id=f"r{intent.attempt_id}")
        return statements(inbox.apply_waiting)

    assert applied(1) == applied(50)
    assert set(statuses()) == {"delivered"}


def test_find_the_message_of_an_account_whose_definition_names_their_id_alone(sent):
    plain = definition_of("example")
    del plain["request"]["body"]["status_url"], plain["webhooks"]["status"]["ref"]
    (intent,) = sent(kind="generic", definition=json.dumps(plain))
    come_back([intent], Accepted("m1"))
    body = json.dumps({"event": "status", "id": "m1", "status": "delivered"}).encode()
    callback = Callback(method="POST", url="", headers={}, query={}, form={}, body=body)
    event = adapter("generic", json.dumps(plain)).read_callback(callback)
    inbox.append(intent.account_id, [(event, callback)])
    inbox.apply_waiting()
    assert statuses() == ["delivered"]


def test_an_unknown_answer_tells_no_id(sent):
    (intent,) = sent()
    come_back([intent], Unknown("timeout"))
    assert not ProviderRef.objects.exists()


def test_a_provider_whose_reports_carry_our_reference_leaves_no_row(sent):
    come_back(sent(3, kind="twilio"), Accepted("SM1"))
    assert Attempt.objects.filter(provider_refs=["SM1"]).count() == 3
    assert not ProviderRef.objects.exists()


class TestALateLookUp:
    """Their clock and ours go on, and only a look-up tells the id that the report named."""

    @pytest.fixture
    def doubted(self, sent):
        (intent,) = sent()
        come_back([intent], Unknown("timeout"))
        arrive(intent.account_id, "m1", report_id="r1")
        return intent

    def pass_time(self):
        WebhookEvent.objects.update(received_at=NOON - inbox.UNMATCHED_WAITS)

    def test_finds_the_report_that_waited_for_it(self, doubted):
        self.pass_time()
        assert inbox.apply_waiting() == 0
        taken = DeliveryReport(ref=doubted.send.ref, provider_ref="m1", status=Status.ACCEPTED)
        with transaction.atomic():
            apply_reports([Reported(doubted.attempt_id, doubted.account_id, taken)])
        inbox.apply_waiting()
        assert (statuses(), results()) == (["delivered"], ["applied"])

    def test_that_has_ended_keeps_no_report_waiting(self, doubted):
        self.pass_time()
        Lookup.objects.update(next_at=None)
        inbox.apply_waiting()
        assert results() == ["orphan"]

    def test_of_another_account_keeps_no_report_waiting(self, doubted):
        other = make_account(kind="simpletexting")
        arrive(other.pk, "m2", report_id="r2")
        self.pass_time()
        inbox.apply_waiting()
        assert results() == ["", "orphan"]

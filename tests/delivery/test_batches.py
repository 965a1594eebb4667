"""Messages of one number that leave in one request, where their provider takes several."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery.models import Attempt, Due
from delivery.outcomes import Settled, record
from delivery.pipeline import record_answers
from delivery.sender import Answered
from delivery.states import ReplyKind
from providers.base import NotSent, ref_in_batch
from tests.delivery import taking
from tests.delivery.taking import a_message, make_due_again
from tests.delivery.walking import hand_over, make_reply
from tests.factories import NOON, fill_queue, make_account, make_number, make_slot

pytestmark = pytest.mark.django_db

take = taking.take  # a fixture


@pytest.fixture
def account(sandbox):
    return make_account(kind="sinch")


@pytest.fixture
def lane(account):
    return make_number(account)


def requests(batch):
    """The messages of each request."""
    together = {}
    for intent, _ in batch.intents:
        together.setdefault(intent.send.request_ref, set()).add(intent.message_id)
    return list(together.values())


class TestARequest:
    def test_carries_all_that_a_number_has_to_send(self, slot, lane, take):
        messages = fill_queue(slot, lane, 5, now=NOON)
        assert requests(take(slot)) == [{message.pk for message in messages}]

    def test_is_known_by_a_ref_that_all_attempts_keep(self, slot, lane, take):
        fill_queue(slot, lane, 3, now=NOON)
        ((first, _), *_) = take(slot).intents
        assert len(first.send.request_ref) == 22
        assert set(Attempt.objects.values_list("request_ref", flat=True)) == {
            first.send.request_ref
        }

    def test_has_the_ref_of_each_message_made_of_its_own_and_the_recipient(self, slot, lane, take):
        fill_queue(slot, lane, 3, now=NOON)
        refs = {intent.send.ref: intent.send for intent, _ in take(slot).intents}
        assert {ref_in_batch(one.request_ref, one.to_e164) for one in refs.values()} == set(refs)
        assert set(Attempt.objects.values_list("ref", flat=True)) == set(refs)

    @pytest.mark.parametrize("has_secret", [True, False])
    def test_carries_that_ref_in_the_report_address(self, slot, lane, take, has_secret):
        if not has_secret:
            lane.account.seal({"service_plan_id": "plan-1", "api_token": "t0"})
            lane.account.save()
        fill_queue(slot, lane, 2, now=NOON)
        ((one, _), (other, _)) = take(slot).intents
        key = "" if has_secret else f"/{lane.account.webhook_key}"
        path = f"/webhooks/sinch/{lane.account_id}{key}/status?ref={one.send.request_ref}"
        assert one.send.status_callback_url.endswith(path)
        assert other.send.status_callback_url == one.send.status_callback_url

    def test_is_of_one_number(self, slot, lane, take):
        one = fill_queue(slot, lane, 2, now=NOON)
        other = fill_queue(slot, make_number(lane.account), 2, now=NOON)
        found = requests(take(slot))
        assert sorted(map(sorted, found)) == [[m.pk for m in one], [m.pk for m in other]]

    def test_ends_at_one_moment(self, slot, lane, take):
        fill_queue(slot, lane, 2, now=NOON)
        fill_queue(slot, lane, 2, now=NOON, expires_at=NOON + timedelta(minutes=20))
        assert [len(messages) for messages in requests(take(slot))] == [2, 2]

    def test_has_no_more_than_the_provider_takes(self, slot, lane, take):
        fill_queue(slot, lane, 1_001, now=NOON)
        found = requests(take(slot, rows=2_000))
        assert sorted(map(len, found)) == [1, 1_000]

    def test_has_nobody_twice(self, slot, lane, journal):
        message = a_message(slot)
        make_reply(message.person, message.brand, lane, ReplyKind.HELP)
        make_reply(message.person, message.brand, lane, ReplyKind.STOP)
        Due.objects.exclude(queue=0).delete()
        sends = [intent.send for intent in hand_over(journal)]
        assert len({send.to_e164 for send in sends}) == 1
        assert len({send.request_ref for send in sends}) == len(sends) == 2

    def test_of_what_goes_alone_has_no_other(self, slot, lane, take):
        alone, *_ = fill_queue(slot, lane, 3, now=NOON)
        Due.objects.filter(message=alone).update(goes_alone=True)
        assert sorted(requests(take(slot)), key=len)[0] == {alone.pk}

    def test_of_a_provider_that_takes_one_has_no_ref(self, sandbox, take):
        lane = make_number()
        slot = make_slot(lane)
        fill_queue(slot, lane, 2, now=NOON)
        assert [intent.send.request_ref for intent, _ in take(slot).intents] == ["", ""]


class TestARefusalOfSeveral:
    REFUSED = NotSent("syntax_constraint_violation", goes_alone=True)

    def refuse(self, batch, outcome=REFUSED):
        record([Settled(one.attempt_id, one.message_id, outcome) for one, _ in batch.intents])

    def test_sends_each_alone_at_once(self, slot, lane, take):
        fill_queue(slot, lane, 3, now=NOON)
        self.refuse(take(slot))
        assert set(Due.objects.values_list("goes_alone", flat=True)) == {True}
        make_due_again()
        assert [len(messages) for messages in requests(take(slot))] == [1, 1, 1]

    def test_waits_for_nothing(self, slot, lane, take):
        fill_queue(slot, lane, 2, now=NOON)
        self.refuse(take(slot))
        assert max(Due.objects.values_list("not_before", flat=True)) < NOON + timedelta(seconds=60)

    def test_of_another_kind_leaves_them_together(self, slot, lane, take):
        fill_queue(slot, lane, 2, now=NOON)
        self.refuse(take(slot), NotSent("429", throttled=True))
        assert set(Due.objects.values_list("goes_alone", flat=True)) == {False}

    def test_is_kept_while_it_goes_alone_and_is_asked_to_wait(self, slot, lane, take):
        fill_queue(slot, lane, 1, now=NOON)
        Due.objects.update(goes_alone=True)
        answers = [
            Answered(intent, NotSent("429", throttled=True)) for intent, _ in take(slot).intents
        ]
        record_answers(answers)
        due = Due.objects.get()
        assert due.goes_alone
        assert due.not_before > NOON + timedelta(seconds=4)

    def test_has_what_fails_alone_then_wait_as_any_other(self, slot, lane, take):
        fill_queue(slot, lane, 2, now=NOON)
        self.refuse(take(slot))
        make_due_again()
        failed = NotSent("request_not_built")
        record_answers([Answered(intent, failed) for intent, _ in take(slot).intents])
        assert min(Due.objects.values_list("not_before", flat=True)) > NOON + timedelta(seconds=15)

    def test_is_kept_through_a_hold(self, slot, lane, take):
        fill_queue(slot, lane, 1, now=NOON)
        Due.objects.update(goes_alone=True)
        slot.campaign.paused_at = NOON
        slot.campaign.save()
        take(slot)
        assert Due.objects.get().goes_alone

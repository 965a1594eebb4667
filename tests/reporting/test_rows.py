"""O9 and O12, each broken once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from campaigns.models import Slot
from compliance.consent import opt_out
from compliance.models import Person
from delivery.models import (
    Attempt,
    Due,
    Inbound,
    Message,
    SingleText,
    Sticky,
    Strike,
    WebhookEvent,
)
from links.models import ShortLink
from tests.factories import make_account, make_brand, make_number
from tests.reporting.world import NOON, NOW, World, raw

pytestmark = pytest.mark.django_db

NOWHERE = 999_999


NO_TEXT_OF_ITS_OWN = "a single message without its text, or such a text without one"


@pytest.fixture
def world() -> World:
    return World()


def queued(world: World, **fields: object) -> Due:
    """A message that waits, with its row in the queue."""
    message = world.send(slot=world.another_slot(), status="planned", outcome="not_sent")
    fields = {
        "brand": world.brand,
        "campaign": message.campaign,
        "lane": world.number,
        "queue": message.campaign_id,
        "not_before": NOW,
        "expires_at": message.expires_at,
        **fields,
    }
    return Due.objects.create(message=message, **fields)


class TestStuck:
    def test_sending_for_long_is_seen(self, world, tmp_path):
        at, slot = NOW - timedelta(minutes=16), world.another_slot()
        world.send(at=at, slot=slot, status="sending", outcome="")
        assert world.problems(tmp_path) == {
            "O9": [
                "sending for more than 15 minutes",
                "an attempt without an answer for more than 15 minutes",
            ]
        }

    def test_a_row_that_nobody_swept_is_seen(self, world, tmp_path):
        expired = NOW - timedelta(minutes=6)
        due = queued(world, expires_at=expired)
        Message.objects.filter(pk=due.message_id).update(expires_at=expired)
        assert world.problems(tmp_path) == {"O9": ["waits 5 minutes after its expiry"]}

    def test_a_slot_that_nobody_closed_is_seen(self, world, tmp_path):
        Slot.objects.update(state="open")
        raw("UPDATE campaigns_slot SET local_date = local_date - 1")
        assert world.problems(tmp_path) == {"O9": ["a slot is open after its end everywhere"]}

    def test_an_open_slot_that_is_still_going_on_in_the_west_is_not(self, world, tmp_path):
        Slot.objects.update(state="open")
        assert world.problems(tmp_path) == {}

    def test_an_inbound_message_that_was_not_applied_is_seen(self, world, tmp_path):
        Inbound.objects.create(
            account=world.number.account, provider_ref="SM1", from_value="x", to_value="y"
        )
        Inbound.objects.update(received_at=NOW - timedelta(minutes=16))
        says = "an inbound message was not applied for 15 minutes"
        assert world.problems(tmp_path) == {"O9": [says]}

    def test_a_report_that_was_not_applied_is_seen(self, world, tmp_path):
        WebhookEvent.objects.create(account=world.number.account, dedupe_key="1", raw={})
        WebhookEvent.objects.update(received_at=NOW - timedelta(minutes=16))
        assert world.problems(tmp_path) == {"O9": ["a report was not applied for 15 minutes"]}


class TestQueue:
    def test_planned_without_a_due_row_is_seen(self, world, tmp_path):
        world.send(slot=world.another_slot(), status="planned", outcome="not_sent")
        assert world.problems(tmp_path) == {"O12": ["planned without a due row"]}

    def test_a_due_row_of_an_ended_message_is_seen(self, world, tmp_path):
        due = queued(world)
        Message.objects.filter(pk=due.message_id).update(status="expired")
        assert world.problems(tmp_path) == {"O12": ["a due row without a planned message"]}

    def test_a_due_row_of_no_message_is_seen(self, world, tmp_path):
        due = queued(world)
        raw("UPDATE delivery_due SET message_id = %s WHERE message_id = %s", [0, due.message_id])
        assert "a due row without a planned message" in world.problems(tmp_path)["O12"]

    def test_a_single_message_without_its_text_is_seen(self, world, tmp_path):
        world.send(kind="single", idempotency_key="k1")
        SingleText.objects.all().delete()
        assert world.problems(tmp_path) == {"O12": [NO_TEXT_OF_ITS_OWN]}

    def test_a_text_that_makes_a_test_of_a_campaigns_message_is_seen(self, world, tmp_path):
        SingleText.objects.create(message=world.messages[0], text="Hi", is_test=True)
        assert world.problems(tmp_path) == {"O12": [NO_TEXT_OF_ITS_OWN]}

    @pytest.mark.parametrize(
        "change",
        [
            {"queue": 0},
            {"campaign_id": None},
            {"expires_at": NOW + timedelta(days=1)},
        ],
        ids=["queue", "campaign", "expiry"],
    )
    def test_a_due_row_that_differs_from_its_message_is_seen(self, world, tmp_path, change):
        queued(world, **change)
        assert world.problems(tmp_path) == {"O12": ["a due row differs from its message"]}


class TestAttempts:
    @pytest.mark.parametrize("status", ["accepted", "delivered", "unknown", "rejected"])
    def test_handed_over_without_an_attempt_is_seen(self, world, tmp_path, status):
        message = world.send(status=status, outcome="not_sent")
        assert world.problems(tmp_path) == {"O12": ["handed over without a live attempt"]}, message

    @pytest.mark.parametrize("status", ["refused", "expired", "cancelled", "dead"])
    def test_ended_with_an_attempt_in_force_is_seen(self, world, tmp_path, status):
        world.send(status=status, outcome="unknown")
        world.requests[-1]["took"] = False
        problems = world.problems(tmp_path)["O12"]
        assert "not handed over, but with a live attempt" in problems

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            ("sending", "accepted"),
            ("rejected", "accepted"),
            ("accepted", "rejected"),
            ("unknown", "accepted"),
            ("not_found", ""),
        ],
    )
    def test_an_attempt_that_contradicts_its_message_is_seen(
        self, world, tmp_path, status, outcome
    ):
        world.send(slot=world.another_slot(), status=status, outcome=outcome)
        assert "message and attempt contradict each other" in world.problems(tmp_path)["O12"]

    TAKEN = ("accepted", "sent", "delivered", "undelivered", "failed", "no_report")

    @pytest.mark.parametrize("status", TAKEN)
    @pytest.mark.parametrize("outcome", ["", "unknown"])
    def test_taken_without_an_answer_or_a_report_is_seen(self, world, tmp_path, status, outcome):
        message = world.send(slot=world.another_slot(), status=status, outcome=outcome)
        message.attempts.update(reported_at=None)
        assert "message and attempt contradict each other" in world.problems(tmp_path)["O12"]

    @pytest.mark.parametrize("status", TAKEN)
    def test_a_report_may_stand_for_the_answer(self, world, tmp_path, status):
        message = world.send(slot=world.another_slot(), status=status, outcome="unknown")
        world.reported(message, "")
        assert world.problems(tmp_path) == {}


class TestParents:
    @pytest.mark.parametrize(
        "column", ["brand_id", "campaign_id", "slot_id", "lead_id", "person_id", "link_id"]
    )
    def test_a_message_that_leads_nowhere_is_seen(self, world, tmp_path, column):
        change = f"UPDATE delivery_message SET {column} = %s WHERE id = %s"
        raw(change, [NOWHERE, world.messages[0].pk])
        assert "message without a parent" in world.problems(tmp_path)["O12"]

    @pytest.mark.parametrize("column", ["account_id", "number_id", "message_id"])
    def test_an_attempt_that_leads_nowhere_is_seen(self, world, tmp_path, column):
        change = f"UPDATE delivery_attempt SET {column} = %s WHERE message_id = %s"
        raw(change, [NOWHERE, world.messages[0].pk])
        assert "attempt without a parent" in world.problems(tmp_path)["O12"]

    def test_a_due_row_that_leads_nowhere_is_seen(self, world, tmp_path):
        queued(world)
        raw("UPDATE delivery_due SET lane_id = %s", [NOWHERE])
        assert world.problems(tmp_path) == {"O12": ["message without a parent"]}

    @pytest.mark.parametrize(
        ("model", "fields", "says"),
        [
            pytest.param(Sticky, {"number_id": NOWHERE}, "sticky", id="sticky number"),
            pytest.param(
                Strike, {"message_id": NOWHERE, "ordinal": 1, "step": "x"}, "strike", id="strike"
            ),
            pytest.param(
                ShortLink,
                {"brand_id": NOWHERE, "code": "abc", "destination": "https://x.example.com"},
                "link",
                id="short link",
            ),
        ],
    )
    def test_other_rows_that_lead_nowhere_are_seen(self, world, tmp_path, model, fields, says):
        if model is Sticky:
            fields = {**fields, "person": world.leads[0].person, "brand": world.brand}
        model.objects.create(**fields)
        assert world.problems(tmp_path) == {"O12": [f"{says} without a parent"]}

    def test_progress_of_no_slot_is_seen(self, world, tmp_path):
        raw("UPDATE delivery_planned SET slot_id = %s", [NOWHERE])
        assert "planned without a parent" in world.problems(tmp_path)["O12"]

    def test_a_message_of_another_brand_is_seen(self, world, tmp_path):
        message = world.messages[0]
        raw(
            "UPDATE delivery_message SET brand_id = %s WHERE id = %s", [make_brand().pk, message.pk]
        )
        says = "a message differs from its campaign, slot or lead"
        assert says in world.problems(tmp_path)["O12"]

    def test_a_message_to_another_person_than_its_lead_is_seen(self, world, tmp_path):
        stranger = world.leads[1].person_id
        raw("DELETE FROM delivery_message WHERE id = %s", [world.messages[1].pk])
        message = world.messages[0]
        raw("UPDATE delivery_message SET person_id = %s WHERE id = %s", [stranger, message.pk])
        says = "a message differs from its campaign, slot or lead"
        assert says in world.problems(tmp_path)["O12"]

    def test_a_number_of_another_account_is_seen(self, world, tmp_path):
        other = make_number(make_account())
        Attempt.objects.filter(message=world.messages[0]).update(number=other)
        says = "an attempt's number belongs to another account"
        assert world.problems(tmp_path) == {"O12": [says]}


def test_an_opt_out_that_its_person_does_not_show_is_seen(world, tmp_path):
    opt_out([world.leads[0].person_id], source="inbound")
    Person.objects.update(opted_out_at=None, opt_out_event_id=None)
    assert world.problems(tmp_path) == {"O12": ["a person does not show the last opt-out"]}


def test_an_opt_out_after_the_send_is_no_problem(world, tmp_path):
    opt_out([world.leads[0].person_id], source="inbound")
    assert NOON < NOW
    assert world.problems(tmp_path) == {}

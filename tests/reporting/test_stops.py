"""O5, each way broken once: after an opt-out of our rows, and after a STOP that was answered."""

from __future__ import annotations

from datetime import timedelta

import pytest

from compliance.consent import opt_out
from compliance.models import OptOutEvent, Person, Rejoin
from delivery.models import Inbound, Message
from leads.models import Lead
from reporting.oracle import answers, checks
from tests.factories import make_brand, make_lead, make_person
from tests.reporting.world import NOON, NOW, World, raw, said

pytestmark = pytest.mark.django_db

RECEIVED = "received after the person's opt-out"
DECIDED = "decided after the person's opt-out"
NOT_RECORDED = "a STOP was answered 2xx but not recorded"
AFTER_ANSWER = "decided after a STOP was answered"


@pytest.fixture
def world() -> World:
    return World()


def stop(person: Person, at) -> OptOutEvent:
    opt_out([person.pk], source="inbound")
    event = OptOutEvent.objects.latest("id")
    raw("UPDATE compliance_optoutevent SET at = %s WHERE id = %s", [at, event.pk])
    return event


def rejoin(person: Person, brand, *, after: OptOutEvent, at) -> None:
    Rejoin.objects.update_or_create(
        person=person, brand=brand, defaults={"after_event_id": after.pk, "at": at}
    )


class TestAfterAnOptOut:
    def test_a_text_after_the_stop_is_seen(self, world, tmp_path):
        stop(world.leads[0].person, NOON - timedelta(minutes=5))
        assert world.problems(tmp_path) == {"O5": [RECEIVED, DECIDED]}

    def test_a_test_of_staff_after_the_stop_is_seen_too(self, world, tmp_path):
        lead = world.leads[0]
        stop(lead.person, NOON)
        at = NOON + timedelta(minutes=1)
        world.send(lead, at, kind="single", is_test=True, idempotency_key="k1")
        assert world.problems(tmp_path) == {"O5": [RECEIVED, DECIDED]}

    def test_what_was_under_way_when_the_stop_came_is_not(self, world, tmp_path):
        stop(world.leads[0].person, NOON - timedelta(seconds=8))
        assert world.problems(tmp_path) == {}

    def test_a_text_that_was_written_too_late_is_seen(self, world, tmp_path):
        stop(world.leads[0].person, NOON + timedelta(seconds=2))
        world.requests[0]["received_at"] += 20
        assert world.problems(tmp_path) == {"O5": [RECEIVED]}

    def test_the_stop_of_the_person_behind_the_email_binds_too(self, world, tmp_path):
        other = make_person()
        Lead.objects.filter(pk=world.leads[0].pk).update(email_person=other)
        stop(other, NOON - timedelta(minutes=5))
        assert world.problems(tmp_path) == {"O5": [RECEIVED, DECIDED]}

    def test_a_join_of_the_person_lifts_the_stop_of_the_one_behind_the_email(self, world, tmp_path):
        other = make_person()
        Lead.objects.filter(pk=world.leads[0].pk).update(email_person=other)
        event = stop(other, NOON - timedelta(minutes=5))
        joined_at = NOON - timedelta(minutes=1)
        rejoin(world.leads[0].person, world.brand, after=event, at=joined_at)
        assert world.problems(tmp_path) == {}

    def test_a_recipient_without_the_plus_is_the_same_person(self, world, tmp_path):
        stop(world.leads[0].person, NOON - timedelta(minutes=5))
        world.requests[0]["to"] = world.requests[0]["to"].removeprefix("+")
        assert RECEIVED in world.problems(tmp_path)["O5"]

    def test_a_join_lifts_it_for_its_brand(self, world, tmp_path):
        person = world.leads[0].person
        event = stop(person, NOON - timedelta(minutes=5))
        Rejoin.objects.create(person=person, brand=world.brand, after_event_id=event.pk)
        Rejoin.objects.update(at=NOON - timedelta(minutes=1))
        assert world.problems(tmp_path) == {}

    def test_a_join_does_not_excuse_what_was_sent_before_it(self, world, tmp_path):
        person = world.leads[0].person
        event = stop(person, NOON - timedelta(minutes=5))
        Rejoin.objects.create(person=person, brand=world.brand, after_event_id=event.pk)
        assert world.problems(tmp_path) == {"O5": [RECEIVED, DECIDED]}

    def test_a_join_whose_row_was_overwritten_by_a_later_one_still_counts(self, world, tmp_path):
        person = world.leads[0].person
        stop(person, NOON - timedelta(minutes=5))
        Inbound.objects.create(
            account=world.number.account,
            person=person,
            brand=world.brand,
            provider_ref="SM1",
            from_value="x",
            to_value="y",
            label="join",
            applied_at=NOON - timedelta(minutes=1),
        )
        later = stop(person, NOON + timedelta(minutes=5))
        Rejoin.objects.create(person=person, brand=world.brand, after_event_id=later.pk)
        assert world.problems(tmp_path) == {}

    def test_the_confirmation_may_reach_them(self, world, tmp_path):
        lead = make_lead(world.brand)
        stop(lead.person, NOON - timedelta(minutes=5))
        inbound = Inbound.objects.create(
            account=world.number.account, provider_ref="SM1", applied_at=NOON
        )
        world.send(lead, kind="reply", inbound=inbound, reply_kind="stop")
        assert world.problems(tmp_path) == {}

    def test_it_is_seen_without_a_ledger_too(self, world):
        stop(world.leads[0].person, NOON - timedelta(minutes=5))
        scope = checks.Scope(now=NOW, since=NOON)
        assert said(checks.run(answers.WITHOUT_LEDGER, scope)) == {"O5": [DECIDED]}
        assert Message.objects.count() == 3


class TestAStopThatWasAnswered:
    """The text comes at `at` and is answered 20 ms later."""

    def text(self, world: World, at=NOON, **fields: object) -> Person:
        person = world.leads[0].person
        world.text(person.phone, at=at, **fields)
        return person

    def test_it_may_be_recorded_by_then(self, world, tmp_path):
        stop(self.text(world, NOON + timedelta(minutes=1)), NOON + timedelta(minutes=1))
        assert world.problems(tmp_path) == {}

    def test_an_opt_out_that_is_missing_is_seen(self, world, tmp_path):
        self.text(world, NOON + timedelta(minutes=1))
        assert world.problems(tmp_path) == {"O5": [NOT_RECORDED]}

    def test_an_opt_out_that_came_later_is_seen(self, world, tmp_path):
        person = self.text(world, NOON + timedelta(minutes=1))
        stop(person, NOON + timedelta(minutes=1, seconds=2))
        assert world.problems(tmp_path) == {"O5": [NOT_RECORDED]}

    def test_a_stop_of_somebody_we_do_not_know_must_be_kept_too(self, world, tmp_path):
        world.text("+12125559999")
        assert world.problems(tmp_path) == {"O5": [NOT_RECORDED]}

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"answer": 503}, id="refused for now"),
            pytest.param({"answer": 0}, id="no answer"),
            pytest.param({"answer": None}, id="no answer noted"),
            pytest.param({"text": "Stop by?"}, id="other words"),
            pytest.param({"genuine": False, "answer": 403, "recorded": False}, id="forged"),
        ],
    )
    def test_what_is_no_stop_that_we_answered_need_not_be(self, world, tmp_path, change):
        self.text(world, NOON - timedelta(minutes=5), **change)
        assert world.problems(tmp_path) == {}

    def test_what_no_phone_sent_need_not_be(self, world, tmp_path):
        world.text("SHOP")
        assert world.problems(tmp_path) == {}

    def test_a_send_that_was_decided_after_the_answer_is_seen(self, world, tmp_path):
        stop(self.text(world, NOON + timedelta(seconds=0.9)), NOON + timedelta(seconds=0.9))
        assert world.problems(tmp_path) == {"O5": [AFTER_ANSWER]}

    def test_a_send_that_was_decided_before_the_answer_is_not(self, world, tmp_path):
        stop(self.text(world, NOON + timedelta(seconds=0.99)), NOON + timedelta(seconds=0.99))
        assert world.problems(tmp_path) == {}

    def test_a_send_to_who_stopped_by_another_address_is_seen(self, world, tmp_path):
        other = make_person()
        Lead.objects.filter(pk=world.leads[0].pk).update(email_person=other)
        world.text(other.phone)
        stop(other, NOON)
        assert world.problems(tmp_path) == {"O5": [AFTER_ANSWER]}

    def test_a_send_to_who_stopped_without_a_record_is_seen(self, world, tmp_path):
        self.text(world)
        assert world.problems(tmp_path) == {"O5": [NOT_RECORDED, AFTER_ANSWER]}

    @pytest.mark.parametrize(
        ("kind", "says"), [("stop", []), ("help", []), ("join", [AFTER_ANSWER])]
    )
    def test_only_the_confirmation_and_help_may_follow(self, world, tmp_path, kind, says):
        lead = make_lead(world.brand)
        world.text(lead.person.phone, at=NOON - timedelta(seconds=5))
        stop(lead.person, NOON - timedelta(seconds=5))
        inbound = Inbound.objects.latest("id")
        world.send(lead, kind="reply", inbound=inbound, reply_kind=kind)
        assert world.problems(tmp_path).get("O5", []) == says

    def test_a_join_in_between_lifts_it(self, world, tmp_path):
        person = self.text(world)
        rejoin(person, world.brand, after=stop(person, NOON), at=NOON + timedelta(seconds=0.5))
        assert world.problems(tmp_path) == {}

    @pytest.mark.parametrize("joined", ["before the stop", "after the send", "another brand"])
    def test_no_other_join_does(self, world, tmp_path, joined):
        person = self.text(world)
        earlier, event = stop(person, NOON - timedelta(days=9)), stop(person, NOON)
        after = earlier if joined == "before the stop" else event
        brand = make_brand() if joined == "another brand" else world.brand
        at = NOON + timedelta(seconds=2 if joined == "after the send" else 0.5)
        rejoin(person, brand, after=after, at=at)
        assert AFTER_ANSWER in world.problems(tmp_path)["O5"]

    def test_a_join_whose_row_was_overwritten_still_counts(self, world, tmp_path):
        person = self.text(world)
        stop(person, NOON)
        joined = world.text(person.phone, "JOIN", recorded=False)
        world.inbound(
            joined,
            person=person,
            brand=world.brand,
            label="join",
            applied_at=NOON + timedelta(seconds=0.5),
        )
        later = stop(person, NOON + timedelta(minutes=1))
        rejoin(person, world.brand, after=later, at=NOON + timedelta(minutes=2))
        assert world.problems(tmp_path) == {}

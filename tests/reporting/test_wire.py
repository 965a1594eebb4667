"""O1, O2 and O3, each broken once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from brands.models import Brand
from delivery.models import Attempt, Message
from tests.reporting.world import NOON, NOW, World, raw

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=3)
SAME_WORDS = "the same words were taken twice on one slot date"
OWN_SAME_WORDS = "the same words twice on one slot date, by our own rows"


@pytest.fixture
def world() -> World:
    return World()


def words(world: World, code: str, scheme: str = "https") -> str:
    return f"Work near you: {scheme}://{world.brand.short_domain}/{code} Reply STOP to opt out"


class TestTheSameWordsTwice:
    def test_a_request_that_was_repeated_is_seen(self, world, tmp_path):
        world.request(world.messages[0])
        assert world.problems(tmp_path) == {"O1": ["a message was taken more than once"]}

    def test_a_test_of_staff_that_was_sent_twice_is_seen(self, world, tmp_path):
        world.send(kind="single", is_test=True, idempotency_key="k1")
        assert world.problems(tmp_path) == {}
        world.request(Message.objects.latest("id"))
        assert world.problems(tmp_path) == {"O1": ["a message was taken more than once"]}

    def test_two_attempts_that_were_both_taken_are_seen(self, world, tmp_path):
        message = world.messages[0]
        message.attempts.update(outcome="not_sent", is_not_sent=True)
        world.attempt(message, NOON + timedelta(minutes=1), outcome="accepted")
        world.request(message)
        assert "a message was taken more than once" in world.problems(tmp_path)["O1"]

    def test_words_that_differ_in_the_link_only_are_the_same(self, world, tmp_path):
        lead = world.leads[0]
        for code, slot in (("aaaa", world.another_slot()), ("bbbb", world.another_slot())):
            world.send(lead, LATER, slot=slot, text=words(world, code))
        assert world.problems(tmp_path)["O1"] == [SAME_WORDS, OWN_SAME_WORDS]

    def test_a_link_that_speaks_plain_http_makes_no_difference(self, world, tmp_path):
        Brand.objects.update(short_domain="127.0.0.1:8000")
        world.brand.refresh_from_db()
        for scheme in ("https", "http"):
            text = words(world, "aaaa", scheme)
            world.send(world.leads[0], LATER, slot=world.another_slot(), text=text)
        assert world.problems(tmp_path)["O1"] == [SAME_WORDS, OWN_SAME_WORDS]

    def test_the_opt_out_line_makes_no_difference(self, world, tmp_path):
        first, second = world.another_slot(), world.another_slot()
        world.send(world.leads[0], slot=first, text="Work near you")
        world.send(world.leads[0], slot=second, text="Work near you Reply STOP to opt out")
        assert world.problems(tmp_path)["O1"] == [SAME_WORDS, OWN_SAME_WORDS]

    def test_other_words_are_not(self, world, tmp_path):
        world.send(world.leads[0], LATER, slot=world.another_slot(), text="Something else")
        assert "O1" not in world.problems(tmp_path)

    def test_links_to_other_hosts_are_words(self, world, tmp_path):
        for page in ("a", "b"):
            text = f"Read https://jobs.example.com/{page}"
            world.send(world.leads[0], LATER, slot=world.another_slot(), text=text)
        assert "O1" not in world.problems(tmp_path)

    def test_a_schedule_that_repeats_may_say_the_same(self, world, tmp_path):
        for _ in range(2):
            slot = world.another_slot(repeats_words=True)
            world.send(world.leads[0], LATER, slot=slot, text=words(world, "aaaa"))
        assert "O1" not in world.problems(tmp_path)

    def test_another_slot_date_may_say_the_same(self, world, tmp_path):
        first, second = world.another_slot(), world.another_slot()
        raw("UPDATE campaigns_slot SET local_date = local_date - 1 WHERE id = %s", [first.pk])
        for slot in (first, second):
            world.send(world.leads[0], LATER, slot=slot, text=words(world, "aaaa"))
        assert "O1" not in world.problems(tmp_path)

    def test_two_sends_that_we_know_nothing_of_are_seen(self, world, tmp_path):
        for ref in ("lost1", "lost2"):
            world.request(world.messages[0], ref=ref, text="Who sent this?")
        assert SAME_WORDS in world.problems(tmp_path)["O1"]


class TestTakenButNotRecorded:
    def test_a_request_without_an_intent_is_seen(self, world, tmp_path):
        world.request(world.messages[0], ref="nobody's", took=False)
        assert world.problems(tmp_path) == {"O2": ["a request without an intent"]}

    @pytest.mark.parametrize("status", ["expired", "dead", "refused", "cancelled"])
    def test_taken_but_ended_as_never_sent_is_seen(self, world, tmp_path, status):
        message = world.send(status=status, outcome="not_sent")
        world.requests[-1] |= {"took": True, "provider_ref": "SM1"}
        problems = world.problems(tmp_path)
        assert problems["O2"] == ["taken, but recorded as not taken"], message

    def test_taken_but_recorded_as_rejected_is_seen(self, world, tmp_path):
        world.send(status="rejected", outcome="rejected")
        world.requests[-1]["took"] = True
        assert world.problems(tmp_path) == {"O2": ["taken, but recorded as not taken"]}

    def test_taken_but_waiting_to_go_again_is_seen(self, world, tmp_path):
        world.send(status="planned", outcome="not_sent")
        world.requests[-1]["took"] = True
        assert world.problems(tmp_path)["O2"] == ["taken, but recorded as not taken"]

    def test_an_answer_that_was_not_recorded_for_a_minute_is_seen(self, world, tmp_path):
        at, slot = NOW - timedelta(minutes=1), world.another_slot()
        world.send(at=at, slot=slot, status="sending", outcome="")
        world.requests[-1]["took"] = True
        assert world.problems(tmp_path) == {"O2": ["taken, but recorded as not taken"]}


class TestRecordedButNotTaken:
    def test_a_send_that_no_ledger_holds_is_seen(self, world, tmp_path):
        del world.requests[0]
        assert world.problems(tmp_path) == {"O3": ["recorded as taken, but no provider took it"]}

    def test_a_request_that_was_not_taken_does_not_count(self, world, tmp_path):
        world.requests[0] |= {"took": False, "provider_ref": ""}
        assert world.problems(tmp_path) == {"O3": ["recorded as taken, but no provider took it"]}

    def test_a_report_of_something_never_taken_is_seen(self, world, tmp_path):
        world.send(status="delivered", outcome="unknown")
        world.requests[-1] |= {"took": False, "provider_ref": ""}
        assert world.problems(tmp_path) == {"O3": ["recorded as taken, but no provider took it"]}

    def test_another_provider_id_is_seen(self, world, tmp_path):
        world.requests[0]["provider_ref"] = "SMother"
        assert world.problems(tmp_path) == {"O3": ["recorded under another provider id"]}

    def test_a_missing_provider_id_is_seen(self, world, tmp_path):
        Attempt.objects.filter(message=world.messages[0]).update(provider_refs=[])
        assert world.problems(tmp_path) == {"O3": ["recorded under another provider id"]}

    def test_what_was_answered_after_the_reading_began_is_left_out(self, world, tmp_path):
        world.send(at=NOW, status="accepted", outcome="accepted")
        Attempt.objects.update(answered_at=NOW + timedelta(minutes=1))
        world.requests.clear()
        assert world.problems(tmp_path) == {}

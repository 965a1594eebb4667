"""O11, each way broken once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery.models import Attempt, Due, Inbound, Message, WebhookEvent
from reporting.oracle import answers, checks
from tests.factories import make_account
from tests.reporting.world import NOON, NOW, World, raw, said

pytestmark = pytest.mark.django_db

NOT_APPLIED = "an end was reported and answered 2xx, but not applied"
NOBODY_REPORTED = "an end that no provider reported"
NOT_THE_FIRST = "an end that is not the first reported"
NOT_REFUSED = "a forgery was not refused"
FORGED_REPORT = "a forged report was recorded"
FORGED_TEXT = "a forged text was recorded"
NOBODYS_REPORT = "a report was recorded that nobody posted"
NOBODYS_TEXT = "a text was recorded that nobody posted"
NOT_ONCE = "a text was answered 2xx, but not recorded once"
TEXT_NOT_APPLIED = "a text was answered 2xx, but not applied"
NO_REPORT_KEPT = "an end, but no report on the attempt"
OTHER_END = "the attempt's report means another end"
NO_RESULT = "a report was applied without a result"

HELLO = "Who is this?"
FORGED = {"genuine": False, "answer": 403}


@pytest.fixture
def world() -> World:
    return World()


def ends(world: World, status: str, message: Message | None = None) -> Message:
    """A message of the world that came to this end; nothing is posted."""
    message = message or world.messages[0]
    Message.objects.filter(pk=message.pk).update(status=status)
    world.reported(message, status)
    return message


def again(world: World, message: Message, *, outcome: str = "accepted") -> Attempt:
    """The message's attempt was not sent, as it seems, and it went round again."""
    message.attempts.update(outcome="not_sent", is_not_sent=True, provider_refs=[])
    world.requests[0]["took"] = False
    attempt = world.attempt(message, NOON + timedelta(minutes=1), outcome=outcome)
    raw("UPDATE delivery_capcounter SET used = used - 1")
    world.request(message)
    return attempt


class TestNotApplied:
    def test_a_report_that_was_answered_and_changed_nothing_is_seen(self, world, tmp_path):
        world.report(world.messages[0])
        assert world.problems(tmp_path) == {"O11": [NOT_APPLIED]}

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"word": "sent"}, id="no end"),
            pytest.param({"answer": 503}, id="refused for now"),
            pytest.param({"answer": 0}, id="no answer"),
            pytest.param({"answer": None}, id="no answer noted"),
            pytest.param({"at": NOW - timedelta(seconds=10)}, id="it came just now"),
            pytest.param({"ref": "nobody's", "provider_ref": "SMx"}, id="of no attempt of ours"),
        ],
    )
    def test_what_need_not_be_applied_is_not(self, world, tmp_path, change):
        world.report(world.messages[0], **change)
        assert world.problems(tmp_path) == {}

    def test_a_report_with_an_id_of_ours_is_for_us(self, world, tmp_path):
        world.report(world.messages[0], ref="")
        assert world.problems(tmp_path) == {"O11": [NOT_APPLIED]}

    def test_the_same_id_at_another_provider_is_not(self, world, tmp_path):
        world.report(world.messages[0], ref="", provider="plivo", recorded=False)
        assert world.problems(tmp_path) == {}

    def test_a_refusal_at_send_stands(self, world, tmp_path):
        message = world.send(status="rejected", outcome="rejected")
        world.report(message)
        assert world.problems(tmp_path) == {}

    def test_a_report_of_an_attempt_thought_not_sent_counts(self, world, tmp_path):
        message = world.send(status="expired", outcome="not_sent")
        world.report(message)
        assert world.problems(tmp_path) == {"O11": [NOT_APPLIED]}

    def test_it_only_alarms_when_another_attempt_is_live(self, world, tmp_path):
        message = world.messages[0]
        world.report(message)
        again(world, message)
        assert world.problems(tmp_path) == {}


class TestEnds:
    @pytest.mark.parametrize(
        ("word", "code", "status"),
        [
            ("delivered", "", "delivered"),
            ("read", "", "delivered"),
            ("undelivered", "30003", "undelivered"),
            ("undelivered", "30007", "failed"),
            ("failed", "30036", "undelivered"),
        ],
    )
    def test_an_end_may_be_what_its_report_means(self, world, tmp_path, word, code, status):
        world.report(ends(world, status), word, code=code)
        assert world.problems(tmp_path) == {}

    def test_another_end_is_seen(self, world, tmp_path):
        world.report(ends(world, "delivered"), "undelivered", code="30003")
        assert world.problems(tmp_path) == {"O11": [NOBODY_REPORTED]}

    def test_an_end_without_any_report_is_seen(self, world, tmp_path):
        ends(world, "failed")
        assert world.problems(tmp_path) == {"O11": [NOBODY_REPORTED]}

    def test_a_report_of_the_attempt_before_does_not_explain_it(self, world, tmp_path):
        message = world.messages[0]
        world.report(message)
        again(world, message)
        ends(world, "delivered")
        assert world.problems(tmp_path) == {"O11": [NOBODY_REPORTED]}

    def test_a_forgery_does_not_explain_it(self, world, tmp_path):
        world.report(ends(world, "delivered"), **FORGED, recorded=False)
        assert world.problems(tmp_path) == {"O11": [NOBODY_REPORTED]}

    def test_a_report_whose_answer_was_lost_explains_it(self, world, tmp_path):
        world.report(ends(world, "delivered"), answer=0)
        assert world.problems(tmp_path) == {}

    def test_what_was_reported_after_the_reading_began_is_left_out(self, world, tmp_path):
        message = ends(world, "delivered")
        message.attempts.update(reported_at=NOW + timedelta(minutes=1))
        assert world.problems(tmp_path) == {}


class TestTheFirstReport:
    def test_it_wins(self, world, tmp_path):
        message = ends(world, "undelivered")
        world.report(message, "undelivered")
        world.report(message, "delivered")
        assert world.problems(tmp_path) == {}

    def test_another_one_that_won_is_seen(self, world, tmp_path):
        message = ends(world, "delivered")
        world.report(message, "undelivered")
        world.report(message, "delivered")
        assert world.problems(tmp_path) == {"O11": [NOT_THE_FIRST]}

    def test_first_is_what_came_into_the_inbox_first(self, world, tmp_path):
        message = ends(world, "delivered")
        late = world.report(message, "undelivered", recorded=False)
        world.report(message, "delivered")
        world.event(late)
        assert world.problems(tmp_path) == {}

    def test_of_one_word_with_two_codes_either_may_be_it(self, world, tmp_path):
        message = ends(world, "failed")
        world.report(message, "undelivered", code="30003")
        world.report(message, "undelivered", code="30007")
        assert world.problems(tmp_path) == {}


class TestForgeries:
    @pytest.mark.parametrize(
        ("answer", "says"),
        [
            (200, [NOT_REFUSED]),
            (302, [NOT_REFUSED]),
            (500, [NOT_REFUSED]),
            (403, []),
            (413, []),
            (503, []),
            (0, []),
            (None, []),
        ],
    )
    def test_they_must_be_refused(self, world, tmp_path, answer, says):
        change = {"genuine": False, "answer": answer, "recorded": False}
        world.report(world.messages[0], provider_ref="SMforged", **change)
        assert world.problems(tmp_path).get("O11", []) == says

    def test_a_forged_report_in_the_inbox_is_seen(self, world, tmp_path):
        message = ends(world, "delivered")
        world.report(message)
        world.report(message, "failed", **FORGED)
        assert world.problems(tmp_path) == {"O11": [FORGED_REPORT]}

    def test_a_forged_word_is_not_what_another_word_came_from(self, world, tmp_path):
        world.report(world.messages[0], "failed", **FORGED, recorded=False)
        world.report(world.messages[0], "sent", **FORGED)
        world.callbacks.pop()
        assert world.problems(tmp_path) == {"O11": [NOBODYS_REPORT]}

    def test_a_forged_stop_that_was_answered_is_told_as_that_only(self, world, tmp_path):
        forged = {"genuine": False, "answer": 200, "recorded": False}
        world.text(world.leads[0].person.phone, "STOP", **forged)
        assert world.problems(tmp_path) == {"O11": [NOT_REFUSED]}

    def test_one_that_copies_a_genuine_one_is_explained_by_that(self, world, tmp_path):
        message = ends(world, "delivered")
        world.report(message)
        world.report(message, **FORGED, recorded=False)
        assert world.problems(tmp_path) == {}

    def test_a_forged_text_in_our_rows_is_seen(self, world, tmp_path):
        world.text("+12125559999", **FORGED)
        assert world.problems(tmp_path) == {"O11": [FORGED_TEXT]}

    def test_a_forged_text_that_copies_a_genuine_one_is_explained_by_that(self, world, tmp_path):
        post = world.text("+12125559999", HELLO)
        forged = {**FORGED, "provider_ref": post["provider_ref"], "recorded": False}
        world.text("+12125559999", **forged)
        assert world.problems(tmp_path) == {}

    def test_another_providers_callback_explains_nothing(self, world, tmp_path):
        message = ends(world, "delivered")
        world.report(message)
        WebhookEvent.objects.update(account=make_account(kind="plivo"))
        assert world.problems(tmp_path) == {"O11": [NOBODYS_REPORT]}


class TestNobodyPosted:
    def test_a_report_is_seen(self, world, tmp_path):
        world.report(world.messages[0], "sent")
        world.event({"provider_ref": "SMother", "word": "sent", "code": ""})
        assert world.problems(tmp_path) == {"O11": [NOBODYS_REPORT]}

    def test_a_text_is_seen(self, world, tmp_path):
        world.report(world.messages[0], "sent")
        world.inbound({"provider_ref": "SMother"})
        assert world.problems(tmp_path) == {"O11": [NOBODYS_TEXT]}

    def test_what_came_after_the_reading_began_is_left_out(self, world, tmp_path):
        world.report(world.messages[0], "sent")
        world.event({"provider_ref": "SMother", "word": "sent", "code": ""})
        world.inbound({"provider_ref": "SMother"})
        for model in (WebhookEvent, Inbound):
            model.objects.update(received_at=NOW + timedelta(minutes=1))
        assert world.problems(tmp_path) == {}

    def test_a_ledger_without_callbacks_is_silent_on_it(self, world, tmp_path):
        world.event({"provider_ref": "SMother", "word": "sent", "code": ""})
        world.inbound({"provider_ref": "SMother"})
        assert world.problems(tmp_path) == {}


class TestTexts:
    def test_a_text_that_is_missing_is_seen(self, world, tmp_path):
        world.text("+12125559999", HELLO, recorded=False)
        assert world.problems(tmp_path) == {"O11": [NOT_ONCE]}

    def test_a_text_that_is_there_twice_is_seen(self, world, tmp_path):
        post = world.text("+12125559999", HELLO)
        world.inbound(post, account=make_account())
        assert world.problems(tmp_path) == {"O11": [NOT_ONCE]}

    def test_a_text_that_came_twice_is_there_once(self, world, tmp_path):
        post = world.text("+12125559999", HELLO)
        again = {"provider_ref": post["provider_ref"], "copy": 2, "recorded": False}
        world.text("+12125559999", HELLO, **again)
        assert world.problems(tmp_path) == {}

    def test_a_text_that_was_not_applied_is_seen(self, world, tmp_path):
        world.text("+12125559999", HELLO)
        Inbound.objects.update(applied_at=None, received_at=NOW)
        assert world.problems(tmp_path) == {"O11": [TEXT_NOT_APPLIED]}

    def test_a_text_that_was_not_answered_need_not_be_there(self, world, tmp_path):
        world.text("+12125559999", HELLO, answer=503, recorded=False)
        assert world.problems(tmp_path) == {}


class TestWithoutALedger:
    def problems(self) -> dict[str, list[str]]:
        scope = checks.Scope(now=NOW, since=NOON)
        return said(checks.run(answers.WITHOUT_LEDGER, scope))

    @pytest.mark.parametrize(
        ("status", "word"),
        [
            ("delivered", "delivered"),
            ("failed", "rejected"),
            ("undelivered", "expired"),
            ("accepted", "sent"),
            ("rejected", "delivered"),
        ],
    )
    def test_an_end_may_be_what_its_attempt_says(self, world, status, word):
        outcome = "rejected" if status == "rejected" else "accepted"
        message = world.send(status=status, outcome=outcome)
        world.reported(message, word)
        assert self.problems() == {}

    @pytest.mark.parametrize(
        ("status", "word"), [("failed", "expired"), ("delivered", "failed"), ("sent", "delivered")]
    )
    def test_another_end_than_the_attempt_says_is_seen(self, world, status, word):
        world.reported(world.send(status=status), word)
        assert self.problems() == {"O11": [OTHER_END]}

    def test_what_a_dead_attempt_says_is_for_its_message_too(self, world):
        world.reported(world.send(status="expired", outcome="not_sent"), "delivered")
        assert self.problems() == {"O11": [OTHER_END]}

    def test_but_not_when_another_attempt_is_live(self, world):
        message = world.messages[0]
        world.reported(message, "delivered")
        again(world, message)
        assert self.problems() == {}

    def test_an_end_without_a_report_is_seen(self, world):
        message = world.send(status="delivered")
        message.attempts.update(reported_at=None)
        assert self.problems() == {"O11": [NO_REPORT_KEPT]}

    def test_a_report_that_was_applied_to_no_purpose_is_seen(self, world):
        world.report(world.messages[0], "sent")
        WebhookEvent.objects.update(result="")
        assert self.problems() == {"O11": [NO_RESULT]}

    def test_a_report_that_waits_has_no_result_yet(self, world):
        world.report(world.messages[0], "sent")
        WebhookEvent.objects.update(result="", applied_at=None, received_at=NOW)
        assert self.problems() == {}
        assert not Due.objects.exists()

"""E-mail in the ledger: known by our reference, read with its subject, stopped in three ways."""

from __future__ import annotations

from datetime import timedelta

import pytest

from compliance.consent import opt_out
from compliance.models import OptOutEvent, Person
from delivery.models import MailContent, Message
from reporting.oracle.words import end_of
from tests.reporting.world import NOON, World, raw

pytestmark = pytest.mark.django_db

LATER = NOON + timedelta(hours=3)
REF = "abcdefghijklmnopqrstuv"
TEXT = "Work near you. Unsubscribe: http://127.0.0.1:8000/u/{}"
SAME_WORDS = "the same words were taken twice on one slot date"
OWN_SAME_WORDS = "the same words twice on one slot date, by our own rows"
NOBODY_POSTED = "a report was recorded that nobody posted"
NOT_RECORDED = "a STOP was answered 2xx but not recorded"
AFTER_ANSWER = "decided after a STOP was answered"


@pytest.fixture
def world() -> World:
    """Three people got an e-mail at noon, with the link to unsubscribe that is the attempt's."""
    world = World()
    account = world.number.account
    account.kind = "smtp"
    account.save()
    for request, message in zip(list(world.requests), world.messages, strict=True):
        as_mail(request, message, "Jobs")
    return world


def as_mail(request: dict[str, object], message: Message, subject: str) -> None:
    attempt, person = message.attempts.get(), message.person
    Person.objects.filter(pk=person.pk).update(email=f"person{person.pk}@example.com")
    message.attempts.update(provider_refs=[attempt.ref])
    MailContent.objects.create(attempt=attempt, subject=subject, html="")
    request.update(provider="smtp", to=f"person{person.pk}@example.com")
    request.update(mail=f"Return-Path: <b@example.com>\r\nSubject: {subject}\r\n\r\nwords\r\n")


def mail(world: World, message: Message, at, *, subject: str = "Jobs", link: str = REF) -> Message:
    """One more to the same person, of another slot of the day."""
    sent = world.send(message.lead, at, slot=world.another_slot(), text=TEXT.format(link))
    as_mail(world.requests[-1], sent, subject)
    return sent


def told(world: World, message: Message, word: str, **fields: object) -> dict[str, object]:
    """A report of an e-mail; in the inbox it is known by our reference."""
    post = world.report(message, word, recorded=False, provider="smtp", **fields)
    post.update(to=f"person{message.person_id}@example.com")
    return post


def stored(world: World, post: dict[str, object]) -> None:
    world.event(post, dedupe_key=f"{post['ref']}:{post['word']}")


def stopped(person_id: int, at) -> None:
    opt_out([person_id], source="unsubscribe")
    event = OptOutEvent.objects.latest("id")
    raw("UPDATE compliance_optoutevent SET at = %s WHERE id = %s", [at, event.pk])


def test_is_right_in_a_world_of_its_own(world, tmp_path):
    assert world.problems(tmp_path) == {}


class TestItsReports:
    def test_are_found_by_our_reference(self, world, tmp_path):
        message = world.messages[0]
        stored(world, told(world, message, "delivered"))
        Message.objects.filter(pk=message.pk).update(status="delivered")
        world.reported(message, "delivered")
        assert world.problems(tmp_path) == {}

    def test_are_missed_where_another_message_was_reported_on(self, world, tmp_path):
        post = told(world, world.messages[0], "delayed", ref="another")
        stored(world, {**post, "ref": world.messages[0].attempts.get().ref})
        assert world.problems(tmp_path) == {"O11": [NOBODY_POSTED]}

    @pytest.mark.parametrize(
        ("word", "code", "end"),
        [
            ("delivered", "2.0.0", "delivered"),
            ("failed", "5.1.1", "undelivered"),
            ("failed", "4.4.7", "undelivered"),
            ("complaint", "", "delivered"),
            ("unsubscribed", "", "delivered"),
            ("delayed", "4.4.1", ""),
            ("one-click", "", ""),
        ],
    )
    def test_mean_an_end_or_none(self, word, code, end):
        assert end_of("smtp", word, code) == end


class TestTheSameWords:
    def test_differ_in_the_link_to_unsubscribe_only(self, world, tmp_path):
        mail(world, world.messages[0], LATER)
        mail(world, world.messages[0], LATER + timedelta(hours=4), link=REF[::-1])
        problems = world.problems(tmp_path)
        assert problems["O1"] == [SAME_WORDS, OWN_SAME_WORDS]

    def test_under_another_subject_are_others(self, world, tmp_path):
        mail(world, world.messages[0], LATER)
        mail(world, world.messages[0], LATER + timedelta(hours=4), subject="More jobs")
        assert "O1" not in world.problems(tmp_path)


class TestGettingOut:
    @pytest.mark.parametrize("word", ["complaint", "unsubscribed", "one-click"])
    def test_that_came_to_nothing_is_seen(self, world, word, tmp_path):
        post = told(world, world.messages[0], word)
        if word != "one-click":
            stored(world, post)
        assert world.problems(tmp_path)["O5"] == [NOT_RECORDED]

    @pytest.mark.parametrize("word", ["complaint", "unsubscribed"])
    def test_by_a_report_may_be_done_a_bit_later(self, world, word, tmp_path):
        message = world.messages[0]
        stored(world, told(world, message, word))
        stopped(message.person_id, NOON + timedelta(seconds=9))
        assert "O5" not in world.problems(tmp_path)

    def test_by_a_click_is_done_when_it_is_answered(self, world, tmp_path):
        message = world.messages[0]
        told(world, message, "one-click")
        stopped(message.person_id, NOON + timedelta(seconds=9))
        assert world.problems(tmp_path) == {"O5": [NOT_RECORDED]}

    def test_by_a_click_holds_from_then_on(self, world, tmp_path):
        message = world.messages[0]
        told(world, message, "one-click", at=NOON + timedelta(seconds=30))
        stopped(message.person_id, NOON + timedelta(seconds=30))
        mail(world, message, NOON + timedelta(seconds=35), subject="More jobs")
        assert AFTER_ANSWER in world.problems(tmp_path)["O5"]

    def test_binds_what_reaches_the_mailbox(self, world, tmp_path):
        stopped(world.messages[0].person_id, NOON - timedelta(minutes=5))
        raw("UPDATE compliance_person SET phone = NULL")
        problems = world.problems(tmp_path)
        assert problems["O5"] == [
            "received after the person's opt-out",
            "decided after the person's opt-out",
        ]


class TestTheQuietHours:
    def test_are_those_of_the_readers_phone(self, world, tmp_path):
        assert "O6" not in world.problems(tmp_path)
        # In Hawaii, where it is 7 a.m.
        raw("UPDATE compliance_person SET phone = '+1808555' || lpad(right(id::text, 4), 4, '0')")
        raw("UPDATE leads_lead SET zip_code = '', state = ''")
        assert world.problems(tmp_path)["O6"] == ["received in the person's quiet hours"]

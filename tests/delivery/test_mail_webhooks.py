"""Bounces, complaints and unsubscribes, from the post of a mail to what it does to a message."""

from __future__ import annotations

import pytest
from django.db import OperationalError
from django.test import Client

from compliance import consent
from compliance.models import OptOutEvent, Person
from delivery import inbox, people, webhooks
from delivery.models import Attempt, Message, WebhookEvent, WebhookTally
from delivery.outcomes import Settled, record
from providers.base import Accepted
from providers.simulator_smtp import COMPLAINT, MAIL, SMTP_WIRE, UNSUBSCRIBED
from providers.simulator_wire import Report, Taken
from tests.delivery import mailing
from tests.delivery.mailing import make_mail_slot, make_reader
from tests.delivery.texting import is_out
from tests.delivery.walking import hand_over
from tests.factories import NOON, make_account, make_due, make_number, make_route

pytestmark = pytest.mark.django_db

brand = mailing.brand  # a fixture

DELAYED, DELIVERED = Report("delayed", "4.4.1"), Report("delivered", "2.0.0")
UNKNOWN_USER, FULL = Report("failed", "5.1.1"), Report("failed", "5.2.2")


@pytest.fixture(autouse=True)
def _kept(monkeypatch):
    """No account is kept from another test, whose account may have had the same id."""
    monkeypatch.setattr(webhooks, "_lines", {})


@pytest.fixture
def account(sandbox):
    return make_account(kind="smtp", base_url="smtp://127.0.0.1:9")


@pytest.fixture
def attempt(account, brand, journal):
    """Of a message that the relay took."""
    lane = make_number(account, value="jobs@shop.example.com", kind="email")
    make_route(brand, lane, channel="email")
    make_due(make_mail_slot(brand), make_reader(brand), lane, now=NOON)
    (intent,) = hand_over(journal)
    outcome = Accepted(intent.send.ref, part_refs=("Q1234",))
    record([Settled(intent.attempt_id, intent.message_id, outcome)])
    return Attempt.objects.get(pk=intent.attempt_id)


def a_mail(attempt, report):
    """As the simulated relay makes it."""
    message = Taken(
        account="shop",
        ref=attempt.ref,
        provider_ref="Q1234",
        sender="jobs@shop.example.com",
        to="anna@example.com",
        url="",
        segments=1,
        request_ref="",
        taken_at=0.0,
        bounces_to=f"b+{attempt.ref}@bounces.example.com",
    )
    return SMTP_WIRE.report_form(message, report)[MAIL].encode()


def post(account, mail, *, key=None, content_type="message/rfc822"):
    key = account.webhook_key if key is None else key
    path = f"/webhooks/smtp/{account.pk}{f'/{key}' if key else ''}/inbound"
    return Client().generic("POST", path, mail, content_type).status_code


def heard(attempt, *reports):
    """Post these, one after another, and apply them; how the message stands."""
    for report in reports:
        assert post(attempt.account, a_mail(attempt, report)) == 200
        inbox.apply_waiting()
    return Message.objects.get().status


def tally():
    return {one.what: one.count for one in WebhookTally.objects.all()}


@pytest.mark.parametrize("key", ["", "wrong"])
def test_without_its_key_nothing_is_taken_in(attempt, key):
    assert post(attempt.account, a_mail(attempt, UNKNOWN_USER), key=key) == 403
    assert not WebhookEvent.objects.exists()


def test_what_is_no_mail_is_not_taken_in(attempt):
    mail = a_mail(attempt, UNKNOWN_USER)
    assert post(attempt.account, mail, content_type="text/plain") == 403


def test_a_bounce_leaves_its_message_undelivered_and_its_person_known_for_it(attempt):
    assert heard(attempt, UNKNOWN_USER) == "undelivered"
    attempt.refresh_from_db()
    assert (attempt.report_status, attempt.report_code) == ("undelivered", "5.1.1")
    assert Person.objects.get().email_undeliverable_at is not None


def test_a_full_mailbox_says_nothing_for_good_of_its_person(attempt):
    assert heard(attempt, FULL) == "undelivered"
    assert Person.objects.get().email_undeliverable_at is None


def test_a_delay_moves_nothing_and_the_failure_after_it_does(attempt):
    assert heard(attempt, DELAYED) == "accepted"
    assert heard(attempt, UNKNOWN_USER) == "undelivered"
    assert WebhookEvent.objects.count() == 2


def test_a_bounce_that_comes_twice_is_kept_once(attempt):
    heard(attempt, UNKNOWN_USER, UNKNOWN_USER)
    assert WebhookEvent.objects.count() == 1


@pytest.mark.parametrize("deed", [COMPLAINT, UNSUBSCRIBED])
@pytest.mark.parametrize("before", [[], [DELIVERED], [UNKNOWN_USER]])
def test_who_complains_or_unsubscribes_is_out_for_every_brand(attempt, deed, before):
    end = heard(attempt, *before, deed)
    assert end == ("undelivered" if before == [UNKNOWN_USER] else "delivered")
    assert is_out(Person.objects.get(), attempt.number.brand or attempt.message.brand)


@pytest.mark.parametrize("deed", [COMPLAINT, UNSUBSCRIBED])
def test_who_complains_or_unsubscribes_is_out_before_it_is_answered(attempt, deed):
    assert post(attempt.account, a_mail(attempt, deed)) == 200
    assert is_out(Person.objects.get(), attempt.message.brand)
    assert OptOutEvent.objects.get().source == "provider"


def test_who_cannot_be_locked_is_to_unsubscribe_again(attempt, monkeypatch):
    def locked(*_, **__):
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(people, "lock", locked)
    assert post(attempt.account, a_mail(attempt, UNSUBSCRIBED)) == 503


@pytest.mark.parametrize("deed", [COMPLAINT, UNSUBSCRIBED])
def test_who_joined_again_gets_out_by_the_same_message_once_more(attempt, deed):
    heard(attempt, deed)
    person, brand = Person.objects.get(), attempt.message.brand
    consent.rejoin(person.pk, brand_id=brand.pk, wording="START")
    assert post(attempt.account, a_mail(attempt, deed)) == 200
    assert is_out(Person.objects.get(), brand)


def test_who_unsubscribes_is_out_when_the_mail_comes_in_by_another_account(attempt):
    other = make_account(kind="smtp", base_url="smtp://127.0.0.1:9")
    assert post(other, a_mail(attempt, UNSUBSCRIBED)) == 200
    assert is_out(Person.objects.get(), attempt.message.brand)


def test_a_letter_is_answered_and_not_kept(attempt):
    letter = b"From: anna@example.com\r\nTo: jobs@shop.example.com\r\n\r\nThanks!\r\n"
    assert post(attempt.account, letter) == 200
    assert not WebhookEvent.objects.exists()
    assert tally() == {"unused": 1}


@pytest.mark.parametrize(("size", "status"), [(300_000, 200), (600_000, 413)])
def test_a_bounce_may_bring_the_message_back_up_to_a_size(attempt, size, status):
    mail = a_mail(attempt, UNKNOWN_USER) + b"x" * size
    assert post(attempt.account, mail) == status
    assert WebhookEvent.objects.count() == (status == 200)


def test_of_what_a_bounce_brings_back_no_more_is_kept_than_says_what_became_of_it(attempt):
    """A thousand of them are read at once, in a transaction that may stand still for 5 s."""
    assert post(attempt.account, a_mail(attempt, UNKNOWN_USER) + b"x" * 300_000) == 200
    assert len(WebhookEvent.objects.get().raw["body"]) <= 32 * 1024
    inbox.apply_waiting()
    assert Message.objects.get().status == "undelivered"


def test_letters_that_are_no_utf_8_do_no_harm(attempt):
    mail = a_mail(attempt, UNKNOWN_USER).replace(b"could not", b"k\xf6nnte \0 nicht")
    assert post(attempt.account, mail) == 200
    inbox.apply_waiting()
    assert Message.objects.get().status == "undelivered"

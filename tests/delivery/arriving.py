"""Reports that arrive in the inbox, and what became of them."""

from __future__ import annotations

import pytest

from delivery import inbox
from delivery.models import Attempt, Message, WebhookEvent, WebhookTally
from delivery.outcomes import Settled, record
from providers.base import Callback
from providers.registry import ADAPTERS
from tests.delivery.callers import report_fields
from tests.delivery.walking import hand_over
from tests.factories import NOON, fill_queue


@pytest.fixture
def sent(slot, lane, journal):
    """So many messages that were handed over, and of which nothing was heard yet."""

    def sent(many):
        fill_queue(slot, lane, many, now=NOON)
        return attempts_of(hand_over(journal))

    return sent


@pytest.fixture
def attempt(sent):
    return sent(1)[0]


def arrive(attempt, word="delivered", *, account=None, ref=None, **fields):
    """A report on the attempt comes into the inbox; returns its entry."""
    account = account or attempt.account
    fields = {"provider_ref": f"SM{attempt.pk}", "to": attempt.message.person.phone, **fields}
    callback = Callback(
        method="POST",
        url="",
        headers={},
        query={"ref": attempt.ref if ref is None else ref},
        form=report_fields(account, word=word, **fields),
        body=b"",
    )
    inbox.append(account.pk, [(ADAPTERS[account.kind].read_callback(callback), callback)])
    return WebhookEvent.objects.latest("id")


def attempts_of(intents):
    ids = [intent.attempt_id for intent in intents]
    return list(Attempt.objects.filter(pk__in=ids).order_by("pk"))


def answer(attempt, outcome):
    record([Settled(attempt.pk, attempt.message_id, outcome)])


def status(attempt):
    return Message.objects.get(pk=attempt.message_id).status


def result(event):
    """What became of an entry of the inbox; None while it waits."""
    event.refresh_from_db()
    return event.result if event.applied_at else None


def results():
    events = WebhookEvent.objects.order_by("id")
    return [event.result if event.applied_at else None for event in events]


def tally():
    return {(one.account_id, one.what): one.count for one in WebhookTally.objects.all()}

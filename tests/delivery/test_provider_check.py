"""`manage.py provider_check`: what it finds missing, and a message's whole way by one account."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from brands.models import Brand, Installation
from compliance import consent
from config import invented_accounts
from delivery import checking, pipeline, singles, tasks, worker
from delivery.checking_watch import Watch
from delivery.models import Attempt, Due, Message
from delivery.outcomes import apply_reports
from delivery.sender import Sender
from delivery.states import Reason
from providers.base import Accepted, Fault, NotSent, Unknown
from providers.base import Status as Word
from providers.models import ProviderAccount, Route, SenderNumber
from providers.rates import Breaker
from providers.registry import adapter
from tests.delivery import walking
from tests.factories import (
    NOON,
    make_account,
    make_brand,
    make_lead,
    make_list,
    make_number,
    make_route,
)
from tests.faults.world import running_simulator

pytestmark = pytest.mark.django_db

TO, MAILBOX = "+12125550143", "robin@example.com"
for_real = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    with running_simulator(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture
def account(sandbox):
    """An account with a number; another one could send for the brand as well."""
    account = make_account(name="Main", base_url="http://127.0.0.1:9")
    brand = make_brand(name="Acme", slug="acme")
    make_number(account, value="+12025550001", brand=brand)
    make_route(brand, make_number(value="+12025550002"))
    return account


def check(**options):
    """What the command says, and its last word."""
    out = StringIO()
    try:
        call_command("provider_check", "Main", stdout=out, **{"to": TO, "seconds": 0.01, **options})
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def planned(**options):
    ready = checking.ready("Main", TO)
    return ready, checking.start(ready, **options)


class TestWhatIsMissing:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"retired_at": NOON}, "The account Main is retired; bring it back on its page."),
            (
                {"paused_at": NOON, "fault": "20003"},
                "is paused, for the provider refused it: 20003; resume it on its page.",
            ),
            ({"sealed_credentials": b"broken"}, "Type its credentials again on its page"),
            ({"name": "Other"}, "There is no account Main. There are: Account"),
        ],
        ids=["retired", "paused", "unreadable", "unknown"],
    )
    def test_at_the_account_is_said(self, account, changes, words):
        ProviderAccount.objects.filter(pk=account.pk).update(**changes)
        said, why = check()
        assert words in why
        assert said == ""
        assert not Message.objects.exists()

    def test_in_its_credentials_is_said(self, account):
        account.seal({"account_sid": "AC1"})
        account.save()
        assert check()[1].startswith("Its credentials are not right: auth_token is missing.")

    def test_in_its_definition_is_said(self, account):
        ProviderAccount.objects.filter(pk=account.pk).update(name="Other")
        make_account(kind="generic", name="Main")
        assert check()[1].startswith("Its definition cannot be used: correct it")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"retired_at": NOON}, "The account Main has no number: add it"),
            ({"paused_at": NOON}, "Each number of the account that could send is paused or rests"),
            ({"brand": None}, "The number belongs to no brand: give --brand, one of acme, other."),
        ],
        ids=["no-number", "paused", "no-brand"],
    )
    def test_at_its_numbers_is_said(self, account, changes, words):
        make_brand(slug="other")
        account.numbers.update(**changes)
        assert words in check()[1]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"to": "my phone"}, "--to my phone: This does not read as one phone number."),
            ({"number": "+12025550002"}, "has no number +12025550002"),
            ({"brand": "other"}, "belongs to Acme: leave --brand out."),
            ({"text": "Hi {first_name}"}, "--text: nothing fills in {first_name}; write it out."),
            ({"seconds": 0.0}, "--seconds must be a number from above 0 to 3600"),
        ],
    )
    def test_in_what_was_typed_is_said(self, account, options, words):
        assert words in check(**options)[1]

    @pytest.mark.parametrize(
        ("stop", "words"),
        [
            (lambda: Installation.objects.update(stopped_at=NOON), "All sending is stopped"),
            (lambda: Installation.objects.update(system_identifier="7"), "confirm_database"),
            (lambda: Brand.objects.update(paused_at=NOON), "Acme is paused"),
        ],
        ids=["stop-all", "database", "brand"],
    )
    def test_because_sending_is_stopped_is_said(self, account, stop, words):
        stop()
        assert words in check()[1]

    def test_at_the_phone_after_too_many_is_said(self, account):
        for _ in range(singles.TO_ONE_PHONE):
            planned()
        assert "This phone got 10 tests within an hour" in check()[1]

    def test_a_worker_is_said_after_a_while(self, account, monkeypatch):
        monkeypatch.setattr("delivery.checking_watch.NOT_TAKEN_AFTER", 0.0)
        said, why = check()
        assert "No worker has taken it yet." in said
        assert "After 0.01 s it is at no end. It may still leave until" in why

    def test_of_a_real_account_whose_reports_cannot_come_back_is_said(self, account):
        ready = checking.ready("Main", TO)
        ready = replace(ready, access=replace(ready.access, simulated=False))
        assert any("Reports cannot come back" in words for words in ready.steps())

    def test_is_nothing_that_a_weight_says(self, account):
        ProviderAccount.objects.update(weight=0)
        _, message = planned()
        assert message.due.lane.account == account


class TestTheAccount:
    def test_may_be_named_by_its_id(self, account):
        assert checking.ready(str(account.pk), TO).account == account

    @pytest.mark.parametrize(
        "outcome",
        [NotSent("401", fault=Fault.ACCOUNT), NotSent("x", unreachable=True)],
        ids=["refused", "unreachable"],
    )
    def test_is_the_only_one_that_may_send_it(self, account, journal, outcome):
        _, message = planned()
        walking.come_back(walking.hand_over(journal), outcome)
        assert Due.objects.get(message=message).lane.account == account

    def test_keeps_to_it_when_a_person_hears_the_brand_from_another(self, account, journal):
        brand = Brand.objects.get()
        lead = make_lead(brand)
        other = SenderNumber.objects.exclude(account=account).get()
        lead.person.sticky_set.create(brand=brand, number=other)
        _, message = planned()
        assert message.due.lane.account == account

    def test_has_a_route_that_no_campaign_can_choose(self, account):
        planned()
        route = Route.objects.get(name=f"Check of account {account.pk}")
        assert (route.is_default, route.retired_at is None) == (False, False)
        assert [row.number.account for row in route.numbers.all()] == [account]

    def test_gives_nobody_s_route_away(self, account):
        name = f"Check of account {account.pk}"
        make_route(Brand.objects.get(), is_default=False, name=name)
        assert check()[1] == f"Rename the route {name} of Acme: checks need that name."


class TestByEmail:
    @pytest.fixture
    def account(self, account):
        """Beside another one of texts on the same machine."""
        ProviderAccount.objects.filter(pk=account.pk).update(name="Texts")
        relay = make_account(kind="smtp", name="Main", base_url="smtp://127.0.0.1:25")
        make_number(relay, value="jobs@mail.example.com", kind="email", brand=Brand.objects.get())
        return relay

    def test_says_how_it_is_asked_for(self, account):
        words = "--to +12125550143: SMTP e-mail sends to an e-mail address; type one."
        assert check()[1] == words

    def test_needs_a_sender_of_email(self, account):
        account.numbers.update(kind="long_code")
        assert "The account Main has no number: add it" in check(to=MAILBOX)[1]

    def test_of_texts_goes_to_a_phone_alone(self, account):
        ProviderAccount.objects.filter(name="Texts").update(name="Main ")
        with pytest.raises(checking.CannotCheck, match="does not read as one phone number"):
            checking.ready(str(ProviderAccount.objects.get(name="Main ").pk), MAILBOX)

    def test_hands_over_an_e_mail_of_its_own_sender(self, account, journal):
        ready = checking.ready("Main", " Robin@Example.com ")
        message = checking.start(ready, "It works")
        (intent,) = walking.hand_over(journal)
        send = intent.send
        assert (send.to_email, send.to_e164) == (MAILBOX, "")
        assert (send.from_value, send.subject) == ("jobs@mail.example.com", "Test message of Acme")
        assert send.text.startswith("It works\n")
        assert Route.objects.get(name=f"Check of account {account.pk}").channel == "email"
        walking.come_back([intent], Accepted("Q1"))
        apply_reports([walking.reported(intent, Word.DELIVERED, provider_ref="Q1")])
        steps = Watch(message, ready.adapter).steps(seconds=0)
        assert "It reached the mailbox." in [step.words for step in steps][-1]

    def test_says_which_name_nothing_fills_in(self, account):
        assert check(to=MAILBOX, text="Hi {city}")[1].startswith("--text: nothing fills in {city}")


class TestTheSteps:
    def told(self, ready, message, **options):
        watch = Watch(message, ready.adapter)
        return [step.words for step in watch.steps(seconds=0, **options)]

    def test_are_said_as_far_as_they_came(self, account, journal):
        ready, message = planned()
        (intent,) = walking.hand_over(journal)
        walking.come_back([intent], Accepted("SM1"))
        attempt = Attempt.objects.get()
        assert self.told(ready, message) == [
            f"Queued as message {message.pk}.",
            f"Intent written: attempt {attempt.pk}, our reference {attempt.ref}.",
            f"Answer to attempt {attempt.pk}: Accepted. Its id of it: SM1.",
        ]

    def test_tell_the_end_and_its_code(self, account, journal):
        ready, message = planned()
        (intent,) = walking.hand_over(journal)
        walking.come_back([intent], Accepted("SM1"))
        apply_reports(
            [walking.reported(intent, Word.UNDELIVERED, provider_ref="SM1", code="30003")]
        )
        told = self.told(ready, message)
        assert "Code 30003." in told[-2]
        assert "It left, and did not reach the phone." in told[-1]

    def test_say_what_an_unknown_outcome_means(self, account, journal):
        ready, message = planned()
        walking.come_back(walking.hand_over(journal), Unknown("timeout"))
        assert "Perhaps taken" in self.told(ready, message)[-1]

    def test_say_that_the_person_opted_out_and_what_to_do(self, account, journal):
        ready, message = planned()
        consent.opt_out([message.person_id], source="staff", brand_id=message.brand_id)
        assert walking.hand_over(journal) == []
        last = self.told(ready, message)[-1]
        assert "The person opted out. Text START from that phone" in last

    def test_say_why_it_is_held(self, account, journal):
        lead = make_lead(Brand.objects.get())
        make_list(Brand.objects.get(), lead)
        ready = checking.ready("Main", lead.person.phone)
        message = checking.start(ready)
        Due.objects.filter(message=message).update(reason=Reason.QUIET_HOURS)
        assert "It is held. Outside the sending hours." in self.told(ready, message)[-1]


@contextmanager
def working():
    """A worker that sends and applies reports meanwhile, in a thread with its own connection."""
    is_over = threading.Event()

    def work():
        try:
            while not is_over.is_set():
                worker.send_for(0.5)
                tasks.apply_reports()
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(60)


@pytest.fixture
def at_work(monkeypatch, settings, tmp_path, live_server, simulator):
    settings.PUBLIC_BASE_URL = live_server.url
    settings.JOURNAL_DIR = tmp_path / "journal"
    sender = Sender(breaker := Breaker())
    monkeypatch.setattr(worker, "sender", lambda: sender)
    monkeypatch.setattr(worker, "breaker", lambda: breaker)
    monkeypatch.setattr(worker, "GIVE_UP_IDLE", 0.2)
    for name in ("TOKENS_LAST", "WRITE_WITHIN"):
        monkeypatch.setattr(pipeline, name, 60.0)
    ProviderAccount.objects.filter(name="Main").update(
        base_url=f"http://127.0.0.1:{simulator.port}"
    )
    simulator.reset()
    with working():
        yield simulator
    sender.stop()


@for_real
class TestTheWholeWay:
    def test_is_told_to_the_report_and_its_own_words(self, account, at_work):
        at_work.obey(reports={"intermediate": True})
        said, why = check(seconds=60.0)
        assert why == ""
        for words in (
            "Account: Main (Twilio, simulated), at http://127.0.0.1:",
            "Credentials can be read: account_sid, auth_token.",
            "Number: +12025550001, for Acme.",
            "Intent written",
            "Accepted. Its id of it: SM",
            "Report came in: “delivered”.",
            "Delivered.",
            f"/phone#{TO}",
            "It works.",
        ):
            assert words in said
        assert adapter("twilio").label in said
        assert {attempt.account for attempt in Attempt.objects.all()} == {account}

    def test_without_a_report_is_at_no_end(self, account, at_work):
        _, why = check(seconds=8.0)
        assert "no report that it arrived came within 8 s" in why

    def test_is_enough_when_it_was_taken_where_that_is_asked_for(self, account, at_work):
        said, why = check(seconds=60.0, until="taken")
        assert (why, "It works." in said) == ("", True)

    def test_of_email_ends_in_the_pretend_mailbox(self, account, at_work):
        Brand.objects.update(short_domain="go.example.com")
        relay = make_account(
            kind="smtp", name="Relay", base_url=f"smtp://127.0.0.1:{at_work.mail_port}"
        )
        make_number(relay, value="jobs@mail.example.com", kind="email", brand=Brand.objects.get())
        told = invented_accounts.introduction(relay, settings.PUBLIC_BASE_URL)
        at_work.obey(account=told)
        at_work.obey(reports={})
        out = StringIO()
        call_command("provider_check", "Relay", to=MAILBOX, seconds=60.0, stdout=out)
        for words in (
            "Account: Relay (SMTP e-mail, simulated), at smtp://127.0.0.1:",
            "Sender: jobs@mail.example.com, for Acme.",
            "Report came in: “delivered”.",
            "It reached the mailbox.",
            f"Read it in the pretend mailbox: http://127.0.0.1:{at_work.port}/mail#{MAILBOX}",
            "It works.",
        ):
            assert words in out.getvalue()

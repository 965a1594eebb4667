from __future__ import annotations

import threading
import time

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from compliance import consent
from compliance.models import OptOutEvent, Person
from delivery import people, unsubscribing
from delivery.models import Attempt
from leads.models import Lead
from providers.models import SenderNumber
from tests.delivery import mailing, taking
from tests.delivery.mailing import mailbox, make_mail_slot, make_reader
from tests.delivery.taking import state
from tests.delivery.waiting import wait_until
from tests.factories import (
    NOON,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_route,
    make_slot,
)
from tests.staff import shoot

pytest_plugins = ["tests.browser"]
pytestmark = pytest.mark.django_db

ONE_CLICK = {"List-Unsubscribe": "One-Click"}

# Fixtures.
brand = mailing.brand
sender = mailing.sender
take = taking.take


@pytest.fixture
def lead(brand, sender):
    return make_reader(brand, person={"email": "ada.lovelace@example.com"})


@pytest.fixture
def url(lead, take):
    """Of an e-mail that was sent."""
    slot = make_mail_slot(lead.brand)
    make_due(slot, lead, SenderNumber.objects.get(kind="email"), now=NOON)
    ((intent, _),) = take(slot).intents
    return f"/u/{intent.send.ref}"


@pytest.fixture
def stranger():
    """A browser, or a mail program, that was never here and has no token of ours."""
    return Client(enforce_csrf_checks=True)


def opted_out():
    return set(Person.objects.exclude(opted_out_at=None).values_list("pk", flat=True))


class TestThePage:
    def test_asks_with_one_button(self, url, stranger):
        page = stranger.get(url)
        assert page.status_code == 200
        assert page.text.count("<button") == page.text.count('<form method="post">') == 1
        assert "Stop messages to a•••@example.com?" in page.text
        assert "Acme Jobs" in page.text
        assert "ada.lovelace" not in page.text

    @pytest.mark.parametrize("method", ["get", "head"])
    def test_changes_nothing_when_it_is_fetched(self, url, stranger, method):
        with CaptureQueriesContext(connection) as captured:
            assert getattr(stranger, method)(url).status_code == 200
        assert len(captured) == 1
        assert not OptOutEvent.objects.exists()

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_sets_no_cookie_and_needs_no_script(self, url, stranger, method):
        page = getattr(stranger, method)(url)
        assert not page.cookies
        assert "<script" not in page.text
        assert page["Content-Security-Policy"].startswith("default-src 'none'")
        assert page["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("method", ["put", "delete", "patch"])
    def test_takes_no_other_method(self, url, stranger, method):
        assert getattr(stranger, method)(url).status_code == 405

    @pytest.mark.parametrize("ref", ["x" * 22, "x", "x" * 23, "a b", "%00", "é" * 22])
    @pytest.mark.parametrize("method", ["get", "post"])
    def test_of_an_unknown_ref_tells_nothing(self, stranger, method, ref, sandbox):
        page = getattr(stranger, method)(f"/u/{ref}")
        assert page.status_code == 404
        assert "This link leads nowhere" in page.text
        assert not OptOutEvent.objects.exists()

    def test_does_not_take_the_ref_of_a_text(self, take, stranger, brand):
        number = make_number()
        slot = make_slot(number, brand=brand)
        make_due(slot, make_reader(brand), number, now=NOON)
        take(slot)
        assert stranger.post(f"/u/{Attempt.objects.get().ref}").status_code == 404
        assert opted_out() == set()

    def test_shows_markup_in_a_brands_name_as_text(self, url, stranger, brand):
        type(brand).objects.update(name="<b>Acme</b>")
        assert "&lt;b&gt;Acme&lt;/b&gt;" in stranger.get(url).text


class TestOneClick:
    def test_opts_out_without_a_token_or_a_question(self, url, stranger, lead, brand):
        page = stranger.post(url, ONE_CLICK)
        assert page.status_code == 200
        assert "You are unsubscribed" in page.text
        event = OptOutEvent.objects.get()
        assert (event.person, event.source, event.brand) == (lead.person, "unsubscribe", brand)
        assert opted_out() == {lead.person_id}

    @pytest.mark.parametrize("how", ["multipart/form-data", "text/plain", "json"])
    def test_does_whatever_the_body(self, url, stranger, lead, how):
        kind = "application/json" if how == "json" else how
        body = ONE_CLICK if how.startswith("multipart") else "x"
        stranger.post(url, body, **({} if how.startswith("multipart") else {"content_type": kind}))
        assert opted_out() == {lead.person_id}

    def test_twice_is_once(self, url, stranger):
        assert [stranger.post(url, ONE_CLICK).status_code for _ in range(2)] == [200, 200]
        assert OptOutEvent.objects.count() == 1

    def test_after_a_join_counts_again(self, url, stranger, lead, brand):
        stranger.post(url, ONE_CLICK)
        consent.rejoin(lead.person_id, brand_id=brand.pk, wording="JOIN")
        stranger.post(url, ONE_CLICK)
        assert OptOutEvent.objects.count() == 2

    def test_goes_for_whom_the_lead_names_beside(self, stranger, take, brand, sender):
        owner = make_person(phone=None, email=mailbox())
        lead, slot = make_lead(brand, email_person=owner), make_mail_slot(brand)
        make_due(slot, lead, sender, now=NOON)
        ((intent, _),) = take(slot).intents
        stranger.post(f"/u/{intent.send.ref}", ONE_CLICK)
        assert opted_out() == {lead.person_id, owner.pk}

    def test_goes_for_whose_mailbox_it_was_whomever_the_lead_names_now(
        self, stranger, take, brand, sender
    ):
        owner = make_person(phone=None, email="zoe@example.com")
        other = make_person(phone=None, email="new@example.com")
        lead, slot = make_lead(brand, email_person=owner), make_mail_slot(brand)
        make_due(slot, lead, sender, now=NOON)
        ((intent, _),) = take(slot).intents
        Lead.objects.update(email_person=other)
        assert "z•••@example.com" in stranger.get(f"/u/{intent.send.ref}").text
        stranger.post(f"/u/{intent.send.ref}", ONE_CLICK)
        assert opted_out() >= {lead.person_id, owner.pk}

    def test_stops_texts_too(self, url, stranger, lead, brand, take):
        number = make_number()
        make_route(brand, number)
        texts = make_slot(number, brand=brand)
        Person.objects.update(recent=[])
        message = make_due(texts, lead, number, now=NOON)
        stranger.post(url, ONE_CLICK)
        assert take(texts).intents == []
        assert state(message) == ("refused", "opted_out")

    def test_is_asked_for_again_where_the_person_cannot_be_locked(self, url, stranger, monkeypatch):
        def locked(*_, **__):
            raise OperationalError("canceling statement due to lock timeout")

        monkeypatch.setattr(people, "lock", locked)
        page = stranger.post(url, ONE_CLICK)
        assert page.status_code == 503
        assert "You are not unsubscribed yet" in page.text


@pytest.mark.django_db(transaction=True)
class TestTheRaceWithASend:
    def test_an_unsubscription_that_commits_stops_an_intent_that_did_not(
        self, url, lead, take, brand, sender
    ):
        Person.objects.update(recent=[])
        message = make_due(make_mail_slot(brand), lead, sender, now=NOON)
        holds, goes_on = threading.Event(), threading.Event()
        before = unsubscribing.consent.opt_out

        def slowly(*arguments, **named):
            done = before(*arguments, **named)
            holds.set()
            assert goes_on.wait(30)
            return done

        def click():
            try:
                unsubscribing.consent.opt_out = slowly
                assert Client().post(url, ONE_CLICK).status_code == 200
            finally:
                unsubscribing.consent.opt_out = before
                connection.close()

        clicking = threading.Thread(target=click)
        clicking.start()
        assert holds.wait(30)
        release = threading.Timer(0.5, goes_on.set)
        release.start()
        began = time.monotonic()
        batch = take(message.slot)
        assert time.monotonic() - began > 0.3  # it waited for the person's lock
        clicking.join()
        assert batch.intents == []
        assert state(message) == ("refused", "opted_out")

    def test_many_clicks_at_once_are_one(self, url, at_once):
        answers = at_once(lambda _: Client().post(url, ONE_CLICK).status_code, threads=6)
        assert answers == [200] * 6
        assert OptOutEvent.objects.count() == 1

    def test_waits_for_a_batch_that_has_the_person(self, url, lead, at_once):
        answered = []

        def click():
            answered.append(Client().post(url, ONE_CLICK).status_code)
            connection.close()

        with transaction.atomic():
            people.lock([lead.person_id])
            clicking = threading.Thread(target=click)
            clicking.start()
            time.sleep(0.3)
            assert answered == []
        wait_until(lambda: answered == [200])
        clicking.join()
        assert opted_out() == {lead.person_id}


def test_in_a_browser(page, site, url):
    page.goto(site + url)
    shoot(page, "unsubscribe-ask")
    page.get_by_role("button", name="Unsubscribe").click()
    page.get_by_text("You are unsubscribed").wait_for()
    shoot(page, "unsubscribe-done")
    assert page.context.cookies() == []


def test_an_unknown_link_in_a_browser(page, site, provoked):
    provoked.append("404")
    page.goto(f"{site}/u/{'x' * 22}")
    page.get_by_text("This link leads nowhere").wait_for()
    shoot(page, "unsubscribe-unknown")

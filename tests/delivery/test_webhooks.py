"""None"""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from django.db import InterfaceError, OperationalError, connection

from compliance.models import OptOutEvent, Person
from delivery import inbound, inbox, sql, tasks, webhooks
from delivery.models import Due, Inbound, WebhookEvent
from tests.delivery import callers, posting
from tests.delivery.callers import FORM, address, get, post
from tests.delivery.posting import SENDER, TO, a_report, a_text, rows, status, tally
from tests.delivery.waiting import end_who_waits, while_held
from tests.factories import make_account, make_brand, make_number

pytestmark = pytest.mark.django_db

account = posting.account
kept = posting.kept
twilio = posting.twilio
plivo = posting.plivo


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock by which accounts are kept; a list of one moment."""
    now = [1000.0]
    monkeypatch.setattr(webhooks, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


class TestAReport:
    def test_is_kept_as_it_came(self, account):
        fields = a_report(account, word="sent", From="+12025550100")
        assert post(account, "status", fields, "ref=r1").status_code == 200
        event = WebhookEvent.objects.get()
        assert (event.account, event.applied_at, event.result) == (account, None, "")
        assert event.raw == {"method": "POST", "query": {"ref": "r1"}, "form": fields}

    def test_is_answered_with_nothing(self, account):
        answer = post(account, "status", a_report(account), "ref=r1")
        assert (answer.status_code, answer.content) == (200, b"")

    def test_may_come_by_get(self, account):
        fields = a_report(account)
        assert get(account, "status", {"ref": "r1", **fields}).status_code == 200
        event = WebhookEvent.objects.get()
        assert event.raw == {"method": "GET", "query": {"ref": "r1", **fields}, "form": {}}

    def test_says_the_same_when_it_is_read_again(self, account):
        post(account, "status", a_report(account, word="failed"), "ref=r1")
        raw = sql.from_json(WebhookEvent.objects.get().raw)
        report = webhooks.ADAPTERS[account.kind].read_callback(inbox.from_raw(raw))
        found = (report.ref, report.provider_ref, report.status, report.recipient_e164)
        assert found == ("r1", "SM1", "failed", TO)

    def test_a_repeat_leaves_the_first_one(self, account):
        assert [status(account), status(account), status(account)] == [200, 200, 200]
        assert WebhookEvent.objects.count() == 1

    def test_another_word_about_the_same_message_is_kept_too(self, account):
        for word in ("sent", "delivered"):
            post(account, "status", a_report(account, word=word), "ref=r1")
        assert WebhookEvent.objects.count() == 2

    def test_the_same_id_at_another_account_is_kept_too(self, account):
        assert status(account) == status(make_account(kind=account.kind)) == 200
        assert WebhookEvent.objects.count() == 2

    def test_may_hold_any_characters(self, account):
        fields = a_report(account, Note="a\0b \U0001f600 é \\u0000 \n")
        assert post(account, "status", fields, "ref=r1").status_code == 200
        found = WebhookEvent.objects.get().raw["form"]["Note"]
        assert found.startswith("a\ufffdb \U0001f600 é ")

    def test_its_charset_may_be_named(self, account):
        changes = {"CONTENT_TYPE": f"{FORM}; charset=UTF-8"}
        assert status(account, **changes) == 200
        assert WebhookEvent.objects.get().raw["form"]

    def test_takes_one_statement(self, account, statements):
        status(account)
        assert statements(lambda: post(account, "status", a_report(account, word="sent"))) == 1

    def test_applies_nothing(self, account, monkeypatch):
        monkeypatch.setattr(inbox, "apply_waiting", lambda: pytest.fail("applied at once"))
        assert status(account) == 200


class TestAText:
    def test_is_stored_and_applied_before_the_answer(self, account):
        assert post(account, "inbound", a_text(account, "STOP")).status_code == 200
        stored = Inbound.objects.get()
        assert (stored.account, stored.from_value, stored.to_value) == (account, SENDER, TO)
        assert (stored.text, stored.label) == ("STOP", "stop")
        assert stored.applied_at is not None
        assert OptOutEvent.objects.get().person == Person.objects.get(phone=SENDER)

    def test_may_come_by_get(self, account):
        assert get(account, "inbound", a_text(account, "STOP")).status_code == 200
        assert OptOutEvent.objects.count() == 1

    def test_may_hold_any_characters(self, account):
        post(account, "inbound", a_text(account, "a\0b \U0001f600 é"))
        assert Inbound.objects.get().text == "a\ufffdb \U0001f600 é"

    def test_a_repeat_is_one_text_and_one_opt_out(self, account):
        for _ in range(3):
            assert post(account, "inbound", a_text(account, "STOP")).status_code == 200
        assert (Inbound.objects.count(), OptOutEvent.objects.count()) == (1, 1)

    def test_that_has_an_answer_calls_the_worker_of_replies(self, account, monkeypatch):
        called = []
        monkeypatch.setattr(tasks, "call_replies", lambda: called.append(Due.objects.count()))
        lane = make_number(account, brand=make_brand())
        post(account, "inbound", a_text(account, "STOP", to=lane.value))
        assert called == [1]

    def test_that_has_none_calls_nobody(self, account, monkeypatch):
        monkeypatch.setattr(tasks, "call_replies", lambda: pytest.fail("called"))
        assert post(account, "inbound", a_text(account, "STOP")).status_code == 200

    @pytest.mark.parametrize(
        "error", [OperationalError, InterfaceError, KeyError, ValueError, TypeError]
    )
    def test_that_cannot_be_applied_is_kept_and_asked_for_again(self, account, monkeypatch, error):
        def fail(inbound_id):
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(inbound, "apply", fail)
            answer = post(account, "inbound", a_text(account, "STOP"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert Inbound.objects.get().applied_at is None
        assert tally() == {}
        assert post(account, "inbound", a_text(account, "STOP")).status_code == 200
        assert Inbound.objects.get().applied_at is not None
        assert OptOutEvent.objects.count() == 1


class TestAnAddress:
    @pytest.mark.parametrize("account_id", [10**8, 10**30], ids=["unused", "beyond any id"])
    def test_of_no_account_is_not_found(self, twilio, account_id):
        token = twilio.access().secrets["auth_token"]
        twilio.pk = account_id
        before = rows()
        assert status(twilio, token=token) == 404
        assert tally() == {(None, "no_account"): 1}
        assert rows() == before

    @pytest.mark.parametrize("kind", ["carrier-pigeon", "plivo", "Twilio"])
    def test_of_another_kind_is_not_found(self, twilio, kind):
        before = rows()
        assert status(twilio, kind=kind) == 404
        assert tally() == {(None, "no_account"): 1}
        assert rows() == before

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
    def test_knows_no_other_methods(self, twilio, method):
        answer = callers.send(method, twilio, "status", a_report(twilio))
        assert answer.status_code == 405
        assert not WebhookEvent.objects.exists()

    @pytest.mark.parametrize("fields", [{"paused_at": "2035-03-01T00:00Z"},
                                        {"retired_at": "2035-03-01T00:00Z"}], ids=str)  # fmt: skip
    def test_of_an_account_that_sends_no_more_still_listens(self, sandbox, fields):
        assert status(make_account(**fields)) == 200

    def test_needs_no_token_of_a_form(self, account):
        """A provider has none of our cookies."""
        path = address(account, "status", "ref=r1")
        signature = callers.sign(
            account.kind,
            f"http://127.0.0.1:8000{path}",
            a_report(account),
            token=account.access().secrets["auth_token"],
        )
        client = callers.Client(enforce_csrf_checks=True)
        body = urlencode(a_report(account))
        assert client.generic("POST", path, body, FORM, headers=signature).status_code == 200


class TestBehindAProxy:
    @pytest.mark.parametrize("base", ["https://hooks.example.com", "https://example.com:8443"])
    def test_the_public_address_is_the_one_that_is_signed(self, account, settings, base):
        settings.PUBLIC_BASE_URL = base
        assert status(account, HTTP_HOST="127.0.0.1:8000") == 200

    def test_the_host_that_a_caller_names_is_not(self, account, settings):
        settings.PUBLIC_BASE_URL = "https://hooks.example.com"
        url = f"http://localhost{address(account, 'status', 'ref=r1')}"
        token = account.access().secrets["auth_token"]
        signature = callers.sign(account.kind, url, a_report(account), token=token)
        assert status(account, signature=signature, HTTP_HOST="localhost") == 403


def hold_the_inbox():
    sql.rows("SELECT pg_advisory_xact_lock(%s)", inbox.INBOX)


class Down:
    """While it is on, the database answers with an error; it counts what was asked."""

    def __init__(self, error):
        self.error, self.asked = error, 0

    def __call__(self, execute, *statement):
        self.asked += 1
        raise self.error


class TestWithoutADatabase:
    @pytest.mark.parametrize("error", [OperationalError, InterfaceError])
    @pytest.mark.parametrize("is_known", [True, False], ids=["known", "unknown"])
    @pytest.mark.parametrize("what", ["status", "inbound"])
    def test_asks_for_it_again_and_loses_nothing(self, account, error, is_known, what):
        if is_known:
            post(account, "status", {})
        fields = a_report(account) if what == "status" else a_text(account, "STOP")
        token = account.access().secrets["auth_token"]
        down = Down(error("gone"))
        with connection.execute_wrapper(down):
            answer = post(account, what, fields, "ref=r1", token=token)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert down.asked
        assert post(account, what, fields, "ref=r1").status_code == 200
        assert WebhookEvent.objects.count() + OptOutEvent.objects.count() == 1

    def test_does_so_for_a_forged_one_that_cannot_be_counted(self, account):
        status(account)
        with connection.execute_wrapper(Down(OperationalError())):
            assert status(account, token="x") == 503

    def test_secrets_that_cannot_be_opened_are_our_own_trouble(self, account, settings):
        token = account.access().secrets["auth_token"]
        settings.CREDENTIAL_KEYS = ["A" * 43 + "="]
        assert status(account, token=token) == 503
        assert tally() == {}

    @pytest.mark.django_db(transaction=True)
    def test_that_goes_away_while_the_insert_waits_asks_for_it_again(self, account, at_once):
        """The connection is ended by the server, as at a fail-over."""
        fields = a_report(account)
        with while_held(
            hold_the_inbox, lambda: post(account, "status", fields, "ref=r1")
        ) as answers:
            end_who_waits()
        assert [(one.status_code, one.headers["Retry-After"]) for one in answers] == [(503, "30")]
        assert not WebhookEvent.objects.exists()
        assert at_once(lambda _: status(account), threads=1) == [200]
        assert WebhookEvent.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_an_insert_that_only_waits_is_answered_when_it_is_committed(self, account):
        with while_held(hold_the_inbox, lambda: status(account)) as answers:
            assert answers == []
            assert not WebhookEvent.objects.exists()
        assert answers == [200]
        assert WebhookEvent.objects.count() == 1


class TestAnAccount:
    def test_that_changed_its_secret_counts_after_some_seconds(self, account, clock):
        old = account.access().secrets["auth_token"]
        assert status(account) == 200
        account.seal({**account.access().secrets, "auth_token": "changed"})
        account.save()
        clock[0] += webhooks.KEEP_ACCOUNT - 0.1
        assert [status(account, token=old), status(account, token="changed")] == [200, 403]
        clock[0] += 0.1
        assert [status(account, token=old), status(account, token="changed")] == [403, 200]

    def test_that_was_made_since_counts_after_some_seconds(self, account, clock):
        token, is_simulated = account.access().secrets["auth_token"], account.is_simulated
        type(account).objects.filter(pk=account.pk).update(kind="other")
        assert status(account, token=token) == 404
        type(account).objects.filter(pk=account.pk).update(kind=account.kind)
        clock[0] += webhooks.KEEP_ACCOUNT
        assert is_simulated
        assert status(account) == 200

    def test_is_read_once_while_it_is_kept(self, account, statements):
        assert statements(lambda: status(account)) == 2
        assert statements(lambda: status(account)) == 1

    def test_no_more_are_kept_than_there_is_room_for(self, twilio, kept, monkeypatch):
        monkeypatch.setattr(webhooks, "MOST_KEPT", 5)
        for account_id in range(10**8, 10**8 + 20):
            path = f"/webhooks/twilio/{account_id}/status"
            assert callers.Client().post(path).status_code == 404
            assert len(kept) <= 5

from __future__ import annotations

import io
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.db import InterfaceError, OperationalError, connection
from django.test import RequestFactory

from compliance.models import OptOutEvent, Person
from delivery import inbound, inbox, sql, tasks, webhooks
from delivery.models import Due, Inbound, WebhookEvent, WebhookNonce, WebhookTally
from providers.base import Usual
from tests.delivery import callers
from tests.delivery.callers import FORM, address, get, post, report_fields, text_fields
from tests.delivery.waiting import end_who_waits, while_held
from tests.factories import make_account, make_brand, make_number, make_person

pytestmark = pytest.mark.django_db

TO = "+12125550111"
SENDER = "+12125550112"
BY_V2 = {"version": "V2", "nonce": "n1"}
LARGEST = Usual.largest_callback


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """No account is kept from another test, whose account may have had the same id."""
    monkeypatch.setattr(webhooks, "_lines", {})
    return webhooks._lines


@pytest.fixture(params=["twilio", "plivo"])
def account(request, sandbox):
    return make_account(kind=request.param)


@pytest.fixture
def twilio(sandbox):
    return make_account()


@pytest.fixture
def plivo(sandbox):
    return make_account(kind="plivo")


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock by which accounts are kept; a list of one moment."""
    now = [1000.0]
    monkeypatch.setattr(webhooks, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def a_report(account, **fields):
    return report_fields(account, **{"provider_ref": "SM1", "to": TO, **fields})


def a_text(account, text="hello", **fields):
    fields = {"provider_ref": "SM2", "sender": SENDER, "to": TO, "text": text, **fields}
    return text_fields(account, **fields)


def status(account, **changes):
    return post(account, "status", a_report(account), "ref=r1", **changes).status_code


def tally():
    return {(one.account_id, one.what): one.count for one in WebhookTally.objects.all()}


def rows():
    """How many rows each table has, but the one in which failures are counted."""
    return {
        model: model.objects.count()
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and model is not WebhookTally
    }


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


FORGERIES = {
    "no signature": {"signature": {}},
    "another secret": {"token": "somebody else's"},
    "an empty secret": {"token": ""},
    "a changed body": {"body": urlencode({"MessageSid": "SM1", "MessageStatus": "failed"})},
    "no body": {"body": ""},
    "one more field": {"body": urlencode({"MessageSid": "SM1", "Extra": "1"})},
}


class TestForged:
    @pytest.mark.parametrize("what", ["status", "inbound"])
    @pytest.mark.parametrize("changes", FORGERIES.values(), ids=FORGERIES.keys())
    def test_is_refused_counted_and_goes_no_further(self, account, what, changes):
        fields = a_report(account) if what == "status" else a_text(account, "STOP")
        before = rows()
        assert post(account, what, fields, "ref=r1", **changes).status_code == 403
        assert tally() == {(account.pk, "forged"): 1}
        assert rows() == before

    def test_so_is_one_for_another_of_our_addresses(self, account):
        url = f"http://127.0.0.1:8000{address(account, 'inbound', 'ref=r1')}"
        token = account.access().secrets["auth_token"]
        signature = callers.sign(account.kind, url, a_report(account), token=token)
        assert status(account, signature=signature) == 403

    def test_so_is_one_for_another_of_our_references(self, account):
        url = f"http://127.0.0.1:8000{address(account, 'status', 'ref=other')}"
        token = account.access().secrets["auth_token"]
        signature = callers.sign(account.kind, url, a_report(account), token=token)
        assert status(account, signature=signature) == 403

    def test_so_is_one_with_another_accounts_secret(self, account):
        other = make_account(kind=account.kind).access().secrets["auth_token"]
        assert status(account, token=other) == 403

    def test_each_is_counted(self, account):
        for _ in range(3):
            status(account, token="x")
        assert tally() == {(account.pk, "forged"): 3}

    def test_does_not_spoil_the_genuine_one(self, account):
        assert [status(account, token="x"), status(account)] == [403, 200]
        assert WebhookEvent.objects.count() == 1


class NeverRead(io.BytesIO):
    def read(self, *size):
        raise AssertionError("the body was read")


class TestTooLarge:
    def test_is_refused_before_it_is_read(self, account):
        length = {"CONTENT_LENGTH": str(LARGEST + 1), "wsgi.input": NeverRead()}
        assert status(account, **length) == 413
        assert tally() == {(account.pk, "too_large"): 1}

    def test_is_refused_without_a_length_and_not_read_to_its_end(self, account):
        stream = io.BytesIO(b"a" * 10 * LARGEST)
        request = RequestFactory().post(address(account, "status"), b"", FORM)
        request.META.pop("CONTENT_LENGTH", None)
        request._stream = stream
        answer = webhooks.receive(request, kind=account.kind, account_id=account.pk)
        assert answer.status_code == 413
        assert stream.tell() == LARGEST + 1
        assert tally() == {(account.pk, "too_large"): 1}

    def test_the_largest_is_taken(self, account):
        fields = a_report(account, Note="")
        fields["Note"] = "a" * (LARGEST - len(urlencode(fields)))
        assert post(account, "status", fields, "ref=r1").status_code == 200
        fields["Note"] += "a"
        assert post(account, "status", fields, "ref=r1").status_code == 413

    @pytest.mark.parametrize("length", ["", "-1", "x", "²", "9" * 5000], ids=lambda it: it[:2])
    def test_a_length_that_is_none_is_an_empty_body_and_no_accident(self, account, length):
        assert status(account, CONTENT_LENGTH=length) in (403, 413)
        assert not WebhookEvent.objects.exists()


class TestUnreadable:
    @pytest.mark.parametrize(
        "body",
        [b"MessageSid=%FF", b"MessageSid=\xff", b"a=%ED%A0%80"],
        ids=["escapes", "bytes", "half a surrogate pair"],
    )
    def test_a_body_that_is_no_form_has_no_genuine_signature(self, account, body):
        before = rows()
        assert status(account, body=body) == 403
        assert tally() == {(account.pk, "forged"): 1}
        assert rows() == before

    def test_a_body_of_too_many_fields_is_counted(self, account):
        assert status(account, body=b"&".join([b"a=1"] * 501)) == 400
        assert tally() == {(account.pk, "unreadable"): 1}

    @pytest.mark.parametrize("error", [KeyError, ValueError, TypeError])
    def test_a_genuine_one_that_the_adapter_chokes_on_is_counted(self, account, monkeypatch, error):
        def choke(callback):
            raise error

        before = rows()
        monkeypatch.setattr(webhooks.ADAPTERS[account.kind], "read_callback", choke)
        assert status(account) == 400
        assert tally() == {(account.pk, "unreadable"): 1}
        assert rows() == before

    @pytest.mark.parametrize(
        ("what", "fields"),
        [
            ("status", lambda account: a_report(account, provider_ref="SM\0")),
            ("inbound", lambda account: a_text(account, provider_ref="SM\0")),
            ("inbound", lambda account: a_text(account, sender="+1\0")),
            ("inbound", lambda account: a_text(account, to="+1\0")),
        ],
        ids=["report-id", "text-id", "sender", "number"],
    )
    def test_a_genuine_one_whose_ids_cannot_be_stored_is_counted(self, account, what, fields):
        before = rows()
        assert post(account, what, fields(account)).status_code == 400
        assert tally() == {(account.pk, "unreadable"): 1}
        assert rows() == before

    def test_an_id_of_any_length_is_stored(self, account):
        fields = a_report(account, provider_ref="S" * 5000)
        assert post(account, "status", fields).status_code == 200
        fields = a_text(account, provider_ref="S" * 5000, sender="x" * 5000, to="y" * 5000)
        assert post(account, "inbound", fields).status_code == 200

    def test_a_client_that_goes_in_the_middle_is_no_accident_of_ours(self, account):
        class Gone(io.BytesIO):
            def read(self, *size):
                raise OSError("reset")

        assert status(account, **{"wsgi.input": Gone()}) == 400
        assert not WebhookEvent.objects.exists()


class TestOfAKindWeDoNotUse:
    @pytest.mark.parametrize(
        "fields", [{}, {"Digits": "1"}, {"MessageUUID": "u1", "Type": "whatsapp"}], ids=str
    )
    def test_is_taken_and_counted(self, account, fields):
        before = rows()
        assert post(account, "status", fields).status_code == 200
        assert tally() == {(account.pk, "unused"): 1}
        assert rows() == before


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


class TestANonceOfASignatureWithoutTheBody:
    """Plivo's version 2: the same signature would do for any body."""

    def test_may_not_come_with_another_body(self, plivo):
        assert status(plivo, **BY_V2) == 200
        before = rows()
        forged = a_report(plivo, word="failed")
        assert post(plivo, "status", forged, "ref=r1", **BY_V2).status_code == 403
        assert tally() == {(plivo.pk, "replayed"): 1}
        assert rows() == before

    def test_may_not_come_with_another_reference(self, plivo):
        assert status(plivo, **BY_V2) == 200
        assert post(plivo, "status", a_report(plivo), "ref=r2", **BY_V2).status_code == 403

    def test_may_come_again_with_the_same(self, plivo):
        assert [status(plivo, **BY_V2), status(plivo, **BY_V2)] == [200, 200]
        assert (WebhookEvent.objects.count(), WebhookNonce.objects.count()) == (1, 1)
        assert tally() == {}

    def test_is_of_its_account(self, plivo):
        assert status(plivo, **BY_V2) == 200
        assert status(make_account(kind="plivo"), **BY_V2) == 200

    def test_is_not_used_up_by_a_forgery(self, plivo):
        assert status(plivo, **BY_V2, token="x") == 403
        assert status(plivo, **BY_V2) == 200

    def test_is_not_used_up_when_the_database_went_away(self, plivo, monkeypatch):
        def fail(*arguments):
            raise OperationalError

        with monkeypatch.context() as patched:
            patched.setattr(inbox, "append", fail)
            assert status(plivo, **BY_V2) == 503
        assert status(plivo, **BY_V2) == 200
        assert WebhookEvent.objects.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_may_not_come_with_another_body_at_the_same_moment(self, plivo):
        """Its own row cannot be seen yet when the other one is looked for."""
        taken = {"account": plivo, "nonce": "n1", "body_hash": "of another body"}
        with while_held(
            lambda: WebhookNonce.objects.create(**taken), lambda: status(plivo, **BY_V2)
        ) as answers:
            assert answers == []
        assert answers == [403]
        assert tally() == {(plivo.pk, "replayed"): 1}

    def test_is_not_looked_at_where_the_body_is_signed(self, account):
        assert status(account, version="V3", nonce="n1") == 200
        assert not WebhookNonce.objects.exists()


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


class TestBadEncoding:
    def test_a_stop_beside_a_broken_letter_is_a_stop(self, sandbox):
        """Plivo's older signature leaves the body out, so what came there is what counts."""
        account = make_account(kind="plivo")
        number = make_number(account)
        person = make_person()
        fields = {"MessageUUID": "u-1", "From": person.phone[1:], "To": number.value[1:]}
        body = urlencode({**fields, "Text": "STOP "}).encode() + b"%E9"
        answer = post(account, "inbound", fields, body=body, version="V2")
        assert answer.status_code == 200
        person.refresh_from_db()
        assert person.opted_out_at is not None

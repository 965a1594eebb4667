"""Callbacks that are turned away: forged, too large, unreadable, replayed."""

from __future__ import annotations

import io
from urllib.parse import urlencode

import pytest
from django.db import OperationalError
from django.test import RequestFactory

from delivery import inbox, webhooks
from delivery.models import WebhookEvent, WebhookNonce
from providers.base import Usual
from tests.delivery import callers, posting
from tests.delivery.callers import FORM, address, post
from tests.delivery.posting import a_report, a_text, rows, status, tally
from tests.delivery.waiting import while_held
from tests.factories import make_account, make_number, make_person

pytestmark = pytest.mark.django_db

account = posting.account
kept = posting.kept
twilio = posting.twilio
plivo = posting.plivo

BY_V2 = {"version": "V2", "nonce": "n1"}
LARGEST = Usual.largest_callback
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

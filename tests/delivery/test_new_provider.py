"""A provider that nobody wrote code for: an account with a definition, a message's whole way."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.test import Client
from lxml import etree

from compliance.models import Person
from delivery import inbox, webhooks
from delivery.models import Attempt, Inbound, WebhookEvent
from providers.base import Accepted, ErrorClass, Fault, NotSent, Rejected
from providers.declared import problems
from providers.registry import adapter
from providers.transport import Transport
from providers.webhook_urls import inbound_url
from tests.delivery.callers import FORM
from tests.delivery.walking import come_back, hand_over
from tests.factories import NOON, make_account, make_due, make_lead, make_number, make_slot
from tests.providers.peers import Peer, always, answer, run

pytestmark = pytest.mark.django_db

SECRETS = {"user": "acme", "password": "p<w", "hook": "h0"}
# SOAP-like XML one way and forms the other, signed in base64: nothing that a preset has.
DEFINITION = {
    "name": "Fernspruch",
    "evidence": "A test.",
    "secrets": ["user", "password", "hook"],
    "request": {
        "method": "POST",
        "url": "{base}/gateway/{secret:user}/submit",
        "headers": {"X-Ref": "{ref}"},
        "phone_format": "digits",
        "body_format": "xml",
        "charset": "UTF-8",
        "body": {
            "submit": {
                "@version": "2",
                "sender": "{from}",
                "msisdn": "{to}",
                "payload": {"@lang": "en", "#text": "{text}"},
                "notify": "{callback_url}",
            }
        },
    },
    "auth": {"type": "basic", "user": "{secret:user}", "password": "{secret:password}"},
    "text": {"max_chars": 300, "alphabet": "gsm7", "replacements": {"\u2019": "'"}},
    "success": {
        "format": "xml",
        "require": {"/reply/status": "0"},
        "id": ["/reply/@message-id"],
    },
    "error_code": "/reply/status",
    "errors": [
        {
            "path": "/reply/status",
            "equals": "17",
            "class": "permanent_recipient",
            "opted_out": "yes",
        },
        {
            "path": "/reply/status",
            "regex": "^2[0-9]$",
            "class": "permanent_config",
            "fault": "sender",
        },
    ],
    "webhooks": {
        "signature": {
            "type": "hmac",
            "header": "X-Proof",
            "signed": "{timestamp}|{url}|{body}",
            "timestamp_header": "X-Time",
            "encoding": "hex",
            "algorithm": "sha512",
            "secret": "hook",
        },
        "thanks": {"status": 202, "content_type": "text/xml", "body": "<ok/>"},
        "status": {
            "format": "form",
            "when": {"kind": "dlr"},
            "id": "mid",
            "status": "state",
            "error_code": "err",
            "words": ["D", "U"],
            "status_map": {"D": "delivered", "U": "undelivered"},
        },
        "inbound": {
            "format": "form",
            "when": {"kind": "mo"},
            "id": "mid",
            "from": "src",
            "to": "dst",
            "text": "msg",
            "command": "cmd",
            "command_map": {"X": "stop"},
        },
    },
}


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    """No account is kept from another test, whose account may have had the same id."""
    monkeypatch.setattr(webhooks, "_lines", {})


@pytest.fixture
def account(sandbox):
    account = make_account(kind="generic", definition=json.dumps(DEFINITION))
    account.seal(SECRETS)
    account.save()
    return account


@pytest.fixture
def message(account):
    slot = make_slot(make_number(account, value="+15005550001"))
    lane = account.numbers.get()
    return make_due(slot, make_lead(slot.campaign.brand), lane, now=NOON)


def sent(journal, reply):
    """The request that came to the provider, and what is recorded of its reply."""
    (intent,) = hand_over(journal)

    async def scene():
        async with Peer(always(answer(200, reply))).running() as peer, Transport() as transport:
            access = replace(intent.access, base_url=f"http://127.0.0.1:{peer.port}")
            speaks = adapter(access.kind, access.definition)
            outcomes = await transport.send(speaks, [intent.send], access)
            return peer.requests[0], outcomes[intent.send.ref]

    request, outcome = run(scene())
    come_back([intent], outcome)
    return intent, request, outcome


def posted(url, fields, *, secret=SECRETS["hook"], changed=None):
    at, body = str(int(time.time())), urlencode(fields)
    signed = f"{at}|{url}|{body}".encode()
    proof = hmac.new(secret.encode(), signed, hashlib.sha512).hexdigest()
    path = url.removeprefix(settings.PUBLIC_BASE_URL)
    return Client().generic(
        "POST", path, changed or body, FORM, headers={"X-Proof": proof, "X-Time": at}
    )


TAKEN = b'<reply message-id="f-7"><status>0</status></reply>'


class TestItsMessage:
    def test_goes_out_as_the_definition_says(self, message, journal):
        intent, request, outcome = sent(journal, TAKEN)
        head, _, body = request.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /gateway/acme/submit HTTP/1.1"
        assert "Authorization: Basic YWNtZTpwPHc=" in lines
        assert f"X-Ref: {intent.send.ref}" in lines
        root = etree.fromstring(body)
        assert [child.tag for child in root] == ["sender", "msisdn", "payload", "notify"]
        assert root.findtext("msisdn") == message.person.phone.removeprefix("+")
        assert root.findtext("payload") == intent.send.text
        assert root.findtext("notify") == intent.send.status_callback_url
        assert outcome == Accepted("f-7")

    def test_is_accepted_when_they_say_so(self, message, journal):
        sent(journal, TAKEN)
        message.refresh_from_db()
        assert (message.status, Attempt.objects.get().provider_refs) == ("accepted", ["f-7"])

    def test_opts_out_whom_they_say_has(self, message, journal):
        _, _, outcome = sent(journal, b"<reply><status>17</status></reply>")
        assert outcome == Rejected(ErrorClass.PERMANENT_RECIPIENT, "17", opted_out=True)
        assert Person.objects.get(pk=message.person_id).opt_out_event_id

    def test_rests_its_number_where_that_is_at_fault(self, message, journal):
        _, _, outcome = sent(journal, b"<reply><status>21</status></reply>")
        assert outcome == NotSent("21", fault=Fault.SENDER)
        message.refresh_from_db()
        assert message.status == "planned"


class TestItsCallbacks:
    @pytest.fixture
    def url(self, message, journal):
        intent, _, _ = sent(journal, TAKEN)
        return intent.send.status_callback_url

    def test_are_applied(self, url, message):
        answered = posted(url, {"kind": "dlr", "mid": "f-7", "state": "D"})
        assert (answered.status_code, answered.content) == (202, b"<ok/>")
        assert inbox.apply_waiting() == 1
        message.refresh_from_db()
        assert message.status == "delivered"

    def test_say_why_something_failed(self, url, message):
        posted(url, {"kind": "dlr", "mid": "f-7", "state": "U", "err": "absent"})
        inbox.apply_waiting()
        assert Attempt.objects.get().report_code == "absent"

    @pytest.mark.parametrize("changes", [{"secret": "h1"}, {"changed": "kind=dlr&mid=f-7&state=D"}])
    def test_that_are_forged_are_not(self, url, changes):
        fields = {"kind": "dlr", "mid": "f-7", "state": "U"}
        assert posted(url, fields, **changes).status_code == 403
        assert not WebhookEvent.objects.exists()

    def test_about_another_message_cannot_borrow_a_signature(self, url):
        fields = {"kind": "dlr", "mid": "f-7", "state": "D"}
        at, body = str(int(time.time())), urlencode(fields)
        signed = f"{at}|{url}|{body}".encode()
        proof = hmac.new(b"h0", signed, hashlib.sha512).hexdigest()
        path = url.removeprefix(settings.PUBLIC_BASE_URL) + "x"
        headers = {"X-Proof": proof, "X-Time": at}
        assert Client().generic("POST", path, body, FORM, headers=headers).status_code == 403

    def test_with_a_stop_opt_out(self, account, message):
        fields = {"kind": "mo", "mid": "m-1", "src": message.person.phone.removeprefix("+"),
                  "dst": "15005550001", "cmd": "X"}  # fmt: skip
        assert posted(inbound_url(account.access(), account.pk), fields).status_code == 202
        assert Inbound.objects.get().text == "STOP"
        assert Person.objects.get(pk=message.person_id).opt_out_event_id


def test_nothing_is_wrong_with_its_definition():
    assert problems(json.dumps(DEFINITION)) == []

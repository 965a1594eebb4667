from __future__ import annotations

import pytest

from providers.base import (
    Accepted,
    Callback,
    Channel,
    ErrorClass,
    Fault,
    HttpResponse,
    LookUp,
    NoAnswer,
    NotSent,
    Rejected,
    Unknown,
)
from tests.providers.mailing import SMTP, a_mail, mail_access
from tests.providers.peers import NOON

RECIPIENT, CONTENT = ErrorClass.PERMANENT_RECIPIENT, ErrorClass.PERMANENT_CONTENT
ACCOUNT, SENDER = {"fault": Fault.ACCOUNT}, {"fault": Fault.SENDER}
SLOW, AWAY = {"throttled": True}, {"unreachable": True}


def judged(command, status, text):
    response = HttpResponse(status=status, headers={}, body=text.encode(), command=command)
    return SMTP.read_response([a_mail()], response)["r1"]


TAKEN = {
    "2.0.0 Ok: queued as 4Fq1Zk2xyz": ("4Fq1Zk2xyz",),
    "OK id=1rX2ab-000Abc-Xy": ("1rX2ab-000Abc-Xy",),
    "Ok 0100018f-2b6d-4d1e-9a1c-000000": ("0100018f-2b6d-4d1e-9a1c-000000",),
    "2.6.0 <x@y> Queued mail for delivery": (),
    "thanks": (),
    "": (),
}


@pytest.mark.parametrize("text", TAKEN)
def test_a_message_that_was_taken_is_known_by_our_reference_and_their_queue_id(text):
    assert judged(".", 250, text) == Accepted("r1", part_refs=TAKEN[text])


REFUSALS = [
    # who or what they do not like, at the recipient
    ("RCPT", 550, "5.1.1 User unknown", Rejected(RECIPIENT, "5.1.1")),
    ("RCPT", 550, "No such user here", Rejected(RECIPIENT, "550")),
    ("RCPT", 551, "User not local", Rejected(RECIPIENT, "551")),
    ("RCPT", 553, "5.1.3 Bad address syntax", Rejected(RECIPIENT, "5.1.3")),
    ("RCPT", 550, "5.2.1 The mailbox is disabled", Rejected(RECIPIENT, "5.2.1")),
    ("RCPT", 556, "5.1.10 Null MX", Rejected(RECIPIENT, "5.1.10")),
    ("RCPT", 552, "5.2.2 Mailbox full", Rejected(ErrorClass.TRANSIENT, "5.2.2")),
    ("RCPT", 552, "Quota exceeded", Rejected(ErrorClass.TRANSIENT, "552")),
    ("RCPT", 550, "5.7.1 Blocked", Rejected(CONTENT, "5.7.1", carrier_blocked=True)),
    ("RCPT", 550, "5.4.4 No route", Rejected(ErrorClass.TRANSIENT, "5.4.4")),
    ("RCPT", 550, "5.0.0 No", Rejected(ErrorClass.UNKNOWN, "5.0.0")),
    # ... and at the end of the message
    (".", 550, "5.1.1 User unknown", Rejected(RECIPIENT, "5.1.1")),
    (".", 550, "We do not like this", Rejected(CONTENT, "550")),
    (".", 554, "Transaction failed", Rejected(CONTENT, "554")),
    (".", 554, "5.7.1 Spam", Rejected(CONTENT, "5.7.1", carrier_blocked=True)),
    (".", 554, "5.1.1 User unknown", Rejected(RECIPIENT, "5.1.1")),
    (".", 552, "5.3.4 Message too big", Rejected(CONTENT, "5.3.4")),
    (".", 554, "5.6.0 Bad MIME", Rejected(CONTENT, "5.6.0")),
    ("MAIL", 552, "Message size exceeds fixed limit", Rejected(CONTENT, "552")),
    # the account
    ("MAIL", 530, "5.7.0 Authentication required", NotSent("5.7.0", **ACCOUNT)),
    ("AUTH", 535, "5.7.8 Credentials invalid", NotSent("5.7.8", **ACCOUNT)),
    ("AUTH", 534, "Mechanism too weak", NotSent("534", **ACCOUNT)),
    ("AUTH", 538, "Encryption required", NotSent("538", **ACCOUNT)),
    ("AUTH", 500, "What?", NotSent("500", **ACCOUNT)),
    ("RCPT", 554, "5.7.1 Relay access denied", NotSent("5.7.1", **ACCOUNT)),
    ("RCPT", 550, "Unable to relay", NotSent("550", **ACCOUNT)),
    # the sender, which many refuse only with the recipient
    ("MAIL", 553, "5.1.8 Sender domain unknown", NotSent("5.1.8", **SENDER)),
    ("MAIL", 550, "5.7.1 Not your address", NotSent("5.7.1", **SENDER)),
    ("MAIL", 550, "No", NotSent("550", **SENDER)),
    ("RCPT", 553, "5.7.1 Sender address rejected: not owned by user", NotSent("5.7.1", **SENDER)),
    (".", 554, "Message rejected: Email address is not verified.", NotSent("554", **SENDER)),
    # too fast
    ("RCPT", 450, "4.7.1 Try again later", NotSent("4.7.1", **SLOW)),
    ("MAIL", 452, "Too many messages", NotSent("452", **SLOW)),
    (".", 451, "4.3.0 Rate limit reached", NotSent("4.3.0", **SLOW)),
    ("CONNECT", 421, "4.7.0 Too many connections", NotSent("4.7.0", **SLOW)),
    ("AUTH", 454, "4.7.0 Temporary failure", NotSent("4.7.0", **SLOW)),
    # not now
    ("RCPT", 450, "4.2.1 Mailbox busy", NotSent("4.2.1")),
    ("RCPT", 452, "4.2.2 Over quota, storage exceeded", NotSent("4.2.2")),
    (".", 451, "4.3.0 Local error in processing", NotSent("4.3.0")),
    ("MAIL", 421, "Shutting down", NotSent("421", **AWAY)),
    ("CONNECT", 554, "No service", NotSent("554", **AWAY)),
    ("EHLO", 502, "What?", NotSent("502", **AWAY)),
    # not understood, which says nothing of the message
    ("MAIL", 501, "Syntax error", NotSent("501")),
    ("RCPT", 503, "5.5.1 Bad sequence", NotSent("5.5.1")),
    ("DATA", 554, "5.5.1 No valid recipients", NotSent("5.5.1")),
]


@pytest.mark.parametrize(
    ("command", "status", "text", "outcome"),
    REFUSALS,
    ids=[f"{command} {status} {text}" for command, status, text, _ in REFUSALS],
)
def test_a_refusal_says_whose_fault_it_is(command, status, text, outcome):
    assert judged(command, status, text) == outcome


def test_a_reply_that_is_neither_says_nothing():
    assert judged(".", 251, "ok") == Unknown("251")


class TestTheEnvelope:
    def test_bounces_to_an_address_that_names_the_attempt(self):
        envelope = SMTP.build_request([a_mail("aB_-9")], mail_access(25))
        assert envelope.sender == "b+aB_-9@bounces.example.com"
        assert envelope.recipient == "anna@example.com"
        assert (envelope.username, envelope.password) == ("shop", "secret")

    def test_writes_a_foreign_domain_as_the_dns_has_it(self):
        send = a_mail(to_email="anna@exämple.com")
        envelope = SMTP.build_request([send], mail_access(25))
        assert envelope.recipient == "anna@xn--exmple-cua.com"

    @pytest.mark.parametrize(
        "address",
        ["anna", "@example.com", "anna@", "änna@example.com", "a b@example.com", "a@b c.com",
         "a@example.com\r\nRCPT TO:<b@example.com>", "a@example.com> SIZE=1", "<a@example.com",
         "a@b@example.com", "a@example", "a@-.com"],
    )  # fmt: skip
    def test_is_not_made_for_what_is_no_address(self, address):
        with pytest.raises(ValueError) as raised:
            SMTP.build_request([a_mail(to_email=address)], mail_access(25))
        assert address not in str(raised.value)


class TestTheAccount:
    @pytest.mark.parametrize(
        ("secrets", "names"),
        [
            ({"bounce_domain": "bounces.example.com"}, set()),
            ({"bounce_domain": "bounces.example.com", "username": "u", "password": "p"}, set()),
            ({"bounce_domain": "b.example.com", "username": "u"}, {"password"}),
            ({"bounce_domain": "b.example.com", "password": "p"}, {"password"}),
            ({"bounce_domain": "http://b.example.com"}, {"bounce_domain"}),
            ({"bounce_domain": "me@example.com"}, {"bounce_domain"}),
            ({}, {"bounce_domain"}),
        ],
    )
    def test_says_what_is_wrong_with_its_credentials(self, secrets, names):
        assert set(SMTP.problems(mail_access(25, secrets=secrets))) == names

    def test_is_one_for_e_mail(self):
        assert SMTP.channel is Channel.EMAIL

    def test_cannot_be_asked_for_a_message(self):
        look_up = LookUp(
            ref="r1", to_e164="", from_value="a@example.com", text="", intended_at=NOON
        )
        assert SMTP.build_look_up(look_up, mail_access(25)) is None
        response = HttpResponse(status=200, headers={}, body=b"")
        assert SMTP.read_look_up(look_up, response) == NoAnswer("look_up_not_offered")


@pytest.mark.parametrize(
    ("method", "content_type", "body", "is_genuine"),
    [
        ("POST", "message/rfc822", b"Subject: a", True),
        ("POST", "Message/RFC822; charset=x", b"Subject: a", True),
        ("GET", "message/rfc822", b"Subject: a", False),
        ("POST", "text/plain", b"Subject: a", False),
        ("POST", "message/rfc822", b"", False),
    ],
)
def test_what_is_posted_must_be_a_mail(method, content_type, body, is_genuine):
    callback = Callback(
        method=method,
        url="",
        headers={"Content-Type": content_type},
        query={},
        form={},
        body=body,
    )
    assert SMTP.is_genuine(callback, mail_access(25)) is is_genuine
    assert SMTP.needs_key(mail_access(25))

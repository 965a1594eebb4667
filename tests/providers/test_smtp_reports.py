"""What comes back as mail, after the examples of RFC 3464 and RFC 5965."""

from __future__ import annotations

from textwrap import dedent

import pytest

from providers.adapters.smtp_reports import read
from providers.base import DeliveryReport, ErrorClass, Status

# RFC 3464, appendix C.1, with our references.
BOUNCE = """\
Date: Thu, 7 Jul 1994 17:16:05 -0400
From: Mail Delivery Subsystem <MAILER-DAEMON@cs.example.com>
Message-Id: <199407072116.RAA14128@cs.example.com>
Subject: Returned mail: Cannot send message for 5 days
To: <b+Ref_1-x@bounces.example.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
      boundary="RAA14128.773615765/cs.example.com"

--RAA14128.773615765/cs.example.com

The original message was received at Sat, 2 Jul 1994 17:10:28 -0400

   ----- The following addresses had delivery problems -----
<louisl@larry.example.com>  (unrecoverable error)

--RAA14128.773615765/cs.example.com
content-type: message/delivery-status

Reporting-MTA: dns; cs.example.com

Original-Recipient: rfc822;louisl@larry.example.com
Final-Recipient: rfc822;louisl@larry.example.com
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {diagnostic}
Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400

--RAA14128.773615765/cs.example.com
content-type: {type_}

{original}
--RAA14128.773615765/cs.example.com--
"""
HEADERS = "Message-ID: <Ref_1-x@shop.example.com>\nX-Send-Ref: Ref_1-x\nSubject: Jobs\n"

# RFC 5965, section B.2 ("full email feedback report").
COMPLAINT = """\
From: <abusedesk@example.com>
Date: Thu, 8 Mar 2005 17:40:36 EDT
Subject: FW: Earn money
To: <abuse@example.net>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report;
     boundary="part1_13d.2e68ed54_boundary"

--part1_13d.2e68ed54_boundary
Content-Type: text/plain; charset="US-ASCII"
Content-Transfer-Encoding: 7bit

This is an email abuse report.

--part1_13d.2e68ed54_boundary
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <b+Ref_1-x@bounces.example.com>
Original-Rcpt-To: <user@example.com>
Source-IP: 192.0.2.1

--part1_13d.2e68ed54_boundary
Content-Type: message/rfc822
Content-Disposition: inline

{original}
Spam Spam Spam
--part1_13d.2e68ed54_boundary--
"""
FOR_ALL = {"ref": "Ref_1-x", "provider_ref": "Ref_1-x"}


def crlf(mail):
    return mail.replace("\n", "\r\n").encode()


def bounced(action="failed", status="5.1.1", diagnostic="550 5.1.1 unknown", **changes):
    values = {"type_": "text/rfc822-headers", "original": HEADERS, **changes}
    mail = BOUNCE.format(action=action, status=status, diagnostic=diagnostic, **values)
    return read(crlf(mail))


def complained(kind="abuse", original=HEADERS):
    return read(crlf(COMPLAINT.format(kind=kind, original=original)))


class TestABounce:
    def test_says_which_message_and_why(self):
        assert bounced() == DeliveryReport(
            **FOR_ALL,
            status=Status.UNDELIVERED,
            provider_status="failed",
            code="5.1.1",
            error_class=ErrorClass.PERMANENT_RECIPIENT,
            dedupe_key="Ref_1-x:failed:5.1.1",
        )

    @pytest.mark.parametrize(
        ("action", "status"),
        [
            ("failed", Status.UNDELIVERED),
            ("Failed", Status.UNDELIVERED),
            ("delayed", Status.ACCEPTED),
            ("delivered", Status.DELIVERED),
            ("relayed", Status.SENT),
            ("expanded", Status.SENT),
        ],
    )
    def test_may_be_of_another_kind(self, action, status):
        assert bounced(action, "2.0.0").status == status

    @pytest.mark.parametrize(
        ("code", "status", "error_class", "is_blocked"),
        [
            ("5.1.2", Status.UNDELIVERED, ErrorClass.PERMANENT_RECIPIENT, False),
            ("5.2.1", Status.UNDELIVERED, ErrorClass.PERMANENT_RECIPIENT, False),
            ("5.2.2", Status.UNDELIVERED, ErrorClass.TRANSIENT, False),
            ("4.4.7", Status.EXPIRED, ErrorClass.TRANSIENT, False),
            ("5.4.7", Status.EXPIRED, ErrorClass.TRANSIENT, False),
            ("5.7.1", Status.UNDELIVERED, ErrorClass.PERMANENT_CONTENT, True),
            ("5.6.0", Status.UNDELIVERED, ErrorClass.PERMANENT_CONTENT, False),
            ("5.3.0", Status.UNDELIVERED, ErrorClass.UNKNOWN, False),
        ],
    )
    def test_says_whose_fault_it_was(self, code, status, error_class, is_blocked):
        found = bounced(status=code, diagnostic="no more")
        assert (found.status, found.code) == (status, code)
        assert (found.error_class, found.carrier_blocked) == (error_class, is_blocked)

    def test_is_told_by_what_they_heard_where_its_own_code_says_nothing(self):
        assert bounced(status="5.0.0", diagnostic="550 5.1.1 no such user").code == "5.1.1"
        assert bounced(status="5.0.0", diagnostic="550 no").code == "5.0.0"

    def test_a_delay_and_a_failure_are_two_reports(self):
        keys = {bounced("delayed", "4.4.1").dedupe_key, bounced().dedupe_key}
        assert keys == {"Ref_1-x:delayed:4.4.1", "Ref_1-x:failed:5.1.1"}

    @pytest.mark.parametrize(
        ("type_", "original"),
        [
            ("message/rfc822", f"{HEADERS}\nHi"),
            ("message/rfc822", "Message-ID: <Ref_1-x@shop.example.com>\n\nHi"),
            ("text/rfc822-headers", "Message-ID: <Ref_1-x@shop.example.com>\n"),
            ("text/rfc822-headers", ""),
            ("text/plain", "lost"),
        ],
    )
    def test_is_known_by_the_original_or_else_by_the_address_it_went_to(self, type_, original):
        assert bounced(type_=type_, original=original).ref == "Ref_1-x"

    @pytest.mark.parametrize("header", ["Delivered-To", "X-Original-To"])
    def test_is_known_by_whom_it_was_delivered_to(self, header):
        mail = BOUNCE.replace("To: <b+Ref_1-x@", "To: <someone@")
        mail = f"{header}: b+Ref_2@bounces.example.com\n" + mail
        mail = mail.format(
            action="failed", status="5.1.1", diagnostic="", type_="text/plain", original=""
        )
        assert read(crlf(mail)).ref == "Ref_2"

    def test_of_nobody_we_know_says_nothing(self):
        mail = BOUNCE.replace("b+Ref_1-x@", "postmaster@").format(
            action="failed", status="5.1.1", diagnostic="", type_="text/plain", original=""
        )
        assert read(crlf(mail)) is None

    @pytest.mark.parametrize("action", ["", "read", "deleted"])
    def test_without_a_word_we_know_says_nothing(self, action):
        assert bounced(action) is None


class TestAComplaint:
    def test_is_an_opt_out(self):
        assert complained() == DeliveryReport(
            **FOR_ALL,
            status=Status.DELIVERED,
            provider_status="complaint",
            code="complaint",
            opted_out=True,
            dedupe_key="Ref_1-x:complaint",
        )

    def test_is_known_by_whom_it_bounced_to_where_the_original_was_made_unknowable(self):
        assert complained(original="Subject: x\n").ref == "Ref_1-x"

    @pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus", "dmarc", ""])
    def test_is_not_what_praises_or_reports_something_else(self, kind):
        assert complained(kind) is None


def a_letter(**headers):
    lines = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return crlf(f"From: anna@example.com\n{lines}\nGood day\n")


class TestAMailToUnsubscribe:
    def test_is_an_opt_out(self):
        found = read(a_letter(To="unsubscribe+Ref_1-x@bounces.example.com"))
        assert found == DeliveryReport(
            **FOR_ALL,
            status=Status.DELIVERED,
            provider_status="unsubscribed",
            code="unsubscribed",
            opted_out=True,
            dedupe_key="Ref_1-x:unsubscribed",
        )

    def test_is_known_by_its_subject_where_the_case_of_its_address_was_lost(self):
        to = {"To": "unsubscribe+ref_1-x@bounces.example.com"}
        assert read(a_letter(**to, Subject="unsubscribe Ref_1-x")).ref == "Ref_1-x"

    def test_is_not_taken_for_another_ones_by_its_subject(self):
        to = {"To": "unsubscribe+Ref_1-x@bounces.example.com"}
        assert read(a_letter(**to, Subject="unsubscribe me")).ref == "Ref_1-x"

    def test_may_have_been_redirected(self):
        to = {"To": "hello@example.com", "Delivered_To": "unsubscribe+Ref_1-x@bounces.example.com"}
        assert read(a_letter(**to)).opted_out


class TestAnythingElse:
    @pytest.mark.parametrize(
        "mail",
        [
            a_letter(To="jobs@shop.example.com"),
            a_letter(To="b+Ref_1-x@bounces.example.com", Auto_Submitted="auto-replied"),
            a_letter(To="b+Ref_1-x@bounces.example.com", Subject="Out of office"),
            a_letter(To="unsubscribe@bounces.example.com"),
            a_letter(To="unsubscribe+@bounces.example.com"),
            b"",
            b"\0\xff\xfe",
            b"To: unsubscribe+Ref_1-x@bounces.example.com\r\n"
            + b"Content-Type: message/rfc822\r\n\r\n" * 3000,
            b"Content-Type: multipart/report\r\n\r\n",
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=a\r\n\r\n"
            b"--a\r\nContent-Type: message/delivery-status\r\n\r\n--a--",
            b"Content-Type: multipart/report; report-type=disposition-notification; boundary=a\r\n"
            b"\r\n--a\r\n\r\n--a--",
        ],
    )
    def test_says_nothing(self, mail):
        assert read(mail) is None


def test_letters_that_are_no_utf_8_do_no_harm():
    mail = crlf(dedent(BOUNCE)).replace(b"unrecoverable", b"\xfcnrecoverable")
    mail = mail.replace(b"{action}", b"failed").replace(b"{status}", b"5.1.1")
    assert read(mail.decode(errors="replace").encode()).ref == "Ref_1-x"

"""What a simulated relay mails back: notices of delivery, complaints and unsubscribes.

Made by the standard library after the examples of RFC 3464 and RFC 5965, and posted raw to the
account's address, as a mail server's pipe would do it. Unlike most relays it reports deliveries,
too. Its messages come in by SMTP (`simulator_mail.py`), so it has no path.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from email.message import Message
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import formatdate

from providers.simulator_behaviour import Refusal, ending_of
from providers.simulator_http import Request, json_response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_people import ANSWERS_STOP
from providers.simulator_wire import Fate, Inbound, Report, Taken, UsualWire, form_body

HOST = "relay.example.com"
MAIL = "mail"  # the field of a callback that is a whole mail
# What people do about a message; the last one is posted to the address in the message itself.
COMPLAINT, UNSUBSCRIBED = Report("complaint"), Report("unsubscribed")
ONE_CLICK = Report("one-click")
WITH_CRLF = compat32.clone(linesep="\r\n")

WORDS = {
    "delayed": "Your message is not delivered yet. It is tried again; you need do nothing.",
    "delivered": "Your message was delivered.",
    "failed": "Your message could not be delivered.",
}


class SmtpWire(UsualWire):
    name = "smtp"
    prefix: tuple[str, ...] = ()
    account_prefixes: tuple[str, ...] = ()
    words: Mapping[Fate, Report] = {
        Fate.DELAYED: Report("delayed", "4.4.1"),
        Fate.DELIVERED: Report("delivered", "2.0.0"),
        Fate.UNDELIVERED: Report("failed", "5.1.1"),
        Fate.FAILED: Report("failed", "5.4.4"),
        Fate.BLOCKED: Report("failed", "5.7.1"),
        Fate.EXPIRED: Report("failed", "4.4.7"),
    }
    known_words = frozenset({*WORDS, COMPLAINT.word, UNSUBSCRIBED.word, ONE_CLICK.word})
    learns_later: Mapping[Refusal, Fate] = {}
    signs_callbacks = False
    reads_in_halves = True
    names_callback_url = False
    writes_to = re.compile("(?!)")
    answer_seconds = 10.0

    def read(self, request: Request) -> Sequence[Submission] | None:
        return None

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        return self.not_found()

    def provider_ref(self, salt: int, seq: int) -> str:
        return f"{salt & 0xFFFFF:05X}{seq:08X}"

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        return self.not_found()

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        return self.not_found()

    def not_found(self) -> bytes:
        return json_response(404, {"error": "mail is taken by SMTP only"})

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        return self.not_found()

    # --- what it posts to us ----------------------------------------------------------------

    def report_form(self, message: Taken, report: Report) -> dict[str, str]:
        if report is ONE_CLICK:
            return {"List-Unsubscribe": "One-Click"}
        if report is COMPLAINT:
            return {MAIL: _complaint(message)}
        if report is UNSUBSCRIBED:
            return {MAIL: _unsubscribe(message)}
        notice = _notice(message, "delivery-status", WORDS[report.word])
        notice.attach(_status(message, report))
        return {MAIL: _with_original(notice, message)}

    def said_of(self, message: Taken, text: str) -> Report | None:
        """Who stops an e-mail does so in one of two ways; another answer is mail among people."""
        if text.strip().upper() != "STOP":
            return None
        return COMPLAINT if ending_of(message.to) == ANSWERS_STOP else UNSUBSCRIBED

    def inbound_form(self, inbound: Inbound) -> dict[str, str]:
        """Nobody texts to an address."""
        return {}

    def body(self, form: Mapping[str, str]) -> bytes:
        return form[MAIL].encode() if MAIL in form else form_body(form)

    def inbound_ref(self, salt: int, callback: int) -> str:
        return self.provider_ref(salt, callback)

    def sign(self, token: str, url: str, form: Mapping[str, str], *, old: bool) -> dict[str, str]:
        """Nothing in a mail proves who posts it."""
        is_mail = MAIL in form
        content_type = "message/rfc822" if is_mail else "application/x-www-form-urlencoded"
        return {"Content-Type": content_type}

    def retry_after(self, tries: int, answer: int, *, connected: bool) -> float | None:
        """A mail server keeps what its pipe did not take, and tries for days; here, for minutes."""
        return None if 200 <= answer < 300 or tries > 10 else min(0.5 * 2**tries, 60.0)


SMTP_WIRE = SmtpWire()


def _notice(message: Taken, kind: str, words: str) -> MIMEMultipart:
    """A report without its second and third part (RFC 6522)."""
    notice = MIMEMultipart("report", report_type=kind)
    sender = f"MAILER-DAEMON@{HOST}"
    _address(notice, sender=sender, to=message.bounces_to, subject="About your message")
    notice["Auto-Submitted"] = "auto-generated"
    notice.attach(MIMEText(f"{words}\n", "plain", "us-ascii"))
    return notice


def _address(message: Message, *, sender: str, to: str, subject: str) -> None:
    """As it lies in the mailbox that is piped to us: with whom it was delivered to."""
    message["Delivered-To"] = to
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = formatdate(time.time())


def _status(message: Taken, report: Report) -> MIMEBase:
    relay, recipient = Message(), Message()
    relay["Reporting-MTA"] = f"dns; {HOST}"
    relay["Arrival-Date"] = formatdate(message.taken_at)
    recipient["Final-Recipient"] = f"rfc822; {message.to}"
    recipient["Action"] = report.word
    recipient["Status"] = report.code
    if report.word != "delivered":
        code = "550" if report.code.startswith("5") else "451"
        recipient["Diagnostic-Code"] = f"smtp; {code} {report.code} said the mailbox's server"
    part = MIMEBase("message", "delivery-status")
    part.set_payload([relay, recipient])
    return part


def _unsubscribe(message: Taken) -> str:
    mail = MIMEText("unsubscribe\n", "plain", "us-ascii")
    to = f"unsubscribe+{message.ref}@{message.bounces_to.rpartition('@')[2]}"
    _address(mail, sender=message.to, to=to, subject="unsubscribe")
    return _flat(mail)


def _complaint(message: Taken) -> str:
    notice = _notice(message, "feedback-report", "This is an e-mail abuse report.")
    fields = Message()
    fields["Feedback-Type"] = "abuse"
    fields["User-Agent"] = "Simulator/1"
    fields["Version"] = "1"
    fields["Original-Mail-From"] = f"<{message.bounces_to}>"
    part = MIMEBase("message", "feedback-report")
    part.set_payload([fields])
    notice.attach(part)
    return _with_original(notice, message)


def _with_original(notice: MIMEMultipart, message: Taken) -> str:
    """The headers of the message come back with it."""
    lines = (
        f"Message-ID: <{message.ref}@{message.sender.rpartition('@')[2]}>",
        f"From: {message.sender}",
        f"To: {message.to}",
        f"X-Send-Ref: {message.ref}",
    )
    original = MIMEBase("text", "rfc822-headers")
    original.set_payload("".join(f"{line}\r\n" for line in lines))
    notice.attach(original)
    return _flat(notice)


def _flat(message: Message) -> str:
    return message.as_bytes(policy=WITH_CRLF).decode("ascii")

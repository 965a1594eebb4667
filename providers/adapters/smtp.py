"""E-mail by SMTP: any relay, one message a transaction, bounces and complaints as mail.

Our reference travels as the envelope's sender, which is where bounces go (VERP), as Message-ID and
in a header of its own. What comes back is posted to us as it came, by whatever receives the mail of
the bounce domain. In Postfix that is a line of master.cf, `pipe flags=DOR` with a script like

    curl -fsS -H "Content-Type: message/rfc822" --data-binary @- "ADDRESS" || exit 75

for which 75 means: try again later. A key in that address proves who posts, as nothing in a mail
could; the flag D notes in the mail whom it was delivered to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from providers import base
from providers.adapters import smtp_replies, smtp_reports
from providers.adapters.smtp_message import (
    NotAnAddress,
    ascii_address,
    ascii_domain,
    bounce_address,
    compose,
)

MAIL_TYPE = "message/rfc822"
KEPT = 32 * 1024  # bytes of a mail; what it says of a message stands before the message's words


class Smtp(base.Usual):
    kind = "smtp"
    label = "SMTP e-mail"
    channel = base.Channel.EMAIL
    base_url = ""
    credentials = ("bounce_domain",)
    optional_credentials = ("username", "password")
    max_chars = 100_000
    asks_for_reports = False
    largest_callback = 512 * 1024  # a bounce may bring all of the message back
    evidence = (
        "DKIM is the relay's job: it must sign what it sends, both List-Unsubscribe headers"
        " included, or mailboxes offer no one-click unsubscribe. Mail to b+…, unsubscribe+… and the"
        " complaint address of the bounce domain must be posted, as it came, to the address that"
        " the account's page shows. A 421 after the message counts as unknown. Most relays report"
        " only what failed."
    )

    def problems(self, access: base.Access) -> Mapping[str, str]:
        found = {}
        try:
            ascii_domain(access.secrets.get("bounce_domain", ""))
        except NotAnAddress:
            found["bounce_domain"] = "Type a domain such as bounces.example.com."
        if bool(access.secrets.get("username")) != bool(access.secrets.get("password")):
            found["password"] = "The user name and its password go together."  # noqa: S105
        return found

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.Envelope:
        """Raises NotAnAddress."""
        (send,) = sends  # a transaction for each: the words are personal, and so is the bounce
        secrets = access.secrets
        domain = ascii_domain(secrets["bounce_domain"])
        return base.Envelope(
            url=access.base_url,
            username=secrets.get("username", ""),
            password=secrets.get("password", ""),
            sender=bounce_address(send.ref, domain),
            recipient=ascii_address(send.to_email),
            message=compose(send, bounce_domain=domain, at=datetime.now(UTC)),
        )

    def read_response(
        self, sends: Sequence[base.SendRequest], response: base.HttpResponse
    ) -> dict[str, base.Outcome]:
        (send,) = sends
        return {send.ref: smtp_replies.outcome_of(smtp_replies.read(response), send.ref)}

    def needs_key(self, access: base.Access) -> bool:
        return True

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        """The key in the path proves who posts. This only sees that it is a mail."""
        content_type = callback.header("Content-Type").partition(";")[0].strip().lower()
        return callback.method == "POST" and content_type == MAIL_TYPE and bool(callback.body)

    def split(self, callback: base.Callback) -> Sequence[base.Callback]:
        return (replace(callback, body=callback.body[:KEPT]),)

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        return smtp_reports.read(callback.body)

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> None:
        """Nobody can ask a relay for a message."""

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        return base.NoAnswer("look_up_not_offered")

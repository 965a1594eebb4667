"""Send one message by one account to a phone or mailbox of one's own, and tell each step as it
happens.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from redis.exceptions import RedisError

from delivery import checking, tasks
from delivery.checking import CannotCheck, Ready
from delivery.checking_watch import TAKEN, Watch
from delivery.models import Message
from delivery.singles import CannotTest
from delivery.states import Status
from providers import pretend
from providers.base import Channel
from providers.webhook_urls import inbound_url

MAX_SECONDS = 3_600


class Command(BaseCommand):
    help = (
        "Send one message by this account, and by no other, to a phone whose owner agreed, or to a"
        " mailbox by an account of e-mail, and wait for the report. Workers and the scheduler must"
        " run. Exits 0 when it arrived."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the name of the account, or its id")
        parser.add_argument(
            "--to", required=True, help="the phone, such as +12125550143, or the e-mail address"
        )
        parser.add_argument("--text", default="", help="what it says; {link} and names cannot be")
        parser.add_argument("--from", dest="number", default="", help="a number of the account")
        parser.add_argument("--brand", default="", help="the slug, where the number has no brand")
        parser.add_argument("--seconds", type=float, default=60.0, help="to wait; %(default)s")
        parser.add_argument(
            "--until",
            choices=("reported", "taken"),
            default="reported",
            help="taken: the provider's yes is enough, for one that reports nothing",
        )

    def handle(self, *_: Any, account: str, to: str, **options: Any) -> None:
        if not 0 < options["seconds"] <= MAX_SECONDS:
            raise CommandError(f"--seconds must be a number from above 0 to {MAX_SECONDS}")
        try:
            check = checking.ready(account, to, number=options["number"], brand=options["brand"])
            for words in check.steps():
                self._say(0.0, words)
            message = checking.start(check, options["text"])
        except (CannotCheck, CannotTest) as error:
            raise CommandError(str(error)) from error
        self._wake()
        self._follow(check, message, options["seconds"], is_enough=options["until"] == "taken")

    def _follow(self, check: Ready, message: Message, seconds: float, *, is_enough: bool) -> None:
        watch = Watch(message, check.adapter)
        for step in watch.steps(seconds=seconds, until_taken=is_enough):
            self._say(step.seconds, step.words)
        if check.access.simulated and message.status in TAKEN:
            self._tell_where(check)
        if message.status == Status.DELIVERED or (is_enough and message.status in TAKEN):
            self.stdout.write("It works.")
            return
        raise CommandError(_why_not(check, message, seconds))

    def _tell_where(self, check: Ready) -> None:
        """Nothing where nobody here knows the simulator's own address."""
        is_mail = check.adapter.channel == Channel.EMAIL
        where = "in the pretend mailbox" if is_mail else "on the pretend phone"
        page = (pretend.mailbox_page if is_mail else pretend.phone_page)(
            check.base_url, check.address
        )
        if page:
            self.stdout.write(f"Read it {where}: {page}")

    def _wake(self) -> None:
        try:
            tasks.dispatch()
        except RedisError:
            self.stdout.write("Redis does not answer: nothing leaves before it does.")

    def _say(self, seconds: float, words: str) -> None:
        self.stdout.write(f"{seconds:7.2f} s  {words}")
        self.stdout.flush()


def _why_not(check: Ready, message: Message, seconds: float) -> str:
    if message.status in (Status.ACCEPTED, Status.SENT):
        address = inbound_url(check.access, check.account.pk).removesuffix("inbound")
        return (
            f"{check.adapter.label} took it, and no report that it arrived came within"
            f" {seconds:g} s. Reports must reach {address}status; for a provider that sends none,"
            " add --until taken."
        )
    if message.status in (Status.PLANNED, Status.SENDING, Status.UNKNOWN):
        at = f"{message.expires_at:%H:%M} UTC"
        return f"After {seconds:g} s it is at no end. It may still leave until {at}."
    return "It did not arrive; the last line says why."

from __future__ import annotations

import asyncio
import base64
import time

import pytest

from providers import mail, mail_line
from providers.base import Accepted, ErrorClass, Fault, NotSent, Rejected, Unknown
from providers.transport import Transport
from tests.providers.mailing import BOUNCES, SMTP, a_mail, mail_access
from tests.providers.peers import run
from tests.providers.relays import CLOSE, HANG, RESET, Relay, mailed, mailed_by

BEFORE = ("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA")
NOT_CONNECTED = NotSent("could_not_connect", unreachable=True)
TOO_LATE = NotSent("too_late")
OPEN = {"bounce_domain": BOUNCES}  # who need not log in
TAKEN = Accepted("r0", part_refs=("Q1234",))


def outcome_of(relay, **options):
    (outcome,) = run(mailed(relay, **options))
    return outcome


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(mail_line, "REPLY_SECONDS", 0.2)
    monkeypatch.setattr(mail, "HELLO_SECONDS", 0.4)


class TestUpToTheReplyToData:
    @pytest.mark.parametrize("how", [CLOSE, RESET])
    @pytest.mark.parametrize("stage", BEFORE)
    def test_a_connection_that_ends_left_nothing(self, stage, how):
        relay = Relay(**{stage: how})
        assert outcome_of(relay) == NOT_CONNECTED
        assert relay.messages == []

    @pytest.mark.usefixtures("_impatient")
    @pytest.mark.parametrize("stage", BEFORE)
    def test_no_reply_in_time_left_nothing(self, stage):
        relay = Relay(**{stage: HANG})
        assert outcome_of(relay) == NOT_CONNECTED
        assert relay.messages == []

    @pytest.mark.parametrize("stage", BEFORE)
    @pytest.mark.parametrize("said", [b"<html>hello\r\n", b"\x00\xff\r\n", b"299 what\r\n"])
    def test_a_reply_that_is_none_left_nothing(self, stage, said):
        relay = Relay(**{stage: said})
        outcome = outcome_of(relay)
        assert isinstance(outcome, NotSent)
        assert outcome.unreachable
        assert relay.messages == []

    @pytest.mark.parametrize("stage", BEFORE)
    def test_who_shuts_down_took_nothing(self, stage):
        relay = Relay(**{stage: "421 4.3.2 shutting down"})
        is_slow = {"throttled": True} if stage == "AUTH" else {"unreachable": True}
        assert outcome_of(relay) == NotSent("4.3.2", **is_slow)

    def test_a_refused_recipient_is_final(self):
        relay = Relay(RCPT="550 5.1.1 unknown")
        assert outcome_of(relay) == Rejected(ErrorClass.PERMANENT_RECIPIENT, "5.1.1")
        assert "DATA" not in relay.verbs

    def test_a_refused_data_left_nothing(self):
        relay = Relay(DATA="451 4.3.0 no room")
        assert outcome_of(relay) == NotSent("4.3.0")
        assert relay.messages == []

    def test_an_adapter_that_fails_while_reading_leaves_it_proven(self):
        class Failing(type(SMTP)):
            def read_response(self, sends, response):
                raise ZeroDivisionError

        async def failing():
            async with Relay(RCPT="550 no").running() as relay, Transport() as transport:
                return await transport.send(Failing(), [a_mail()], mail_access(relay.port))

        assert run(failing()) == {"r1": NotSent("550")}


class TestFromTheFirstByteOfTheMessage:
    @pytest.mark.parametrize(
        "said",
        [CLOSE, RESET, b"250 2.0", b"<html>\r\n", "421 4.3.2 shutting down", "251 ok", "354 go"],
    )
    def test_without_a_final_reply_it_is_unknown(self, said):
        relay = Relay(DOT=said)
        outcome = outcome_of(relay, request_seconds=0.5)
        assert isinstance(outcome, Unknown)
        assert len(relay.messages) == 1

    def test_no_reply_in_time_is_unknown(self):
        relay = Relay(DOT=HANG)
        assert outcome_of(relay, request_seconds=0.2) == Unknown("SMTPReadTimeoutError")
        assert len(relay.messages) == 1

    def test_a_connection_that_ends_in_the_middle_is_unknown(self):
        class Breaking(Relay):
            async def _say(self, client, verb):
                await super()._say(client, verb)
                if verb == "DATA":
                    await client.reader.readline()
                return verb != "DATA"

        assert outcome_of(Breaking()) == Unknown("SMTPServerDisconnected")

    @pytest.mark.parametrize(
        ("said", "outcome"),
        [
            ("250 2.0.0 Ok: queued as Q1234", TAKEN),
            ("451 4.3.0 no room", NotSent("4.3.0")),
            ("450 4.7.1 too many", NotSent("4.7.1", throttled=True)),
            ("554 nothing like this", Rejected(ErrorClass.PERMANENT_CONTENT, "554")),
        ],
    )
    def test_a_final_reply_is_believed(self, said, outcome):
        assert outcome_of(Relay(DOT=said)) == outcome

    def test_an_adapter_that_fails_while_reading_leaves_it_unknown(self):
        class Failing(type(SMTP)):
            def read_response(self, sends, response):
                raise ZeroDivisionError

        async def failing():
            async with Relay().running() as relay, Transport() as transport:
                return await transport.send(Failing(), [a_mail()], mail_access(relay.port))

        assert run(failing()) == {"r1": Unknown("250 ZeroDivisionError")}

    def test_a_kept_connection_that_dies_after_the_third_message_carried_it_once(self):
        relay = Relay(DOT=lambda n: CLOSE if n == 2 else "250 ok")
        outcomes = run(mailed(relay, 3))
        assert outcomes[2] == Unknown("SMTPServerDisconnected")
        assert len(relay.messages) == 3
        assert relay.connections == 1


class TestTheMessage:
    def test_arrives_letter_for_letter(self):
        relay = Relay()
        outcome_of(relay, mail={"text": ".\n..\n.a\nend"})
        (written,) = relay.messages
        assert written.endswith(b"\r\n\r\n..\r\n...\r\n..a\r\nend\r\n.\r\n")

    def test_goes_to_one_recipient_and_bounces_to_its_own_address(self):
        relay = Relay()
        outcome_of(relay)
        assert relay.heard[2:5] == [
            "MAIL FROM:<b+r0@bounces.example.com>",
            "RCPT TO:<anna@example.com>",
            "DATA",
        ]


class TestTheAnnouncement:
    def told(self, announce, **said):
        async def telling():
            async with Relay(**said).running() as relay, Transport() as transport:
                options = {"announce": lambda: announce(relay)}
                first = await mailed_by(transport, relay, options=options)
                return first, await mailed_by(transport, relay), relay

        return run(telling())

    def test_comes_right_before_data(self):
        heard = []
        self.told(lambda relay: heard.append(list(relay.verbs)))
        assert heard == [["EHLO", "AUTH", "MAIL", "RCPT"]]

    def test_does_not_come_where_the_recipient_was_refused(self):
        announced = []
        self.told(announced.append, RCPT="550 5.1.1 no")
        assert announced == []

    def test_may_refuse_it_and_nothing_is_written(self):
        refusal = NotSent("journal_not_written")
        first, second, relay = self.told(lambda _: refusal)
        assert (first, second) == (refusal, TAKEN)
        assert len(relay.messages) == 1

    def test_leaves_a_connection_that_is_reset_and_used_again(self):
        _, _, relay = self.told(lambda _: NotSent("no"))
        assert relay.verbs[2:] == ["MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]
        assert relay.connections == 1

    def test_what_it_raises_comes_through_and_the_connection_is_left(self):
        async def raising():
            async with Relay().running() as relay, Transport() as transport:
                with pytest.raises(ConnectionError):
                    await mailed_by(transport, relay, options={"announce": breaking})
                return await mailed_by(transport, relay), relay.connections

        def breaking():
            raise ConnectionError

        assert run(raising()) == (TAKEN, 2)


class TestTheDeadline:
    def within(self, seconds, **said):
        """The outcome of a mail that must be written within so many seconds, and of another."""

        async def late():
            async with Relay(**said).running() as relay, Transport() as transport:
                options = {"write_by": time.monotonic() + seconds}
                first = await mailed_by(transport, relay, options=options)
                return first, await mailed_by(transport, relay), relay

        return run(late())

    def test_that_has_passed_opens_no_connection(self):
        first, _, relay = self.within(-1)
        assert first == TOO_LATE
        assert relay.connections == 1

    @pytest.mark.parametrize("stage", ["CONNECT", "AUTH"])
    def test_that_passes_while_they_greet_leaves_a_connection_for_the_next(self, stage):
        said = {stage: (0.3, "220 hello" if stage == "CONNECT" else "235 welcome")}
        first, second, relay = self.within(0.1, **said)
        assert (first, second) == (TOO_LATE, TAKEN)
        assert relay.connections == 1

    def test_that_passes_before_data_announces_nothing(self):
        slow_once = {"RCPT": lambda n: "250 ok" if n else (0.3, "250 ok")}
        first, second, relay = self.within(0.1, **slow_once)
        assert (first, second) == (TOO_LATE, TAKEN)
        assert relay.verbs.count("DATA") == 1

    def test_that_passes_before_the_message_leaves_none(self):
        class Slow(Relay):
            async def _say(self, client, verb):
                if verb == "DATA" and self.verbs.count("DATA") == 1:
                    await asyncio.sleep(0.3)
                return await super()._say(client, verb)

        async def late():
            async with Slow().running() as relay, Transport() as transport:
                options = {"write_by": time.monotonic() + 0.1}
                first = await mailed_by(transport, relay, options=options)
                return first, await mailed_by(transport, relay), relay

        first, second, relay = run(late())
        assert (first, second) == (TOO_LATE, TAKEN)
        assert len(relay.messages) == 1
        assert relay.connections == 2


class TestKeptConnections:
    def test_are_used_again(self):
        relay = Relay()
        assert len(run(mailed(relay, 3))) == 3
        assert relay.connections == 1
        assert relay.verbs.count("AUTH") == 1
        assert "RSET" not in relay.verbs

    def test_are_left_after_so_many_messages(self, monkeypatch):
        monkeypatch.setattr(mail_line, "MOST_MESSAGES", 2)
        relay = Relay()
        run(mailed(relay, 4))
        assert relay.connections == 2
        assert relay.verbs.count("QUIT") == 2

    def test_are_left_when_they_were_idle_too_long(self, monkeypatch):
        monkeypatch.setattr(mail, "KEEP_SECONDS", -1)
        relay = Relay()
        run(mailed(relay, 2))
        assert relay.connections == 2

    def test_are_left_when_they_closed_them(self):
        class Closing(Relay):
            async def _say(self, client, verb):
                return await super()._say(client, verb) and verb != "."

        relay = Closing()
        assert run(mailed(relay, 2, pause=0.05))[1] == Accepted("r1", part_refs=("Q1234",))
        assert relay.connections == 2

    def test_are_left_when_a_reply_came_that_nobody_asked_for(self):
        """It would be taken for the reply to the next command."""
        relay = Relay(DOT=b"250 ok\r\n250 and more\r\n")
        run(mailed(relay, 2))
        assert relay.connections == 2

    def test_are_left_when_they_cannot_be_reset(self):
        relay = Relay(RCPT=lambda n: "250 ok" if n else "550 5.1.1 no", RSET=CLOSE)
        assert run(mailed(relay, 2))[1] == Accepted("r1", part_refs=("Q1234",))
        assert relay.connections == 2

    def test_are_not_shared_by_two_accounts(self):
        async def two():
            async with Relay().running() as relay, Transport() as transport:
                for user in ("one", "two"):
                    secrets = {**OPEN, "username": user, "password": "secret"}
                    await mailed_by(transport, relay, secrets=secrets)
                return relay.connections

        assert run(two()) == 2

    def test_end_with_the_transport(self):
        async def after_the_end():
            async with Relay().running() as relay:
                async with Transport() as transport:
                    await mailed_by(transport, relay)
                return await mailed_by(transport, relay)

        assert run(after_the_end()) == NotSent("transport_closed")


class TestTheLogIn:
    def test_is_not_made_without_a_user(self):
        relay = Relay()
        assert outcome_of(relay, secrets=OPEN) == TAKEN
        assert "AUTH" not in relay.verbs

    def test_tells_user_and_password(self):
        relay = Relay()
        outcome_of(relay)
        plain = base64.b64encode(b"\0shop\0secret").decode()
        assert relay.heard[1] == f"AUTH PLAIN {plain}"

    def test_is_tried_once(self):
        """More would lock the account at many relays."""
        relay = Relay(AUTH="535 5.7.8 no")
        assert outcome_of(relay) == NotSent("5.7.8", fault=Fault.ACCOUNT)
        assert relay.verbs.count("AUTH") == 1

    @pytest.mark.parametrize("offered", ["250 HELP", "250-AUTH XOAUTH2 GSSAPI\r\n250 HELP"])
    def test_in_a_way_that_they_do_not_speak_is_a_fault_of_the_account(self, offered):
        relay = Relay(EHLO=f"250-relay\r\n{offered}")
        assert outcome_of(relay) == NotSent("login_not_offered", fault=Fault.ACCOUNT)


def test_a_cancelled_mail_says_so_and_leaves_its_connection():
    async def cancelled():
        async with Relay(DOT=HANG).running() as relay, Transport() as transport:
            task = asyncio.create_task(mailed_by(transport, relay))
            while not relay.messages:
                await asyncio.sleep(0.001)
            task.cancel()
            await task

    with pytest.raises(asyncio.CancelledError):
        run(cancelled())

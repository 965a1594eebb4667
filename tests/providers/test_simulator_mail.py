from __future__ import annotations

import asyncio
import smtplib

import pytest

from providers.base import Accepted, ErrorClass, Fault, NotSent, Rejected, Unknown
from providers.simulator_behaviour import MODES
from tests.providers.mailing import BOUNCES, SECRETS, USER, in_mail_scene

UNREACHABLE = NotSent("could_not_connect", unreachable=True)


def outcomes(tmp_path, *mails, orders=(), **limits):
    """Of mails sent one after another, and what stands in the ledger."""

    async def act(scene):
        for order in orders:
            await scene.told(**order)
        found = [await scene.mail(f"r{n}", **mail) for n, mail in enumerate(mails)]
        return found, scene.on.ledger()

    return in_mail_scene(tmp_path, act, **limits)


def to(ending):
    return {"to_email": f"anna.{ending}@example.com"}


class TestAMessage:
    def test_is_taken_and_in_the_ledger_once(self, tmp_path):
        (found,), (entry,) = outcomes(tmp_path, {})
        assert found == Accepted("r0", part_refs=(entry.provider_ref,))
        sent = entry.submission
        assert (sent.provider, sent.account, sent.ref) == ("smtp", USER, "r0")
        assert (sent.from_value, sent.to) == ("jobs@shop.example.com", "anna@example.com")
        assert sent.text == "Hi Anna, two new jobs."
        assert (sent.bounces_to, entry.took) == (f"b+r0@{BOUNCES}", True)
        assert "Subject: Two new jobs" in sent.mail

    def test_of_who_did_not_log_in_is_of_the_domain_it_bounces_to(self, tmp_path):
        (found,), (entry,) = outcomes(tmp_path, {"secrets": {"bounce_domain": BOUNCES}})
        assert isinstance(found, Accepted)
        assert entry.submission.account == BOUNCES

    def test_its_words_may_be_of_any_script(self, tmp_path):
        text = "Hallo Änna 👩‍💻\n.\n日本語"
        _, (entry,) = outcomes(tmp_path, {"text": text, "html": "<p>Hï</p>"})
        assert entry.submission.text == text

    def test_a_kept_connection_carries_many(self, tmp_path):
        async def act(scene):
            for n in range(3):
                await scene.mail(f"r{n}")
            return (await scene.on.state())["mail"]["connections"], len(scene.on.ledger())

        assert in_mail_scene(tmp_path, act) == (1, 3)

    def test_that_is_too_long_is_refused_and_not_taken(self, tmp_path):
        found, ledger = outcomes(tmp_path, {"text": "x" * 200_000})
        assert found == [Rejected(ErrorClass.TRANSIENT, "552")]
        assert ledger == []


class TestAPassword:
    def test_is_checked_where_it_was_told(self, tmp_path):
        told = {"account": {"name": USER, "provider": "smtp", "token": "another"}}
        (found,), ledger = outcomes(tmp_path, {}, orders=[told])
        assert found == NotSent("5.7.8", fault=Fault.ACCOUNT)
        assert ledger == []

    @pytest.mark.parametrize("secret", ["secret", "anything"])
    def test_is_any_where_it_was_not(self, tmp_path, secret):
        (found,), _ = outcomes(tmp_path, {"secrets": {**SECRETS, "password": secret}})
        assert isinstance(found, Accepted)


TABLE = {
    "0001": (Rejected(ErrorClass.PERMANENT_RECIPIENT, "5.1.1"), 0),
    "0002": (Rejected(ErrorClass.TRANSIENT, "5.2.2"), 0),
    "0003": (Rejected(ErrorClass.PERMANENT_CONTENT, "5.7.1", carrier_blocked=True), 0),
    "0005": (NotSent("4.7.1", throttled=True), 0),
    "0006": (NotSent("4.3.0"), 0),
    "0007": (Unknown("SMTPServerDisconnected"), 1),
    "0008": (Unknown("SMTPReadTimeoutError"), 1),
    "0009": (Unknown("SMTPResponseException"), 1),
    "0013": (NotSent("5.7.0", fault=Fault.ACCOUNT), 0),
}


@pytest.mark.parametrize("ending", TABLE)
def test_an_ending_of_the_recipient_decides(tmp_path, ending):
    (found,), ledger = outcomes(tmp_path, to(ending), request_seconds=0.5)
    assert (found, sum(entry.took for entry in ledger)) == TABLE[ending]
    assert len(ledger) == 1


def test_a_recipient_may_be_throttled_once(tmp_path):
    found, ledger = outcomes(tmp_path, to("0005"), to("0005"))
    assert [type(one) for one in found] == [NotSent, Accepted]
    assert [entry.took for entry in ledger] == [False, True]


@pytest.mark.parametrize("mode", [*MODES])
def test_in_every_mode_it_is_taken_at_most_once_and_never_called_unsent_when_it_was(tmp_path, mode):
    order = {"mode": mode, "account": USER}
    (found,), ledger = outcomes(tmp_path, {}, orders=[order], request_seconds=0.3)
    took = sum(entry.took for entry in ledger)
    assert took <= 1
    assert not (took and isinstance(found, NotSent | Rejected))
    assert took or not isinstance(found, Accepted)


def test_an_account_is_throttled_by_its_rate(tmp_path):
    order = {"throttle": "account", "name": USER, "per_second": 0.001, "burst": 2}
    found, ledger = outcomes(tmp_path, {}, {}, {}, orders=[order])
    assert [type(one) for one in found] == [Accepted, Accepted, NotSent]
    assert found[2] == NotSent("4.7.1", throttled=True)
    assert [entry.verdict for entry in ledger] == ["accepted", "accepted", "throttled"]


class TestAFault:
    @pytest.mark.parametrize("stage", ["connect", "ehlo", "auth", "mail", "rcpt", "data"])
    def test_closes_before_the_message_and_nothing_was_taken(self, tmp_path, stage):
        order = {"mail": {"at": stage, "do": "close", "count": 1}}
        found, ledger = outcomes(tmp_path, {}, {}, orders=[order])
        assert (found[0], type(found[1])) == (UNREACHABLE, Accepted)
        assert [entry.submission.ref for entry in ledger] == ["r1"]

    def test_closes_in_the_message_and_nothing_was_taken(self, tmp_path):
        order = {"mail": {"at": "message", "do": "close", "count": 1}}
        found, ledger = outcomes(tmp_path, {}, orders=[order])
        assert (found, ledger) == ([Unknown("SMTPServerDisconnected")], [])

    def test_hangs_in_the_message_and_nothing_was_taken(self, tmp_path):
        order = {"mail": {"at": "message", "do": "hang"}}
        found, ledger = outcomes(tmp_path, {}, orders=[order], request_seconds=0.2)
        assert (found, ledger) == ([Unknown("SMTPReadTimeoutError")], [])

    @pytest.mark.parametrize(
        "stage", ["connect", "ehlo", "auth", "mail", "rcpt", "data", "message"]
    )
    def test_says_what_it_is_told(self, tmp_path, stage):
        order = {"mail": {"at": stage, "do": "450 4.7.1 Slow down", "count": 1}}
        found, ledger = outcomes(tmp_path, {}, {}, orders=[order])
        assert (found[0], type(found[1])) == (NotSent("4.7.1", throttled=True), Accepted)
        assert len(ledger) == 1

    def test_may_be_one_accounts(self, tmp_path):
        order = {"mail": {"at": "rcpt", "do": "close", "account": "another"}}
        (found,), _ = outcomes(tmp_path, {}, orders=[order])
        assert isinstance(found, Accepted)

    @pytest.mark.parametrize("ended", [{"mail": None}, None])
    def test_ends_when_it_is_told_so(self, tmp_path, ended):
        async def act(scene):
            await scene.told(mail={"at": "rcpt", "do": "close"})
            if ended:
                await scene.told(**ended)
            else:
                await scene.on.control({}, "/control/reset")
            return await scene.mail()

        assert isinstance(in_mail_scene(tmp_path, act), Accepted)

    @pytest.mark.parametrize(
        "told",
        [
            {"at": "lunch", "do": "close"},
            {"at": "rcpt", "do": "sing"},
            {"at": "rcpt"},
            {"at": "rcpt", "do": "close", "count": 0},
            {"at": "rcpt", "do": "close", "more": 1},
        ],
    )
    def test_is_told_strictly(self, tmp_path, told):
        async def act(scene):
            await scene.refused(mail=told)
            return (await scene.on.state())["mail"]["faults"]

        assert in_mail_scene(tmp_path, act) == []


def test_another_client_is_understood_too(tmp_path):
    """The standard library's, so that we do not only understand ourselves."""

    def send(port):
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.login("shop", "secret")
            client.sendmail(f"b+x1@{BOUNCES}", ["anna@example.com"], b"Subject: a\r\n\r\nHi\r\n")

    async def act(scene):
        await asyncio.to_thread(send, scene.mail_port)
        return scene.on.ledger()

    (entry,) = in_mail_scene(tmp_path, act)
    assert (entry.submission.ref, entry.submission.text) == ("x1", "Hi")


def test_one_recipient_a_message(tmp_path):
    def send(port):
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            to = ["anna@example.com", "ben@example.com"]
            return client.sendmail(f"b+x1@{BOUNCES}", to, b"Subject: a\r\n\r\nHi\r\n")

    async def act(scene):
        return await asyncio.to_thread(send, scene.mail_port), scene.on.ledger()

    refused, ledger = in_mail_scene(tmp_path, act)
    assert [*refused] == ["ben@example.com"]
    assert [entry.submission.to for entry in ledger] == ["anna@example.com"]

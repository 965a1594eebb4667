"""The example definition's wire, asked by an account that brings that definition along."""

from __future__ import annotations

import pytest

from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    NoAnswer,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from providers.declared import DEFINITIONS, declared
from providers.simulator_ledger import read_ledger
from tests.providers.benches import in_bench
from tests.providers.conversing import Line
from tests.providers.hooks import FROM, in_scene

TO = "+12025550143"
RECIPIENT = ErrorClass.PERMANENT_RECIPIENT


class Defined(Line):
    def __init__(self):
        self.kind, self.secrets, self.path = "generic", {"api_key": "any-1"}, "/generic"
        self.speaks = declared((DEFINITIONS / "example.json").read_text())


GENERIC = Defined()


def outcome(tmp_path, **changes):
    return in_bench(tmp_path, lambda on: GENERIC.sent(on, **changes))


def entry_of(tmp_path):
    (entry,) = read_ledger(tmp_path / "ledger.jsonl")
    return entry


def test_a_message_is_accepted_with_the_id_that_the_ledger_has(tmp_path):
    assert outcome(tmp_path) == Accepted(entry_of(tmp_path).provider_ref)


def test_the_ledger_has_what_was_sent(tmp_path):
    outcome(tmp_path, ref="r7", text='é "quoted"\n& more {ref}')
    sent = entry_of(tmp_path).submission
    assert (sent.provider, sent.account, sent.ref) == ("generic", "any-1", "r7")
    assert (sent.from_value, sent.to) == ("+15005550001", TO)
    assert sent.text == 'é "quoted"\n& more {ref}'


@pytest.mark.parametrize(
    ("digits", "refused"),
    [
        ("0001", Rejected(RECIPIENT, "invalid_recipient")),
        ("0005", NotSent("429", throttled=True)),
        ("0006", Unknown("500")),
        ("0013", NotSent("unauthorized", fault=Fault.ACCOUNT)),
    ],
)
def test_a_magic_number_is_refused_in_the_examples_words(tmp_path, digits, refused):
    assert outcome(tmp_path, to_e164=f"+1202555{digits}") == refused


@pytest.mark.parametrize("changes", [{"text": ""}, {"from_value": ""}, {"text": "a" * 1_601}])
def test_a_request_with_a_mistake_is_not_taken(tmp_path, changes):
    assert isinstance(outcome(tmp_path, **changes), Unknown)
    assert entry_of(tmp_path).took is False


@pytest.mark.parametrize(
    ("to", "status"),
    [(TO, Status.DELIVERED), ("+12025550004", Status.FAILED), ("+12025550012", Status.FAILED)],
)
def test_a_report_is_read(tmp_path, to, status):
    async def act(scene):
        await scene.told(reports={"intermediate": False})
        url = scene.hooks.url(ref="r1")
        await GENERIC.sent(scene.on, to_e164=to, status_callback_url=url)
        (call,) = await scene.hooks.wait_for(1)
        return call

    is_genuine, report = GENERIC.heard(in_scene(tmp_path, act))
    assert is_genuine
    assert (report.ref, report.status) == ("r1", status)


def test_a_text_is_read(tmp_path):
    async def act(scene):
        account = {"name": "any-1", "provider": "generic"}
        await scene.told(account={**account, "inbound_url": scene.hooks.url("/in")})
        await scene.told(inbound={"from": TO, "to": FROM, "text": "Stop", "account": "any-1"})
        (call,) = await scene.hooks.wait_for(1)
        return call

    _, found = GENERIC.heard(in_scene(tmp_path, act))
    assert (found.from_e164, found.to_value, found.text) == (TO, FROM, "Stop")


def test_nobody_can_be_asked(tmp_path):
    assert in_bench(tmp_path, GENERIC.looked_up) == NoAnswer("look_up_not_offered")

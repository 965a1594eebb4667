"""TextBack's older wire, where all of a message is in the address, asked by our adapter."""

from __future__ import annotations

import pytest

from providers.base import Accepted, Fault, NoAnswer, NotSent, Unknown
from providers.simulator_ledger import read_ledger
from tests.providers.benches import in_bench
from tests.providers.conversing import Line, asked
from tests.providers.hooks import FROM, in_scene

QUERY = Line("textback_query", {"api_key": "tbq-1"})
TO = "+12025550143"


def outcome(tmp_path, **changes):
    return in_bench(tmp_path, lambda on: QUERY.sent(on, **changes))


def entry_of(tmp_path):
    (entry,) = read_ledger(tmp_path / "ledger.jsonl")
    return entry


def test_a_message_is_accepted_and_no_id_is_told(tmp_path):
    assert outcome(tmp_path, ref="r7") == Accepted("r7")
    assert entry_of(tmp_path).took


def test_the_ledger_has_what_was_sent_but_no_reference_of_ours(tmp_path):
    outcome(tmp_path, text='é "quoted"\n& more + {ref}')
    sent = entry_of(tmp_path).submission
    assert (sent.provider, sent.account, sent.ref) == ("textback_query", "tbq-1", "")
    assert (sent.from_value, sent.to) == ("+15005550001", TO)
    assert sent.text == 'é "quoted"\n& more + {ref}'


@pytest.mark.parametrize(
    ("digits", "refused"),
    [
        ("0001", Unknown("400")),
        ("0005", NotSent("429", throttled=True)),
        ("0006", Unknown("500")),
        ("0013", NotSent("401", fault=Fault.ACCOUNT)),
    ],
)
def test_a_magic_number_is_refused_by_a_status_alone(tmp_path, digits, refused):
    assert outcome(tmp_path, to_e164=f"+1202555{digits}") == refused


def test_an_answer_that_is_lost_is_asked_for_once_only(tmp_path):
    assert isinstance(outcome(tmp_path, to_e164="+12025550007"), Unknown)
    assert entry_of(tmp_path).took


@pytest.mark.parametrize("path", ["/send", "/send?action=sendText", "/send/more?action=sendText"])
def test_what_is_no_message_is_not_taken(tmp_path, path):
    status, _ = in_bench(tmp_path, lambda on: asked(on, "GET", path))
    assert status in (401, 404)


def test_it_reports_on_nothing(tmp_path):
    async def act(scene):
        await scene.told(account={"name": "tbq-1", "inbound_url": scene.hooks.url("/in")})
        await scene.told(reports={})
        await QUERY.sent(scene.on)
        return await scene.quiet()

    assert in_scene(tmp_path, act)["posted"] == 0


def test_a_text_is_read(tmp_path):
    async def act(scene):
        await scene.told(account={"name": "tbq-1", "inbound_url": scene.hooks.url("/in")})
        await scene.told(inbound={"from": TO, "to": FROM, "text": "Stop", "account": "tbq-1"})
        (call,) = await scene.hooks.wait_for(1)
        return call

    _, found = QUERY.heard(in_scene(tmp_path, act))
    assert (found.from_e164, found.to_value, found.text) == (TO, FROM, "Stop")


def test_nobody_can_be_asked(tmp_path):
    assert in_bench(tmp_path, QUERY.looked_up) == NoAnswer("look_up_not_offered")

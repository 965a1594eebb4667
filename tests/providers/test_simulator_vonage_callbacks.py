"""What the simulated Vonage posts: reports and texts of people."""

from __future__ import annotations

from collections import Counter

import pytest

from providers.base import (
    Callback,
    DeliveryReport,
    InboundMessage,
    Status,
)
from tests.providers.hooks import SETTLED, in_scene
from tests.providers.vonage import JWT_SECRET
from tests.providers.vonage_bench import BOTH, FROM, LONG, MESSAGES, SMS, TO, access_of, sent


def received(call):
    """The call as our webhook hands it to an adapter."""
    is_form = "urlencoded" in call.headers["content-type"]
    return Callback(
        method="POST",
        url=call.url,
        headers=call.headers,
        query={"ref": call.url.partition("?ref=")[2]} if "?ref=" in call.url else {},
        form=call.form if is_form else {},
        body=call.body,
    )


async def told_secret(scene, adapter):
    account = {"name": "key1", "provider": adapter.kind, "token": JWT_SECRET}
    await scene.told(account={**account, "inbound_url": scene.hooks.url("/in")})


async def sent_by(scene, adapter, ref="r1", **changes):
    url = scene.hooks.url(ref=ref)
    return await sent(scene.on, adapter, ref, **{"status_callback_url": url, **changes})


def events_of(adapter, scene, calls, **secrets):
    """What our adapter reads of them; None of what it does not find genuine."""
    access = access_of(adapter, scene.on.port, **secrets)
    callbacks = [received(call) for call in calls]
    return [
        adapter.read_callback(one) if adapter.is_genuine(one, access) else None for one in callbacks
    ]


class TestReports:
    @BOTH
    def test_a_message_is_reported_sent_and_then_delivered(self, tmp_path, adapter):
        async def act(scene):
            await told_secret(scene, adapter)
            await scene.told(reports={})
            outcome = await sent_by(scene, adapter)
            events = events_of(adapter, scene, await scene.hooks.wait_for(2))
            return outcome.provider_ref, events

        ref, events = in_scene(tmp_path, act)
        assert [type(event) for event in events] == [DeliveryReport] * 2
        assert [event.status for event in events] == [Status.SENT, Status.DELIVERED]
        assert {(event.provider_ref, event.ref) for event in events} == {(ref, "r1")}
        assert {event.recipient_e164 for event in events} == {TO}

    def test_each_part_of_a_long_one_has_a_receipt(self, tmp_path):
        async def act(scene):
            await told_secret(scene, SMS)
            await scene.told(reports=SETTLED)
            outcome = await sent_by(scene, SMS, text="a" * 307)
            await scene.quiet()
            return outcome, events_of(SMS, scene, scene.hooks.calls), scene.lines()

        outcome, events, lines = in_scene(tmp_path, act)
        parts = {outcome.provider_ref, *outcome.part_refs}
        assert len(events) == 3
        assert {event.provider_ref for event in events} == parts
        assert {line["provider_ref"] for line in lines} == parts
        assert all(event.is_of_a_part for event in events)

    def test_the_next_step_waits_for_all_parts(self, tmp_path):
        async def act(scene):
            await told_secret(scene, SMS)
            await scene.told(reports={"twice": 1})
            await sent_by(scene, SMS, text=LONG)
            await scene.quiet()
            return [event.status for event in events_of(SMS, scene, scene.hooks.calls)]

        words = in_scene(tmp_path, act)
        assert words == [Status.SENT] * 2 + [Status.DELIVERED] * 4

    @pytest.mark.parametrize(
        ("digits", "sms", "messages"),
        [
            ("0002", (Status.UNDELIVERED, "12"), (Status.FAILED, "1250")),
            ("0003", (Status.REJECTED, "9"), (Status.REJECTED, "1240")),
            ("0004", (Status.REJECTED, "14"), (Status.REJECTED, "1280")),
            ("0012", (Status.EXPIRED, "1"), (Status.EXPIRED, "1360")),
        ],
        ids=["landline", "opted out", "blocked by the carrier", "expired"],
    )
    @BOTH
    def test_the_last_four_digits_decide_the_ending(self, tmp_path, adapter, digits, sms, messages):
        async def act(scene):
            await told_secret(scene, adapter)
            await scene.told(reports=SETTLED)
            await sent_by(scene, adapter, to_e164=f"+1202555{digits}")
            (event,) = events_of(adapter, scene, await scene.hooks.wait_for(1))
            return event

        event = in_scene(tmp_path, act)
        assert (event.status, event.code) == (sms if adapter is SMS else messages)
        assert event.opted_out is (digits == "0003")
        assert event.carrier_blocked is (digits == "0004")

    @BOTH
    def test_forgeries_and_halves_are_told_apart(self, tmp_path, adapter):
        async def act(scene):
            await told_secret(scene, adapter)
            await scene.told(reports={**SETTLED, "forged": 1, "truncated": 1, "repeated": 1})
            for n in range(12):  # so many that every kind of forgery is among them
                await sent_by(scene, adapter, f"r{n}", to_e164=f"+1202555{n + 100:04}")
            await scene.quiet()
            genuine = [line["genuine"] for line in scene.lines()]
            events = events_of(adapter, scene, scene.hooks.calls)
            return sorted(genuine), sorted(event is not None for event in events)

        told, found = in_scene(tmp_path, act)
        assert told == found
        assert (told.count(True), told.count(False)) == (24, 24)

    @BOTH
    def test_one_that_is_repeated_is_so_letter_by_letter(self, tmp_path, adapter):
        async def act(scene):
            await told_secret(scene, adapter)
            await scene.told(reports={**SETTLED, "repeated": 1})
            await sent_by(scene, adapter)
            first, second = await scene.hooks.wait_for(2)
            keys = {adapter.replay_key(received(call)) for call in (first, second)}
            return (first.body, first.headers) == (second.body, second.headers), len(keys)

        assert in_scene(tmp_path, act) == (True, 1)

    @BOTH
    def test_one_that_is_posted_again_is_signed_anew(self, tmp_path, adapter):
        async def act(scene):
            await told_secret(scene, adapter)
            await scene.told(reports=SETTLED)
            await scene.told(retries={"after_ms": [1]})
            await sent_by(scene, adapter)
            calls = await scene.hooks.wait_for(2)
            keys = {adapter.replay_key(received(call)) for call in calls}
            return len(keys), events_of(adapter, scene, calls)

        count, (first, again) = in_scene(tmp_path, act, status=lambda n: 503 if n == 0 else 200)
        assert count == 2
        assert first.dedupe_key == again.dedupe_key

    def test_one_that_came_unsigned_is_asked_for_again(self, tmp_path):
        async def act(scene):
            await told_secret(scene, MESSAGES)
            await sent_by(scene, MESSAGES)
            inbound = {"from": TO, "to": FROM, "text": "STOP", "forged": "none"}
            await scene.told(inbound=inbound)
            (call,) = await scene.hooks.wait_for(1)
            (event,) = events_of(MESSAGES, scene, [call])
            return event, MESSAGES.forged_status(received(call))

        assert in_scene(tmp_path, act) == (None, 503)

    @BOTH
    def test_until_a_secret_is_told_the_accounts_own_stands_for_it(self, tmp_path, adapter):
        async def act(scene):
            await scene.told(reports=SETTLED)
            access = access_of(adapter, scene.on.port, api_secret=JWT_SECRET)
            await sent_by(scene, adapter, access=access)
            (event,) = events_of(adapter, scene, await scene.hooks.wait_for(1))
            return event.status

        assert in_scene(tmp_path, act) == Status.DELIVERED


class TestInbound:
    INBOUND = {"from": TO, "to": FROM, "text": "STOP"}

    @BOTH
    def test_a_text_comes_in(self, tmp_path, adapter):
        async def act(scene):
            await told_secret(scene, adapter)
            await sent_by(scene, adapter)
            told = await scene.told(inbound=self.INBOUND)
            return told, events_of(adapter, scene, await scene.hooks.wait_for(1))

        told, (event,) = in_scene(tmp_path, act)
        assert event == InboundMessage(
            provider_ref=told["provider_ref"],
            from_e164=TO,
            to_value=FROM,
            text="STOP",
            keyword="STOP",
            dedupe_key=told["provider_ref"],
        )

    @pytest.mark.parametrize("text", ["a" * 307, "ё" * 140], ids=["gsm", "unicode"])
    def test_a_long_one_comes_in_pieces(self, tmp_path, text):
        async def act(scene):
            await told_secret(scene, SMS)
            await sent_by(scene, SMS)
            told = await scene.told(inbound={**self.INBOUND, "text": text})
            await scene.quiet()
            return told, events_of(SMS, scene, scene.hooks.calls), scene.lines()

        told, events, lines = in_scene(tmp_path, act)
        events.sort(key=lambda event: event.part.number)
        assert "".join(event.text for event in events) == text
        assert [(event.part.number, event.part.of) for event in events] == [(1, 3), (2, 3), (3, 3)]
        assert len({event.part.text_ref for event in events}) == 1
        assert len({event.provider_ref for event in events}) == 3
        assert sorted(line["callback"] for line in lines) == told["callbacks"] == [1, 2, 3]

    def test_a_long_one_that_is_repeated_has_the_same_ids(self, tmp_path):
        async def act(scene):
            await told_secret(scene, SMS)
            await sent_by(scene, SMS)
            await scene.told(inbound={**self.INBOUND, "text": LONG, "times": 2})
            await scene.quiet()
            return Counter((line["provider_ref"], line["copy"]) for line in scene.lines())

        counts = in_scene(tmp_path, act)
        assert len({ref for ref, _ in counts}) == 2
        assert sorted(copy for _, copy in counts) == [1, 1, 2, 2]

    @BOTH
    @pytest.mark.parametrize("how", ["wrong", "none", "changed"])
    def test_a_forged_one_is_not_genuine(self, tmp_path, adapter, how):
        async def act(scene):
            await told_secret(scene, adapter)
            await sent_by(scene, adapter)
            await scene.told(inbound={**self.INBOUND, "forged": how})
            return events_of(adapter, scene, await scene.hooks.wait_for(1))

        assert in_scene(tmp_path, act) == [None]

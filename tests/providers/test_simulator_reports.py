from __future__ import annotations

import pytest

from providers.base import Accepted
from tests.providers.hooks import FROM, HANGS, SETTLED, TO, in_scene
from tests.providers.peers import ACCOUNT, an_access


class TestReports:
    def test_a_message_is_reported_sent_and_then_delivered(self, tmp_path):
        async def act(scene):
            await scene.told(reports={})
            outcome = await scene.send()
            calls = await scene.hooks.wait_for(2)
            return outcome.provider_ref, [(call.word, call.form["MessageSid"]) for call in calls]

        ref, words = in_scene(tmp_path, act)
        assert words == [("sent", ref), ("delivered", ref)]

    def test_a_report_has_what_twilio_sends(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            outcome = await scene.send()
            (call,) = await scene.hooks.wait_for(1)
            return outcome.provider_ref, call

        ref, call = in_scene(tmp_path, act)
        form = call.form
        assert form.pop("RawDlrDoneDate").isdigit()
        assert form == {
            "SmsSid": ref,
            "SmsStatus": "delivered",
            "MessageStatus": "delivered",
            "To": FROM,
            "MessageSid": ref,
            "AccountSid": ACCOUNT,
            "From": TO,
            "ApiVersion": "2010-04-01",
        }
        assert call.url.endswith("/status?ref=r1")
        assert call.headers["content-type"] == "application/x-www-form-urlencoded; charset=UTF-8"

    def test_a_report_has_what_plivo_sends(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            outcome = await scene.send_by_plivo(text="a" * 200)
            (call,) = await scene.hooks.wait_for(1)
            return outcome.provider_ref, call.form

        ref, form = in_scene(tmp_path, act)
        wanted = {
            "MessageUUID": ref,
            "ParentMessageUUID": ref,
            "To": "12025550143",
            "From": "15005550001",
            "Status": "delivered",
            "ErrorCode": "000",
            "Units": "2",
            "Sequence": "2",
        }
        assert wanted.items() <= form.items()

    @pytest.mark.parametrize("v2", [0, 1])
    def test_the_packages_of_the_providers_find_them_genuine(self, tmp_path, v2):
        async def act(scene):
            await scene.told(reports={**SETTLED, "v2": v2})
            await scene.send("r1")
            await scene.hooks.wait_for(1)
            await scene.send_by_plivo("r2")
            by_twilio, by_plivo = await scene.hooks.wait_for(2)
            is_old = "x-plivo-signature-v2" in by_plivo.headers
            return by_twilio.is_by_twilio(), by_plivo.is_by_plivo(), is_old

        assert in_scene(tmp_path, act) == (True, True, bool(v2))

    def test_a_token_that_was_given_signs_instead_of_the_one_learnt(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.told(account={"name": ACCOUNT, "token": "other"})
            await scene.send()
            (call,) = await scene.hooks.wait_for(1)
            return call.is_by_twilio("other"), call.is_by_twilio()

        assert in_scene(tmp_path, act) == (True, False)

    @pytest.mark.parametrize(
        ("digits", "twilio", "plivo"),
        [
            ("0004", [("undelivered", "30007")], [("undelivered", "30")]),
            ("0012", [("failed", "30036")], [("failed", "420")]),
            ("0010", [], []),
        ],
        ids=["blocked by the carrier", "expired", "never reported"],
    )
    def test_the_last_four_digits_decide_the_ending(self, tmp_path, digits, twilio, plivo):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send("r1", to_e164=f"+1202555{digits}")
            await scene.send_by_plivo("r2", to_e164=f"+1202555{digits}")
            await scene.quiet()
            return [
                [(line["word"], line["code"]) for line in scene.lines(provider=provider)]
                for provider in ("twilio", "plivo")
            ]

        assert in_scene(tmp_path, act) == [twilio, plivo]

    def test_0011_is_reported_out_of_order_and_twice(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send(to_e164="+12025550011")
            await scene.quiet()
            return [(line["word"], line["copy"]) for line in scene.lines()]

        found = in_scene(tmp_path, act)
        assert found == [("delivered", 1), ("delivered", 2), ("sent", 1), ("sent", 2)]

    @pytest.mark.parametrize(
        ("orders", "words"),
        [
            ({"undelivered": 1}, ["sent", "undelivered"]),
            ({"failed": 1}, ["sent", "failed"]),
            ({"reversed": 1}, ["delivered", "sent"]),
            ({"twice": 1, "intermediate": False}, ["delivered", "delivered"]),
        ],
        ids=["undelivered", "failed", "reversed", "twice"],
    )
    def test_orders_change_them(self, tmp_path, orders, words):
        async def act(scene):
            await scene.told(reports=orders)
            await scene.send()
            return [call.word for call in await scene.hooks.wait_for(2)]

        assert in_scene(tmp_path, act) == words

    def test_null_ends_them(self, tmp_path):
        async def act(scene):
            await scene.told(reports={})
            await scene.told(reports=None)
            await scene.send()
            return (await scene.quiet())["posted"]

        assert in_scene(tmp_path, act) == 0

    @pytest.mark.parametrize("digits", ["0001", "0003", "0013"])
    def test_what_was_not_taken_is_not_reported(self, tmp_path, digits):
        async def act(scene):
            await scene.told(reports={})
            await scene.send(to_e164=f"+1202555{digits}")
            return (await scene.quiet())["posted"]

        assert in_scene(tmp_path, act) == 0

    @pytest.mark.parametrize("digits", ["0006", "0007", "0009"])
    def test_what_was_taken_is_reported_whatever_was_answered(self, tmp_path, digits):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send(to_e164=f"+1202555{digits}")
            (call,) = await scene.hooks.wait_for(1)
            return call.word

        assert in_scene(tmp_path, act) == "delivered"

    def test_before_the_answer_means_that_it_waits_for_them(self, tmp_path):
        async def act(scene):
            await scene.told(reports={"before_answer": 1, "delay_ms": 60_000})
            outcome = await scene.send()
            return type(outcome), [call.word for call in scene.hooks.calls]

        assert in_scene(tmp_path, act) == (Accepted, ["sent", "delivered"])

    def test_a_delay_holds_them_back(self, tmp_path):
        async def act(scene):
            await scene.told(reports={"delay_ms": 60_000})
            await scene.send()
            return (await scene.callbacks())["waiting"], scene.hooks.calls

        assert in_scene(tmp_path, act) == (1, [])

    @pytest.mark.parametrize(
        "url",
        [
            "http://192.0.2.1/status",
            "https://hooks.example.com/cb?ref=r1",
            "http://127.0.0.1@hooks.example.com/",
            "http://user@127.0.0.1/",
            "file:///etc/passwd",
            "http://127.0.0.1/a b",
            "127.0.0.1",
        ],
    )
    def test_only_this_machine_is_posted_to(self, tmp_path, url):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send(status_callback_url=url)
            state = await scene.quiet()
            return state["posted"], state["left_out"], scene.lines()

        assert in_scene(tmp_path, act) == (0, {"not this machine": 1}, [])

    def test_a_redirect_is_not_followed(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            await scene.send()
            return (await scene.quiet())["answers"]

        assert in_scene(tmp_path, act, status=lambda n: 307) == {"307": 1}

    def test_an_api_keys_secret_signs_nothing(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            key = {"api_key_sid": "SK1", "api_key_secret": "secret"}
            scene.on.access = an_access(scene.on.port, secrets={**scene.on.access.secrets, **key})
            await scene.send()
            return (await scene.quiet())["left_out"]

        assert in_scene(tmp_path, act) == {"no token known": 1}

    def test_a_message_without_a_callback_url_is_counted(self, tmp_path):
        async def act(scene):
            await scene.told(reports={})
            await scene.send(status_callback_url="")
            return (await scene.quiet())["left_out"]

        assert in_scene(tmp_path, act) == {"no callback URL": 1}

    def test_no_more_than_64_are_under_way_at_once(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            for n in range(70):
                await scene.send(f"r{n}")
            await scene.hooks.wait_for(64)
            state = await scene.callbacks()
            return state["in_flight"], state["waiting"]

        assert in_scene(tmp_path, act, status=lambda n: HANGS) == (64, 6)

    def test_connections_are_kept_and_not_many(self, tmp_path):
        async def act(scene):
            await scene.told(reports=SETTLED)
            for n in range(20):
                await scene.send(f"r{n}")
                await scene.hooks.wait_for(n + 1)
                await scene.quiet()
            return scene.hooks.peer.connections

        assert in_scene(tmp_path, act) == 1

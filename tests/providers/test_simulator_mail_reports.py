"""What the simulated mail server mails back, read by our adapter."""

from __future__ import annotations

import pytest

from providers.base import DeliveryReport, Status
from tests.providers.hooks import SETTLED
from tests.providers.mailing import USER, in_mail_scene, read


def reports(tmp_path, ending, count, **orders):
    """The first so many reports of a mail to a person whose address ends so."""

    async def act(scene):
        await scene.ready(**orders)
        await scene.mail(to_email=f"anna.{ending}@example.com")
        return [read(call) for call in await scene.hooks.wait_for(count)]

    return in_mail_scene(tmp_path, act)


def told(report):
    return report.status, report.code, report.opted_out


class TestReports:
    def test_lead_to_the_message_by_our_reference(self, tmp_path):
        (report,) = reports(tmp_path, "1000", 1)
        assert report == DeliveryReport(
            ref="r1",
            provider_ref="r1",
            status=Status.DELIVERED,
            provider_status="delivered",
            dedupe_key="r1:delivered:2.0.0",
        )

    def test_say_why_it_was_not_delivered(self, tmp_path):
        (report,) = reports(tmp_path, "0004", 1)
        assert told(report) == (Status.UNDELIVERED, "5.7.1", False)
        assert report.carrier_blocked

    def test_of_what_runs_out_of_time_first_tell_that_it_is_late(self, tmp_path):
        late, out = reports(tmp_path, "0012", 2)
        assert told(late) == (Status.ACCEPTED, "", False)
        assert told(out) == (Status.EXPIRED, "4.4.7", False)

    def test_may_come_twice_with_one_key(self, tmp_path):
        first, second = reports(tmp_path, "0011", 2)
        assert first == second

    @pytest.mark.parametrize(("share", "code"), [("undelivered", "5.1.1"), ("failed", "5.4.4")])
    def test_are_drawn_by_shares(self, tmp_path, share, code):
        (report,) = reports(tmp_path, "1000", 1, **{share: 1})
        assert told(report) == (Status.UNDELIVERED, code, False)

    def test_never_come_for_some(self, tmp_path):
        async def act(scene):
            await scene.ready()
            await scene.mail(to_email="anna.0010@example.com")
            await scene.quiet()
            return scene.hooks.calls

        assert in_mail_scene(tmp_path, act) == []

    def test_come_as_a_mail_to_the_accounts_address(self, tmp_path):
        async def act(scene):
            await scene.ready(**SETTLED)
            await scene.mail()
            return (await scene.hooks.wait_for(1))[0]

        call = in_mail_scene(tmp_path, act)
        assert call.url.endswith("/in")
        assert call.headers["content-type"] == "message/rfc822"
        assert b"Delivered-To: b+r1@bounces.example.com\r\n" in call.body

    def test_have_no_forgeries(self, tmp_path):
        async def act(scene):
            await scene.ready(forged=1)
            await scene.mail()
            await scene.quiet()
            return scene.lines(genuine=False)

        assert in_mail_scene(tmp_path, act) == []

    def test_are_posted_again_until_they_are_taken(self, tmp_path):
        async def act(scene):
            await scene.ready(**SETTLED)
            await scene.told(retries={"after_ms": [1, 1]})
            await scene.mail()
            await scene.hooks.wait_for(2)
            await scene.quiet()
            return [read(call).dedupe_key for call in scene.hooks.calls]

        keys = in_mail_scene(tmp_path, act, status=lambda n: 503 if n == 0 else 200)
        assert keys == ["r1:delivered:2.0.0"] * 2


class TestPeople:
    def test_complain_where_their_address_says_so(self, tmp_path):
        _, complaint = reports(tmp_path, "0014", 2)
        assert told(complaint) == (Status.DELIVERED, "complaint", True)

    def test_unsubscribe_by_mail_where_they_would_text_stop(self, tmp_path):
        async def act(scene):
            await scene.ready(**SETTLED)
            await scene.told(replies={"STOP": 1, "delay_ms": 0})
            await scene.mail()
            return [read(call) for call in await scene.hooks.wait_for(2)]

        _, stop = in_mail_scene(tmp_path, act)
        assert told(stop) == (Status.DELIVERED, "unsubscribed", True)

    def test_say_nothing_else(self, tmp_path):
        async def act(scene):
            await scene.ready(**SETTLED)
            await scene.told(replies={"JOBS": 1, "delay_ms": 0})
            await scene.mail()
            state = await scene.quiet()
            return len(scene.hooks.calls), state["left_out"]

        assert in_mail_scene(tmp_path, act) == (1, {"no number to write to": 1})

    def test_their_deeds_are_reports_in_the_ledger(self, tmp_path):
        async def act(scene):
            await scene.ready(**SETTLED)
            await scene.mail(to_email="anna.0014@example.com")
            await scene.hooks.wait_for(2)
            return scene.lines(kind="report")

        lines = in_mail_scene(tmp_path, act)
        assert [(line["account"], line["ref"], line["word"]) for line in lines] == [
            (USER, "r1", "delivered"),
            (USER, "r1", "complaint"),
        ]

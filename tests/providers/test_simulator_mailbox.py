from __future__ import annotations

import json
from urllib.parse import quote

import aiohttp
import pytest

from providers.base import Status
from tests.providers.conversing import asked
from tests.providers.hooks import SETTLED
from tests.providers.mailing import ANNA, in_mail_scene, read

JSON = {"Content-Type": "application/json"}


async def box(scene, address=ANNA):
    _, text = await asked(scene.on, "GET", f"/mail/data?address={quote(address)}")
    return json.loads(text)


async def do(scene, what, seq, **headers):
    body = json.dumps({"seq": seq}).encode()
    status, text = await asked(
        scene.on, "POST", f"/mail/{what}", body=body, headers={**JSON, **headers}
    )
    return status, json.loads(text).get("error")


class TestAMailbox:
    def test_shows_what_arrived_newest_first(self, tmp_path):
        async def act(scene):
            await scene.mail("r1")
            await scene.mail("r2", subject="Café", html="<p>Hï</p>", from_name="Späti")
            return await box(scene)

        found = in_mail_scene(tmp_path, act)
        second, first = found["mails"]
        assert (first["subject"], first["text"]) == ("Two new jobs", "Hi Anna, two new jobs.")
        assert (second["subject"], second["from"]) == ("Café", "Späti <jobs@shop.example.com>")
        assert (first["has_html"], second["has_html"]) == (False, True)
        assert [one["address"] for one in found["boxes"]] == [ANNA]

    def test_is_empty_before(self, tmp_path):
        async def act(scene):
            return await box(scene)

        found = in_mail_scene(tmp_path, act)
        assert (found["mails"], found["boxes"]) == ([], [])

    def test_shows_nothing_that_was_refused(self, tmp_path):
        async def act(scene):
            await scene.mail(to_email="anna.0001@example.com")
            return await box(scene, "anna.0001@example.com")

        assert in_mail_scene(tmp_path, act)["mails"] == []

    def test_is_of_an_address(self, tmp_path):
        async def act(scene):
            return await asked(scene.on, "GET", "/mail/data?address=anna")

        assert in_mail_scene(tmp_path, act)[0] == 400

    def test_is_none_of_the_phones(self, tmp_path):
        async def act(scene):
            await scene.mail()
            await scene.on.send()
            _, phones = await asked(scene.on, "GET", "/phone/data")
            return [one["number"] for one in json.loads(phones)["numbers"]], await box(scene)

        phones, found = in_mail_scene(tmp_path, act)
        assert phones == ["+12025550143"]
        assert [one["address"] for one in found["boxes"]] == [ANNA]

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/mail/else", 404), ("POST", "/mail/data", 405), ("GET", "/mail/complain", 405)],
    )
    def test_has_no_other_paths(self, tmp_path, method, path, status):
        async def act(scene):
            return await asked(scene.on, method, path)

        assert in_mail_scene(tmp_path, act)[0] == status


class TestHtml:
    def test_may_run_nothing_and_load_nothing(self, tmp_path):
        async def act(scene):
            await scene.mail(html="<script>alert(1)</script><p>Hï</p>")
            url = f"http://127.0.0.1:{scene.on.port}/mail/html?seq=1"
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.headers["Content-Security-Policy"], await response.text()

        policy, html = in_mail_scene(tmp_path, act)
        assert policy.startswith("sandbox allow-popups")
        assert "default-src 'none'" in policy
        assert "allow-scripts" not in policy
        assert "<p>Hï</p>" in html

    @pytest.mark.parametrize("seq", ["", "1", "2", "x", "9" * 20])
    def test_is_only_of_a_mail_that_has_some(self, tmp_path, seq):
        async def act(scene):
            await scene.mail()
            return await asked(scene.on, "GET", f"/mail/html?seq={seq}")

        assert in_mail_scene(tmp_path, act)[0] == 404


class TestUnsubscribe:
    def test_posts_one_click_to_the_address_in_the_mail(self, tmp_path):
        async def act(scene):
            await scene.mail(unsubscribe_url=scene.hooks.url("/u/r1"))
            assert await do(scene, "unsubscribe", 1) == (200, None)
            (call,) = await scene.hooks.wait_for(1)
            await scene.quiet()
            return call, await box(scene)

        call, found = in_mail_scene(tmp_path, act)
        assert (call.url[-5:], call.body) == ("/u/r1", b"List-Unsubscribe=One-Click")
        assert call.headers["content-type"] == "application/x-www-form-urlencoded"
        ((what, _, answer),) = found["mails"][0]["deeds"]
        assert (what, answer) == ("unsubscribe", 200)

    def test_cannot_be_done_without_one(self, tmp_path):
        async def act(scene):
            await scene.mail(unsubscribe_url="")
            return await do(scene, "unsubscribe", 1), (await box(scene))["mails"][0]

        answer, mail = in_mail_scene(tmp_path, act)
        assert answer == (400, "this mail names no address that one click may be posted to")
        assert not mail["can_unsubscribe"]

    def test_leads_nowhere_else(self, tmp_path):
        async def act(scene):
            await scene.mail(unsubscribe_url="https://shop.example.com/u/r1")
            return await do(scene, "unsubscribe", 1)

        assert in_mail_scene(tmp_path, act)[0] == 400


class TestLeaveByMail:
    def test_writes_to_the_other_address_in_the_mail(self, tmp_path):
        async def act(scene):
            await scene.ready(**SETTLED)
            await scene.mail(to_email="anna.0010@example.com")
            assert await do(scene, "unsubscribe-by-mail", 1) == (200, None)
            (call,) = await scene.hooks.wait_for(1)
            await scene.quiet()
            return read(call), await box(scene, "anna.0010@example.com")

        report, found = in_mail_scene(tmp_path, act)
        assert (report.ref, report.code, report.opted_out) == ("r1", "unsubscribed", True)
        assert [deed[0] for deed in found["mails"][0]["deeds"]] == ["unsubscribe-by-mail"]
        assert found["mails"][0]["can_leave_by_mail"]


class TestComplain:
    def test_posts_a_complaint_to_the_account(self, tmp_path):
        async def act(scene):
            await scene.ready(**SETTLED)
            await scene.mail(to_email="anna.0010@example.com")
            assert await do(scene, "complain", 1) == (200, None)
            (call,) = await scene.hooks.wait_for(1)
            return read(call)

        report = in_mail_scene(tmp_path, act)
        assert (report.ref, report.status, report.opted_out) == ("r1", Status.DELIVERED, True)

    def test_needs_the_accounts_address(self, tmp_path):
        async def act(scene):
            await scene.mail()
            return await do(scene, "complain", 1)

        assert in_mail_scene(tmp_path, act) == (400, "the account shop has no inbound_url")

    def test_still_knows_the_mail_when_the_simulator_has_started_again(self, tmp_path):
        async def first(scene):
            await scene.mail(to_email="anna.0010@example.com")

        async def then(scene):
            await scene.ready(**SETTLED)
            await do(scene, "complain", 1)
            return read((await scene.hooks.wait_for(1))[0]).ref

        in_mail_scene(tmp_path, first)
        assert in_mail_scene(tmp_path, then) == "r1"


class TestAnAct:
    @pytest.mark.parametrize("seq", [0, 2, "1", None, 1.5])
    def test_is_about_a_mail_that_is_there(self, tmp_path, seq):
        async def act(scene):
            await scene.mail()
            return await do(scene, "complain", seq)

        assert in_mail_scene(tmp_path, act)[0] == 400

    def test_is_not_done_for_another_site(self, tmp_path):
        async def act(scene):
            await scene.ready(**SETTLED)
            await scene.mail()
            return await do(scene, "complain", 1, **{"Sec-Fetch-Site": "cross-site"})

        assert in_mail_scene(tmp_path, act)[0] == 403

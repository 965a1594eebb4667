from __future__ import annotations

from datetime import timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pytest

from providers.adapters.plivo import Plivo
from providers.base import (
    DeliveryReport,
    Found,
    NoAnswer,
    NotListed,
    Several,
    Status,
)
from tests.providers.peers import NOON, a_look_up
from tests.providers.plivo import ACCOUNT, MESSAGES, REAL, UUID, a_response


def listed(uuid=UUID, **changes):
    values = {
        "message_uuid": uuid,
        "message_direction": "outbound",
        "message_state": "sent",
        "message_time": "2026-11-21 17:30:02+05:30",
        "message_type": "sms",
        "from_number": "15005550001",
        "to_number": "12025550143",
        "units": 1,
        "error_code": None,
    }
    return {**values, **changes}


def looked_up(*messages, more=None, **changes):
    body = {"meta": {"limit": 20, "next": more}, "objects": list(messages)}
    return Plivo().read_look_up(a_look_up(**changes), a_response(200, body))


def asked(**changes):
    request = Plivo().build_look_up(a_look_up(**changes), REAL)
    return dict(parse_qsl(urlsplit(request.url).query))


class TestLookUp:
    def test_asks_for_what_went_to_the_recipient_from_the_number_at_the_time(self):
        request = Plivo().build_look_up(a_look_up(), REAL)
        assert (request.method, request.url.split("?")[0]) == ("GET", MESSAGES)
        assert request.auth == (ACCOUNT, "plivotoken")
        assert asked() == {
            "to_number": "+12025550143",
            "from_number": "+15005550001",
            "message_direction": "outbound",
            "message_time__gte": "2026-11-21 11:59:30",
            "message_time__lte": "2026-11-21 12:00:47",
            "limit": "20",
        }

    def test_asks_in_utc_whatever_the_zone_of_the_intent(self):
        local = NOON.astimezone(timezone(timedelta(hours=-5)))
        assert asked(intended_at=local) == asked()

    def test_asks_by_powerpack_where_that_chose_the_number(self):
        wanted = asked(from_kind="service", from_value="pp-1")
        assert (wanted["powerpack_id"], "from_number" in wanted) == ("pp-1", False)

    def test_asks_by_id_where_we_have_one(self):
        request = Plivo().build_look_up(a_look_up(provider_ref=UUID), REAL)
        assert request.url == f"{MESSAGES}{UUID}/"

    def test_the_one_message_of_that_moment_is_ours(self):
        assert looked_up(listed()) == Found(
            DeliveryReport(
                ref="r1",
                provider_ref=UUID,
                status=Status.SENT,
                provider_status="sent",
                recipient_e164="+12025550143",
                dedupe_key=f"{UUID}:sent:",
            )
        )

    def test_a_time_without_a_zone_is_utc(self):
        assert isinstance(looked_up(listed(message_time="2026-11-21 12:00:02.5")), Found)

    @pytest.mark.parametrize(
        "message",
        [
            listed(to_number="12025550199"),
            listed(from_number="15005550002"),
            listed(message_direction="inbound"),
            listed(units=2),
            listed(units=None),
            listed(message_time="2026-11-21 11:59:29+00:00"),
            listed(message_time="2026-11-21 12:00:48+00:00"),
            listed(message_time="2026-11-21 12:00:02+05:30"),
        ],
        ids=[
            *("another recipient", "another number", "inbound", "another length", "no length"),
            *("too early", "too late", "another zone"),
        ],
    )
    def test_another_message_is_not_ours(self, message):
        assert looked_up(message) == NotListed()

    def test_a_long_text_has_as_many_parts_as_we_count(self):
        assert isinstance(looked_up(listed(units=2), text="a" * 161), Found)

    def test_any_number_of_a_powerpack_may_have_sent_it(self):
        found = looked_up(listed(from_number="15005550002"), from_kind="service", from_value="pp-1")
        assert isinstance(found, Found)

    def test_a_message_that_belongs_to_another_attempt_is_not_ours(self):
        assert looked_up(listed(), other_refs=frozenset({UUID})) == NotListed()

    def test_beside_a_message_of_another_attempt_the_other_one_is_ours(self):
        found = looked_up(listed("u-1"), listed("u-2"), other_refs=frozenset({"u-1"}))
        assert found.report.provider_ref == "u-2"

    def test_two_that_fit_are_left_to_the_reports(self):
        assert looked_up(listed("u-1"), listed("u-2")) == Several(2)

    def test_nothing_listed_is_not_listed(self):
        assert looked_up() == NotListed()

    def test_one_that_fits_is_not_certain_while_there_are_further_pages(self):
        assert looked_up(listed(), more="/v1/Account/x/Message/?offset=20") == NotListed()

    def test_a_failed_message_comes_back_with_its_code(self):
        found = looked_up(listed(message_state="undelivered", error_code="30"))
        assert (found.report.status, found.report.code) == (Status.REJECTED, "30")

    def test_a_word_new_to_us_is_at_least_accepted(self):
        assert looked_up(listed(message_state="levitating")).report.status is Status.ACCEPTED

    def test_the_message_of_an_id_is_ours_whenever_it_was_made(self):
        response = a_response(200, listed(message_time="2026-01-01 00:00:00+00:00", units=9))
        found = Plivo().read_look_up(a_look_up(provider_ref=UUID), response)
        assert found.report.provider_ref == UUID

    def test_an_id_they_do_not_know_is_not_listed(self):
        look_up = a_look_up(provider_ref=UUID)
        assert Plivo().read_look_up(look_up, a_response(404, {"error": "x"})) == NotListed()

    @pytest.mark.parametrize("status", [401, 404, 429, 500])
    def test_a_refused_look_up_is_no_answer(self, status):
        assert Plivo().read_look_up(a_look_up(), a_response(status, {})) == NoAnswer(str(status))

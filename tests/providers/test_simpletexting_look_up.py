"""The listing is from SimpleTexting's own OpenAPI description ("Get all Messages")."""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pytest

from providers.base import (
    DeliveryReport,
    Found,
    HttpResponse,
    LookUp,
    NoAnswer,
    NotListed,
    Several,
    Status,
)
from tests.providers.simpletexting import ACCESS, FROM, ID, MESSAGES, NOON, ST, TO, a_refusal


def a_look_up(**changes):
    values = {
        "ref": "r1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi & bye",
        "intended_at": NOON,
    }
    return LookUp(**{**values, **changes})


def listed(ref=ID, **changes):
    values = {
        "id": ref,
        "subject": "",
        "text": "hi & bye",
        "contactPhone": "5005550006",
        "accountPhone": "5005550001",
        "directionType": "MT",
        "timestamp": "2035-03-07T17:00:02.489Z",
        "referenceType": "API_SEND",
        "category": "SMS",
        "mediaItems": [],
    }
    return {**values, **changes}


def answered(body, status=200, **changes):
    response = HttpResponse(status=status, headers={}, body=json.dumps(body).encode())
    return ST.read_look_up(a_look_up(**changes), response)


def looked_up(*messages, pages=1, **changes):
    total = {"totalPages": pages, "totalElements": len(messages)}
    return answered({"content": list(messages), **total}, **changes)


def asked(**changes):
    request = ST.build_look_up(a_look_up(**changes), ACCESS)
    return dict(parse_qsl(urlsplit(request.url).query))


class TestALookUp:
    def test_asks_for_what_went_to_the_person_from_the_number_since(self):
        request = ST.build_look_up(a_look_up(), ACCESS)
        assert (request.method, request.url.split("?")[0]) == ("GET", MESSAGES)
        assert request.headers == {"Authorization": "Bearer st-1"}
        assert asked() == {
            "contactPhone": "5005550006",
            "accountPhone": "5005550001",
            "since": "2035-03-07T16:59:30.000Z",
            "page": "0",
            "size": "50",
        }

    def test_asks_in_utc_whatever_the_zone_of_the_intent(self):
        assert asked(intended_at=NOON.astimezone(timezone(timedelta(hours=-5)))) == asked()

    def test_asks_by_id_where_we_have_one(self):
        request = ST.build_look_up(a_look_up(provider_ref=ID), ACCESS)
        assert request.url == f"{MESSAGES}/{ID}"

    def test_the_one_message_of_that_moment_is_ours_and_was_taken(self):
        assert looked_up(listed()) == Found(
            DeliveryReport(
                ref="r1",
                provider_ref=ID,
                status=Status.ACCEPTED,
                recipient_e164=TO,
                dedupe_key=f"{ID}:listed",
            )
        )

    def test_by_id_says_that_it_was_taken_and_no_more(self):
        found = answered(listed(timestamp="2020-01-01T00:00:00Z"), provider_ref=ID)
        assert (found.report.provider_ref, found.report.status) == (ID, Status.ACCEPTED)

    @pytest.mark.parametrize(
        "changes",
        [
            {"text": "another"},
            {"contactPhone": "5005550007"},
            {"accountPhone": "5005550002"},
            {"directionType": "MO"},
            {"timestamp": "2035-03-07T16:59:29Z"},
            {"timestamp": "2035-03-07T17:10:01Z"},
            {"timestamp": None},
        ],
        ids=["text", "recipient", "number", "inbound", "too early", "too late", "no time"],
    )
    def test_another_message_is_not_ours(self, changes):
        assert looked_up(listed(**changes)) == NotListed()

    @pytest.mark.parametrize(
        "changes",
        [
            {"text": " hi & bye\n"},
            {"timestamp": "2035-03-07T16:59:30Z"},
            {"timestamp": "2035-03-07T17:09:59"},
            {"contactPhone": "+15005550006"},
        ],
        ids=["spaces", "their clock is behind", "it waited with them", "a number in full"],
    )
    def test_a_message_that_differs_in_no_way_that_counts_is_ours(self, changes):
        assert isinstance(looked_up(listed(**changes)), Found)

    def test_a_message_of_another_attempt_is_not_ours(self):
        assert looked_up(listed(), other_refs=frozenset({ID})) == NotListed()

    def test_beside_a_message_of_another_attempt_the_other_one_is_ours(self):
        found = looked_up(listed("m1"), listed("m2"), other_refs=frozenset({"m1"}))
        assert found.report.provider_ref == "m2"

    def test_two_that_fit_are_left_open(self):
        assert looked_up(listed("m1"), listed("m2")) == Several(2)

    def test_one_that_fits_is_not_certain_while_there_are_further_pages(self):
        assert looked_up(listed(), pages=2) == NotListed()

    def test_nothing_listed_is_not_listed(self):
        assert looked_up(pages=0) == NotListed()

    def test_an_id_they_do_not_know_is_not_listed(self):
        assert answered(a_refusal("no"), status=404, provider_ref=ID) == NotListed()

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
    def test_a_refused_look_up_is_no_answer(self, status):
        assert answered({}, status=status) == NoAnswer(str(status))

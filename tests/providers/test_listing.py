"""What providers list of the texts that came in: the first question whole, and pages of answers.

Fields are of Twilio's package and pages, Plivo's page on the message detail record, Sinch's page
"Inbounds" and SimpleTexting's own OpenAPI description.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from providers.base import Access, HttpResponse, InboundMessage, NoAnswer
from providers.listing import InboundPage, InboundQuery
from providers.registry import ADAPTERS
from tests.providers.peers import ACCOUNT

SINCE = datetime(2026, 11, 21, 11, 30, tzinfo=UTC)
SENT = datetime(2026, 11, 21, 12, tzinfo=UTC)
OURS, PERSON = "+12025550100", "+12025550143"
SECRETS = {
    "twilio": {"account_sid": ACCOUNT, "auth_token": "t0"},
    "plivo": {"auth_id": "MA1", "auth_token": "t0"},
    "sinch": {"service_plan_id": "plan-1", "api_token": "t0"},
    "simpletexting": {"api_token": "t0"},
}
FIRST = {
    "twilio": f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    "?To=%2B12025550100&DateSent%3E=2026-11-21T11%3A30%3A00Z&PageSize=100",
    "plivo": "https://api.plivo.com/v1/Account/MA1/Message/?message_direction=inbound"
    "&message_time__gte=2026-11-21+11%3A30%3A00&limit=20&offset=0",
    "sinch": "https://us.sms.api.sinch.com/xms/v1/plan-1/inbounds"
    "?start_date=2026-11-21T11%3A30%3A00.000Z&page=0&page_size=100",
    "simpletexting": "https://api-app2.simpletexting.com/v2/api/messages"
    "?accountPhone=2025550100&since=2026-11-21T11%3A30%3A00.000Z&page=0&size=100",
}
TWILIO = {
    "sid": "M1",
    "direction": "inbound",
    "from": PERSON,
    "to": OURS,
    "body": "STOP",
    "date_created": "Sat, 21 Nov 2026 12:00:00 +0000",
}
PLIVO = {
    "message_uuid": "M1",
    "message_direction": "inbound",
    "message_time": "2026-11-21 12:00:00+00:00",
    "from_number": "12025550143",
    "to_number": "12025550100",
}
SINCH = {
    "type": "mo_text",
    "id": "M1",
    "from": "12025550143",
    "to": "12025550100",
    "body": "STOP",
    "received_at": "2026-11-21T12:00:00.000Z",
}
SIMPLE = {
    "id": "M1",
    "directionType": "MO",
    "contactPhone": "2025550143",
    "accountPhone": "2025550100",
    "text": "STOP",
    "timestamp": "2026-11-21T12:00:00.000Z",
}


def page_of(kind, *entries, more=False):
    """An answer with these entries; whether another page follows."""
    uri = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?To=%2B12025550100&Page=1&PageToken=PA1"
    count = 101 if more else len(entries)
    return {
        "twilio": {"messages": entries, "next_page_uri": uri if more else None},
        "plivo": {"objects": entries, "meta": {"next": "/v1/…" if more else None}},
        "sinch": {"inbounds": entries, "count": count, "page": 0, "page_size": len(entries)},
        "simpletexting": {"content": entries, "totalPages": 1 + more, "totalElements": count},
    }[kind]


ONE = {"twilio": TWILIO, "plivo": PLIVO, "sinch": SINCH, "simpletexting": SIMPLE}
every_kind = pytest.mark.parametrize("kind", ONE)


def a_query(page=""):
    return InboundQuery(since=SINCE, number=OURS, page=page)


def asked(kind, page=""):
    access = Access(kind=kind, secrets=SECRETS[kind])
    return ADAPTERS[kind].build_inbound_listing(a_query(page), access)


def read(kind, plain, status=200):
    response = HttpResponse(status=status, headers={}, body=json.dumps(plain).encode())
    return ADAPTERS[kind].read_inbound_listing(a_query(), response)


@every_kind
def test_the_first_page_is_asked_for_by_number_or_account_and_time(kind):
    request = asked(kind)
    assert (request.method, request.url) == ("GET", FIRST[kind])
    assert request.auth or request.headers["Authorization"] == "Bearer t0"


@every_kind
def test_a_listed_text_is_the_one_that_a_webhook_would_bring(kind):
    has_words = kind != "plivo"
    text = InboundMessage(
        provider_ref="M1",
        from_e164=PERSON,
        to_value=OURS,
        text="STOP" if has_words else "",
        dedupe_key="M1",
        sent_at=SENT,
        has_words=has_words,
    )
    assert read(kind, page_of(kind, ONE[kind])) == InboundPage([text])


@every_kind
def test_an_entry_that_cannot_be_read_keeps_back_no_other(kind):
    names = ("sid", "message_uuid", "id")
    broken = {name: value for name, value in ONE[kind].items() if name not in names}
    page = read(kind, page_of(kind, broken, ONE[kind]))
    assert ([one.provider_ref for one in page.messages], page.unreadable) == (["M1"], 1)


@pytest.mark.parametrize("name", ["sid", "from", "to"])
def test_an_entry_with_a_field_that_is_null_keeps_back_no_other(name):
    page = read("twilio", page_of("twilio", {**TWILIO, name: None}, TWILIO))
    assert ([one.provider_ref for one in page.messages], page.unreadable) == (["M1"], 1)


@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("twilio", {"date_created": "Sat, 21 Nov 2026 12:00:00 -0000"}),
        ("plivo", {"message_time": "2026-11-21 12:00:00"}),
        ("sinch", {"received_at": "2026-11-21T12:00:00.000"}),
        ("simpletexting", {"timestamp": "2026-11-21T12:00:00.000"}),
    ],
)
def test_a_time_without_a_zone_is_utc(kind, when):
    (text,) = read(kind, page_of(kind, {**ONE[kind], **when})).messages
    assert text.sent_at == SENT


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("twilio", {"direction": "outbound-api"}),
        ("plivo", {"message_direction": "outbound"}),
        ("sinch", {"type": "mo_binary"}),
        ("simpletexting", {"directionType": "MT"}),
    ],
)
def test_what_went_out_is_left_out(kind, changes):
    assert read(kind, page_of(kind, {**ONE[kind], **changes})) == InboundPage([])


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("twilio", "Messages.json?To=%2B12025550100&Page=1&PageToken=PA1"),
        ("plivo", "&limit=20&offset=20"),
        ("sinch", "&page=1&page_size=100"),
        ("simpletexting", "&page=1&size=100"),
    ],
)
def test_the_next_page_is_asked_for_as_the_last_one_named_it(kind, part):
    page = read(kind, page_of(kind, ONE[kind], more=True))
    assert asked(kind, page.next_page).url.endswith(part)


def test_an_address_of_another_host_is_never_followed():
    elsewhere = {"messages": [], "next_page_uri": "https://example.com/steal?PageToken=PA1"}
    page = read("twilio", elsewhere)
    url = asked("twilio", page.next_page).url
    assert url == f"{FIRST['twilio'].partition('?')[0]}?PageToken=PA1"


@every_kind
@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_an_answer_but_200_is_none(kind, status):
    assert read(kind, page_of(kind, ONE[kind]), status=status) == NoAnswer(str(status))


@pytest.mark.parametrize("kind", ["vonage", "vonage_sms", "slooce", "pineapple", "textback"])
def test_a_provider_of_which_no_listing_is_known_is_not_asked(kind):
    access = Access(kind=kind, base_url="https://api.example.com", secrets={})
    assert ADAPTERS[kind].lists_inbound is None
    assert ADAPTERS[kind].build_inbound_listing(a_query(), access) is None

from __future__ import annotations

import logging
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.test import Client

from brands import clock
from brands.models import Brand
from links.models import Click, ShortLink
from links.views import is_web_address

HOME = "go.acme.example"
DESTINATION = "https://jobs.example.com/nurse?id=7&x=a%20b#top"


@pytest.fixture(autouse=True)
def hosts(settings):
    settings.ALLOWED_HOSTS = [".example", "short.example.net"]
    settings.PUBLIC_BASE_URL = "https://short.example.net"


def a_link(code="abcd2345", **changes):
    brand = Brand.objects.create(name=f"Acme {code}", slug=f"acme-{code}", short_domain=HOME)
    return ShortLink.objects.create(
        **{"code": code, "brand": brand, "destination": DESTINATION, **changes}
    )


def ask(client, path="/abcd2345", method="get", host=HOME, **headers):
    return getattr(client, method)(path, headers={"host": host, **headers})


@pytest.mark.django_db
class TestFollow:
    def test_leads_to_the_destination_as_it_stands(self, client):
        a_link()
        response = ask(client)
        assert (response.status_code, response["Location"]) == (302, DESTINATION)

    def test_may_not_be_cached_and_tells_the_destination_nothing(self, client):
        a_link()
        response = ask(client)
        assert response["Cache-Control"] == "no-store"
        assert response["Referrer-Policy"] == "no-referrer"
        assert not response.cookies
        assert "Vary" not in response

    def test_takes_two_statements(self, client, django_assert_num_queries):
        a_link()
        with django_assert_num_queries(2):
            ask(client)

    @pytest.mark.parametrize("method", ["get", "head"])
    def test_records_who_came(self, client, method):
        link = a_link()
        ask(client, method=method, user_agent="Browser/1.0", referer="https://m.example.com/")
        click = Click.objects.get()
        assert (click.link, click.method, click.ip) == (link, method.upper(), "127.0.0.1")
        assert (click.agent, click.referer) == ("Browser/1.0", "https://m.example.com/")
        assert (click.verdict, click.reasons) == ("", [])

    def test_records_every_hit(self, client):
        a_link()
        ask(client)
        ask(client)
        assert Click.objects.count() == 2

    @pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
    def test_answers_get_and_head_only(self, method):
        a_link()
        assert ask(Client(enforce_csrf_checks=True), method=method).status_code == 405
        assert not Click.objects.exists()

    def test_finds_the_brand_whatever_the_case_of_the_host(self, client):
        a_link()
        assert ask(client, host="GO.Acme.Example").status_code == 302

    def test_works_on_the_shared_address_too(self, client):
        a_link()
        assert ask(client, host="short.example.net").status_code == 302

    def test_is_not_found_on_another_brands_domain(self, client):
        a_link()
        assert ask(client, host="go.other.example").status_code == 404
        assert not Click.objects.exists()

    def test_is_not_found_when_the_code_is_unknown(self, client):
        a_link()
        response = ask(client, "/abcd2346")
        assert response.status_code == 404
        assert "leads nowhere" in response.text
        assert "Acme" not in response.text

    def test_minds_the_case_of_the_code(self, client):
        a_link()
        assert ask(client, "/ABCD2345").status_code == 404

    def test_is_gone_once_it_has_expired(self, client):
        a_link(expires_at=clock.now() - timedelta(seconds=1))
        response = ask(client)
        assert response.status_code == 410
        assert "has expired" in response.text
        assert not Click.objects.exists()

    def test_leads_on_until_it_expires(self, client):
        a_link(expires_at=clock.now() + timedelta(minutes=1))
        assert ask(client).status_code == 302

    @pytest.mark.parametrize(
        "destination",
        ["javascript:alert(1)", "ftp://example.com/", "//example.com/", "jobs", "", "http://[x"],
    )
    def test_leads_only_to_web_addresses(self, client, destination):
        a_link(destination=destination)
        assert ask(client).status_code == 404
        assert not Click.objects.exists()

    def test_keeps_a_line_break_in_a_destination_out_of_the_headers(self, client):
        a_link(destination="https://jobs.example.com/\r\nSet-Cookie: a=b")
        response = ask(client)
        assert "\n" not in response["Location"]
        assert "Set-Cookie" not in response

    @pytest.mark.parametrize("page", ["/abcd2346", "/abcd2345"], ids=["unknown", "expired"])
    def test_shows_pages_that_load_nothing_from_elsewhere(self, client, page):
        a_link(expires_at=clock.now())
        response = ask(client, page)
        assert response["Content-Security-Policy"].startswith("default-src 'none'")
        assert "http" not in response.text


@pytest.mark.django_db
class TestTheClick:
    @pytest.mark.parametrize(
        ("peer", "stored"),
        [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("fe80::1%eth0", "fe80::1"),
            ("", None),
            ("unix:", None),
        ],
    )
    def test_stores_the_address_of_the_peer_where_there_is_one(self, client, peer, stored):
        a_link()
        client.get("/abcd2345", headers={"host": HOME}, REMOTE_ADDR=peer)
        assert Click.objects.get().ip == stored

    def test_keeps_no_more_than_500_characters_of_a_header(self, client):
        a_link()
        ask(client, user_agent="x" * 10_000)
        assert len(Click.objects.get().agent) == 500

    def test_drops_what_the_database_cannot_hold(self, client):
        a_link()
        ask(client, user_agent="a\0b")
        assert Click.objects.get().agent == "ab"


@pytest.mark.django_db(transaction=True)
class TestAClickThatCannotBeStored:
    def test_does_not_hold_up_the_redirect(self, client, caplog):
        link = a_link()
        with psycopg.connect(**connection.get_connection_params()) as other:
            other.execute("SET idle_in_transaction_session_timeout = '5s'")  # not for ever
            other.execute("LOCK TABLE links_click IN ACCESS EXCLUSIVE MODE")
            with caplog.at_level(logging.ERROR):
                response = ask(client, user_agent="Browser/1.0")
        assert (response.status_code, response["Location"]) == (302, DESTINATION)
        (record,) = caplog.records
        assert (record.message, record.link_id) == ("click not recorded", link.pk)
        assert record.exc_info is None
        assert "Browser" not in str(vars(record))

    def test_leaves_no_limit_behind_on_the_connection(self, client):
        a_link()
        ask(client)
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)


@pytest.mark.parametrize(
    ("destination", "is_one"),
    [
        ("https://example.com", True),
        ("HTTP://example.com/a", True),
        ("https:///path", False),
        ("data:text/html,x", False),
        (" javascript:alert(1)", False),
    ],
)
def test_a_web_address_has_a_web_scheme_and_a_host(destination, is_one):
    assert is_web_address(destination) is is_one

"""None"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, OperationalError
from django.test import Client

from brands import clock, keys
from brands.models import Brand
from compliance.models import ConsentEvent, Person
from leads import posting, problems
from leads.intake import GaveUp
from leads.models import Lead, ListEntry, RejectedLead
from tests.factories import make_brand, make_list, phone
from tests.leads import partners
from tests.leads.partners import (
    AGREED,
    BAD,
    URL,
    P,
    Q,
    a_lead,
    assert_problem,
    key_of,
    poster,
    raise_,
)

pytestmark = pytest.mark.django_db

brand = partners.brand
post = partners.post

NUL, LONE = "a\0b", "a\ud800b"


class TestOneLead:
    def test_that_is_new_is_created(self, post, brand):
        response = post(a_lead(first_name="Ada", zip="10001", fields={"trade": "nurse"}))
        lead = Lead.objects.select_related("person", "consent").get()
        assert response.status_code == 201
        assert response.json() == {
            "index": 0,
            "status": "created",
            "lead_id": lead.pk,
            "code": None,
            "field": None,
            "message": None,
            "notice": None,
        }
        assert (lead.brand, lead.person.phone, lead.first_name) == (brand, P, "Ada")
        assert (lead.zip_code, lead.fields, lead.source) == ("10001", {"trade": "nurse"}, "Portal")
        assert lead.consent.agreed_at == datetime(2026, 1, 5, 10, tzinfo=UTC)
        assert lead.consent.method == ConsentEvent.Method.IMPORT

    def test_that_is_known_is_updated(self, post):
        post(a_lead(first_name="Ada", city="Rome"))
        response = post(a_lead(first_name="Eva", city=None))
        assert (response.status_code, response.json()["status"]) == (200, "updated")
        lead = Lead.objects.get()
        assert (lead.first_name, lead.city) == ("Eva", "Rome")

    def test_that_is_refused_is_a_problem_with_its_code_and_field(self, post):
        assert_problem(post(a_lead(BAD)), 422, "phone_impossible", "phone")
        assert not Lead.objects.exists()

    def test_of_which_no_field_is_at_fault_names_none(self, post):
        assert_problem(post({"consent_at": AGREED}), 422, "no_address")

    def test_keeps_the_source_that_it_names(self, post):
        post(a_lead(source="fair"))
        assert Lead.objects.get().source == "fair"

    def test_may_be_posted_with_a_slash_at_the_end(self, post):
        assert post(a_lead(), f"{URL}/").status_code == 201

    def test_whose_email_is_another_persons_is_taken_with_a_notice(self, post):
        Person.objects.create(phone=Q, email="eva@example.com")
        notice = post(a_lead(email="eva@example.com")).json()["notice"]
        assert (notice["code"], notice["field"]) == ("email_in_use", "email")

    def test_belongs_to_the_brand_of_the_key_alone(self, post, brand):
        other = make_brand()
        post(a_lead())
        assert poster(key_of(other))(a_lead()).status_code == 201
        assert set(Lead.objects.values_list("brand", flat=True)) == {brand.pk, other.pk}


class TestManyLeads:
    def test_are_told_apart_in_their_order(self, post):
        post(a_lead(Q))
        said = post([a_lead(), a_lead(BAD), a_lead(Q), a_lead(), "x"]).json()
        told = [(one["index"], one["status"], one["code"]) for one in said["results"]]
        assert told == [
            (0, "created", None),
            (1, "refused", "phone_impossible"),
            (2, "updated", None),
            (3, "refused", "duplicate_in_request"),
            (4, "refused", "not_a_lead"),
        ]
        assert (said["created"], said["updated"], said["refused"]) == (1, 1, 3)

    def test_are_answered_with_200_also_when_all_are_refused(self, post):
        response = post([a_lead(BAD)])
        assert (response.status_code, response.json()["refused"]) == (200, 1)

    def test_take_as_many_statements_as_one(self, post, statements):
        post(a_lead(fields={"a": 1}))  # what is read once for a process, and the key's last use
        new = lambda count: [a_lead(phone(), zip="10001") for _ in range(count)]  # noqa: E731
        wrong = lambda count: [a_lead(BAD, x="y") for _ in range(count)]  # noqa: E731
        small, large = [*new(1), *wrong(1)], [*new(120), *wrong(120)]
        post(new(1))
        one = statements(lambda: post(small, Idempotency_Key="a"))
        assert statements(lambda: post(large, Idempotency_Key="b")) == one
        assert statements(lambda: post(large, Idempotency_Key="c")) == one  # now they are known

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            pytest.param([], "no_leads", id="none"),
            pytest.param([{}] * 1001, "too_many_leads", id="more than a thousand"),
            pytest.param("a lead", "not_leads", id="a text"),
            pytest.param(None, "not_leads", id="null"),
        ],
    )
    def test_are_a_list_of_one_to_a_thousand(self, post, body, code):
        assert_problem(post(body), 422, code)
        assert not RejectedLead.objects.exists()


class TestTheList:
    def test_gets_the_leads(self, post, brand):
        june = make_list(brand, name="June Nurses")
        post([a_lead(), a_lead(BAD)], f"{URL}?list=june%20nurses")
        assert ListEntry.objects.get().lead_list == june

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("July", id="missing"),
            pytest.param("", id="empty"),
            pytest.param("%00", id="NUL"),
            pytest.param("Old", id="retired"),
            pytest.param("Theirs", id="another brand's"),
        ],
    )
    def test_that_is_not_there_is_a_404(self, post, brand, name):
        make_list(brand, name="Old", retired_at=clock.now())
        make_list(make_brand(), name="Theirs")
        assert_problem(post(a_lead(), f"{URL}?list={name}"), 404, "list_not_found", "list")
        assert not Lead.objects.exists()

    def test_that_is_made_later_takes_the_same_request_then(self, post, brand):
        assert post(a_lead(), f"{URL}?list=May", Idempotency_Key="k").status_code == 404
        make_list(brand, name="May")
        assert post(a_lead(), f"{URL}?list=May", Idempotency_Key="k").status_code == 201


class TestRefusedLeads:
    def test_are_kept_for_staff_with_what_stood_there(self, post, brand):
        post([a_lead(BAD, source="fair", fields={"years": 4}), a_lead()])
        kept = RejectedLead.objects.get()
        assert (kept.brand, kept.source, kept.code) == (brand, "fair", "phone_impossible")
        assert kept.message
        assert kept.fields == {
            "phone": BAD,
            "consent_at": AGREED,
            "source": "fair",
            "fields.years": "4",
        }

    def test_have_the_name_of_the_key_where_they_name_no_source(self, post):
        post({"phone": 12, "source": 7})
        assert RejectedLead.objects.get().source == "Portal"

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param({NUL: NUL, LONE: LONE, "source": NUL}, id="what cannot be stored"),
            pytest.param({"fields": {NUL: 1, LONE: NUL}}, id="names that cannot be stored"),
            pytest.param({"source": "x" * 500, "x" * 500: "x" * 5000}, id="long"),
            pytest.param({"fields": {str(n): n for n in range(500)}}, id="many"),
            pytest.param([[[1]]], id="a list"),
            pytest.param(1e300, id="a number"),
            pytest.param(None, id="null"),
        ],
    )
    def test_are_kept_and_answered_whatever_stood_there(self, post, wrong):
        response = post([wrong, a_lead()], Idempotency_Key="k")
        assert (response.status_code, response.json()["refused"]) == (200, 1)
        assert RejectedLead.objects.count() == 1


class TestWhatIsRead:
    @pytest.mark.parametrize(
        ("cells", "code", "field"),
        [
            pytest.param({"fone": "1"}, "unknown_field", "fone", id="unknown name"),
            pytest.param({"id": 1}, "unknown_field", "id", id="a name of ours"),
            pytest.param({"phone": 12125550101}, "not_text", "phone", id="number for a text"),
            pytest.param({"zip": 10001}, "not_text", "zip", id="number for a ZIP"),
            pytest.param({"city": ["Rome"]}, "not_text", "city", id="list for a text"),
            pytest.param({"city": True}, "not_text", "city", id="true for a text"),
            pytest.param({"email": "eva"}, "email_invalid", "email", id="no e-mail"),
            pytest.param({"consent_at": None}, "consent_missing", "consent_at", id="no consent"),
            pytest.param({"consent_at": "May"}, "consent_invalid", "consent_at", id="no time"),
            pytest.param(
                {"consent_at": "2099-01-01"}, "consent_in_future", "consent_at", id="future"
            ),
            pytest.param({"city": "x" * 81}, "too_long", "city", id="long"),
            pytest.param({"city": NUL}, "bad_characters", "city", id="NUL"),
            pytest.param({"city": LONE}, "bad_characters", "city", id="half a character"),
            pytest.param({"fields": ["a"]}, "fields_invalid", "fields", id="fields a list"),
            pytest.param(
                {"fields": {"a": {"b": 1}}}, "field_value_invalid", "fields.a", id="fields in it"
            ),
            pytest.param(
                {"fields": {"phone": P}}, "field_name_invalid", "fields.phone", id="twice"
            ),
            pytest.param({"fields": {"": "x"}}, "field_name_invalid", "fields.", id="no name"),
            pytest.param({"fields": {"a": "x" * 1001}}, "too_long", "fields.a", id="a long field"),
            pytest.param(
                {"fields": {str(n): n for n in range(101)}}, "too_many_fields", "fields", id="many"
            ),
        ],
    )
    def test_names_the_code_and_the_field_of_what_is_wrong(self, post, cells, code, field):
        assert_problem(post(a_lead(**cells)), 422, code, field)
        assert not Person.objects.exists()
        assert code in problems.LEAD_CODES

    def test_keeps_other_fields_as_texts(self, post):
        fields = {"a": "x ", "b": 4, "c": 1.5, "d": True, "e": None, "f": " "}
        post(a_lead(fields=fields))
        assert Lead.objects.get().fields == {"a": "x", "b": "4", "c": "1.5", "d": "true"}

    def test_takes_null_for_nothing(self, post):
        assert post(a_lead(email=None, zip=None, fields=None)).status_code == 201


class TestTheKey:
    @pytest.mark.parametrize(
        ("header", "code"),
        [
            pytest.param("", "key_missing", id="empty"),
            pytest.param("Basic eDp5", "key_missing", id="another scheme"),
            pytest.param("Bearer", "key_unknown", id="no key"),
            pytest.param("Bearer so_live_x", "key_unknown", id="cut"),
            pytest.param("Bearer so_live_" + "a" * 43, "key_unknown", id="made up"),
            pytest.param("Bearer ü", "key_unknown", id="not ASCII"),
        ],
    )
    def test_that_is_none_is_a_401(self, post, header, code):
        response = post(a_lead(), Authorization=header)
        assert_problem(response, 401, code)
        assert response["WWW-Authenticate"] == 'Bearer realm="api"'

    def test_that_is_missing_is_a_401(self, sandbox):
        response = Client().post(URL, a_lead(), content_type="application/json")
        assert_problem(response, 401, "key_missing")

    def test_that_was_revoked_is_a_401(self, brand):
        made = keys.make(brand, "Portal")
        keys.revoke(made.key)
        assert_problem(poster(made.whole)(a_lead()), 401, "key_revoked")

    def test_that_has_expired_is_a_401(self, brand):
        whole = key_of(brand, expires_at=clock.now())
        assert_problem(poster(whole)(a_lead()), 401, "key_expired")

    def test_of_a_retired_brand_is_a_401(self, post):
        Brand.objects.update(retired_at=clock.now())
        assert_problem(post(a_lead()), 401, "brand_retired")

    def test_without_the_scope_is_a_403(self, brand):
        assert_problem(poster(key_of(brand, scopes=[]))(a_lead()), 403, "scope_missing")

    def test_is_what_counts_and_no_session(self, sandbox, admin_client):
        response = admin_client.post(URL, a_lead(), content_type="application/json")
        assert_problem(response, 401, "key_missing")


class TestTheRequest:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"{", id="cut"),
            pytest.param(b"phone=1", id="a form"),
            pytest.param(b'{"phone": "\xff"}', id="not UTF-8"),
            pytest.param(b'{"phone": NaN}', id="NaN"),
            pytest.param(b'{"fields": {"a": ' + b"9" * 5000 + b"}}", id="an endless number"),
            pytest.param(b"[" * 100_000, id="deep and cut"),
            pytest.param(b"[" * 50_000 + b"]" * 50_000, id="deep"),
        ],
    )
    def test_that_is_no_json_is_a_400(self, post, body):
        assert_problem(post(body), 400, "malformed_json")

    @pytest.mark.parametrize("depth", [100, 500, 800, 900, 950, 970])
    def test_that_is_deep_is_never_our_fault(self, post, depth):
        deep = b"[" * depth + b"]" * depth
        body = b'{"phone": "%s", "fields": {"a": %s}}' % (P.encode(), deep)
        assert post(body, Idempotency_Key="k").status_code in (400, 422)

    def test_that_is_empty_is_a_400(self, post):
        assert_problem(post(b""), 400, "empty_body")

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
    def test_of_another_type_is_a_415(self, post, kind):
        assert_problem(post(a_lead(), content_type=kind), 415, "not_json")

    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_by_another_method_is_a_405(self, post, method):
        response = post(b"", method=method)
        assert_problem(response, 405, "method_not_allowed")
        assert response["Allow"] == "POST"

    def test_to_another_address_is_a_404(self, post):
        assert_problem(post(a_lead(), "/api/v1/people"), 404, "not_found")
        assert_problem(post(a_lead(), "/api/"), 404, "not_found")

    def test_that_accepts_no_json_is_a_406(self, post):
        assert_problem(post(a_lead(), Accept="text/html"), 406, "not_acceptable")

    def test_may_not_be_too_large(self, post):
        assert_problem(post(b" " * (5 * 1024**2 + 1)), 413, "body_too_large")

    def test_may_not_lie_about_its_size(self, post):
        assert_problem(post(b"{}", Content_Length="9" * 30), 413, "body_too_large")

    def test_says_how_long_it_is(self, post):
        response = post(b"", Transfer_Encoding="chunked", Content_Length="")
        assert_problem(response, 411, "length_required")


class TestOurTrouble:
    def test_without_a_database_is_a_503(self, post, monkeypatch):
        monkeypatch.setattr(posting, "take_in", raise_(OperationalError("gone")))
        response = post(a_lead())
        assert_problem(response, 503, "unavailable")
        assert response["Retry-After"] == "30"

    def test_with_others_in_the_way_is_a_503(self, post, monkeypatch):
        monkeypatch.setattr(posting, "take_in", raise_(GaveUp("busy")))
        assert_problem(post(a_lead()), 503, "unavailable")

    def test_of_any_other_kind_is_a_500_and_is_told(self, post, monkeypatch, caplog):
        monkeypatch.setattr(posting, "take_in", raise_(KeyError(P)))
        assert_problem(post(a_lead()), 500, "internal_error")
        assert "a request to the API failed" in caplog.text

    def test_gives_the_idempotency_key_back(self, post, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(posting, "take_in", raise_(DatabaseError("no")))
            assert post(a_lead(), Idempotency_Key="k").status_code == 500
        assert post(a_lead(), Idempotency_Key="k").status_code == 201

"""Requests that come again, and requests that come at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError

from brands import clock
from leads import posting, repeats
from leads.models import ApiRequest, Lead, ListEntry, RejectedLead
from tests.factories import make_brand, make_list, set_clock
from tests.leads import partners
from tests.leads.partners import BAD, URL, P, Q, a_lead, assert_problem, key_of, poster, raise_

pytestmark = pytest.mark.django_db

brand = partners.brand
post = partners.post


class TestTheIdempotencyKey:
    def test_repeats_the_answer(self, post):
        first = post(a_lead(first_name="Ada"), Idempotency_Key="k")
        again = post(a_lead(first_name="Ada"), Idempotency_Key="k")
        assert (again.status_code, again.json()) == (201, first.json())
        assert again["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in first

    def test_repeats_a_refusal_and_keeps_one(self, post):
        for _ in range(2):
            response = post(a_lead(BAD), Idempotency_Key="k")
            assert_problem(response, 422, "phone_impossible", "phone")
        assert RejectedLead.objects.count() == 1

    def test_knows_the_same_values_in_other_words(self, post):
        post(b'{"phone": "%s", "consent_at": "2026-01-05"}' % P.encode(), Idempotency_Key="k")
        again = b'{"consent_at":"2026-01-05","phone":"%s"}' % P.encode()
        assert post(again, Idempotency_Key="k")["Idempotent-Replayed"] == "true"

    @pytest.mark.parametrize(
        ("body", "url"),
        [
            pytest.param(a_lead(Q), URL, id="another lead"),
            pytest.param([a_lead()], URL, id="a list of it"),
            pytest.param(a_lead(), f"{URL}?list=June", id="another list"),
        ],
    )
    def test_is_refused_with_another_request(self, post, brand, body, url):
        make_list(brand, name="June")
        post(a_lead(), Idempotency_Key="k")
        assert_problem(post(body, url, Idempotency_Key="k"), 422, "idempotency_key_reused")
        assert Lead.objects.count() == 1
        assert not ListEntry.objects.exists()

    def test_is_the_brands_own(self, post):
        post(a_lead(), Idempotency_Key="k")
        assert poster(key_of(make_brand()))(a_lead(Q), Idempotency_Key="k").status_code == 201

    @pytest.mark.parametrize("bad", ["", "x" * 256, "ü", "a\tb"])
    def test_is_printable(self, post, bad):
        response = post(a_lead(), Idempotency_Key=bad)
        assert_problem(response, 400, "idempotency_key_invalid", "Idempotency-Key")

    def test_takes_255_characters(self, post):
        assert post(a_lead(), Idempotency_Key="x" * 255).status_code == 201

    def test_is_forgotten_after_a_day_of_the_installation(self, post):
        post(a_lead(), Idempotency_Key="k")
        set_clock(clock.now() + timedelta(hours=24, seconds=2))
        assert post(a_lead(Q), Idempotency_Key="k").status_code == 201
        assert ApiRequest.objects.count() == 1

    def test_is_refused_while_the_first_is_at_work(self, post, monkeypatch):
        seen = []
        take_in = posting.take_in

        def meanwhile(*args):
            if not seen:
                seen.append(None)
                seen.append(post(a_lead(), Idempotency_Key="k"))
            return take_in(*args)

        monkeypatch.setattr(posting, "take_in", meanwhile)
        assert post(a_lead(), Idempotency_Key="k").status_code == 201
        assert_problem(seen[1], 409, "request_in_progress")
        assert seen[1]["Retry-After"] == "1"

    def test_whose_first_request_died_is_taken_over_after_a_minute(self, post, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(posting, "take_in", raise_(OperationalError("gone")))
            patched.setattr(repeats, "give_back", lambda claim_id: None)
            assert post(a_lead(), Idempotency_Key="k").status_code == 503
        assert_problem(post(a_lead(), Idempotency_Key="k"), 409, "request_in_progress")
        set_clock(clock.now() + timedelta(seconds=62))
        assert post(a_lead(), Idempotency_Key="k").status_code == 201
        assert post(a_lead(), Idempotency_Key="k")["Idempotent-Replayed"] == "true"

    def test_that_was_taken_over_leaves_the_work_to_the_other(self, post, monkeypatch):
        answers = []
        take_in = posting.take_in

        def slowly(*args):
            if not answers:
                answers.append(None)
                set_clock(clock.now() + timedelta(seconds=62))
                answers.append(post([a_lead(), a_lead(BAD)], Idempotency_Key="k"))
            return take_in(*args)

        monkeypatch.setattr(posting, "take_in", slowly)
        slow = post([a_lead(), a_lead(BAD)], Idempotency_Key="k")
        assert answers[1].json()["created"] == 1
        assert_problem(slow, 409, "request_in_progress")
        assert (Lead.objects.count(), RejectedLead.objects.count()) == (1, 1)
        again = post([a_lead(), a_lead(BAD)], Idempotency_Key="k")
        assert again.json() == answers[1].json()


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.mark.parametrize("body", [a_lead(), [a_lead(), a_lead(BAD)]], ids=["one", "many"])
    def test_the_same_request_has_one_effect_and_one_answer(self, sandbox, at_once, body):
        whole = key_of(make_brand())
        work = lambda n: poster(whole)(body, Idempotency_Key="k")  # noqa: E731
        responses = at_once(work, threads=6)
        done = [response.json() for response in responses if response.status_code < 300]
        late = {response.status_code for response in responses if response.status_code >= 300}
        assert done
        assert all(one == done[0] for one in done)
        assert late <= {409}
        assert Lead.objects.count() == 1
        assert RejectedLead.objects.count() == (1 if isinstance(body, list) else 0)

    def test_the_same_person_by_several_requests_is_one_lead(self, sandbox, at_once):
        whole = key_of(make_brand())
        responses = at_once(lambda n: poster(whole)(a_lead(first_name=f"A{n}")), threads=6)
        assert sorted(r.status_code for r in responses) == [200] * 5 + [201]
        assert Lead.objects.count() == 1

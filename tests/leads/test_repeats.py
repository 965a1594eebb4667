from __future__ import annotations

from datetime import timedelta

import pytest

from brands import clock, keys
from leads import repeats
from leads.models import ApiRequest
from leads.repeats import Answer, InProgress, Reused, TakenOver
from tests.factories import make_brand, set_clock

pytestmark = pytest.mark.django_db

DONE = Answer(201, {"lead_id": 7})


@pytest.fixture
def api_key(sandbox):
    return keys.make(make_brand(), "Portal").key


def later(**spans):
    set_clock(clock.now() + timedelta(**spans, seconds=2))


class TestClaiming:
    def test_gives_an_id_once(self, api_key):
        assert isinstance(repeats.claim(api_key, "k", "body"), int)
        with pytest.raises(InProgress):
            repeats.claim(api_key, "k", "body")

    def test_gives_the_answer_when_there_is_one(self, api_key):
        repeats.complete(repeats.claim(api_key, "k", "body"), DONE)
        assert repeats.claim(api_key, "k", "body") == DONE

    def test_is_refused_with_another_body_before_and_after_the_answer(self, api_key):
        claim_id = repeats.claim(api_key, "k", "body")
        with pytest.raises(Reused):
            repeats.claim(api_key, "k", "other")
        repeats.complete(claim_id, DONE)
        with pytest.raises(Reused):
            repeats.claim(api_key, "k", "other")

    def test_gives_another_id_to_who_takes_it_over(self, api_key):
        first = repeats.claim(api_key, "k", "body")
        later(minutes=1)
        assert repeats.claim(api_key, "k", "body") != first
        assert ApiRequest.objects.count() == 1

    def test_is_taken_over_with_the_same_body_only(self, api_key):
        repeats.claim(api_key, "k", "body")
        later(minutes=1)
        with pytest.raises(Reused):
            repeats.claim(api_key, "k", "other")

    def test_keeps_an_answer_for_a_day(self, api_key):
        repeats.complete(repeats.claim(api_key, "k", "body"), DONE)
        later(hours=23)
        assert repeats.claim(api_key, "k", "body") == DONE


class TestWhoWasOnlySlow:
    @pytest.fixture
    def claims(self, api_key):
        first = repeats.claim(api_key, "k", "body")
        later(minutes=1)
        return first, repeats.claim(api_key, "k", "body")

    def test_cannot_answer_for_the_other(self, claims):
        with pytest.raises(TakenOver):
            repeats.complete(claims[0], DONE)
        assert ApiRequest.objects.get().status is None

    def test_cannot_give_the_others_claim_back(self, claims):
        repeats.give_back(claims[0])
        repeats.complete(claims[1], DONE)


class TestForgetting:
    def test_lets_no_more_than_a_days_answers_stay(self, api_key):
        for n in range(6):
            repeats.complete(repeats.claim(api_key, f"old {n}", "body"), DONE)
        later(hours=24)
        for n in range(3):
            repeats.claim(api_key, f"new {n}", "body")
        kept = set(ApiRequest.objects.values_list("idempotency_key", flat=True))
        assert kept == {"new 0", "new 1", "new 2"}

    def test_is_not_kept_from_it_by_keys_that_come_every_day(self, api_key):
        for n in range(5):
            repeats.claim(api_key, f"daily {n}", "body")
        repeats.claim(api_key, "old", "body")
        later(hours=24)
        for n in range(5):
            repeats.claim(api_key, f"daily {n}", "other")
        assert not ApiRequest.objects.filter(idempotency_key="old").exists()

    def test_gives_no_answer_back(self, api_key):
        claim_id = repeats.claim(api_key, "k", "body")
        repeats.complete(claim_id, DONE)
        repeats.give_back(claim_id)
        assert repeats.claim(api_key, "k", "body") == DONE

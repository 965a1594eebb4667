from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from delivery import steps
from delivery.allowances import Budget, PersonLimits
from delivery.states import Reason, Status
from delivery.steps import Hold, Opening, Refuse
from tests.delivery.stepping import (
    BRAND_KEY,
    DAY,
    LANE,
    MINUTE,
    NOW,
    TOMORROW,
    a_draft,
    a_person,
    a_reply,
    a_test,
    facts,
    sent,
    with_brand,
    with_person,
    with_slot,
)

CAMPAIGN_KEY = "campaign:2:2026-06-03"


class TestHoldWhileStopped:
    @pytest.mark.parametrize(
        ("found", "reason"),
        [
            pytest.param(facts(is_stopped=True), Reason.STOP_ALL, id="all-sending"),
            pytest.param(with_brand(is_paused=True), Reason.BRAND_PAUSED, id="the-brand"),
            pytest.param(
                with_slot(campaign_paused=True), Reason.CAMPAIGN_PAUSED, id="the-campaign"
            ),
        ],
    )
    def test_holds_for_a_minute_while_something_is_paused(self, found, reason):
        assert steps.hold_while_stopped(a_draft(), found) == Hold(reason, NOW + MINUTE)

    def test_lets_the_rest_pass(self):
        assert steps.hold_while_stopped(a_draft(), facts()) == a_draft()

    def test_asks_no_slot_of_a_message_without_one(self):
        draft = a_draft(slot_id=None, campaign_id=None)
        assert steps.hold_while_stopped(draft, with_slot(campaign_paused=True)) == draft


class TestHoldWhileAllIsStopped:
    def test_holds_for_a_minute_while_all_sending_is_stopped(self):
        held = Hold(Reason.STOP_ALL, NOW + MINUTE)
        assert steps.hold_while_all_is_stopped(a_reply(), facts(is_stopped=True)) == held

    @pytest.mark.parametrize(
        "found",
        [
            pytest.param(with_brand(is_paused=True), id="paused-brand"),
            pytest.param(with_slot(campaign_paused=True), id="paused-campaign"),
            pytest.param(facts(), id="nothing"),
        ],
    )
    def test_lets_an_answer_pass_whatever_else_is_paused(self, found):
        assert steps.hold_while_all_is_stopped(a_reply(), found) == a_reply()


class TestRefuseExpired:
    def test_ends_what_is_too_late(self):
        expired = Refuse(Reason.NO_CAPACITY, Status.EXPIRED)
        assert steps.refuse_expired(a_draft(expires_at=NOW), facts()) == expired

    def test_lets_what_is_in_time_pass(self):
        draft = a_draft(expires_at=NOW + timedelta(microseconds=1))
        assert steps.refuse_expired(draft, facts()) == draft


class TestRefuseOutOfTries:
    def test_ends_as_dead_after_five_tries(self):
        dead = Refuse(Reason.OUT_OF_TRIES, Status.DEAD)
        assert steps.refuse_out_of_tries(a_draft(tries=5), facts()) == dead

    def test_allows_a_fifth_try(self):
        assert steps.refuse_out_of_tries(a_draft(tries=4), facts()) == a_draft(tries=4)


class TestRefuseOptedOut:
    def test_refuses_who_opted_out(self):
        draft = a_draft(opted_out=True)
        assert steps.refuse_opted_out(draft, facts()) == Refuse(Reason.OPTED_OUT)

    def test_lets_others_pass(self):
        assert steps.refuse_opted_out(a_draft(), facts()) == a_draft()


class TestHoldForThePerson:
    def test_waits_a_minute_while_a_reply_is_being_read(self):
        held = Hold(Reason.INBOUND_WAITING, NOW + MINUTE)
        assert steps.hold_for_the_person(a_draft(), with_person(inbound_waits=True)) == held

    def test_waits_ten_minutes_while_a_reply_is_being_judged(self):
        held = Hold(Reason.PERSON_HELD, NOW + 10 * MINUTE)
        assert steps.hold_for_the_person(a_draft(held=True), facts()) == held

    def test_lets_others_pass(self):
        assert steps.hold_for_the_person(a_draft(), facts()) == a_draft()


class TestRefuseWithoutConsent:
    def test_refuses_without_consent(self):
        refused = Refuse(Reason.NO_CONSENT)
        assert steps.refuse_without_consent(a_draft(has_consent=False), facts()) == refused

    def test_lets_others_pass(self):
        assert steps.refuse_without_consent(a_draft(), facts()) == a_draft()


class TestRefuseBadAddress:
    @pytest.mark.parametrize(
        ("draft", "found", "reason"),
        [
            pytest.param(a_draft(to=""), facts(), Reason.NO_ADDRESS, id="no-number"),
            pytest.param(
                a_draft(), with_person(undeliverable=True), Reason.UNDELIVERABLE, id="dead-number"
            ),
            pytest.param(
                a_draft(lead_is_active=False), facts(), Reason.LEAD_INACTIVE, id="inactive-lead"
            ),
        ],
    )
    def test_refuses_what_cannot_arrive(self, draft, found, reason):
        assert steps.refuse_bad_address(draft, found) == Refuse(reason)

    def test_lets_others_pass(self):
        assert steps.refuse_bad_address(a_draft(), facts()) == a_draft()


class TestHoldInQuietHours:
    def test_holds_until_the_next_opening(self):
        morning = NOW + timedelta(hours=15)
        found = facts(openings={(1, 7): Opening(morning, morning + timedelta(hours=12))})
        held = Hold(Reason.QUIET_HOURS, until=morning)
        assert steps.hold_in_quiet_hours(a_draft(), found) == held

    def test_lets_pass_while_all_places_are_open(self):
        assert steps.hold_in_quiet_hours(a_draft(), facts()) == a_draft()

    def test_refuses_where_no_hour_suits_every_place(self):
        found = facts(openings={(1, 7): None})
        assert steps.hold_in_quiet_hours(a_draft(), found) == Refuse(Reason.NO_COMMON_WINDOW)

    def test_refuses_who_may_be_anywhere(self):
        draft = a_draft(places_id=None)
        assert steps.hold_in_quiet_hours(draft, facts()) == Refuse(Reason.NO_PLACE)


class TestHoldForPersonLimit:
    def test_holds_until_one_more_is_allowed(self):
        held = Hold(Reason.PERSON_LIMIT, NOW - MINUTE + timedelta(hours=2))
        found = with_person(recent=[sent(MINUTE)])
        assert steps.hold_for_person_limit(a_draft(), found) == held

    def test_counts_what_was_taken_in_the_same_batch(self):
        found = facts()
        found.persons[4].take(NOW, 98, "", "")
        held = Hold(Reason.PERSON_LIMIT, NOW + timedelta(hours=2))
        assert steps.hold_for_person_limit(a_draft(), found) == held

    def test_never_counts_the_message_itself(self):
        found = with_person(recent=[sent(MINUTE, message_id=5)])
        assert steps.hold_for_person_limit(a_draft(), found) == a_draft()

    def test_lets_pass_at_the_very_end_of_the_gap(self):
        found = with_person(recent=[sent(timedelta(hours=2))])
        assert steps.hold_for_person_limit(a_draft(), found) == a_draft()

    @pytest.mark.parametrize("limits", [(0, 6), (3, 0)])
    def test_holds_for_eight_days_where_nothing_is_allowed(self, limits):
        found = facts(limits=PersonLimits(*limits, timedelta()))
        held = Hold(Reason.PERSON_LIMIT, NOW + 8 * DAY)
        assert steps.hold_for_person_limit(a_draft(), found) == held


class TestHoldWithoutANumber:
    @pytest.mark.parametrize(
        "lanes", [{}, {6: replace(LANE, is_usable=False)}], ids=["no-such-lane", "resting"]
    )
    def test_holds_a_minute_without_a_number_that_may_send(self, lanes):
        held = Hold(Reason.LANE_PAUSED, NOW + MINUTE)
        assert steps.hold_without_a_number(a_draft(), facts(lanes=lanes)) == held

    def test_lets_others_pass(self):
        assert steps.hold_without_a_number(a_draft(), facts()) == a_draft()


class TestHoldWithoutANumberThatAnswers:
    @pytest.mark.parametrize(
        "lanes",
        [{}, {6: replace(LANE, is_usable=False)}, {6: replace(LANE, kind="email", answers=True)}],
        ids=["no-such-lane", "paused", "for-e-mail"],
    )
    def test_holds_a_minute_without_one(self, lanes):
        held = Hold(Reason.LANE_PAUSED, NOW + MINUTE)
        found = steps.hold_without_a_number_that_answers(a_reply(), facts(lanes=lanes))
        assert found == held

    def test_lets_an_answer_leave_by_one_that_rests_from_campaigns_alone(self):
        lane = replace(LANE, is_usable=False, answers=True)
        found = steps.hold_without_a_number_that_answers(a_reply(), facts(lanes={6: lane}))
        assert found == a_reply()


class TestReserve:
    def test_takes_one_of_each_cap_and_of_the_persons_allowance(self):
        found = facts(budget=Budget(left={BRAND_KEY: 2, CAMPAIGN_KEY: 5}))
        assert steps.reserve(a_draft(words_hash="aa"), found) == a_draft(words_hash="aa")
        assert found.budget.left == {BRAND_KEY: 1, CAMPAIGN_KEY: 4}
        assert found.persons[4].recent == [(NOW.timestamp(), 5, "aa", "2026-06-03")]
        assert found.persons[4].changed

    @pytest.mark.parametrize(
        ("left", "reason"),
        [
            pytest.param({BRAND_KEY: 0, CAMPAIGN_KEY: 5}, Reason.BRAND_CAP, id="brand"),
            pytest.param({BRAND_KEY: 2, CAMPAIGN_KEY: 0}, Reason.CAMPAIGN_CAP, id="campaign"),
        ],
    )
    def test_holds_until_the_brands_next_day_and_takes_nothing(self, left, reason):
        found = facts(budget=Budget(left=dict(left)))
        assert steps.reserve(a_draft(), found) == Hold(reason, TOMORROW)
        assert found.budget.left == left
        assert found.persons[4] == a_person()

    def test_takes_no_cap_from_whom_the_persons_limit_holds(self):
        found = facts(
            budget=Budget(left={BRAND_KEY: 2}), persons={4: a_person(recent=[sent(MINUTE)])}
        )
        held = Hold(Reason.PERSON_LIMIT, NOW - MINUTE + timedelta(hours=2))
        assert steps.reserve(a_draft(), found) == held
        assert found.budget.left == {BRAND_KEY: 2}

    def test_a_brand_without_a_cap_always_passes(self):
        assert steps.reserve(a_draft(), facts()) == a_draft()


class TestReserveBesideTheLimit:
    def test_takes_of_the_brands_cap_and_counts_whatever_came_before(self):
        found = facts(
            budget=Budget(left={BRAND_KEY: 2}), persons={4: a_person(recent=[sent(MINUTE)] * 9)}
        )
        draft = a_test(words_hash="aa")
        assert steps.reserve_beside_the_limit(draft, found) == draft
        assert found.budget.left == {BRAND_KEY: 1}
        assert found.persons[4].recent[9:] == [(NOW.timestamp(), 5, "aa", "")]

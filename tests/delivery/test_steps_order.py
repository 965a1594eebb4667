from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from delivery import sendings
from delivery.allowances import Budget
from delivery.intents import Struck
from delivery.pipeline import decide
from delivery.states import Kind, Reason, ReplyKind, Status
from delivery.steps import Draft, Hold, Opening, Refuse
from tests.delivery.stepping import (
    BRAND_KEY,
    DAY,
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
    with_single,
)


class TestTheOrder:
    def test_of_a_campaigns_steps_is_the_designs(self):
        assert [step.__name__ for step in sendings.CAMPAIGN] == [
            "hold_while_stopped",
            "refuse_expired",
            "refuse_out_of_tries",
            "refuse_opted_out",
            "hold_for_the_person",
            "refuse_without_consent",
            "refuse_bad_address",
            "hold_in_quiet_hours",
            "hold_for_person_limit",
            "fill_in_text",
            "refuse_same_words",
            "add_link",
            "add_opt_out_line",
            "refuse_unfit",
            "hold_without_a_number",
            "reserve",
        ]

    def test_of_a_tests_steps_is_a_campaigns_without_hours_frequency_and_repeats(self):
        left_out = {"hold_in_quiet_hours", "hold_for_person_limit", "refuse_same_words"}
        instead = {"fill_in_text": "fill_in_single", "reserve": "reserve_beside_the_limit"}
        campaign = [step.__name__ for step in sendings.CAMPAIGN if step.__name__ not in left_out]
        expected = [instead.get(name, name) for name in campaign]
        assert [step.__name__ for step in sendings.STEPS["test"]] == expected

    def test_of_the_steps_of_a_test_to_a_lead_is_a_campaigns_without_repeats(self):
        instead = {"fill_in_text": "fill_in_single"}
        expected = [instead.get(one.__name__, one.__name__) for one in sendings.CAMPAIGN]
        expected.remove("refuse_same_words")
        assert [step.__name__ for step in sendings.STEPS["test-to-a-lead"]] == expected

    @pytest.mark.parametrize("kind", [ReplyKind.STOP, ReplyKind.HELP])
    def test_of_a_confirmations_and_a_helps_steps_is_the_designs(self, kind):
        assert names(kind) == [
            "hold_while_all_is_stopped",
            "refuse_expired",
            "refuse_out_of_tries",
            "refuse_bad_address",
            "fill_in_reply",
            "refuse_unfit",
            "hold_without_a_number_that_answers",
        ]

    def test_of_a_welcomes_steps_is_the_designs(self):
        assert names(ReplyKind.JOIN) == [
            "hold_while_all_is_stopped",
            "refuse_expired",
            "refuse_out_of_tries",
            "refuse_opted_out",
            "hold_for_the_person",
            "refuse_bad_address",
            "fill_in_reply",
            "refuse_unfit",
            "hold_without_a_number_that_answers",
        ]


def names(kind):
    return [step.__name__ for step in sendings.STEPS[kind.value]]


HELD_BACK = {
    "opted-out": ({"opted_out": True}, facts(), Refuse(Reason.OPTED_OUT)),
    "on-hold": ({"held": True}, facts(), Hold(Reason.PERSON_HELD, NOW + 10 * MINUTE)),
    "a-text-not-read": (
        {},
        with_person(inbound_waits=True),
        Hold(Reason.INBOUND_WAITING, NOW + MINUTE),
    ),
}
PASSED_BY = {
    "no-consent": facts(),
    "no-place": facts(openings={}),
    "night": facts(openings={(1, 7): Opening(NOW + DAY, NOW + 2 * DAY)}),
    "persons-limit": with_person(recent=[sent(timedelta(hours=n)) for n in range(9)]),
    "no-room-in-the-cap": facts(budget=Budget(left={BRAND_KEY: 0})),
    "paused-brand": with_brand(is_paused=True),
}
STOPS_ALL = {
    "stop-all": ({}, facts(is_stopped=True), Hold(Reason.STOP_ALL, NOW + MINUTE)),
    "expired": ({"expires_at": NOW}, facts(), Refuse(Reason.NO_CAPACITY, Status.EXPIRED)),
    "tried-too-often": ({"tries": 5}, facts(), Refuse(Reason.OUT_OF_TRIES, Status.DEAD)),
    "no-number": ({"to": ""}, facts(), Refuse(Reason.NO_ADDRESS)),
    "dead-number": ({}, with_person(undeliverable=True), Refuse(Reason.UNDELIVERABLE)),
    "no-lane": ({}, facts(lanes={}), Hold(Reason.LANE_PAUSED, NOW + MINUTE)),
}


def decided(kind, found, **changes):
    """The verdict on an answer, where brands have words for it."""
    brands = {key: replace(one, replies=WORDS) for key, one in found.brands.items()}
    return decide(a_reply(kind, **changes), replace(found, brands=brands))


WORDS = {kind.value: "{brand}: hello" for kind in ReplyKind}


class TestWhatAnAnswerIsExemptFrom:
    @pytest.mark.parametrize("found", PASSED_BY.values(), ids=PASSED_BY.keys())
    @pytest.mark.parametrize("kind", ReplyKind)
    def test_all_pass_consent_places_hours_limits_and_caps(self, kind, found):
        assert decided(kind, found).text == "Acme: hello"

    @pytest.mark.parametrize("case", HELD_BACK.values(), ids=HELD_BACK.keys())
    @pytest.mark.parametrize("kind", [ReplyKind.STOP, ReplyKind.HELP])
    def test_a_confirmation_and_help_pass_opt_out_and_hold(self, kind, case):
        changes, found, _ = case
        assert decided(kind, found, **changes).text == "Acme: hello"

    @pytest.mark.parametrize("case", HELD_BACK.values(), ids=HELD_BACK.keys())
    def test_a_welcome_does_not(self, case):
        changes, found, verdict = case
        assert decided(ReplyKind.JOIN, found, **changes) == verdict

    @pytest.mark.parametrize("case", STOPS_ALL.values(), ids=STOPS_ALL.keys())
    @pytest.mark.parametrize("kind", ReplyKind)
    def test_none_pass_what_binds_every_message(self, kind, case):
        changes, found, verdict = case
        assert decided(kind, found, **changes) == verdict

    @pytest.mark.parametrize("kind", ReplyKind)
    def test_none_takes_of_a_cap_or_of_the_persons_allowance(self, kind):
        found = facts(budget=Budget(left={BRAND_KEY: 2}))
        decided(kind, found)
        assert found.budget.left == {BRAND_KEY: 2}
        assert found.persons[4] == a_person()

    def test_an_answer_does_not_count_and_the_rest_does(self):
        assert [a_reply().counts, a_draft().counts] == [False, True]


class TestWhatATestIsExemptFrom:
    @pytest.mark.parametrize("case", ["no-place", "night", "persons-limit"])
    def test_passes_hours_and_frequency(self, case):
        decided = decide(a_test(), with_single(PASSED_BY[case]))
        line = "Acme for Kim: https://go.example.com/abcdefgh Reply STOP to opt out"
        assert (decided.text, decided.segments) == (line, 1)

    @pytest.mark.parametrize(
        ("changes", "found", "verdict"),
        [
            *(pytest.param(*case, id=name) for name, case in (HELD_BACK | STOPS_ALL).items()),
            pytest.param({"has_consent": False}, facts(), Refuse(Reason.NO_CONSENT), id="consent"),
            pytest.param(
                {}, PASSED_BY["no-room-in-the-cap"], Hold(Reason.BRAND_CAP, TOMORROW), id="cap"
            ),
            pytest.param(
                {},
                PASSED_BY["paused-brand"],
                Hold(Reason.BRAND_PAUSED, NOW + MINUTE),
                id="paused-brand",
            ),
        ],
    )
    def test_passes_nothing_else(self, changes, found, verdict):
        assert decide(a_test(**changes), with_single(found)) == verdict

    def test_without_its_text_it_is_struck(self):
        assert decide(a_test(), facts()) == Struck("fill_in_single")

    @pytest.mark.parametrize(
        ("case", "places_id"), [("no-place", None), ("night", 7), ("persons-limit", 7)]
    )
    def test_to_somebody_on_a_list_passes_neither(self, case, places_id):
        found = with_single(PASSED_BY[case])
        to_a_lead = a_test(to_a_lead=True, places_id=places_id)
        assert decide(to_a_lead, found) == decide(a_draft(places_id=places_id), found)
        assert not isinstance(decide(to_a_lead, found), Draft)

    def test_counts(self):
        assert a_test().counts


class TestDecide:
    def test_gives_the_whole_text_when_nothing_is_against_it(self):
        decided = decide(a_draft(), facts())
        line = "Hi Ada, see https://go.example.com/abcdefgh Reply STOP to opt out"
        assert (decided.text, decided.segments) == (line, 1)

    def test_stops_at_the_first_step_that_objects(self):
        found = facts(is_stopped=True)
        assert decide(a_draft(opted_out=True), found) == Hold(Reason.STOP_ALL, NOW + MINUTE)

    def test_a_step_that_fails_strikes_its_message_only(self):
        assert decide(a_draft(person_id=77), facts()) == Struck("hold_for_the_person")

    @pytest.mark.parametrize("kind", sorted(set(Kind) - set(sendings.STEPS)))
    def test_a_kind_without_steps_is_never_sent(self, kind):
        assert decide(a_draft(kind=kind), facts()) == Struck("no_steps")

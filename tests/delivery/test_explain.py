from __future__ import annotations

import ast
import inspect
from datetime import UTC, date, datetime, time, timedelta

import pytest

from brands.models import Brand
from campaigns.models import Slot
from compliance.keywords import Label
from delivery import mail_steps, pieces, sendings, steps, wording
from delivery.explain import (
    Clicks,
    Clock,
    Line,
    State,
    Told,
    because,
    code_in_words,
    in_short,
    kind_of_sending,
    passed,
    story,
)
from delivery.models import Attempt, Due, Inbound, Lookup, Message, Outcome, SingleText
from delivery.reports import WORDS
from delivery.states import Kind, Reason, ReplyKind, Status
from providers.base import ErrorClass, Fault
from providers.models import ProviderAccount, SenderNumber
from tests.factories import NOON

NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"
EASTERN = Clock((NEW_YORK,), NEW_YORK)
BLANK = ("code", "outcome", "fault", "error_class", "report_status", "report_code")
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
UNTIL = "It may leave until Wed 7 Mar 2035, 16:00 in New York (21:00 UTC)."


def a_message(**fields):
    slot = Slot(local_date=date(2035, 3, 7), local_time=time(12))
    fields = {"kind": Kind.CAMPAIGN, "slot": slot, "status": Status.PLANNED, "reason": "", **fields}
    return Message(brand=Brand(name="Acme"), created_at=NOON, expires_at=NOON + 4 * HOUR, **fields)


def an_attempt(**fields):
    fields = {"segments": 1, "intent_at": NOON + SECOND, "answered_at": NOON + 2 * SECOND, **fields}
    fields = dict.fromkeys(BLANK, "") | fields
    account = ProviderAccount(name="Twilio east", kind="twilio")
    return Attempt(account=account, number=SenderNumber(value="+12025550199"), **fields)


def a_due(**fields):
    fields = {"not_before": NOON + HOUR, "expires_at": NOON + 4 * HOUR, **fields}
    return Due(**{"reason": "", "tries": 0, **fields})


def told(message, **fields):
    return Told(message=message, clock=EASTERN, **{"now": NOON, **fields})


def last(message, **fields):
    return story(told(message, **fields))[-1]


class TestWords:
    def test_every_reason_says_what_staff_can_do(self):
        assert set(wording.DO) == set(Reason)
        assert all(words.endswith(".") for words in wording.DO.values())

    def test_every_state_says_what_it_means_and_has_a_colour(self):
        assert set(wording.MEANS) == set(wording.TONES) == set(Status)

    def test_every_word_of_a_report_is_told(self):
        assert set(wording.REPORTS) == {word.value for word in WORDS}

    def test_every_class_of_refusal_and_every_fault_is_told(self):
        known = {word.value for word in ErrorClass} - {"unknown"}
        assert set(wording.CLASSES) == known
        assert set(wording.FAULTS) == {fault.value for fault in Fault}

    def test_a_class_of_refusal_fits_a_phone_and_a_mailbox(self):
        said = " ".join(wording.CLASSES.values())
        assert not any(word in said for word in ("phone", "text", "mailbox", "e-mail"))

    def test_every_reading_of_a_text_is_told(self):
        assert set(wording.LABELS) == {"", pieces.LABEL, *Label}

    def test_every_kind_of_sending_has_a_name(self):
        assert set(wording.SENDINGS) >= {*sendings.STEPS, *Kind} - {Kind.REPLY.value}


FUNCTIONS = {
    node.name: node
    for module in (steps, mail_steps)
    for node in ast.parse(inspect.getsource(module)).body
    if isinstance(node, ast.FunctionDef)
}
NAMES = sorted({step.__name__ for kind in sendings.STEPS.values() for step in kind})


def reasons_in(name):
    """The reasons that a function of the steps names, or another that it calls."""
    found = set()
    for node in ast.walk(FUNCTIONS[name]):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Reason":
            found.add(Reason[node.attr])
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in FUNCTIONS:
            found |= reasons_in(node.func.id)
    return found - {Reason.NONE}


class TestTheWordsOfSteps:
    def test_there_are_words_for_each_step_and_for_nothing_else(self):
        assert set(wording.STEPS) == set(NAMES)

    @pytest.mark.parametrize("name", NAMES)
    def test_name_the_reasons_that_the_step_can_give_and_no_others(self, name):
        assert wording.STEPS[name].gives == reasons_in(name)

    def test_the_reading_of_the_source_sees_reasons_behind_a_call(self):
        assert Reason.PERSON_LIMIT in reasons_in("reserve")


class TestTheClock:
    def test_tells_the_persons_time_and_utc(self):
        said = Clock((LOS_ANGELES,), NEW_YORK).said(NOON)
        assert said == "Wed 7 Mar 2035, 09:00 in Los Angeles (17:00 UTC)"

    def test_says_when_it_is_another_day_in_utc(self):
        late = datetime(2035, 3, 8, 2, tzinfo=UTC)
        assert EASTERN.said(late) == "Wed 7 Mar 2035, 21:00 in New York (Thu 8 Mar, 02:00 UTC)"

    def test_tells_one_time_for_places_that_share_it(self):
        said = Clock((NEW_YORK, "America/Detroit"), LOS_ANGELES).said(NOON)
        assert said == "Wed 7 Mar 2035, 12:00 their time (17:00 UTC)"

    @pytest.mark.parametrize("zones", [(), (NEW_YORK, LOS_ANGELES), ("Nowhere/Land",)])
    def test_tells_the_brands_time_where_the_persons_is_not_known(self, zones):
        assert "12:00 in New York" in Clock(zones, NEW_YORK).said(NOON)


class TestTheStory:
    def test_begins_with_the_plan(self):
        planned = Line(
            NOON, "Planned for Wed 7 Mar 2035, 12:00, the person's own time", "did", UNTIL
        )
        assert story(told(a_message()))[0] == planned

    def test_tells_a_delivered_message_in_order(self):
        attempt = an_attempt(
            outcome=Outcome.ACCEPTED, report_status="delivered", reported_at=NOON + 9 * SECOND
        )
        clicks = Clicks(3, by_people=1, by_machines=2, first_at=NOON + 20 * SECOND)
        reply = Inbound(text="STOP", label="stop", received_at=NOON + 30 * SECOND)
        message = a_message(status=Status.DELIVERED)
        lines = story(
            told(message, attempts=[attempt], clicks=clicks, replies=[reply], may_read=True)
        )
        assert [(line.words, line.detail) for line in lines[1:]] == [
            ("Given to Twilio east, to leave from +12025550199", "1 segment"),
            ("Twilio east took it", ""),
            ("Twilio east reported: delivered", ""),
            (
                "Its link was opened for the first time",
                "3 hits in all, 1 by a person, 2 by machines",
            ),
            ("The person wrote “STOP”", "Read as STOP: they are opted out"),
        ]
        assert {line.tone for line in lines} == {"did"}

    def test_does_not_quote_people_to_who_may_not_read_them(self):
        reply = Inbound(text="I am ill", label="none", received_at=NOON)
        assert last(a_message(status=Status.SENT), replies=[reply]).words == "The person wrote back"
        answer = a_message(kind=Kind.REPLY, inbound=Inbound(text="I am ill"), slot=None)
        assert "ill" not in story(told(answer))[0].words

    def test_says_that_an_unknown_one_is_never_sent_again(self):
        attempt = an_attempt(outcome=Outcome.UNKNOWN, code="503")
        line = story(told(a_message(status=Status.UNKNOWN), attempts=[attempt]))[2]
        assert line.words == "Nobody knows whether Twilio east took it"
        assert line.detail == f"Code 503. {wording.NEVER_AGAIN}"

    @pytest.mark.parametrize(
        ("fields", "words", "detail"),
        [
            (
                {"tries": 1, "said": "not listed", "next_at": NOON + HOUR},
                "Twilio east was asked once whether it has it",
                "Its last answer: not listed. Asked again Wed 7 Mar 2035, 13:00 in New York"
                " (18:00 UTC).",
            ),
            (
                {"tries": 4, "said": "no answer: 503", "ended_as": "not_found"},
                "Twilio east was asked 4 times whether it has it",
                "Its last answer: no answer: 503.",
            ),
        ],
    )
    def test_says_what_the_provider_knows_of_what_is_in_doubt(self, fields, words, detail):
        attempt = an_attempt(pk=1, outcome=Outcome.UNKNOWN)
        attempt.lookup = Lookup(since=NOON, **fields)
        lines = story(told(a_message(status=Status.UNKNOWN), attempts=[attempt]))
        assert lines[-1] == Line(None, words, "waits", detail)

    def test_says_nothing_of_a_look_up_before_its_first_answer(self):
        attempt = an_attempt(pk=1, outcome=Outcome.UNKNOWN)
        attempt.lookup = Lookup(since=NOON, next_at=NOON + HOUR)
        lines = story(told(a_message(status=Status.UNKNOWN), attempts=[attempt]))
        assert lines[-1].words == "Nobody knows whether Twilio east took it"

    def test_says_why_a_provider_refused(self):
        attempt = an_attempt(outcome=Outcome.REJECTED, code="21610")
        lines = story(
            told(a_message(status=Status.REJECTED, reason=Reason.REJECTED), attempts=[attempt])
        )
        assert lines[2].words == (
            "Twilio east refused it: the person has opted out with the provider (code 21610)"
        )
        assert lines[3].words == "It is over: the person did not get it"

    def test_a_report_that_came_early_stands_in_its_place(self):
        attempt = an_attempt(
            outcome=Outcome.ACCEPTED,
            answered_at=NOON + 5 * SECOND,
            report_status="failed",
            report_code="30003",
            reported_at=NOON + 3 * SECOND,
        )
        lines = story(told(a_message(status=Status.FAILED), attempts=[attempt]))
        assert lines[2].words == "Twilio east reported: failed"
        assert lines[2].detail == "the phone was switched off or out of reach (code 30003)"
        assert lines[2].tone == "not"

    @pytest.mark.parametrize("reason", [one for one in Reason if one])
    def test_a_message_that_our_rules_ended_says_why_and_what_to_do(self, reason):
        line = last(a_message(status=Status.REFUSED, reason=reason))
        assert line.tone == "not"
        assert reason.label[1:] in line.words
        assert line.detail == wording.DO[reason]

    def test_a_held_message_says_until_when_and_why(self):
        due = a_due(reason=Reason.QUIET_HOURS, tries=2)
        (held,) = story(told(a_message(), due=due))[1:]
        assert held.words == (
            "Waits: outside the sending hours, until Wed 7 Mar 2035, 13:00 in New York (18:00 UTC)"
        )
        assert "Its time ends Wed 7 Mar 2035, 16:00 in New York" in held.detail
        assert held.detail.endswith(f"Tried 2 times so far. {wording.DO[Reason.QUIET_HOURS]}")

    def test_a_planned_message_without_a_place_in_the_queue_is_an_alarm(self):
        assert last(a_message()).words.startswith("It has no place in the queue")

    def test_a_message_that_is_due_waits_for_its_turn(self):
        line = last(a_message(), due=a_due(not_before=NOON))
        assert line.words == "It is due, and waits for its turn"

    def test_what_is_in_its_way_right_now_is_said_whatever_held_it_last(self):
        due = a_due(not_before=NOON, reason=Reason.THROTTLED)
        line = last(a_message(), due=due, in_the_way=[Reason.BRAND_PAUSED])
        assert line.words == "In its way right now: the brand is paused"

    def test_a_single_message_says_who_asked_for_it(self):
        message = a_message(kind=Kind.SINGLE, slot=None)
        assert story(told(message, asked_by="ada"))[0].words == "Asked for by ada"
        assert story(told(message))[0].words == "Asked for by a partner, through the API"


class TestCodes:
    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            pytest.param({"code": "too_late"}, wording.CODES["too_late"], id="our own"),
            pytest.param(
                {"code": "21614"}, "this phone takes no texts (code 21614)", id="a known one"
            ),
            pytest.param({"code": "99999"}, "code 99999", id="an unknown one"),
            pytest.param(
                {"code": "99999", "error_class": "permanent_content"},
                "it did not like what the message says (code 99999)",
                id="an unknown one of a known class",
            ),
            pytest.param(
                {"code": "401", "fault": "account"},
                "the provider did not accept the account (code 401)",
                id="a fault",
            ),
            pytest.param({}, "", id="none"),
        ],
    )
    def test_are_put_into_words(self, fields, words):
        assert because(an_attempt(**fields)) == words

    def test_of_another_provider_have_other_words(self):
        attempt = an_attempt()
        attempt.account.kind = "plivo"
        assert code_in_words(attempt, "200") == (
            "the person has opted out with the provider (code 200)"
        )


def states(message, due=None, **fields):
    return [step.state for step in passed(message, due, **fields)]


def at(name):
    return [step.__name__ for step in sendings.CAMPAIGN].index(name)


class TestTheSteps:
    def test_none_is_reached_before_its_turn(self):
        assert set(states(a_message(), a_due())) == {State.NOT_REACHED}

    @pytest.mark.parametrize(
        "status", sorted(set(Status) - {"planned", "refused", "expired", "cancelled", "dead"})
    )
    def test_all_are_passed_by_what_was_handed_over(self, status):
        assert set(states(a_message(status=status))) == {State.PASSED}

    def test_all_are_passed_by_what_goes_round_again(self):
        assert set(states(a_message(), a_due(reason=Reason.THROTTLED))) == {State.PASSED}

    def test_a_hold_stands_at_its_step(self):
        found = passed(a_message(), a_due(reason=Reason.QUIET_HOURS))
        stop = at("hold_in_quiet_hours")
        assert found[stop].state == State.WAITS
        assert found[stop].detail == Reason.QUIET_HOURS.label
        assert {step.state for step in found[:stop]} == {State.PASSED}
        assert {step.state for step in found[stop + 1 :]} == {State.NOT_REACHED}

    @pytest.mark.parametrize("name", [step.__name__ for step in sendings.CAMPAIGN])
    def test_each_reason_of_a_step_stops_there_or_at_an_earlier_one_that_gives_it(self, name):
        for reason in wording.STEPS[name].gives:
            found = states(a_message(status=Status.REFUSED, reason=reason))
            first = next(n for n, one in enumerate(sendings.CAMPAIGN) if reason in gives(one))
            assert found.index(State.STOPPED) == first <= at(name)

    def test_a_refusal_at_planning_says_nothing_of_the_steps_before(self):
        found = states(a_message(status=Status.REFUSED, reason=Reason.NO_PLACE))
        assert set(found[: at("hold_in_quiet_hours")]) == {State.OPEN}

    @pytest.mark.parametrize("reason", [one for one in Reason if one])
    def test_what_ran_out_of_time_stopped_there_and_passed_it_never(self, reason):
        found = passed(a_message(status=Status.EXPIRED, reason=reason), None)
        assert found[at("refuse_expired")].state == State.STOPPED
        assert [step.state for step in found].count(State.STOPPED) == 1
        assert State.PASSED not in {step.state for step in found}

    @pytest.mark.parametrize(
        ("reason", "name"),
        [
            pytest.param(Reason.BRAND_CAP, "reserve", id="at a cap"),
            pytest.param(Reason.BRAND_PAUSED, "hold_while_stopped", id="before the time is asked"),
        ],
    )
    def test_what_held_it_until_time_ran_out_is_said(self, reason, name):
        found = passed(a_message(status=Status.EXPIRED, reason=reason), None)
        held, stop = found[at(name)], found[at("refuse_expired")]
        assert (held.state, held.detail) == (State.HELD, reason.label)
        assert stop.detail == f"Its time ran out. What held it: {reason.label}"
        others = {step.state for step in found if step not in (held, stop)}
        assert others == {State.OPEN}

    @pytest.mark.parametrize("reason", [Reason.NO_CAPACITY, Reason.THROTTLED, ""])
    def test_what_no_rule_held_says_only_that_its_time_ran_out(self, reason):
        found = passed(a_message(status=Status.EXPIRED, reason=reason), None)
        assert State.HELD not in {step.state for step in found}
        assert found[at("refuse_expired")].detail.startswith("Its time ran out")

    def test_no_step_stopped_what_a_person_cancelled(self):
        assert set(states(a_message(status=Status.CANCELLED))) == {State.OPEN}

    def test_an_error_of_ours_stands_at_the_step_it_happened_in(self):
        due = a_due(reason=Reason.STEP_FAILED)
        found = states(a_message(), due, failed_step="add_link")
        assert found.index(State.WAITS) == at("add_link")
        assert set(states(a_message(), due)) == {State.OPEN}

    @pytest.mark.parametrize("kind", ReplyKind)
    def test_an_answer_has_those_of_its_own_kind(self, kind):
        answer = a_message(kind=Kind.REPLY, reply_kind=kind.value, slot=None)
        assert len(passed(answer, None)) == len(sendings.STEPS[kind.value])

    def test_a_test_has_its_own(self):
        message = a_message(kind=Kind.SINGLE, slot=None)
        SingleText(message=message, is_test=True)
        assert kind_of_sending(message) == steps.TEST_SENDING
        assert len(passed(message, None)) == len(sendings.TEST)


def gives(step):
    return wording.STEPS[step.__name__].gives


class TestInShort:
    @pytest.mark.parametrize(
        ("fields", "due", "words"),
        [
            pytest.param(
                {"status": Status.DELIVERED}, None, "It reached the phone.", id="delivered"
            ),
            pytest.param(
                {"status": Status.REFUSED, "reason": Reason.OPTED_OUT},
                None,
                "Refused by our rules: the person opted out.",
                id="refused",
            ),
            pytest.param(
                {},
                {"reason": Reason.BRAND_CAP},
                "Waits: the brand's daily cap is reached, until Wed 7 Mar 2035, 13:00 in New York"
                " (18:00 UTC).",
                id="held",
            ),
        ],
    )
    def test_is_one_sentence(self, fields, due, words):
        waits = a_due(**due) if due else None
        assert in_short(a_message(**fields), waits, EASTERN, now=NOON) == words

    def test_does_not_name_a_time_that_has_come(self):
        due = a_due(not_before=NOON)
        words = in_short(a_message(), due, EASTERN, now=NOON)
        assert words == "It is due, and waits for its turn."

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from delivery import steps
from delivery.allowances import Budget, PersonLimits
from delivery.intents import Struck
from delivery.pipeline import decide
from delivery.states import Kind, Reason, ReplyKind, Status
from delivery.steps import (
    BrandFacts,
    Draft,
    Facts,
    Hold,
    LaneFacts,
    Opening,
    PersonFacts,
    Refuse,
    SingleFacts,
    SlotFacts,
)

NOW = datetime(2026, 6, 3, 16, tzinfo=UTC)
TODAY = date(2026, 6, 3)
TOMORROW = datetime(2026, 6, 4, 4, tzinfo=UTC)  # midnight in New York
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

BRAND = BrandFacts("Acme", "go.example.com", "Reply STOP to opt out", False, TODAY, TOMORROW)
SLOT = SlotFacts(False, False, "https://jobs.example.com/", TODAY, "Hi {first_name}, see {link}")
SINGLE = SingleFacts(
    "{brand} for {first_name}: {link}", "https://jobs.example.com/", {"first_name": "Kim"}, True
)
LANE = LaneFacts(8, "+12025550100", "long_code", 10.0, 64, 1600, True, None)
OPEN = Opening(NOW, NOW + timedelta(hours=4))
BRAND_KEY, CAMPAIGN_KEY = "brand:1:2026-06-03", "campaign:2:2026-06-03"


def a_draft(**changes):
    values = {
        "message_id": 5,
        "kind": Kind.CAMPAIGN,
        "brand_id": 1,
        "campaign_id": 2,
        "slot_id": 3,
        "person_id": 4,
        "lane_id": 6,
        "expires_at": NOW + timedelta(hours=2),
        "tries": 0,
        "to": "+12125550143",
        "places_id": 7,
        "opted_out": False,
        "held": False,
        "has_consent": True,
        "lead_is_active": True,
        "values": {"first_name": "Ada"},
        "code": "abcdefgh",
    }
    return Draft(**{**values, **changes})


def a_reply(kind=ReplyKind.STOP, **changes):
    """An answer to a text: no campaign, no slot, no lead and no place."""
    without = {"campaign_id": None, "slot_id": None, "places_id": None, "has_consent": False}
    return a_draft(kind=Kind.REPLY, reply_kind=kind.value, **{**without, "values": {}, **changes})


def a_test(**changes):
    """A test that a member of staff asked for: no campaign, no slot, and no place that binds it."""
    without = {"campaign_id": None, "slot_id": None, "places_id": None, "values": {}}
    return a_draft(kind=Kind.SINGLE, is_test=True, **{**without, **changes})


def with_single(found=None, **changes):
    return replace(found or facts(), singles={5: replace(SINGLE, **changes)})


def a_person(**changes):
    values = {"inbound_waits": False, "undeliverable": False}
    return PersonFacts(**{**values, "recent": [], **changes})


def facts(**changes):
    values = {
        "now": NOW,
        "is_stopped": False,
        "limits": PersonLimits(3, 6, timedelta(hours=2)),
        "brands": {1: BRAND},
        "slots": {3: SLOT},
        "lanes": {6: LANE},
        "persons": {4: a_person()},
        "openings": {(1, 7): OPEN},
        "budget": Budget(),
    }
    return Facts(**{**values, **changes})


def with_brand(**changes):
    return facts(brands={1: replace(BRAND, **changes)})


def with_slot(**changes):
    return facts(slots={3: replace(SLOT, **changes)})


def with_person(**changes):
    return facts(persons={4: a_person(**changes)})


def sent(ago, message_id=99, words="", on="2026-06-02"):
    return ((NOW - ago).timestamp(), message_id, words, on)


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


class TestFillInText:
    def words(self, text, **values):
        draft = a_draft(values=values) if values else a_draft()
        return steps.fill_in_text(draft, with_slot(template=text))

    def test_fills_in_names_and_leaves_a_mark_for_the_link(self):
        hashed = hashlib.blake2b(b"Hi Ada, see", digest_size=8).hexdigest()
        filled = a_draft(text=f"Hi Ada, see {steps.LINK_MARK}", words_hash=hashed)
        assert steps.fill_in_text(a_draft(), facts()) == filled

    def test_knows_the_brands_name(self):
        assert self.words("From {brand}").text == "From Acme"

    def test_falls_back_where_a_value_is_missing(self):
        assert self.words("Hi {first_name|there}", first_name="").text == "Hi there"

    @pytest.mark.parametrize(
        "text",
        ["Come today {link}", "{link} Come today", "Come today. Reply STOP to opt out"],
        ids=["link-last", "link-first", "opt-out-line"],
    )
    def test_hashes_the_words_without_the_link_and_the_opt_out_line(self, text):
        bare = "Come today." if "." in text else "Come today"
        assert self.words(text).words_hash == self.words(bare).words_hash

    def test_hashes_other_words_otherwise(self):
        assert self.words("Come today").words_hash != self.words("Come tomorrow").words_hash

    @pytest.mark.parametrize(
        ("text", "destination"),
        [
            pytest.param("Hi {last_name}", "https://jobs.example.com/", id="missing-value"),
            pytest.param("  ", "https://jobs.example.com/", id="no-words"),
            pytest.param("See {link}", "", id="link-to-nowhere"),
        ],
    )
    def test_refuses_what_cannot_be_filled_in(self, text, destination):
        found = with_slot(template=text, destination=destination)
        assert steps.fill_in_text(a_draft(), found) == Refuse(Reason.CANNOT_RENDER)

    def test_reads_no_placeholder_in_a_persons_name(self):
        assert self.words("Hi {first_name}", first_name="{link}").text == "Hi {link}"


class TestFillInSingle:
    def test_says_its_own_text_with_its_own_values(self):
        filled = steps.fill_in_single(a_test(), with_single())
        assert filled.text == f"Acme for Kim: {steps.LINK_MARK}"
        assert filled.words_hash == steps.hash_of_words("Acme for Kim:")

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"values": {}}, id="missing-value"),
            pytest.param({"template": " "}, id="no-words"),
            pytest.param({"destination": ""}, id="link-to-nowhere"),
        ],
    )
    def test_refuses_what_cannot_be_filled_in(self, changes):
        found = with_single(**changes)
        assert steps.fill_in_single(a_test(), found) == Refuse(Reason.CANNOT_RENDER)


class TestFillInReply:
    def words(self, kind, **texts):
        found = with_brand(replies={"stop": "Bye", "help": "Ask", "join": "Hi", **texts})
        return steps.fill_in_reply(a_reply(kind), found)

    @pytest.mark.parametrize(
        ("kind", "text"),
        [(ReplyKind.STOP, "Bye"), (ReplyKind.HELP, "Ask"), (ReplyKind.JOIN, "Hi")],
        ids=list(ReplyKind),
    )
    def test_takes_the_brands_words_for_its_kind_and_makes_no_link(self, kind, text):
        assert self.words(kind) == a_reply(kind, text=text, code="")

    def test_names_the_brand(self):
        assert self.words(ReplyKind.STOP, stop="{brand}: no more.").text == "Acme: no more."

    @pytest.mark.parametrize(
        "text", ["", "  ", "See {link}", "Hi {first_name}"], ids=["no", "blank", "link", "name"]
    )
    def test_refuses_what_cannot_be_filled_in(self, text):
        assert self.words(ReplyKind.HELP, help=text) == Refuse(Reason.CANNOT_RENDER)

    def test_remembers_no_words(self):
        """The same answer may be given again on the same day."""
        assert self.words(ReplyKind.STOP).words_hash == ""


class TestRefuseSameWords:
    draft = a_draft(words_hash="aa")
    again = [sent(6 * timedelta(hours=1), words="aa", on="2026-06-03")]

    def test_refuses_the_same_words_on_the_same_slot_date(self):
        found = with_person(recent=self.again)
        assert steps.refuse_same_words(self.draft, found) == Refuse(Reason.SAME_WORDS)

    @pytest.mark.parametrize(
        "recent",
        [
            pytest.param([sent(DAY, words="aa", on="2026-06-02")], id="another-day"),
            pytest.param([sent(MINUTE, words="bb", on="2026-06-03")], id="other-words"),
            pytest.param([sent(MINUTE, 5, "aa", "2026-06-03")], id="its-own-entry"),
            pytest.param([sent(MINUTE, 9, "aa", "")], id="not-of-a-slot"),
        ],
    )
    def test_lets_pass(self, recent):
        assert steps.refuse_same_words(self.draft, with_person(recent=recent)) == self.draft

    def test_lets_pass_what_repeats(self):
        found = facts(
            slots={3: replace(SLOT, repeats_words=True)},
            persons={4: a_person(recent=self.again)},
        )
        assert steps.refuse_same_words(self.draft, found) == self.draft


class TestAddLink:
    def test_puts_the_personal_link_in_place(self):
        draft = a_draft(text=f"See {steps.LINK_MARK}!")
        linked = draft._replace(text="See https://go.example.com/abcdefgh!")
        assert steps.add_link(draft, facts()) == linked

    def test_speaks_the_scheme_it_is_told(self):
        draft = a_draft(text=f"See {steps.LINK_MARK}")
        linked = draft._replace(text="See http://go.example.com/abcdefgh")
        assert steps.add_link(draft, facts(link_scheme="http")) == linked

    def test_makes_no_code_where_there_is_no_link(self):
        assert steps.add_link(a_draft(text="Hi"), facts()) == a_draft(text="Hi", code="")


class TestAddOptOutLine:
    def test_adds_the_brands_line(self):
        added = a_draft(text="Hi Reply STOP to opt out")
        assert steps.add_opt_out_line(a_draft(text="Hi"), facts()) == added

    def test_adds_it_once(self):
        draft = a_draft(text="Hi. Reply STOP to opt out")
        assert steps.add_opt_out_line(draft, facts()) == draft


class TestRefuseTooLong:
    def test_refuses_more_than_the_provider_takes(self):
        draft = a_draft(text="x" * 1601)
        assert steps.refuse_too_long(draft, facts()) == Refuse(Reason.TOO_LONG)

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ("x" * 160, 1),
            ("x" * 161, 2),
            ("x" * 1600, 11),
            ("\N{SNOWMAN}" * 70, 1),
            ("\N{SNOWMAN}" * 71, 2),
        ],
        ids=["full", "one-over", "longest", "wide-full", "wide-one-over"],
    )
    def test_counts_the_segments(self, text, parts):
        draft = a_draft(text=text)
        assert steps.refuse_too_long(draft, facts()) == draft._replace(segments=parts)


class TestHoldWithoutANumber:
    @pytest.mark.parametrize(
        "lanes", [{}, {6: replace(LANE, is_usable=False)}], ids=["no-such-lane", "resting"]
    )
    def test_holds_a_minute_without_a_number_that_may_send(self, lanes):
        held = Hold(Reason.LANE_PAUSED, NOW + MINUTE)
        assert steps.hold_without_a_number(a_draft(), facts(lanes=lanes)) == held

    def test_lets_others_pass(self):
        assert steps.hold_without_a_number(a_draft(), facts()) == a_draft()


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


class TestTheOrder:
    def test_of_a_campaigns_steps_is_the_designs(self):
        assert [step.__name__ for step in steps.CAMPAIGN] == [
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
            "refuse_too_long",
            "hold_without_a_number",
            "reserve",
        ]

    def test_of_a_tests_steps_is_a_campaigns_without_hours_frequency_and_repeats(self):
        left_out = {"hold_in_quiet_hours", "hold_for_person_limit", "refuse_same_words"}
        instead = {"fill_in_text": "fill_in_single", "reserve": "reserve_beside_the_limit"}
        campaign = [step.__name__ for step in steps.CAMPAIGN if step.__name__ not in left_out]
        expected = [instead.get(name, name) for name in campaign]
        assert [step.__name__ for step in steps.STEPS["test"]] == expected

    def test_of_the_steps_of_a_test_to_a_lead_is_a_campaigns_without_repeats(self):
        instead = {"fill_in_text": "fill_in_single"}
        expected = [instead.get(one.__name__, one.__name__) for one in steps.CAMPAIGN]
        expected.remove("refuse_same_words")
        assert [step.__name__ for step in steps.STEPS["test-to-a-lead"]] == expected

    @pytest.mark.parametrize("kind", [ReplyKind.STOP, ReplyKind.HELP])
    def test_of_a_confirmations_and_a_helps_steps_is_the_designs(self, kind):
        assert names(kind) == [
            "hold_while_all_is_stopped",
            "refuse_expired",
            "refuse_out_of_tries",
            "refuse_bad_address",
            "fill_in_reply",
            "refuse_too_long",
            "hold_without_a_number",
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
            "refuse_too_long",
            "hold_without_a_number",
        ]


def names(kind):
    return [step.__name__ for step in steps.STEPS[kind.value]]


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

    @pytest.mark.parametrize("kind", sorted(set(Kind) - set(steps.STEPS)))
    def test_a_kind_without_steps_is_never_sent(self, kind):
        assert decide(a_draft(kind=kind), facts()) == Struck("no_steps")

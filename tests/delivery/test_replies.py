from __future__ import annotations

from datetime import timedelta

import pytest

from compliance.models import Rejoin
from delivery import replies
from delivery.models import Due, Inbound, Message
from delivery.replies import texts
from delivery.states import ReplyKind
from providers import segments
from providers.models import ProviderAccount, SenderNumber
from tests.factories import (
    NOON,
    make_brand,
    make_number,
    make_person,
    make_route,
    set_clock,
)

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STOP, HELP, JOIN = ReplyKind.STOP, ReplyKind.HELP, ReplyKind.JOIN
KINDS = [STOP, HELP, JOIN]


@pytest.fixture
def lane(sandbox):
    """A number of a brand."""
    return make_number(brand=make_brand(name="Acme"))


@pytest.fixture
def person(sandbox):
    return make_person()


@pytest.fixture
def plan(lane, person):
    """Plan an answer to a text that came this long before now."""

    def plan(kind, *, at=timedelta(), age=timedelta(), to=person, by=lane, inbound=None):
        now = NOON + at
        set_clock(now)
        inbound = inbound or Inbound.objects.create(
            account=by.account, person=to, provider_ref=f"SM{Inbound.objects.count()}"
        )
        return replies.plan(
            kind,
            inbound_id=inbound.pk,
            person_id=to.pk,
            brand_id=lane.brand_id,
            number_id=by.pk,
            received_at=now - age,
            now=now,
        )

    return plan


class TestTheWords:
    def test_are_the_brands_own(self):
        own = {"stop": "Gone.", "help": "Call us.", "join": "Hello."}
        assert texts(stop="Gone.", help_="Call us.", join="Hello.") == own

    def test_are_the_usual_ones_where_it_has_none(self):
        found = texts(stop="", help_="Call us.", join="")
        assert found["stop"] == replies.USUAL[STOP]
        assert found["help"] == "Call us."
        assert found["join"] == replies.USUAL[JOIN]

    @pytest.mark.parametrize(
        ("kind", "parts"),
        [
            (STOP, ["{brand}", "opted out", "no more messages"]),
            (HELP, ["{brand}", "Msg & data rates may apply", "STOP"]),
            (JOIN, ["{brand}", "frequency", "Msg & data rates may apply", "HELP", "STOP"]),
        ],
        ids=KINDS,
    )
    def test_say_what_an_answer_must_say(self, kind, parts):
        assert [part for part in parts if part not in replies.USUAL[kind]] == []

    def test_of_a_confirmation_are_one_segment_for_the_longest_name(self):
        """A longer one might be read as an advertisement, and costs more."""
        assert segments.count(replies.USUAL[STOP].replace("{brand}", "x" * 80)).parts == 1


class TestAPlan:
    def test_is_a_message_that_waits_in_the_queue_of_replies(self, lane, person, plan):
        assert plan(STOP)
        message = Message.objects.get()
        assert (message.brand, message.person, message.kind) == (lane.brand, person, "reply")
        assert (message.status, message.reply_kind) == ("planned", "stop")
        assert (message.campaign_id, message.slot_id, message.lead_id) == (None, None, None)
        due = Due.objects.get()
        assert (due.message, due.brand, due.campaign_id) == (message, lane.brand, None)
        assert (due.lane, due.queue, due.priority, due.not_before) == (lane, 0, 0, NOON)

    def test_is_for_the_text_it_answers(self, person, plan):
        plan(STOP)
        assert Message.objects.get().inbound_id == Inbound.objects.get().pk

    @pytest.mark.parametrize(("kind", "minutes"), [(STOP, 5), (HELP, 5), (JOIN, 15)])
    def test_ends_some_minutes_after_the_text_it_answers(self, plan, kind, minutes):
        assert plan(kind, age=MINUTE)
        ends = NOON - MINUTE + minutes * MINUTE
        assert Due.objects.get().expires_at == Message.objects.get().expires_at == ends

    @pytest.mark.parametrize(("kind", "minutes"), [(STOP, 5), (HELP, 5), (JOIN, 15)])
    def test_is_not_made_when_it_would_be_too_late(self, plan, kind, minutes):
        assert not plan(kind, age=minutes * MINUTE)
        assert not Message.objects.exists()
        assert plan(kind, age=minutes * MINUTE - SECOND)

    def test_is_made_once_for_a_text(self, plan):
        plan(HELP)
        assert not plan(HELP, at=HOUR, inbound=Inbound.objects.get())
        assert (Message.objects.count(), Due.objects.count()) == (1, 1)

    def test_is_as_long_as_its_words(self, lane, plan):
        type(lane.brand).objects.update(help_reply="\N{SNOWMAN}" * 100)
        plan(HELP)
        assert Due.objects.get().segments == 2

    @pytest.mark.parametrize("gone", ["brand", "number"])
    def test_is_not_made_for_what_is_not_there(self, lane, plan, gone):
        """The two come from an inbound, which may name neither."""
        if gone == "brand":
            lane.brand_id = 10**9
        else:
            lane.pk = 10**9
        assert not plan(STOP)

    def test_takes_three_statements_however_many_there_were(self, plan, statements):
        for days in range(3):
            plan(HELP, at=days * DAY)
        inbound = Inbound.objects.create(
            account=ProviderAccount.objects.get(), person=make_person(), provider_ref="x"
        )
        asked = statements(lambda: plan(HELP, at=4 * DAY, inbound=inbound))
        clock = statements(lambda: set_clock(NOON + 5 * DAY))
        assert asked - clock == 3


class TestHowOften:
    """So that two machines that answer each other come to an end."""

    @pytest.mark.parametrize(
        ("kind", "span", "expected"),
        [
            pytest.param(STOP, 30 * DAY - MINUTE, False, id="stop-within-30-days"),
            pytest.param(STOP, 30 * DAY + MINUTE, True, id="stop-after-30-days"),
            pytest.param(HELP, 9 * MINUTE, False, id="help-within-10-minutes"),
            pytest.param(HELP, 11 * MINUTE, True, id="help-after-10-minutes"),
            pytest.param(JOIN, 9 * MINUTE, False, id="join-within-10-minutes"),
            pytest.param(JOIN, 11 * MINUTE, True, id="join-after-10-minutes"),
        ],
    )
    def test_once_in_a_while(self, plan, kind, span, expected):
        assert plan(kind)
        assert plan(kind, at=span) is expected

    @pytest.mark.parametrize("kind", [HELP, JOIN])
    def test_five_times_a_day(self, plan, kind):
        found = [plan(kind, at=n * HOUR) for n in range(7)]
        assert found == [True] * 5 + [False] * 2
        assert plan(kind, at=DAY + MINUTE)

    def test_each_kind_for_itself(self, plan):
        assert [plan(kind) for kind in KINDS] == [True, True, True]

    @pytest.mark.parametrize("kind", KINDS)
    def test_each_person_for_themselves(self, plan, kind):
        assert plan(kind)
        assert plan(kind, to=make_person())

    def test_a_stop_is_confirmed_anew_when_the_person_had_joined_since(self, lane, person, plan):
        assert plan(STOP)
        set_clock(NOON + HOUR)
        Rejoin.objects.create(person=person, brand=lane.brand, after_event_id=1)
        assert plan(STOP, at=2 * HOUR)
        assert not plan(STOP, at=3 * HOUR)

    def test_a_join_of_before_counts_for_nothing(self, lane, person, plan):
        Rejoin.objects.create(person=person, brand=lane.brand, after_event_id=1)
        assert plan(STOP, at=HOUR)
        assert not plan(STOP, at=2 * HOUR)

    def test_help_is_not_answered_more_often_to_who_joins_often(self, lane, person, plan):
        assert plan(HELP)
        set_clock(NOON + MINUTE)
        Rejoin.objects.create(person=person, brand=lane.brand, after_event_id=1)
        assert not plan(HELP, at=2 * MINUTE)

    @pytest.mark.parametrize("status", ["refused", "expired", "cancelled", "dead"])
    def test_an_answer_that_never_left_does_not_count(self, plan, status):
        plan(STOP)
        Message.objects.update(status=status)
        assert plan(STOP, at=HOUR)

    @pytest.mark.parametrize("status", ["sending", "accepted", "unknown", "failed", "rejected"])
    def test_one_that_may_have_left_does(self, plan, status):
        plan(STOP)
        Message.objects.update(status="sending")
        Message.objects.update(status=status)
        assert not plan(STOP, at=HOUR)


class TestWhoAnswersInstead:
    @pytest.mark.parametrize(
        ("number", "silent"),
        [
            pytest.param({}, [], id="nobody"),
            pytest.param({"sends_stop_reply": True}, [STOP], id="provider-stop"),
            pytest.param({"sends_help_reply": True}, [HELP], id="provider-help"),
            pytest.param({"kind": "toll_free"}, [STOP, JOIN], id="toll-free-network"),
            pytest.param(
                {"kind": "toll_free", "sends_help_reply": True}, KINDS, id="network-and-provider"
            ),
        ],
    )
    def test_we_are_silent_where_the_number_or_its_network_answers(self, plan, number, silent):
        SenderNumber.objects.update(**number)
        assert [kind for kind in KINDS if not plan(kind)] == silent
        assert Message.objects.count() == Due.objects.count() == 3 - len(silent)


RESTS = {
    "rests": ("number", {"rests_until": NOON + HOUR}),
    "paused": ("number", {"paused_at": NOON}),
    "retired": ("number", {"retired_at": NOON}),
    "account-paused": ("account", {"paused_at": NOON}),
    "account-retired": ("account", {"retired_at": NOON}),
}


def change(lane, what, fields):
    changed = lane if what == "number" else lane.account
    type(changed).objects.filter(pk=changed.pk).update(**fields)


class TestTheNumber:
    @pytest.fixture
    def other(self, lane):
        """Another number on the brand's default route."""
        other = make_number()
        make_route(lane.brand, lane, other)
        return other

    def by(self):
        return Due.objects.get().lane

    def test_is_the_one_that_was_texted(self, lane, other, plan):
        plan(STOP)
        assert self.by() == lane

    @pytest.mark.parametrize(("what", "fields"), RESTS.values(), ids=RESTS.keys())
    def test_is_another_one_of_the_brand_where_that_cannot_send(
        self, lane, other, plan, what, fields
    ):
        change(lane, what, fields)
        plan(STOP)
        assert self.by() == other

    def test_is_the_one_that_was_texted_when_its_rest_is_over(self, lane, other, plan):
        change(lane, "number", {"rests_until": NOON})
        plan(STOP)
        assert self.by() == lane

    @pytest.mark.parametrize(("what", "fields"), RESTS.values(), ids=RESTS.keys())
    def test_is_the_one_that_was_texted_where_no_other_can_send_either(
        self, lane, other, plan, what, fields
    ):
        for one in (lane, other):
            change(one, what, fields)
        plan(STOP)
        assert self.by() == lane

    def test_is_the_one_that_was_texted_where_the_brand_has_no_route(self, lane, plan):
        make_route(make_brand(), make_number())
        change(lane, "number", {"rests_until": NOON + HOUR})
        plan(STOP)
        assert self.by() == lane

    def test_is_of_the_brands_default_route_for_texts(self, lane, plan):
        for fields in ({"is_default": False}, {"channel": "email"}, {"retired_at": NOON}):
            make_route(lane.brand, make_number(), **fields)
        change(lane, "number", {"rests_until": NOON + HOUR})
        plan(STOP)
        assert self.by() == lane

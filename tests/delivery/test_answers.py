from __future__ import annotations

import pytest

from compliance import consent
from compliance.models import Person
from delivery import claims, picking, pipeline, sql, upkeep
from delivery.claims import Grant
from delivery.models import Attempt, CapCounter, Due, Inbound, Message, Sticky
from delivery.outcomes import Settled, record
from links.models import ShortLink
from providers.base import NotSent
from providers.models import SenderNumber
from tests.delivery.taking import HOUR, MINUTE, SOON, state, states
from tests.delivery.texting import say, store
from tests.factories import NOON, make_brand, make_number, make_person, set_clock

pytestmark = pytest.mark.django_db


class TestAnAnswer:
    """To a text, through claim, decision and commit."""

    @pytest.fixture
    def lane(self, sandbox):
        return make_number(brand=make_brand(name="Acme", daily_cap=0))

    @pytest.fixture
    def person(self, lane):
        return make_person()

    @pytest.fixture
    def answer(self, journal):
        """Take what waits in the queue of replies."""

        def answer():
            grants = [Grant(claims.REPLIES, one.pk, 10) for one in SenderNumber.objects.all()]
            batch = pipeline.take(lambda now: claims.claim(grants, now=now), journal)
            return [intent for intent, _ in batch.intents]

        return answer

    @pytest.mark.parametrize(("text", "words"), [("STOP", "opted out"), ("HELP", "rates"),
                                                 ("START", "welcome")])  # fmt: skip
    def test_goes_to_the_person_by_the_number_that_was_texted(
        self, lane, person, answer, text, words
    ):
        say(lane, person, text)
        (intent,) = answer()
        assert (intent.send.to_e164, intent.send.from_value) == (person.phone, lane.value)
        assert intent.send.text.startswith("Acme: ")
        assert words in intent.send.text
        assert states() == {"sending": 1}
        assert not Due.objects.exists()

    def test_has_its_attempt_like_any_other(self, lane, person, answer):
        say(lane, person, "STOP")
        (intent,) = answer()
        attempt = Attempt.objects.get()
        assert (attempt.pk, attempt.ref) == (intent.attempt_id, intent.send.ref)
        assert (attempt.number, attempt.text) == (lane, intent.send.text)

    def test_says_what_the_brand_wrote(self, lane, person, answer):
        type(lane.brand).objects.update(stop_reply="{brand} says bye")
        say(lane, person, "STOP")
        (intent,) = answer()
        assert intent.send.text == "Acme says bye"

    def test_counts_on_no_cap_and_passes_a_full_one(self, lane, person, answer):
        say(lane, person, "HELP")
        assert len(answer()) == 1
        assert not CapCounter.objects.exists()

    def test_moves_nobody_to_its_number(self, lane, person, answer):
        own = Sticky.objects.create(person=person, brand=lane.brand, number=make_number())
        before = own.number
        for text in ("STOP", "HELP"):
            say(lane, person, text)
        assert len(answer()) == 2
        own.refresh_from_db()
        assert (own.number, Sticky.objects.count()) == (before, 1)

    def test_makes_no_number_the_persons_own(self, lane, person, answer):
        say(lane, person, "HELP")
        answer()
        assert not Sticky.objects.exists()

    def test_is_none_of_the_persons_recent_sends(self, lane, person, answer):
        say(lane, person, "HELP")
        answer()
        person.refresh_from_db()
        assert (person.recent, person.last_message_at) == ([], None)

    def test_passes_the_persons_limit(self, lane, person, answer):
        sends = [[(NOON - n * HOUR).timestamp(), n, "aa", ""] for n in range(1, 7)]
        Person.objects.update(recent=sends)
        say(lane, person, "HELP")
        assert len(answer()) == 1
        assert Person.objects.get().recent == sends

    def test_has_no_link(self, lane, person, answer):
        say(lane, person, "HELP")
        answer()
        assert not ShortLink.objects.exists()

    @pytest.mark.parametrize("text", ["STOP", "HELP"])
    def test_passes_an_opt_out(self, lane, person, answer, text):
        consent.opt_out([person.pk], source="staff")
        assert say(lane, person, text)
        assert len(answer()) == 1

    def test_passes_the_opt_out_it_confirms(self, lane, person, answer):
        say(lane, person, "STOP")
        assert Person.objects.get().opted_out_at is not None
        assert len(answer()) == 1

    def test_passes_a_hold(self, lane, person, answer):
        consent.hold([person.pk], reason="x")
        say(lane, person, "HELP")
        assert len(answer()) == 1

    def test_passes_a_text_that_is_not_read_yet(self, lane, person, answer):
        say(lane, person, "STOP")
        store(lane, person, "HELP")
        assert len(answer()) == 1

    def test_passes_quiet_hours(self, lane, person, answer):
        set_clock(NOON + 12 * HOUR)
        say(lane, person, "STOP")
        assert len(answer()) == 1

    def test_comes_from_a_paused_brand_too(self, lane, person, answer):
        type(lane.brand).objects.update(paused_at=NOON)
        say(lane, person, "STOP")
        assert len(answer()) == 1

    @pytest.mark.parametrize("outline", [picking.WHOLE_OUTLINE, picking.REPLIES_OUTLINE],
                             ids=["by-all", "by-the-worker-of-replies"])  # fmt: skip
    def test_is_picked_from_a_paused_brand_and_not_while_all_is_stopped(
        self, lane, person, sandbox, outline
    ):
        say(lane, person, "STOP")
        type(lane.brand).objects.update(paused_at=NOON)
        ((queue, lane_id, due, *_),) = sql.rows(outline, 500)
        assert (queue, lane_id, due) == (claims.REPLIES, lane.pk, 1)
        type(sandbox).objects.update(stopped_at=NOON)
        assert sql.rows(outline, 500) == []

    def test_waits_while_all_is_stopped_and_the_opt_out_stands(self, lane, person, answer, sandbox):
        type(sandbox).objects.update(stopped_at=NOON)
        say(lane, person, "STOP")
        assert answer() == []
        due = Due.objects.get()
        assert due.reason == "stop_all"
        assert NOON + MINUTE <= due.not_before < NOON + MINUTE + SOON
        assert Person.objects.get().opted_out_at is not None

    def test_welcomes_nobody_who_wrote_stop_since(self, lane, person, answer):
        say(lane, person, "START")
        say(lane, person, "STOP")
        (intent,) = answer()
        assert "opted out" in intent.send.text
        welcome = Message.objects.get(reply_kind="join")
        assert state(welcome) == ("refused", "opted_out")

    @pytest.mark.parametrize(("text", "minutes"), [("STOP", 5), ("HELP", 5), ("START", 15)])
    def test_must_be_written_some_minutes_after_the_text(self, lane, person, answer, text, minutes):
        say(lane, person, text)
        (intent,) = answer()
        ends = Inbound.objects.get().received_at + minutes * MINUTE
        assert intent.window_closes_at == intent.send.not_after == ends

    def test_is_not_sent_any_later(self, lane, person, answer):
        """What does not hold it back, a full cap and a paused brand, is not said to have."""
        type(lane.brand).objects.update(paused_at=NOON)
        say(lane, person, "STOP")
        set_clock(NOON + 5 * MINUTE + SOON)
        assert answer() == []
        upkeep.sweep_expired()
        assert state(Message.objects.get()) == ("expired", "no_capacity")
        assert not Due.objects.exists()

    def test_that_did_not_leave_goes_round_again_and_gives_nothing_back(self, lane, person, answer):
        say(lane, person, "STOP")
        (intent,) = answer()
        record([Settled(intent.attempt_id, intent.message_id, NotSent("refused"))])
        assert state(Message.objects.get()) == ("planned", "")
        assert not CapCounter.objects.exists()
        Due.objects.update(not_before=NOON)
        assert len(answer()) == 1

    def test_takes_as_many_statements_for_many_as_for_two(self, lane, answer, statements):
        def some(many):
            for _ in range(many):
                say(lane, make_person(), "STOP")

        some(1)
        answer()
        some(2)
        of_two = statements(answer)
        some(10)
        assert statements(answer) == of_two

"""What the words of a person do: STOP, a doubtful text, JOIN and HELP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from compliance import consent
from compliance.models import ConsentEvent, OptOutEvent, Person, Rejoin
from delivery import inbound, sql
from delivery.models import Due, Inbound, InboundReview, Message
from leads.models import Lead
from tests.delivery import walking
from tests.delivery.texting import (
    DOUBTFUL,
    MINUTE,
    answers,
    is_out,
    label,
    later,
    on_hold,
    say,
    store,
)
from tests.delivery.waiting import while_held
from tests.factories import (
    NOON,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_slot,
    phone,
)

pytestmark = pytest.mark.django_db
for_real = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
def lane(sandbox):
    """A number of a brand."""
    return make_number(brand=make_brand())


@pytest.fixture
def person(sandbox):
    return make_person()


class TestStop:
    def test_opts_out_at_once_for_all_brands(self, lane, person):
        say(lane, person, "STOP")
        assert is_out(person, lane.brand)
        assert is_out(person, make_brand())
        assert NOON <= person.opted_out_at < NOON + MINUTE

    def test_is_an_event_that_names_brand_and_source(self, lane, person):
        say(lane, person, "STOP")
        event = OptOutEvent.objects.get()
        assert (event.person, event.brand, event.source) == (person, lane.brand, "inbound")
        person.refresh_from_db()
        assert (person.opt_out_event_id, person.opted_out_at) == (event.pk, event.at)

    def test_is_marked_as_applied(self, lane, person):
        say(lane, person, "STOP")
        stored = Inbound.objects.get()
        assert (stored.label, stored.brand) == ("stop", lane.brand)
        assert NOON <= stored.applied_at < NOON + MINUTE

    def test_is_confirmed(self, lane, person):
        assert say(lane, person, "STOP")
        assert answers() == ["stop"]

    def test_from_an_unknown_number_makes_a_person_who_is_out(self, lane):
        unknown = phone()
        assert say(lane, unknown, "STOP")
        assert is_out(Person.objects.get(phone=unknown), lane.brand)

    def test_from_what_is_no_phone_number_is_applied_to_nobody(self, lane):
        assert not say(lane, "12345", "STOP")
        stored = Inbound.objects.get()
        assert (stored.label, stored.applied_at is None) == ("stop", False)
        assert not OptOutEvent.objects.exists()

    def test_to_a_number_that_is_not_ours_still_opts_out_without_an_answer(self, lane, person):
        assert not say(lane, person, "STOP", to_value="+12025550000")
        assert is_out(person, lane.brand)
        assert OptOutEvent.objects.get().brand is None
        assert answers() == []

    def test_to_a_number_of_no_brand_still_opts_out_without_an_answer(self, person):
        assert not say(make_number(), person, "STOP")
        assert OptOutEvent.objects.get().person == person
        assert answers() == []

    def test_said_twice_is_an_event_each_and_one_answer(self, lane, person):
        """A JOIN goes to review within ten minutes after the last STOP, not only the first."""
        assert [say(lane, person, "STOP"), say(lane, person, "STOP")] == [True, False]
        assert OptOutEvent.objects.count() == 2
        assert answers() == ["stop"]

    def test_said_again_keeps_a_join_from_lifting_it(self, lane, person):
        say(lane, person, "STOP")
        later(11 * MINUTE)
        say(lane, person, "STOP")
        later(MINUTE)
        say(lane, person, "START")
        assert is_out(person, lane.brand)
        assert InboundReview.objects.count() == 1

    def test_posted_twice_is_one_event_and_one_answer(self, lane, person):
        stop = {"provider_ref": "SM-1"}
        assert [say(lane, person, "STOP", **stop) for _ in range(3)] == [True, False, False]
        assert (OptOutEvent.objects.count(), answers()) == (1, ["stop"])

    def test_leaves_others_alone(self, lane, person):
        other = make_person()
        say(lane, person, "STOP")
        assert not is_out(other, lane.brand)

    def test_of_the_provider_is_one_whatever_the_text_says(self, lane, person):
        say(lane, person, "see you", is_provider_optout=True)
        assert is_out(person, lane.brand)
        assert label() == "stop"

    def test_ends_what_waits_for_the_person(self, lane, person, journal):
        slot = make_slot(lane, brand=lane.brand)
        message = make_due(slot, make_lead(lane.brand, person), lane, now=NOON)
        say(lane, person, "STOP")
        walking.hand_over(journal)
        message.refresh_from_db()
        assert (message.status, message.reason) == ("refused", "opted_out")


class TestALinkedPerson:
    """One lead names two persons: who has the phone, and whose e-mail address it gives."""

    @pytest.fixture
    def linked(self, lane, person):
        linked = make_person()
        make_lead(lane.brand, person, email_person=linked)
        return linked

    @pytest.mark.parametrize("speaks", ["phone", "e-mail"])
    def test_is_opted_out_too(self, lane, person, linked, speaks):
        say(lane, person if speaks == "phone" else linked, "STOP")
        assert is_out(person, lane.brand)
        assert is_out(linked, lane.brand)
        told = OptOutEvent.objects.order_by("person").values_list("person", "brand", "source")
        assert list(told) == [
            (one.pk, lane.brand_id, "inbound") for one in sorted([person, linked], key=pk)
        ]

    @pytest.mark.parametrize("speaks", ["phone", "e-mail"])
    def test_is_held_too(self, lane, person, linked, speaks):
        speaker = person if speaks == "phone" else linked
        say(lane, speaker, DOUBTFUL)
        assert on_hold(person)
        assert on_hold(linked)
        assert InboundReview.objects.get().person == speaker

    def test_is_not_the_one_who_was_heard_from(self, lane, person, linked):
        Person.objects.update(undeliverable_at=NOON - DAY)
        say(lane, person, "hello")
        linked.refresh_from_db()
        assert (linked.last_human_at, linked.undeliverable_at) == (None, NOON - DAY)

    def test_of_a_linked_person_is_left_alone(self, lane, person, linked):
        """What one says goes for whom a lead names beside, not for whom another lead does."""
        third = make_person()
        make_lead(make_brand(), linked, email_person=third)
        say(lane, person, "STOP")
        assert is_out(linked, lane.brand)
        assert not is_out(third, lane.brand)

    def test_is_opted_out_even_where_the_speaker_was_before(self, lane, person):
        say(lane, person, "STOP")
        linked = make_person()
        make_lead(lane.brand, person, email_person=linked)
        say(lane, person, "STOP")
        assert is_out(linked, lane.brand)

    def test_gets_messages_again_when_the_other_joins_only_of_the_others_leads(
        self, lane, person, linked
    ):
        say(lane, person, "STOP")
        later(11 * MINUTE)
        say(lane, person, "START")
        assert not is_out(person, lane.brand)
        assert is_out(linked, lane.brand)

    def test_who_joins_is_texted_again_though_the_other_said_stop_last(
        self, lane, person, linked, journal
    ):
        say(lane, linked, "STOP")
        later(11 * MINUTE)
        say(lane, person, "START")
        slot = make_slot(lane, brand=lane.brand)
        message = make_due(slot, Lead.objects.get(person=person), lane, now=NOON)
        walking.hand_over(journal)
        message.refresh_from_db()
        assert message.status == "sending"

    @for_real
    @pytest.mark.parametrize("speaks", ["phone", "e-mail"])
    @pytest.mark.parametrize("lock_first", ["speaker", "linked"])
    def test_by_a_lead_made_while_the_stop_waits_is_opted_out_too(self, lane, speaks, lock_first):
        """The link is not there when links are read first, and is when the lock is had."""
        first, second = make_person(), make_person()
        speaker = first if lock_first == "speaker" else second
        other = second if speaker == first else first
        pair = (speaker, other) if speaks == "phone" else (other, speaker)
        stop = store(lane, speaker, "STOP")

        def link():
            sql.rows("SELECT 1 FROM compliance_person WHERE id = %s FOR NO KEY UPDATE", speaker.pk)
            make_lead(lane.brand, pair[0], email_person=pair[1])

        with while_held(link, lambda: inbound.apply(stop)) as applied:
            assert applied == []
        assert applied == [True]
        assert is_out(speaker, lane.brand)
        assert is_out(other, lane.brand)


def pk(row):
    return row.pk


class TestJoin:
    @pytest.fixture
    def out(self, lane, person):
        """A person who said STOP more than ten minutes ago."""
        say(lane, person, "STOP")
        later(11 * MINUTE)
        return person

    def test_lifts_the_stop_for_its_own_brand_only(self, lane, out):
        say(lane, out, "START")
        assert not is_out(out, lane.brand)
        assert is_out(out, make_brand())

    def test_lets_the_brand_text_the_person_again(self, lane, out, journal):
        say(lane, out, "START")
        for brand in (lane.brand, make_brand()):
            slot = make_slot(lane, brand=brand)
            make_due(slot, make_lead(brand, out), lane, now=NOON)
        walking.hand_over(journal)
        told = dict(Message.objects.filter(kind="campaign").values_list("brand", "status"))
        assert told.pop(lane.brand_id) == "sending"
        assert list(told.values()) == ["refused"]

    def test_is_a_consent(self, lane, out):
        say(lane, out, "Start!")
        event = ConsentEvent.objects.get()
        assert (event.person, event.brand, event.channel) == (out, lane.brand, "sms")
        assert (event.method, event.wording) == ("keyword", "Start!")
        assert NOON + 11 * MINUTE <= event.agreed_at < NOON + 12 * MINUTE

    def test_is_answered_once(self, lane, out):
        join = {"provider_ref": "SM-1"}
        assert [say(lane, out, "START", **join) for _ in range(3)] == [True, False, False]
        assert answers() == ["stop", "join"]

    def test_posted_twice_is_one_consent(self, lane, out):
        for _ in range(2):
            say(lane, out, "START", provider_ref="SM-1")
        assert ConsentEvent.objects.count() == 1

    def test_lifts_what_was_typed_in_by_staff_too(self, lane, person):
        consent.opt_out([person.pk], source="staff")
        later(11 * MINUTE)
        say(lane, person, "START")
        assert not is_out(person, lane.brand)

    def test_of_who_never_left_is_a_consent_and_is_answered(self, lane, person):
        assert say(lane, person, "JOIN")
        assert (ConsentEvent.objects.count(), answers()) == (1, ["join"])

    def test_wakes_who_was_silent_for_long(self, lane, person):
        Person.objects.update(sunset_at=NOON - DAY)
        say(lane, person, "START")
        person.refresh_from_db()
        assert person.sunset_at is None

    def test_frees_nobody_who_is_on_hold(self, lane, person):
        say(lane, person, DOUBTFUL)
        later(11 * MINUTE)
        say(lane, person, "START")
        assert on_hold(person)

    def to_review(self, lane, person, brand):
        assert is_out(person, brand)
        review = InboundReview.objects.get()
        assert (review.person, review.decision, review.decided_at) == (person, "", None)
        assert review.inbound.label == "join"
        assert review.inbound.applied_at is not None
        assert not ConsentEvent.objects.filter(method="keyword").exists()
        assert "join" not in answers()

    def test_within_ten_minutes_after_a_stop_goes_to_review(self, lane, person):
        say(lane, person, "STOP")
        later(9 * MINUTE)
        assert not say(lane, person, "START")
        self.to_review(lane, person, lane.brand)

    def test_soon_after_a_linked_persons_stop_goes_to_review(self, lane, person):
        """Also where the lead that names both came after that STOP."""
        linked = make_person()
        say(lane, linked, "STOP")
        make_lead(lane.brand, person, email_person=linked)
        later(9 * MINUTE)
        assert not say(lane, person, "START")
        assert InboundReview.objects.get().person == person
        assert not Rejoin.objects.exists()

    @pytest.mark.parametrize(
        ("waits", "is_late"), [(30 * SECOND, False), (90 * SECOND, True)], ids=["soon", "late"]
    )
    def test_that_could_not_be_applied_within_a_minute_goes_to_review(
        self, lane, out, waits, is_late
    ):
        join = store(lane, out, "START")
        later(11 * MINUTE + waits)
        assert inbound.apply(join) is not is_late
        assert is_out(out, lane.brand) is is_late
        if is_late:
            self.to_review(lane, out, lane.brand)

    def test_before_a_stop_and_applied_after_it_goes_to_review(self, lane, person):
        """What was said first is not known for sure."""
        join = store(lane, person, "START")
        say(lane, person, "STOP")
        assert not inbound.apply(join)
        self.to_review(lane, person, lane.brand)

    def test_without_a_brand_goes_to_review(self, lane, out):
        assert not say(lane, out, "START", to_value="+12025550000")
        self.to_review(lane, out, lane.brand)

    def test_posted_again_goes_to_review_once(self, lane, person):
        say(lane, person, "STOP")
        for _ in range(2):
            say(lane, person, "START", provider_ref="SM-1")
        assert InboundReview.objects.count() == 1

    def test_then_stop_then_the_same_join_again_leaves_the_person_out(self, lane, out):
        say(lane, out, "START", provider_ref="SM-1")
        say(lane, out, "STOP")
        for minutes in (12, 25, 2000):
            later(minutes * MINUTE)
            assert not say(lane, out, "START", provider_ref="SM-1")
            assert is_out(out, lane.brand)
        assert not InboundReview.objects.exists()

    def test_then_the_same_stop_again_opts_out_again(self, lane, person):
        say(lane, person, "STOP", provider_ref="SM-1")
        later(11 * MINUTE)
        say(lane, person, "START")
        assert not is_out(person, lane.brand)
        say(lane, person, "STOP", provider_ref="SM-1")
        assert is_out(person, lane.brand)
        assert OptOutEvent.objects.count() == 2
        assert answers() == ["stop", "join"]

    def test_again_after_another_stop_lifts_that_one_too(self, lane, out):
        say(lane, out, "START")
        later(30 * MINUTE)
        say(lane, out, "STOP")
        later(60 * MINUTE)
        say(lane, out, "START")
        assert not is_out(out, lane.brand)
        assert Rejoin.objects.count() == 1
        assert answers() == ["stop", "join", "stop", "join"]


class TestADoubtfulText:
    def test_holds_the_person_and_opens_a_review(self, lane, person):
        assert not say(lane, person, DOUBTFUL)
        assert on_hold(person)
        review = InboundReview.objects.get()
        assert (review.person, review.inbound.text) == (person, DOUBTFUL)
        assert (review.decision, review.decided_at) == ("", None)
        assert label() == "review-stop"

    def test_opts_nobody_out_and_is_not_answered(self, lane, person):
        say(lane, person, DOUBTFUL)
        assert not OptOutEvent.objects.exists()
        assert answers() == []

    def test_lets_nothing_be_sent_until_it_is_judged(self, lane, person, journal):
        slot = make_slot(lane, brand=lane.brand)
        make_due(slot, make_lead(lane.brand, person), lane, now=NOON)
        say(lane, person, DOUBTFUL)
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == "person_held"

    def judge(self):
        InboundReview.objects.update(decision="nothing", decided_at=NOON)
        Person.objects.update(held_at=None, held_reason="")

    def test_that_was_judged_holds_nobody_when_it_comes_again(self, lane, person):
        say(lane, person, DOUBTFUL, provider_ref="SM-1")
        self.judge()
        say(lane, person, DOUBTFUL, provider_ref="SM-1")
        assert not on_hold(person)
        assert InboundReview.objects.get().decision == "nothing"

    def test_that_was_not_judged_holds_again_when_it_comes_again(self, lane, person):
        say(lane, person, DOUBTFUL, provider_ref="SM-1")
        Person.objects.update(held_at=None)
        say(lane, person, DOUBTFUL, provider_ref="SM-1")
        assert on_hold(person)
        assert InboundReview.objects.count() == 1

    def test_after_another_was_judged_is_another_review(self, lane, person):
        say(lane, person, DOUBTFUL)
        self.judge()
        say(lane, person, DOUBTFUL)
        assert on_hold(person)
        assert InboundReview.objects.count() == 2

    def test_of_who_is_opted_out_holds_nobody(self, lane, person):
        say(lane, person, "STOP")
        say(lane, person, DOUBTFUL)
        assert not on_hold(person)
        assert not InboundReview.objects.exists()

    def test_of_who_joined_again_holds(self, lane, person):
        say(lane, person, "STOP")
        later(11 * MINUTE)
        say(lane, person, "START")
        say(lane, person, DOUBTFUL)
        assert on_hold(person)

    def test_of_nobody_we_can_text_is_only_kept(self, lane):
        say(lane, "12345", DOUBTFUL)
        assert label() == "review-stop"
        assert not InboundReview.objects.exists()


class TestHelp:
    def test_is_answered(self, lane, person):
        assert say(lane, person, "HELP")
        assert answers() == ["help"]
        assert label() == "help"

    def test_is_answered_also_to_who_opted_out(self, lane, person, journal):
        say(lane, person, "STOP")
        assert say(lane, person, "HELP")
        assert {one.message_id for one in walking.hand_over(journal)} == set(
            Message.objects.filter(reply_kind__in=["stop", "help"]).values_list("id", flat=True)
        )
        assert is_out(person, lane.brand)

    def test_is_answered_also_to_who_is_on_hold(self, lane, person, journal):
        say(lane, person, DOUBTFUL)
        assert say(lane, person, "HELP")
        assert len(walking.hand_over(journal)) == 1

    def test_posted_again_is_answered_once(self, lane, person):
        say(lane, person, "HELP", provider_ref="SM-1")
        later(11 * MINUTE)
        assert not say(lane, person, "HELP", provider_ref="SM-1")
        assert answers() == ["help"]

    def test_opts_nobody_out_and_holds_nobody(self, lane, person):
        say(lane, person, "HELP")
        assert not is_out(person, lane.brand)
        assert not on_hold(person)

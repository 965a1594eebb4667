from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError

from compliance import consent
from compliance.models import ConsentEvent, OptOutEvent, Person, Rejoin
from delivery import sql
from tests.delivery.waiting import while_held
from tests.factories import NOON, make_brand, make_person, set_clock

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def brand(sandbox):
    return make_brand()


@pytest.fixture
def person(sandbox):
    return make_person()


def events():
    return list(OptOutEvent.objects.order_by("id").values_list("id", flat=True))


class TestOptingOut:
    def test_is_an_event_and_a_mark_on_the_person(self, brand, person):
        assert consent.opt_out([person.pk], source="staff", note="by phone", brand_id=brand.pk) == 1
        event = OptOutEvent.objects.get()
        assert (event.person, event.brand, event.source) == (person, brand, "staff")
        assert event.note == "by phone"
        assert NOON <= event.at < NOON + MINUTE
        person.refresh_from_db()
        assert (person.opted_out_at, person.opt_out_event_id) == (event.at, event.pk)

    def test_needs_no_brand(self, person):
        consent.opt_out([person.pk], source="import")
        assert OptOutEvent.objects.get().brand is None

    def test_of_many_is_an_event_for_each(self, sandbox):
        people = [make_person() for _ in range(3)]
        ids = [one.pk for one in people]
        assert consent.opt_out([*ids, ids[0]], source="import") == 3
        assert sorted(OptOutEvent.objects.values_list("person", flat=True)) == ids
        for one in people:
            one.refresh_from_db()
        assert [one.opt_out_event_id for one in people] == events()

    def test_again_is_another_event_and_the_highest_stands(self, person):
        for _ in range(3):
            consent.opt_out([person.pk], source="staff")
        person.refresh_from_db()
        assert person.opt_out_event_id == max(events())
        assert len(events()) == 3

    def test_stands_by_event_and_not_by_clock(self, person):
        """The first one was stamped by a clock that was a day ahead."""
        consent.opt_out([person.pk], source="staff")
        Person.objects.update(opted_out_at=NOON + DAY)
        consent.opt_out([person.pk], source="staff")
        person.refresh_from_db()
        assert person.opt_out_event_id == max(events())
        assert person.opted_out_at < NOON + MINUTE

    def test_leaves_others_alone(self, person):
        other = make_person()
        consent.opt_out([person.pk], source="staff")
        other.refresh_from_db()
        assert (other.opted_out_at, other.opt_out_event_id) == (None, None)

    def test_of_somebody_who_is_not_there_is_none(self, sandbox):
        assert consent.opt_out([10**9], source="staff") == 0
        assert consent.opt_out([], source="staff") == 0
        assert not OptOutEvent.objects.exists()

    @pytest.mark.parametrize("source", ["", "STAFF", "rumour"])
    def test_from_nowhere_is_an_error(self, person, source):
        with pytest.raises(ValueError, match="not a source"):
            consent.opt_out([person.pk], source=source)
        assert not OptOutEvent.objects.exists()

    @pytest.mark.parametrize("many", [1, 50])
    def test_takes_one_statement(self, sandbox, statements, many):
        ids = [make_person().pk for _ in range(many)]
        assert statements(lambda: consent.opt_out(ids, source="import")) == 1

    @pytest.mark.django_db(transaction=True)
    def test_that_waited_for_another_has_the_higher_event_and_stands(self, person):
        """The event's id is drawn under the lock: whoever has it first, has the lower one."""

        def lock():
            sql.rows("SELECT 1 FROM compliance_person FOR NO KEY UPDATE")

        def opt_out():
            return consent.opt_out([person.pk], source="staff")

        with while_held(lock, opt_out):
            assert events() == []
            opt_out()
        person.refresh_from_db()
        assert person.opt_out_event_id == max(events())
        assert len(events()) == 2

    @pytest.mark.django_db(transaction=True)
    def test_waits_for_the_lowest_of_several_before_it_takes_any_other(self, sandbox):
        """So that two of them can never wait for each other."""
        ids = [make_person().pk for _ in range(10)]
        lowest = Person.objects.filter(pk=ids[0])
        lowest.update(carrier="moves the row behind the others")

        def opt_out():
            return consent.opt_out(ids[::-1], source="import")

        with while_held(lambda: list(lowest.select_for_update()), opt_out) as done:
            free = Person.objects.select_for_update(skip_locked=True)
            assert [one.pk for one in free.order_by("id")] == ids
        assert done == [10]


class TestHolding:
    def test_marks_the_person_with_time_and_reason(self, person):
        assert consent.hold([person.pk], reason="A reply must be judged") == 1
        person.refresh_from_db()
        assert NOON <= person.held_at < NOON + MINUTE
        assert person.held_reason == "A reply must be judged"

    def test_again_keeps_the_first(self, person):
        consent.hold([person.pk], reason="first")
        before = Person.objects.get().held_at
        set_clock(NOON + DAY)
        assert consent.hold([person.pk], reason="second") == 0
        person.refresh_from_db()
        assert (person.held_at, person.held_reason) == (before, "first")

    def test_is_of_these_persons_only(self, person):
        other, third = make_person(), make_person()
        assert consent.hold([person.pk, other.pk, person.pk], reason="x") == 2
        third.refresh_from_db()
        assert third.held_at is None


class TestJoiningAgain:
    def join(self, person, brand, **fields):
        consent.rejoin(person.pk, brand_id=brand.pk, wording="START", **fields)
        return Rejoin.objects.get(person=person, brand=brand).after_event_id

    def test_lifts_what_came_before_it(self, brand, person):
        for _ in range(2):
            consent.opt_out([person.pk], source="staff")
        assert self.join(person, brand) == max(events())

    def test_lifts_nothing_that_comes_after_it(self, brand, person):
        after = self.join(person, brand)
        consent.opt_out([person.pk], source="staff")
        assert after < events()[0]

    def test_is_for_one_brand(self, brand, person):
        self.join(person, brand)
        assert [(one.person, one.brand) for one in Rejoin.objects.all()] == [(person, brand)]

    def test_is_a_consent_by_keyword(self, brand, person):
        self.join(person, brand)
        event = ConsentEvent.objects.get()
        assert (event.person, event.brand, event.method) == (person, brand, "keyword")
        assert (event.wording, event.channel) == ("START", "sms")
        assert NOON <= event.agreed_at < NOON + MINUTE

    def test_again_counts_from_the_later_event(self, brand, person):
        first = self.join(person, brand)
        consent.opt_out([person.pk], source="staff")
        set_clock(NOON + DAY)
        assert self.join(person, brand) == events()[-1] > first
        assert Rejoin.objects.get().at >= NOON + DAY
        assert ConsentEvent.objects.count() == 2

    def test_never_counts_from_an_earlier_event(self, brand, person):
        Rejoin.objects.create(person=person, brand=brand, after_event_id=10**9)
        assert self.join(person, brand) == 10**9

    def test_without_an_opt_out_is_a_consent_all_the_same(self, brand, person):
        assert self.join(person, brand) == 0
        assert ConsentEvent.objects.count() == 1

    def test_knows_no_events_of_others(self, brand, person):
        consent.opt_out([make_person().pk], source="staff")
        assert self.join(person, brand) == 0

    def test_counts_those_of_linked_persons(self, brand, person):
        linked = make_person()
        consent.opt_out([person.pk], source="staff")
        consent.opt_out([linked.pk], source="staff")
        assert self.join(person, brand, linked=[linked.pk]) == events()[-1]
        assert not Rejoin.objects.filter(person=linked).exists()

    def test_leaves_the_mark_and_the_events(self, brand, person):
        consent.opt_out([person.pk], source="staff")
        self.join(person, brand)
        person.refresh_from_db()
        assert [person.opt_out_event_id] == events()

    def test_ends_a_long_silence_of_its_own_person_only(self, brand, person):
        linked = make_person()
        Person.objects.update(sunset_at=NOON - DAY)
        self.join(person, brand, linked=[linked.pk])
        silent = Person.objects.filter(sunset_at__isnull=False)
        assert list(silent) == [linked]

    def test_takes_one_statement(self, brand, person, statements):
        assert statements(lambda: self.join(person, brand)) == 1 + 1  # and the test's own look


class TestHearingFromThePerson:
    def test_shows_that_a_human_is_there_and_the_number_works(self, person):
        Person.objects.update(undeliverable_at=NOON - DAY)
        consent.heard_from(person.pk)
        person.refresh_from_db()
        assert NOON <= person.last_human_at < NOON + MINUTE
        assert NOON <= person.last_confirmed_at < NOON + MINUTE
        assert person.undeliverable_at is None

    def test_is_of_nobody_else(self, person):
        other = make_person(undeliverable_at=NOON - DAY)
        consent.heard_from(person.pk)
        other.refresh_from_db()
        assert (other.last_human_at, other.undeliverable_at) == (None, NOON - DAY)

    def test_lifts_no_opt_out_and_no_hold(self, person):
        consent.opt_out([person.pk], source="staff")
        consent.hold([person.pk], reason="x")
        consent.heard_from(person.pk)
        person.refresh_from_db()
        assert person.opt_out_event_id is not None
        assert person.held_at is not None


class TestBeingUndeliverable:
    def test_marks_these_persons_and_keeps_the_first_time(self, person):
        other, third = make_person(), make_person()
        assert consent.mark_undeliverable([person.pk]) == 1
        before = Person.objects.get(pk=person.pk).undeliverable_at
        set_clock(NOON + DAY)
        assert consent.mark_undeliverable([person.pk, other.pk, other.pk]) == 1
        person.refresh_from_db()
        third.refresh_from_db()
        assert (person.undeliverable_at, third.undeliverable_at) == (before, None)


@pytest.mark.parametrize("model", [OptOutEvent, ConsentEvent])
@pytest.mark.parametrize("how", ["update", "delete"])
def test_events_are_only_ever_added(brand, person, model, how):
    consent.opt_out([person.pk], source="staff")
    consent.rejoin(person.pk, brand_id=brand.pk, wording="START")
    rows = model.objects.all()
    with pytest.raises(IntegrityError):
        rows._raw_delete("default") if how == "delete" else rows.update(person=make_person())

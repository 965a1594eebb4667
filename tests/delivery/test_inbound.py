"""None"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DataError, IntegrityError, InterfaceError, OperationalError

from compliance import consent
from compliance.models import Keyword, OptOutEvent, Person, Rejoin
from delivery import inbound, sql
from delivery.models import Attempt, Due, Inbound, InboundReview
from providers.base import InboundMessage
from tests.delivery import texting, walking
from tests.delivery.texting import (
    ANY_TEXT,
    DOUBTFUL,
    MINUTE,
    answers,
    for_real,
    is_out,
    label,
    later,
    say,
    store,
    texted,
)
from tests.factories import (
    NOON,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_slot,
    phone,
    set_clock,
)

pytestmark = pytest.mark.django_db

lane = texting.lane
person = texting.person

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


class TestStoring:
    def test_keeps_a_text_as_it_came(self, lane, person):
        stored = Inbound.objects.get(pk=store(lane, person, "Hello?", provider_ref="SM-1"))
        assert (stored.account, stored.number, stored.person) == (lane.account, lane, person)
        assert (stored.from_value, stored.to_value) == (person.phone, lane.value)
        assert (stored.provider_ref, stored.text) == ("SM-1", "Hello?")
        assert (stored.label, stored.applied_at, stored.brand_id) == ("", None, None)

    def test_keeps_what_the_provider_posted(self, lane, person):
        message = InboundMessage(provider_ref="SM-1", from_e164=person.phone, to_value="", text="")
        inbound.store(lane.account_id, message, {"form": {"Body": "a\0b"}})
        stored = Inbound.objects.get()
        assert stored.raw == {"form": {"Body": "a\ufffdb"}, "opted_out": False}

    def test_makes_a_person_of_who_is_unknown(self, lane):
        unknown = phone()
        store(lane, unknown)
        assert Inbound.objects.get().person == Person.objects.get(phone=unknown)

    @pytest.mark.parametrize(
        "sender", ["12345", "ACME", "", "+0123456789", "+1212555012x", "x" * 300]
    )
    def test_knows_no_person_behind_what_is_no_phone_number(self, lane, sender):
        store(lane, sender)
        assert Inbound.objects.get().person is None
        assert not Person.objects.exists()

    def test_to_a_number_that_is_not_ours_knows_no_number(self, lane, person):
        store(lane, person, to_value="+12025550000")
        assert Inbound.objects.get().number is None

    def test_to_a_number_of_another_account_knows_no_number(self, lane, person):
        other = make_number(value="+12025559999")
        store(lane, person, to_value=other.value)
        assert Inbound.objects.get().number is None

    def test_a_repeat_is_the_first_one_and_leaves_it_as_it_is(self, lane, person):
        first = store(lane, person, "STOP", provider_ref="SM-1")
        assert store(lane, make_person(), "other", provider_ref="SM-1") == first
        assert Inbound.objects.get().text == "STOP"

    def test_the_same_id_at_another_account_is_another_text(self, lane, person):
        store(lane, person, provider_ref="SM-1")
        store(make_number(), person, provider_ref="SM-1")
        assert Inbound.objects.count() == 2

    def test_takes_a_fixed_number_of_statements(self, lane, person, statements):
        """Two of them are the savepoint of a test."""
        unknown = phone()
        assert statements(lambda: store(lane, person, provider_ref="SM-1")) == 2 + 2
        assert statements(lambda: store(lane, person, provider_ref="SM-1")) == 2 + 3
        assert statements(lambda: store(lane, unknown)) == 2 + 3

    @for_real
    def test_twice_at_once_from_somebody_unknown_makes_one_person_and_one_text(self, lane, at_once):
        unknown = phone()
        first, second = at_once(lambda _: store(lane, unknown, provider_ref="SM-1"))
        assert first == second == Inbound.objects.get().pk
        assert Person.objects.get().phone == unknown


class TestTheBrand:
    def brand(self):
        return Inbound.objects.latest("id").brand

    def test_is_the_numbers(self, lane, person, journal):
        texted(person, lane, make_brand(), journal)
        say(lane, person, "hello")
        assert self.brand() == lane.brand

    def test_is_else_the_one_that_texted_last(self, person, journal):
        lane, first, last = make_number(), make_brand(), make_brand()
        for brand in (first, last):
            texted(person, lane, brand, journal)
        say(lane, person, "hello")
        assert self.brand() == last

    def test_is_rather_the_one_that_texted_by_the_same_number(self, person, journal):
        lane, other, mine, last = make_number(), make_number(), make_brand(), make_brand()
        texted(person, lane, mine, journal)
        texted(person, other, last, journal)
        say(lane, person, "hello")
        assert self.brand() == mine

    def test_is_the_last_one_where_none_texted_by_this_number(self, person, journal):
        texted(person, make_number(), make_brand(), journal)
        last = make_brand()
        texted(person, make_number(), last, journal)
        say(make_number(), person, "hello")
        assert self.brand() == last

    def test_is_not_one_whose_text_certainly_did_not_leave(self, person, journal):
        lane, first, last = make_number(), make_brand(), make_brand()
        texted(person, lane, first, journal)
        never = texted(person, lane, last, journal)
        Attempt.objects.filter(message=never).update(outcome="not_sent", is_not_sent=True)
        say(lane, person, "hello")
        assert self.brand() == first

    def test_is_not_that_of_another_person(self, person, journal):
        lane = make_number()
        texted(make_person(), lane, make_brand(), journal)
        say(lane, person, "hello")
        assert self.brand() is None

    def test_answers_in_its_name_by_the_number_that_was_texted(self, person, journal):
        lane, brand = make_number(), make_brand()
        texted(person, lane, brand, journal)
        assert say(lane, person, "HELP")
        due = Due.objects.get()
        assert (due.brand, due.lane) == (brand, lane)

    @pytest.mark.parametrize(
        ("meaning", "expected"),
        [("stop", "stop"), ("help", "help"), ("join", "join"), ("more-jobs", "more-jobs")],
    )
    def test_has_words_of_its_own(self, lane, person, meaning, expected):
        Keyword.objects.create(brand=lane.brand, word="nomad", label=meaning)
        say(lane, person, "Nomad")
        assert label() == expected

    def test_has_no_words_of_another_brand(self, lane, person):
        Keyword.objects.create(brand=make_brand(), word="nomad", label="stop")
        say(lane, person, "nomad")
        assert label() == "none"

    def test_has_its_words_though_it_is_known_by_its_last_message_only(self, person, journal):
        lane, brand = make_number(), make_brand()
        Keyword.objects.create(brand=brand, word="nomad", label="stop")
        texted(person, lane, brand, journal)
        say(lane, person, "nomad")
        assert is_out(person, brand)
        assert OptOutEvent.objects.get().brand == brand

    def test_stays_the_same_when_a_stop_comes_again(self, person, journal):
        """Another brand texted meanwhile, which has no such word and was not told."""
        lane, told, other = make_number(), make_brand(), make_brand()
        Keyword.objects.create(brand=told, word="nomad", label="stop")
        texted(person, lane, told, journal)
        say(lane, person, "nomad", provider_ref="SM-1")
        for brand in (told, other):
            consent.rejoin(person.pk, brand_id=brand.pk, wording="START")
        texted(person, lane, other, journal)
        say(lane, person, "nomad", provider_ref="SM-1")
        assert self.brand() == told
        assert is_out(person, told)
        assert list(OptOutEvent.objects.values_list("brand", flat=True)) == [told.pk, told.pk]


# Two of them are the savepoint of a test.
STATEMENTS = {"hello": 13, "STOP": 17, "HELP": 16, "START": 18, DOUBTFUL: 17}


class TestAnyText:
    @pytest.mark.parametrize("text", ANY_TEXT)
    def test_shows_that_a_human_is_there_and_the_number_works(self, lane, person, text):
        Person.objects.update(undeliverable_at=NOON - DAY, last_human_at=NOON - DAY)
        say(lane, person, text)
        person.refresh_from_db()
        assert NOON <= person.last_human_at < NOON + MINUTE
        assert NOON <= person.last_confirmed_at < NOON + MINUTE
        assert person.undeliverable_at is None

    def test_shows_so_once(self, lane, person):
        say(lane, person, "hello", provider_ref="SM-1")
        Person.objects.update(last_human_at=NOON - DAY, undeliverable_at=NOON - DAY)
        say(lane, person, "hello", provider_ref="SM-1")
        person.refresh_from_db()
        assert (person.last_human_at, person.undeliverable_at) == (NOON - DAY, NOON - DAY)

    def test_that_asks_for_nothing_is_kept_and_not_answered(self, lane, person):
        assert not say(lane, person, "see you")
        assert label() == "none"
        assert (answers(), InboundReview.objects.count()) == ([], 0)

    @pytest.mark.parametrize(
        "text", ["", "\N{THUMBS UP SIGN}", "x" * 5000], ids=["no", "odd", "long"]
    )
    def test_may_be_anything(self, lane, person, text):
        say(lane, person, text)
        assert Inbound.objects.get().applied_at is not None

    def test_applied_again_keeps_its_first_time_and_label(self, lane, person):
        say(lane, person, "nomad", provider_ref="SM-1")
        before = Inbound.objects.values().get()
        Keyword.objects.create(brand=lane.brand, word="nomad", label="help")
        later(MINUTE)
        assert not say(lane, person, "nomad", provider_ref="SM-1")
        assert Inbound.objects.values().get() == before

    @pytest.mark.parametrize("text", ANY_TEXT)
    def test_takes_as_many_statements_with_a_long_history_as_with_none(
        self, lane, person, text, statements, journal
    ):
        stranger = make_person()
        for _ in range(5):
            texted(person, lane, make_brand(), journal)
            say(lane, person, "hello")
        ids = [store(lane, one, text) for one in (stranger, person)]
        of_none, of_many = (statements(lambda one=one: inbound.apply(one)) for one in ids)
        assert of_none == of_many == STATEMENTS[text]


def snapshot():
    """All that a text may change."""
    tables = (
        *("compliance_person", "compliance_optoutevent", "compliance_consentevent"),
        *("compliance_rejoin", "delivery_inbound", "delivery_inboundreview"),
        *("delivery_message", "delivery_due"),
    )
    return [sql.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]


def break_the_last_statement(monkeypatch, error):
    def fail(person_id):
        raise error

    monkeypatch.setattr(consent, "heard_from", fail)


class TestOneTransaction:
    @pytest.mark.parametrize("error", [OperationalError, DataError, ValueError])
    @pytest.mark.parametrize("text", ANY_TEXT)
    def test_that_breaks_at_its_end_has_applied_nothing(
        self, lane, person, monkeypatch, text, error
    ):
        stored = store(lane, person, text)
        before = snapshot()
        with monkeypatch.context() as patched:
            break_the_last_statement(patched, error("gone"))
            with pytest.raises(error):
                inbound.apply(stored)
        assert snapshot() == before
        assert Inbound.objects.get().applied_at is None

    def test_that_broke_leaves_the_person_waiting(self, lane, person, monkeypatch, journal):
        slot = make_slot(lane, brand=lane.brand)
        message = make_due(slot, make_lead(lane.brand, person), lane, now=NOON)
        break_the_last_statement(monkeypatch, OperationalError("gone"))
        with pytest.raises(OperationalError):
            say(lane, person, "STOP")
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == "inbound_waiting"
        message.refresh_from_db()
        assert message.status == "planned"

    def test_that_broke_is_made_good_when_the_provider_posts_it_again(
        self, lane, person, monkeypatch
    ):
        with monkeypatch.context() as patched:
            break_the_last_statement(patched, OperationalError("gone"))
            with pytest.raises(OperationalError):
                say(lane, person, "STOP", provider_ref="SM-1")
        assert say(lane, person, "STOP", provider_ref="SM-1")
        assert is_out(person, lane.brand)

    @for_real
    def test_changes_no_setting_of_the_connection(self, lane, person):
        """Whoever has the connection next must not wait longer or shorter for it."""
        before = settings()
        say(lane, person, "STOP")
        assert settings() == before


def settings():
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    return [sql.one("SELECT current_setting(%s)", n)[0] for n in (*limits, "application_name")]


class TestApplyingWhatWaits:
    def waiting(self, lane, *senders, text="STOP"):
        ids = [store(lane, sender, text) for sender in senders]
        set_clock(Inbound.objects.latest("id").received_at + 11 * SECOND)
        return ids

    def applied(self):
        return set(Inbound.objects.filter(applied_at__isnull=False).values_list("id", flat=True))

    def test_applies_what_could_not_be_applied_at_once(self, lane, person):
        (stored,) = self.waiting(lane, person)
        assert inbound.apply_waiting() == 1
        assert self.applied() == {stored}
        assert is_out(person, lane.brand)
        assert answers() == ["stop"]

    def test_leaves_what_came_just_now_to_its_own_request(self, lane, person):
        store(lane, person, "STOP")
        assert inbound.apply_waiting() == 0
        assert self.applied() == set()

    def test_applies_nothing_twice(self, lane, person):
        self.waiting(lane, person)
        assert [inbound.apply_waiting(), inbound.apply_waiting()] == [1, 0]

    def test_applies_all(self, lane, person, monkeypatch):
        ids, applied = self.waiting(lane, person, make_person(), make_person()), []
        monkeypatch.setattr(inbound, "apply", applied.append)
        inbound.apply_waiting()
        assert sorted(applied) == ids

    def test_ends_when_it_is_told(self, lane, person):
        self.waiting(lane, person, make_person(), make_person())
        assert inbound.apply_waiting(iter([True, True, False]).__next__) == 2

    @pytest.mark.parametrize(
        "error", [DataError, IntegrityError, OperationalError, InterfaceError, ValueError, KeyError]
    )
    def test_one_that_fails_stops_no_other(self, lane, monkeypatch, error):
        first, bad, last = self.waiting(lane, make_person(), make_person(), make_person())
        act = inbound._act

        def fail(arrived, *arguments):
            if arrived.id == bad:
                raise error("bad")
            return act(arrived, *arguments)

        monkeypatch.setattr(inbound, "_act", fail)
        assert inbound.apply_waiting() == 2
        assert self.applied() == {first, last}
        assert OptOutEvent.objects.count() == 2

    def test_gives_a_join_to_a_person_to_look_at(self, lane, person):
        store(lane, person, "START")
        later(2 * MINUTE)
        assert inbound.apply_waiting() == 1
        assert InboundReview.objects.get().person == person
        assert not Rejoin.objects.exists()

    def test_confirms_no_stop_after_five_minutes(self, lane, person):
        store(lane, person, "STOP")
        later(6 * MINUTE)
        inbound.apply_waiting()
        assert is_out(person, lane.brand)
        assert answers() == []

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from brands import clock
from compliance import consent
from compliance.models import ConsentEvent, OptOutEvent, Person, Places
from leads.intake import GaveUp, IdSet, Intake, Taken, lock_list
from leads.models import Lead, LeadList, ListEntry
from leads.rows import LeadRow
from tests.factories import make_brand, make_lead, make_list, make_person

pytestmark = pytest.mark.django_db

AGREED = datetime(2026, 3, 1, tzinfo=UTC)
LATER = AGREED + timedelta(days=1)
P, Q, E = "+12125550101", "+13105550102", "e@example.com"


def a_row(phone=P, email=None, **fields):
    blank = dict.fromkeys(LeadRow._fields, "")
    return LeadRow(
        **{**blank, "consent_at": AGREED, "fields": {}, **fields, "phone": phone, "email": email}
    )


def rows_of(count, *, first=0, **fields):
    return [
        a_row(f"+1212555{n:04d}", f"e{n}@example.com", **fields)
        for n in range(first, first + count)
    ]


@pytest.fixture
def brand(sandbox):
    return make_brand()


@pytest.fixture
def june(brand):
    return LeadList.objects.create(brand=brand, name="June")


def take_in(brand, *rows, into=None):
    """Of each row: "new", "known", or the code of its problem."""
    intake = Intake(brand_id=brand.pk, list_id=into and into.pk)
    return [told(result) for result in intake.take_in(rows)]


def told(result):
    if isinstance(result, Taken):
        return "new" if result.is_new else "known"
    return result.code


class TestANewLead:
    def test_has_all_that_its_row_says(self, brand, june):
        row = a_row(
            email=E,
            first_name="Ada \\ \t",
            last_name="Bell",
            city="New York",
            state="NY",
            zip_code="10001",
            consent_wording="I agree.\nYes.",
            consent_url="https://jobs.example.com/join",
            external_ref="L-1",
            source="web",
            fields={"trade": "nurse"},
        )
        (result,) = Intake(brand_id=brand.pk, list_id=june.pk).take_in([row])
        lead = Lead.objects.select_related("person", "consent", "places").get(pk=result.lead_id)
        for name in ("first_name", "last_name", "city", "state", "zip_code", "source", "fields"):
            assert getattr(lead, name) == getattr(row, name), name
        assert (lead.brand, lead.status, lead.external_ref) == (brand, "active", "L-1")
        assert (lead.person.phone, lead.person.email, lead.email_person) == (P, E, None)
        assert (lead.consent.brand, lead.consent.person) == (brand, lead.person)
        assert (lead.consent.method, lead.consent.channel) == ("import", "sms")
        assert (lead.consent.agreed_at, lead.consent.wording) == (AGREED, "I agree.\nYes.")
        assert (lead.consent.page_url, lead.consent.partner_ref) == (row.consent_url, "L-1")
        assert lead.places.zones == ["America/New_York"]
        assert lead.created_at == ListEntry.objects.get(lead=lead, lead_list=june).added_at

    def test_is_dated_by_the_clock_of_the_installation(self, brand):
        before = clock.now()
        take_in(brand, a_row())
        lead = Lead.objects.select_related("person", "consent").get()
        for moment in (lead.created_at, lead.person.created_at, lead.consent.at):
            assert before <= moment <= clock.now()

    def test_without_a_phone_agreed_to_mails(self, brand):
        take_in(brand, a_row(None, E))
        assert ConsentEvent.objects.get().channel == "email"

    def test_needs_no_list(self, brand):
        assert take_in(brand, a_row()) == ["new"]
        assert not ListEntry.objects.exists()

    def test_is_another_lead_of_the_same_person_for_another_brand(self, brand):
        take_in(brand, a_row())
        assert take_in(make_brand(), a_row()) == ["new"]
        assert (Person.objects.count(), Lead.objects.count()) == (1, 2)


class TestAKnownLead:
    def test_is_updated_but_blank_cells_change_nothing(self, brand):
        take_in(brand, a_row(first_name="Ada", city="Rome", source="web", fields={"a": "1"}))
        row = a_row(first_name="Eva", last_name="Bell", source="fair", fields={"b": "2"})
        assert take_in(brand, row) == ["known"]
        lead = Lead.objects.get()
        assert (lead.first_name, lead.last_name, lead.city) == ("Eva", "Bell", "Rome")
        assert (lead.source, lead.fields) == ("web", {"a": "1", "b": "2"})

    def test_keeps_its_status_and_the_persons_opt_out_and_hold(self, brand):
        take_in(brand, a_row())
        consent.opt_out([Person.objects.get().pk], source="staff")
        Person.objects.update(held_at=clock.now(), held_reason="check")
        Lead.objects.update(status="inactive")
        before = Person.objects.values().get()
        take_in(brand, a_row(first_name="Eva", consent_at=LATER))
        assert Person.objects.values().get() == before
        assert Lead.objects.get().status == "inactive"

    def test_takes_a_newer_consent(self, brand):
        take_in(brand, a_row())
        take_in(brand, a_row(consent_at=LATER))
        assert Lead.objects.get().consent.agreed_at == LATER
        assert ConsentEvent.objects.count() == 2

    def test_records_an_older_consent_but_keeps_the_newer(self, brand):
        take_in(brand, a_row(consent_at=LATER))
        take_in(brand, a_row())
        assert Lead.objects.get().consent.agreed_at == LATER
        assert ConsentEvent.objects.count() == 2

    def test_makes_no_second_event_of_an_identical_consent(self, brand):
        take_in(brand, a_row())
        take_in(brand, a_row(consent_wording="in other words"))
        assert ConsentEvent.objects.count() == 1

    def test_is_not_written_when_nothing_changed(self, brand, june):
        row = a_row(email=E, first_name="Ada", state="NY", fields={"a": "1"})
        take_in(brand, row, into=june)
        before = Lead.objects.extra(select={"version": "xmin::text"}).get().version
        entry = ListEntry.objects.get().pk
        assert take_in(brand, row, into=june) == ["known"]
        assert Lead.objects.extra(select={"version": "xmin::text"}).get().version == before
        assert ListEntry.objects.get().pk == entry

    def test_that_was_erased_is_refused_and_stays_empty(self, brand, june):
        take_in(brand, a_row())
        Lead.objects.update(status="erased")
        assert take_in(brand, a_row(first_name="Ada"), into=june) == ["erased"]
        assert Lead.objects.get().first_name == ""
        assert not ListEntry.objects.exists()


def test_an_event_that_was_there_before_the_lead_is_its_consent(brand):
    event = ConsentEvent.objects.create(
        person=make_person(phone=P), brand=brand, method="keyword", agreed_at=AGREED
    )
    take_in(brand, a_row())
    assert (Lead.objects.get().consent, ConsentEvent.objects.count()) == (event, 1)


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        pytest.param(timedelta(seconds=-5), "new", id="just now"),
        pytest.param(timedelta(minutes=1), "consent_in_future", id="in a minute"),
    ],
)
def test_a_consent_in_the_future_is_refused_by_the_installations_clock(brand, ahead, told):
    assert take_in(brand, a_row(consent_at=clock.now() + ahead)) == [told]


def test_a_refused_row_leaves_nothing_and_the_others_are_taken(brand):
    future = a_row(consent_at=clock.now() + timedelta(days=1))
    assert take_in(brand, future, a_row(Q)) == ["consent_in_future", "new"]
    assert list(Person.objects.values_list("phone", flat=True)) == [Q]


def test_the_second_row_of_a_person_is_refused_within_a_batch(brand):
    assert take_in(brand, a_row(), a_row(Q), a_row(first_name="Eva")) == [
        "new",
        "new",
        "duplicate_in_file",
    ]


def test_the_second_row_of_a_person_is_refused_in_a_later_batch_of_the_same_file(brand):
    intake = Intake(brand_id=brand.pk, list_id=None)
    intake.take_in([a_row()])
    assert [told(result) for result in intake.take_in([a_row(), a_row(Q)])] == [
        "duplicate_in_file",
        "new",
    ]


def test_an_empty_batch_is_no_fault(brand, june):
    assert take_in(brand, into=june) == []


class TestAnEmailOfSomebodyElse:
    def test_is_a_notice_and_links_the_lead_to_its_owner(self, brand):
        other = make_person(phone=Q, email=E)
        (result,) = Intake(brand_id=brand.pk, list_id=None).take_in([a_row(email=E)])
        assert (result.is_new, result.notice.code) == (True, "email_in_use")
        lead = Lead.objects.get()
        assert (lead.person.phone, lead.person.email) == (P, None)
        assert lead.email_person == other

    def test_says_the_same_when_the_row_comes_again(self, brand):
        make_person(phone=Q, email=E)
        for _ in range(2):
            (result,) = Intake(brand_id=brand.pk, list_id=None).take_in([a_row(email=E)])
            assert result.notice.code == "email_in_use"
        assert Person.objects.count() == 2

    def test_keeps_the_link_when_a_later_row_names_no_email(self, brand):
        other = make_person(phone=Q, email=E)
        take_in(brand, a_row(email=E))
        take_in(brand, a_row(first_name="Ada"))
        assert Lead.objects.get().email_person == other

    @pytest.mark.parametrize(
        "opted_out", [pytest.param(P, id="the person"), pytest.param(Q, id="the owner")]
    )
    def test_an_opt_out_that_stands_on_either_goes_to_both(self, brand, opted_out):
        make_person(phone=P), make_person(phone=Q, email=E)
        consent.opt_out([Person.objects.get(phone=opted_out).pk], source="inbound")
        take_in(brand, a_row(email=E))
        assert not Person.objects.filter(opted_out_at=None).exists()
        assert OptOutEvent.objects.filter(source="import").count() == 1

    def test_a_second_import_makes_no_second_opt_out(self, brand):
        owner = make_person(phone=Q, email=E)
        consent.opt_out([owner.pk], source="inbound")
        take_in(brand, a_row(email=E))
        take_in(brand, a_row(email=E))
        assert OptOutEvent.objects.count() == 2

    @pytest.mark.parametrize(
        "held", [pytest.param(P, id="the person"), pytest.param(Q, id="the owner")]
    )
    def test_a_hold_on_either_goes_to_both(self, brand, held):
        make_person(phone=P), make_person(phone=Q, email=E)
        Person.objects.filter(phone=held).update(held_at=clock.now(), held_reason="check")
        take_in(brand, a_row(email=E))
        assert list(Person.objects.values_list("held_reason", flat=True)) == ["check", "check"]


class TestPlaces:
    def test_are_those_of_phone_zip_and_state(self, brand):
        take_in(brand, a_row(P, state="CA", zip_code="10001"))
        places = Lead.objects.get().places
        assert places.zones == ["America/Los_Angeles", "America/New_York"]
        assert places.states == ["CA", "NY"]

    def test_are_stored_once(self, brand):
        take_in(brand, a_row("+12125550101"), a_row("+12125550102"))
        take_in(make_brand(), a_row("+12125550103"))
        assert Places.objects.count() == 1

    def test_that_an_earlier_batch_stored_are_not_asked_for_again(self, brand, statements):
        intake = Intake(brand_id=brand.pk, list_id=None)
        first = statements(lambda: intake.take_in([a_row("+12125550101")]))
        assert statements(lambda: intake.take_in([a_row("+12125550102")])) == first - 1

    def test_are_unknown_for_a_number_abroad_without_a_zone(self, brand):
        take_in(brand, a_row("+883510001234"))
        assert Lead.objects.get().places is None

    def test_stay_when_a_row_names_neither_state_nor_zip(self, brand):
        take_in(brand, a_row(P, state="CA"))
        take_in(brand, a_row(P))
        assert Lead.objects.get().places.zones == ["America/Los_Angeles", "America/New_York"]

    def test_follow_a_new_address_in_which_state_and_zip_go_together(self, brand):
        take_in(brand, a_row(P, state="CA", zip_code="94121"))
        take_in(brand, a_row(P, zip_code="60631"))
        lead = Lead.objects.get()
        assert (lead.state, lead.zip_code) == ("", "60631")
        assert lead.places.zones == ["America/Chicago", "America/New_York"]

    def test_of_a_row_found_by_email_include_the_persons_phone(self, brand):
        make_person(phone=P, email=E)
        take_in(brand, a_row(None, E, state="CA"))
        assert Lead.objects.get().places.zones == ["America/Los_Angeles", "America/New_York"]

    def test_of_other_brands_leads_grow_when_the_person_gets_a_phone(self, brand, june):
        other = make_brand()
        take_in(other, a_row(None, E, state="CA"), into=(july := make_list(other)))
        take_in(brand, a_row(P, E), into=june)
        for entry in ListEntry.objects.filter(lead_list=july).select_related("places", "lead"):
            assert entry.places.zones == ["America/Los_Angeles", "America/New_York"]
            assert entry.lead.places == entry.places


class TestTheList:
    def test_has_each_lead_once(self, brand, june):
        take_in(brand, a_row(), into=june)
        take_in(brand, a_row(first_name="Eva"), into=june)
        assert ListEntry.objects.count() == 1

    def test_can_take_a_lead_that_is_on_another(self, brand, june):
        july = make_list(brand)
        take_in(brand, a_row(), into=june)
        take_in(brand, a_row(), into=july)
        assert set(ListEntry.objects.values_list("lead_list", flat=True)) == {june.pk, july.pk}

    def test_gets_a_new_entry_when_a_leads_places_change(self, brand, june):
        july = make_list(brand)
        take_in(brand, a_row(), a_row(Q), into=june)
        take_in(brand, a_row(), into=july)
        before = dict(ListEntry.objects.values_list("lead_id", "added_at").filter(lead_list=june))
        highest = ListEntry.objects.latest("id").pk
        take_in(brand, a_row(state="CA"))
        moved = ListEntry.objects.filter(lead__person__phone=P).select_related("lead")
        assert {entry.lead_list_id for entry in moved} == {june.pk, july.pk}
        assert all(entry.pk > highest for entry in moved)
        assert all(entry.places_id == entry.lead.places_id for entry in moved)
        assert moved.get(lead_list=june).added_at == before[moved[0].lead_id]
        assert ListEntry.objects.get(lead__person__phone=Q).pk < highest


@pytest.mark.parametrize("known", [pytest.param(False, id="new"), pytest.param(True, id="known")])
def test_a_batch_takes_the_same_statements_whatever_its_size(brand, june, statements, known):
    if known:
        take_in(brand, *rows_of(400), into=june)
    small, large = rows_of(4, state="CA"), rows_of(396, first=4, state="TX")
    few = statements(lambda: take_in(brand, *small, into=june))
    many = statements(lambda: take_in(brand, *large, into=june))
    assert few == many <= 24
    assert ListEntry.objects.count() == 400


def test_what_is_done_also_stands_or_falls_with_the_batch(brand):
    def fail(results):
        assert [told(result) for result in results] == ["new"]
        raise ValueError

    intake = Intake(brand_id=brand.pk, list_id=None)
    with pytest.raises(ValueError):
        intake.take_in([a_row()], also=fail)
    assert not Person.objects.exists()
    assert [told(result) for result in intake.take_in([a_row()])] == ["new"]


def test_ids_are_remembered_in_at_most_a_bit_for_each_there_is():
    numbers = IdSet()
    for number in (0, 7, 8, 65_535, 65_536, 10**12):
        assert number not in numbers
        numbers.add(number)
    assert all(number in numbers for number in (0, 7, 8, 65_535, 65_536, 10**12))
    assert not any(number in numbers for number in (1, 6, 9, 65_537, 10**12 + 1))
    assert sum(map(len, numbers._pages.values())) == 3 * 8192


class TestManyAtOnce:
    """On real commits, as the lead's constraints and the locks see them."""

    pytestmark = pytest.mark.django_db(transaction=True)

    def test_two_imports_of_overlapping_people_take_each_once(self, brand, june, at_once):
        july = make_list(brand)
        lists = {0: june, 1: july, 2: june}
        people = rows_of(300)
        orders = {0: people, 1: people[::-1], 2: people[150:] + people[:150]}

        def work(number):
            intake = Intake(brand_id=brand.pk, list_id=lists[number].pk)
            rows = orders[number]
            return [
                told(result)
                for start in range(0, 300, 50)
                for result in intake.take_in(rows[start : start + 50])
            ]

        found = at_once(work, threads=3)
        assert [len(told) for told in found] == [300, 300, 300]
        assert sum(told.count("new") for told in found) == 300
        assert sum(told.count("known") for told in found) == 600
        assert (Person.objects.count(), Lead.objects.count()) == (300, 300)
        assert (ConsentEvent.objects.count(), ListEntry.objects.count()) == (300, 600)

    def test_a_batch_that_was_overtaken_is_begun_again(self, brand, at_once):
        """The second waits for the first's uncommitted person, then finds them as known."""
        first_holds, second_waits = threading.Event(), threading.Event()

        def hold(results):
            first_holds.set()
            second_waits.wait(10)

        def work(number):
            intake = Intake(brand_id=brand.pk, list_id=None)
            if number == 0:
                return [told(result) for result in intake.take_in([a_row()], also=hold)]
            first_holds.wait(10)
            threading.Timer(0.3, second_waits.set).start()
            return [told(result) for result in intake.take_in([a_row(email=E)])]

        assert at_once(work) == [["new"], ["known"]]
        assert Person.objects.get().email == E

    def test_a_deadlock_is_no_fault(self, brand, at_once):
        """Each holds the person whom the other wants next."""
        people = [make_person(phone=P), make_person(phone=Q)]
        met = threading.Barrier(2)
        tries = []

        def also(number):
            def lock_the_other(results):
                tries.append(number)
                if len(tries) <= 2:
                    met.wait(10)
                Person.objects.select_for_update().get(pk=people[1 - number].pk)

            return lock_the_other

        def work(number):
            row = a_row((P, Q)[number], f"e{number}@example.com")
            (result,) = Intake(brand_id=brand.pk, list_id=None).take_in([row], also=also(number))
            return told(result)

        assert at_once(work) == ["new", "new"]
        assert len(tries) == 3

    def test_it_gives_up_in_the_end(self, brand, monkeypatch):
        monkeypatch.setattr("leads.intake.TRIES", 3)
        monkeypatch.setattr(
            "leads.intake.people.ADD", "SELECT 1, '', '' WHERE %s IS NULL AND %s = %s"
        )
        with pytest.raises(GaveUp):
            take_in(brand, a_row())
        assert not Person.objects.exists()

    def test_the_planner_waits_for_entries_that_are_being_made(self, brand, june, at_once):
        taken, seen = threading.Event(), []

        def hold(results):
            taken.set()
            waiting = (
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND"
                " database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            with connection.cursor() as cursor:
                for _ in range(1000):
                    cursor.execute(waiting)
                    if cursor.fetchone()[0]:
                        break
            seen.append("stored")

        def work(number):
            if number == 0:
                Intake(brand_id=brand.pk, list_id=june.pk).take_in([a_row()], also=hold)
                return
            taken.wait(10)
            with transaction.atomic():
                lock_list(june.pk, exclusive=True)
                seen.append(ListEntry.objects.count())

        at_once(work)
        assert seen == ["stored", 1]

    def test_two_imports_into_a_list_do_not_wait_for_each_other(self, brand, june):
        with transaction.atomic():
            lock_list(june.pk, exclusive=False)
            done = []

            def other():
                done.extend(take_in(brand, a_row(), into=june))
                connection.close()

            thread = threading.Thread(target=other)
            thread.start()
            thread.join(10)
            assert done == ["new"]


def test_a_lead_made_elsewhere_is_found_by_its_person(brand):
    lead = make_lead(brand, make_person(phone=P))
    (result,) = Intake(brand_id=brand.pk, list_id=None).take_in([a_row(first_name="Eva")])
    assert (result.lead_id, result.is_new) == (lead.pk, False)

from __future__ import annotations

import pytest
from django.db import connection, transaction

from compliance.models import Person
from delivery import people, sql
from delivery.models import Message
from tests.delivery.waiting import while_held
from tests.factories import (
    NOON,
    make_brand,
    make_due,
    make_lead,
    make_number,
    make_person,
    make_slot,
)

pytestmark = pytest.mark.django_db
for_real = pytest.mark.django_db(transaction=True)


@pytest.fixture
def brand(sandbox):
    return make_brand()


def link(brand, person, other):
    """One lead names both: the phone of the one, the e-mail address of the other."""
    return make_lead(brand, person, email_person=other)


class TestOfMessages:
    def test_are_those_they_are_for_each_once(self, brand):
        lane, person, other = make_number(), make_person(), make_person()
        lead = make_lead(brand, person)
        for one in (lead, lead, make_lead(brand, other)):
            make_due(make_slot(lane, brand=brand), one, lane, now=NOON)
        ids = Message.objects.values_list("id", flat=True)
        assert people.of_messages(list(ids)) == {person.pk, other.pk}
        assert people.of_messages(ids[:1]) == {person.pk}

    def test_of_none_is_nobody_and_asks_nothing(self, statements):
        assert people.of_messages([]) == set()
        assert statements(lambda: people.of_messages([])) == 0


class TestWithLinked:
    def test_is_everybody_a_lead_names_beside_one_of_them(self, brand):
        person, mail, third = make_person(), make_person(), make_person()
        link(brand, person, mail)
        link(make_brand(), third, person)
        assert people.with_linked([person.pk]) == {person.pk, mail.pk, third.pk}

    def test_goes_both_ways(self, brand):
        person, mail = make_person(), make_person()
        link(brand, person, mail)
        assert people.with_linked([mail.pk]) == people.with_linked([person.pk])

    def test_goes_one_step_only(self, brand):
        person, mail, third = make_person(), make_person(), make_person()
        link(brand, person, mail)
        link(make_brand(), mail, third)
        assert third.pk not in people.with_linked([person.pk])

    def test_leaves_out_others(self, brand):
        person, other = make_person(), make_person()
        make_lead(brand, person)
        link(brand, other, make_person())
        assert people.with_linked([person.pk]) == {person.pk}

    def test_takes_one_statement_for_many_and_none_for_nobody(self, brand, statements):
        ids = [link(brand, make_person(), make_person()).person_id for _ in range(20)]
        assert statements(lambda: people.with_linked(ids)) == 1
        assert statements(lambda: people.with_linked([])) == 0
        assert people.with_linked([]) == set()


NOT_LOCKED = "SELECT id FROM compliance_person ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"


def locked_for_others():
    """Whom another connection finds locked, of all persons."""
    all_ids = {pk for (pk,) in sql.rows("SELECT id FROM compliance_person")}
    own = connection.copy()
    try:
        with own.cursor() as cursor:
            cursor.execute(NOT_LOCKED)
            return all_ids - {pk for (pk,) in cursor.fetchall()}
    finally:
        own.close()


@for_real
class TestLocking:
    def test_takes_the_persons_and_those_linked_with_some(self, brand):
        first, second, mail, other_mail, _ = (make_person() for _ in range(5))
        link(brand, first, mail)
        link(brand, second, other_mail)
        with transaction.atomic():
            people.lock([first.pk], and_linked_of=[second.pk])
            assert locked_for_others() == {first.pk, second.pk, other_mail.pk}

    def test_of_nobody_locks_nobody(self, brand):
        make_person()
        with transaction.atomic():
            people.lock([])
            assert locked_for_others() == set()

    def test_keeps_nobody_from_naming_the_person(self, brand):
        """A row that points at a person, such as an inbound, must not wait for the lock."""
        person = make_person()
        with transaction.atomic():
            people.lock([person.pk])
            own = connection.copy()
            try:
                with own.cursor() as cursor:
                    cursor.execute("SET lock_timeout = '2s'")
                    cursor.execute(
                        "SELECT 1 FROM compliance_person WHERE id = %s FOR KEY SHARE", [person.pk]
                    )
            finally:
                own.close()

    def test_takes_a_statement_and_two_more_where_links_count(self, brand, statements):
        ids = [make_person().pk for _ in range(20)]
        with transaction.atomic():
            assert statements(lambda: people.lock(ids)) == 1
            assert statements(lambda: people.lock([], and_linked_of=ids)) == 3

    def test_waits_for_the_lowest_before_it_takes_any_other(self, brand):
        """So that two of them can never wait for each other."""
        ids = [make_person().pk for _ in range(10)]
        lowest = Person.objects.filter(pk=ids[0])
        lowest.update(carrier="moves the row behind the others")

        def work():
            with transaction.atomic():
                people.lock(ids[::-1])
                return True

        with while_held(lambda: list(lowest.select_for_update()), work) as done:
            free = Person.objects.select_for_update(skip_locked=True)
            assert [one.pk for one in free.order_by("id")] == ids
        assert done == [True]

    def test_takes_a_person_who_is_linked_while_it_waits(self, brand):
        person, mail = make_person(), make_person()

        def hold():
            people.lock([person.pk])
            link(brand, person, mail)

        def work():
            with transaction.atomic():
                people.lock([], and_linked_of=[person.pk])
                return locked_for_others()

        with while_held(hold, work) as found:
            assert found == []
        assert found == [{person.pk, mail.pk}]

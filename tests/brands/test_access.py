from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User

from brands import access
from brands.access import Ability
from brands.models import Brand, Membership
from compliance.models import Person
from leads.models import Lead
from tests.factories import make_brand, make_lead, make_person
from tests.staff import make_user

pytestmark = pytest.mark.django_db

OF_ROLE = {
    "admin": {"FIGURES", "ROWS", "PEOPLE", "SEND", "MANAGE"},
    "marketer": {"FIGURES", "ROWS", "PEOPLE", "SEND"},
    "analyst": {"FIGURES", "ROWS"},
    "partner": set(),
}
ROLE = pytest.mark.parametrize("role", OF_ROLE)


def again(user):
    """As the next request finds the user."""
    return User.objects.get(pk=user.pk)


class TestMay:
    @ROLE
    @pytest.mark.parametrize("ability", list(Ability), ids=lambda ability: ability.name)
    def test_a_role_may_what_the_table_says_for_its_own_brand(self, role, ability):
        brand, other = make_brand(), make_brand()
        user = make_user(brand, role)
        found = ability.name in OF_ROLE[role]
        assert access.may(user, ability, brand.pk) == found
        assert access.may_anywhere(user, ability) == found
        assert not access.may(user, ability, other.pk)
        assert not access.may(user, ability, None)

    @pytest.mark.parametrize("ability", list(Ability), ids=lambda ability: ability.name)
    def test_a_superuser_may_everything(self, ability):
        user = make_user()
        assert access.may(user, ability, make_brand().pk)
        assert access.may(user, ability, None)

    @pytest.mark.parametrize("ability", list(Ability), ids=lambda ability: ability.name)
    def test_who_is_not_logged_in_may_nothing(self, ability):
        assert not access.may_anywhere(AnonymousUser(), ability)

    def test_a_superuser_who_was_switched_off_may_nothing(self):
        assert not access.may(make_user(is_active=False), Ability.ROWS, make_brand().pk)

    def test_two_roles_are_kept_apart(self):
        first, second = make_brand(), make_brand()
        user = make_user(first, "analyst")
        Membership.objects.create(user=user, brand=second, role="marketer")
        assert access.brand_ids(again(user), Ability.ROWS) == {first.pk, second.pk}
        assert access.brand_ids(again(user), Ability.SEND) == {second.pk}

    def test_roles_are_read_once_a_request(self, statements):
        user = again(make_user(make_brand(), "marketer"))
        assert statements(lambda: [access.may_anywhere(user, ability) for ability in Ability]) == 1


class TestVisible:
    def test_rows_of_other_brands_are_not_there(self):
        mine, other = make_lead(make_brand()), make_lead(make_brand())
        user = make_user(mine.brand, "marketer")
        rows = access.visible(Lead.objects.all(), user, Ability.PEOPLE, path="brand")
        assert list(rows) == [mine]
        assert other not in rows

    def test_a_person_of_two_brands_is_found_once(self):
        person, first, second = make_person(), make_brand(), make_brand()
        make_lead(first, person)
        make_lead(second, person)
        user = make_user(first, "marketer")
        Membership.objects.create(user=user, brand=second, role="marketer")
        rows = access.visible(
            Person.objects.all(), again(user), Ability.PEOPLE, path="leads__brand__many"
        )
        assert list(rows) == [person]

    def test_what_belongs_to_the_installation_is_a_superusers(self):
        make_brand()
        user = make_user(Brand.objects.get(), "admin")
        assert not access.visible(Brand.objects.all(), user, Ability.ROWS, path=None).exists()
        assert access.visible(Brand.objects.all(), make_user(), Ability.ROWS, path=None).exists()

    def test_brands_come_by_name(self):
        later, first = make_brand(name="Zebra"), make_brand(name="Apple")
        assert list(access.brands(make_user(), Ability.ROWS)) == [first, later]


class TestBrandIdOf:
    def test_walks_to_the_brand(self):
        lead = make_lead(make_brand())
        assert access.brand_id_of(lead, "brand") == lead.brand_id
        assert access.brand_id_of(lead, "consent__brand") == lead.brand_id
        assert access.brand_id_of(lead.brand, "pk") == lead.brand_id

    def test_finds_none_where_there_is_none(self):
        assert access.brand_id_of(None, "campaign__brand") is None


class TestShown:
    @pytest.mark.parametrize(
        ("address", "found"),
        [
            pytest.param("+12125550123", "+1212•••23", id="a phone number"),
            pytest.param("ada@example.com", "a•••@example.com", id="an e-mail address"),
            pytest.param(None, "", id="none"),
        ],
    )
    def test_is_masked_for_an_analyst(self, address, found):
        brand = make_brand()
        assert access.shown(make_user(brand, "analyst"), address, brand.pk) == found

    def test_is_whole_for_a_marketer_of_that_brand_only(self):
        brand, other = make_brand(), make_brand()
        user = make_user(brand, "marketer")
        assert access.shown(user, "+12125550123", brand.pk) == "+12125550123"
        assert access.shown(user, "+12125550123", other.pk) == "+1212•••23"

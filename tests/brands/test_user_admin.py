from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from brands import access
from brands.log_in import NO_ROLE, PARTNER
from brands.models import Membership
from tests.factories import make_brand
from tests.staff import client_of, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("sandbox")]

ADD = reverse("admin:auth_user_add")
PASSWORD = "correct horse battery"


def change_of(user):
    return reverse("admin:auth_user_change", args=[user.pk])


def roles(*pairs, first=0):
    """The inline's fields, for new rows."""
    data = {"membership_set-TOTAL_FORMS": len(pairs), "membership_set-INITIAL_FORMS": first}
    for place, (brand, role) in enumerate(pairs):
        data |= {
            f"membership_set-{place}-brand": brand.pk,
            f"membership_set-{place}-role": role,
        }
    return data


def a_new_user(name="kim", **changes):
    words = {"username": name, "password1": PASSWORD, "password2": PASSWORD}
    return {**words, "usable_password": "true", **roles(), **changes}


def a_changed_user(user, **changes):
    boxes = {name: "on" for name in ("is_superuser", "is_active") if getattr(user, name)}
    return {"username": user.username, **boxes, **roles(), **changes}


class TestAUser:
    @pytest.mark.parametrize("role", ["admin", "marketer", "analyst"])
    def test_with_a_role_may_log_in(self, role):
        client_of(make_user()).post(ADD, a_new_user(**roles((make_brand(), role))))
        assert Client().login(username="kim", password=PASSWORD)
        assert User.objects.get(username="kim").is_staff

    def test_with_two_roles_for_one_brand_is_refused(self):
        brand = make_brand()
        form = a_new_user(**roles((brand, "admin"), (brand, "analyst")))
        assert "duplicate" in client_of(make_user()).post(ADD, form).text
        assert not User.objects.filter(username="kim").exists()

    @pytest.mark.parametrize("pairs", [[], ["partner"]], ids=["no role", "a partner"])
    def test_without_anything_to_do_here_may_not(self, pairs):
        brand = make_brand()
        client_of(make_user()).post(ADD, a_new_user(**roles(*((brand, role) for role in pairs))))
        assert not User.objects.get(username="kim").is_staff

    def test_who_may_do_everything_needs_no_role(self):
        client_of(make_user()).post(ADD, a_new_user(is_superuser="on"))
        assert User.objects.get(username="kim").is_staff

    def test_loses_the_log_in_with_the_last_role(self):
        user = make_user(make_brand(), "marketer")
        row = Membership.objects.get()
        delete = reverse("admin:brands_membership_delete", args=[row.pk])
        client_of(make_user()).post(delete, {"post": "yes"})
        user.refresh_from_db()
        assert not user.is_staff

    def test_gets_it_by_a_membership_of_its_own_page(self):
        user = make_user(make_brand(), "partner", is_staff=False)
        form = {"user": user.pk, "brand": make_brand().pk, "role": "analyst"}
        client_of(make_user()).post(reverse("admin:brands_membership_add"), form)
        user.refresh_from_db()
        assert user.is_staff


class TestTheLastOwner:
    @pytest.mark.parametrize("name", ["is_superuser", "is_active"])
    def test_cannot_lock_everybody_out(self, name):
        owner = make_user()
        form = a_changed_user(owner)
        del form[name]
        page = client_of(owner).post(change_of(owner), form)
        assert "Nobody else may do everything" in page.text
        assert access.is_last_owner(User.objects.get())

    def test_may_go_when_there_is_another(self):
        owner, other = make_user(), make_user()
        form = a_changed_user(owner)
        del form["is_superuser"]
        client_of(other).post(change_of(owner), form)
        owner.refresh_from_db()
        assert (owner.is_superuser, owner.is_staff) == (False, False)


def test_the_list_says_what_everybody_may(statements):
    owner, brand = make_user(), make_brand(name="Harbor Jobs")
    make_user(brand, "marketer")
    client = client_of(owner)
    url = reverse("admin:auth_user_changelist")
    page = client.get(url).text
    assert "Harbor Jobs: Marketer" in page
    assert "Everything" in page
    before = statements(lambda: client.get(url))
    for _ in range(5):
        make_user(make_brand(), "analyst")
    assert statements(lambda: client.get(url)) == before


class TestLogIn:
    def log_in(self, user, password=PASSWORD):
        user.set_password(PASSWORD)
        user.save()
        form = {"username": user.username, "password": password}
        return Client().post(reverse("admin:login"), form)

    def test_leads_staff_to_the_index(self):
        assert self.log_in(make_user(make_brand(), "analyst")).status_code == 302

    def test_tells_a_partner_to_ask_for_a_key(self):
        partner = make_user(make_brand(), "partner", is_staff=False)
        assert PARTNER in self.log_in(partner).text

    def test_tells_who_has_no_role_whom_to_ask(self):
        user = User.objects.create(username="newcomer")
        assert NO_ROLE in self.log_in(user).text

    def test_keeps_the_name_when_the_password_is_wrong(self):
        user = make_user(make_brand(), "analyst")
        page = self.log_in(user, "wrong").text
        assert f'value="{user.username}"' in page
        assert PARTNER not in page

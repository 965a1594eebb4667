"""Every table of the admin in a browser: its list, a row and the form for a new one."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from brands.models import Brand
from campaigns.models import Campaign, Template
from compliance.models import Keyword, OptOutEvent
from leads.models import LeadList
from providers.models import ProviderAccount, Route
from tests.rows import MAKERS
from tests.staff import log_in, make_user, shoot

pytest_plugins = ["tests.browser"]


NEW = [Brand, Campaign, Keyword, LeadList, OptOutEvent, ProviderAccount, Route, Template, User]


def path_of(model, page, *args):
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
    return reverse(name, args=args)


@pytest.mark.parametrize("model", MAKERS, ids=lambda model: model.__name__)
def test_a_table_opens_without_a_console_error_and_fits_a_phone(page, site, model):
    row, name = MAKERS[model](), model._meta.model_name
    log_in(page, site, make_user(username="kim"))
    addresses = {"list": path_of(model, "changelist"), "row": path_of(model, "change", row.pk)}
    for word, path in addresses.items():
        assert page.goto(f"{site}{path}").status == 200
        page.locator("#content").wait_for()
        shoot(page, f"admin-{name}-{word}")


@pytest.mark.parametrize("model", NEW, ids=lambda model: model.__name__)
def test_a_form_for_a_new_row_opens_and_fits_a_phone(page, site, model):
    log_in(page, site, make_user(username="kim"))
    assert page.goto(f"{site}{path_of(model, 'add')}").status == 200
    page.locator("#content").wait_for()
    shoot(page, f"admin-{model._meta.model_name}-new")

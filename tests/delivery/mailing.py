"""A campaign by e-mail: people with mailboxes, a sender, and an open slot."""

from __future__ import annotations

from itertools import count

import pytest

from campaigns.models import Template
from campaigns.versions import add_version
from tests.factories import (
    DAY,
    TWELVE,
    make_brand,
    make_campaign,
    make_lead,
    make_list,
    make_number,
    make_person,
    make_route,
    open_slot,
)

numbers = count(1)
SUBJECT = "New jobs in {city|your area}, {first_name|there}"
TEXT = "Hi {first_name|there}, see {link}"
HTML = '<html><body><p>Hi {first_name|there}, <a href="{link}">see</a></p></body></html>'


def mailbox():
    return f"person{next(numbers)}@example.com"


def make_sender(**fields):
    fields = {"value": f"jobs{next(numbers)}@mail.example.com", "kind": "email", **fields}
    return make_number(**fields)


def make_mail_template(brand, subject=SUBJECT, text=TEXT, html=HTML, **fields):
    fields = {"name": f"E-mail {next(numbers)}", "channel": "email", **fields}
    template = Template.objects.create(brand=brand, **fields)
    add_version(template, text, subject=subject, html=html)
    return template


def make_mail_campaign(brand, *leads, words=None, **fields):
    fields = {"channel": "email", "template": make_mail_template(brand, **(words or {})), **fields}
    return make_campaign(brand, make_list(brand, *leads), **fields)


def make_mail_slot(brand, *leads, on=DAY, at=TWELVE, **fields):
    return open_slot(make_mail_campaign(brand, *leads, **fields), on=on, at=at)


def make_reader(brand, **fields):
    """A lead whose person has both a phone and a mailbox."""
    person = {"email": mailbox(), **fields.pop("person", {})}
    return make_lead(brand, make_person(**person), **fields)


@pytest.fixture
def brand(sandbox):
    return make_brand(name="Acme Jobs")


@pytest.fixture
def sender(brand):
    sender = make_sender()
    make_route(brand, sender, channel="email")
    return sender

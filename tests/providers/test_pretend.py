from __future__ import annotations

import pytest

from providers import pretend
from tests.factories import NOON, make_account

pytestmark = pytest.mark.django_db

HTTP, OTHER, MAIL = "http://127.0.0.1:8200", "http://127.0.0.2:8300", "smtp://127.0.0.1:2525"


class TestThePages:
    def test_of_an_account_that_speaks_http_are_at_its_own_address(self):
        url = f"{OTHER}/pineapple"
        assert pretend.phone_page(url, "+12125550143") == f"{OTHER}/phone#+12125550143"
        assert pretend.mailbox_page(url) == f"{OTHER}/mail"

    def test_of_an_account_of_email_are_where_another_one_on_its_machine_knows(self):
        make_account(base_url=f"{OTHER}/pineapple")
        make_account(base_url=f"{HTTP}/generic")
        make_account(kind="smtp", base_url=MAIL)
        assert pretend.mailbox_page(MAIL, "ada+1@example.com") == f"{HTTP}/mail#ada%2B1@example.com"

    def test_without_an_address_are_the_first_account_s(self):
        make_account(kind="smtp", base_url=MAIL)
        make_account(base_url=HTTP)
        assert pretend.phone_page() == f"{HTTP}/phone"

    @pytest.mark.parametrize(
        "fields",
        [{"is_simulated": False}, {"retired_at": NOON}, {"base_url": OTHER}, {"base_url": ""}],
        ids=["real", "retired", "elsewhere", "usual address"],
    )
    def test_are_nowhere_where_nobody_knows_the_simulator(self, fields):
        make_account(**{"base_url": HTTP, **fields})
        assert pretend.mailbox_page(MAIL, "ada@example.com") == ""


@pytest.mark.parametrize(
    ("fields", "has_mail"),
    [
        ({"kind": "smtp", "base_url": MAIL}, True),
        ({"kind": "smtp", "base_url": MAIL, "retired_at": NOON}, False),
        ({"kind": "smtp", "base_url": MAIL, "is_simulated": False}, False),
        ({"kind": "twilio"}, False),
    ],
    ids=["smtp", "retired", "real", "texts"],
)
def test_there_is_mail_where_a_simulated_account_carries_it(fields, has_mail):
    make_account(**fields)
    assert pretend.has_mail() is has_mail

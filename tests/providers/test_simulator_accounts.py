"""What the simulator is told of accounts."""

from __future__ import annotations

import pytest

from providers import simulator_signing
from providers.simulator import WIRES
from providers.simulator_accounts import Accounts


@pytest.mark.parametrize(("token", "loaded"), [("secret", 1), (None, 0)])
def test_what_signs_is_loaded_when_an_account_is_told_and_not_with_its_first_message(token, loaded):
    """To load it takes seconds, in which nothing else is answered."""
    simulator_signing._sinch_package.cache_clear()
    told = {"name": "plan-1", "provider": "sinch", "inbound_url": "http://127.0.0.1:9/in"}
    Accounts(WIRES).order({"account": {**told, **({"token": token} if token else {})}})
    assert simulator_signing._sinch_package.cache_info().currsize == loaded

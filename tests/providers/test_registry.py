from __future__ import annotations

import pytest

from providers.base import Access, Callback
from providers.declared import DEFINITIONS
from providers.registry import ADAPTERS, adapter, adapter_choices
from tests.providers.peers import a_send

ACCOUNTS_OWN = {"slooce", "pineapple", "generic", "smtp"}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_stands_under_its_own_kind(kind):
    assert adapter(kind).kind == kind


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapters_own_address_is_https_or_the_accounts(kind):
    own = adapter(kind).base_url
    assert own.startswith("https://") or (own == "" and kind in ACCOUNTS_OWN)


def test_the_choices_are_kinds_with_labels():
    assert {("twilio", "Twilio"), ("plivo", "Plivo")} <= set(adapter_choices())


def test_a_kind_that_nobody_wrote_is_a_key_error():
    with pytest.raises(KeyError):
        adapter("carrier_pigeon")


def test_a_definition_speaks_for_the_account_that_has_it():
    definition = (DEFINITIONS / "example.json").read_text()
    found = adapter("generic", definition)
    assert (found.kind, found.label) == ("generic", "A provider of yours")


def test_a_definition_is_read_once():
    definition = (DEFINITIONS / "example.json").read_text()
    assert adapter("generic", definition) is adapter("generic", str(definition))


@pytest.mark.parametrize("definition", ["", "{", "{}"])
def test_without_a_definition_that_can_be_used_nothing_is_sent_or_believed(definition):
    found, access = adapter("generic", definition), Access(kind="generic", secrets={})
    with pytest.raises(ValueError):
        found.build_request([a_send()], access)
    callback = Callback(method="POST", url="", headers={}, query={}, form={}, body=b"")
    assert not found.is_genuine(callback, access)
    assert found.needs_key(access)

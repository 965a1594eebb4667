from __future__ import annotations

import pytest

from providers.registry import ADAPTERS, adapter, adapter_choices


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_stands_under_its_own_kind(kind):
    assert adapter(kind).kind == kind


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapters_own_address_is_https(kind):
    assert adapter(kind).base_url.startswith("https://")


def test_the_choices_are_kinds_with_labels():
    assert {("twilio", "Twilio"), ("plivo", "Plivo")} <= set(adapter_choices())


def test_a_kind_that_nobody_wrote_is_a_key_error():
    with pytest.raises(KeyError):
        adapter("carrier_pigeon")

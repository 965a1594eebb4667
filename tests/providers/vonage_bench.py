"""Vonage's two APIs against the simulator."""

from __future__ import annotations

import pytest

from providers.adapters.vonage_messages import VonageMessages
from providers.adapters.vonage_sms import VonageSms
from tests.providers.peers import a_send, an_access
from tests.providers.vonage import JWT_SECRET

TO, FROM = "+12025550143", "+15005550001"
SMS, MESSAGES = VonageSms(), VonageMessages()
SIGNING = {
    "vonage_sms": {"signature_secret": JWT_SECRET, "signature_method": "sha256"},
    "vonage": {"signature_secret": JWT_SECRET},
}
BOTH = pytest.mark.parametrize("adapter", [SMS, MESSAGES], ids=["sms", "messages"])
LONG = "a" * 161


def access_of(adapter, port, **secrets):
    secrets = {"api_key": "key1", "api_secret": "secret1", **SIGNING[adapter.kind], **secrets}
    return an_access(port, kind=adapter.kind, secrets=secrets)


async def sent(on, adapter, ref="r1", access=None, **changes):
    send = a_send(ref, **changes)
    access = access or access_of(adapter, on.port)
    return (await on.transport.send(adapter, [send], access))[ref]

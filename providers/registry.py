"""Every provider we can use.

A new one is a definition that an account brings along (the kind "generic"), a file in definitions/
and a line here, or an adapter in adapters/ and a line here.
"""

from __future__ import annotations

from providers.adapters.plivo import Plivo
from providers.adapters.simpletexting import SimpleTexting
from providers.adapters.sinch import Sinch
from providers.adapters.smtp import Smtp
from providers.adapters.twilio import Twilio
from providers.adapters.vonage_messages import VonageMessages
from providers.adapters.vonage_sms import VonageSms
from providers.base import Adapter
from providers.declared import GENERIC, UNDEFINED, declared, preset

ADAPTERS: dict[str, Adapter] = {
    "twilio": Twilio(),
    "plivo": Plivo(),
    "sinch": Sinch(),
    "simpletexting": SimpleTexting(),
    "slooce": preset("slooce"),
    "textback": preset("textback"),
    "textback_query": preset("textback_query"),
    "pineapple": preset("pineapple"),
    GENERIC: UNDEFINED,
    "vonage_sms": VonageSms(),
    "vonage": VonageMessages(),
    "smtp": Smtp(),
}


def adapter_choices() -> list[tuple[str, str]]:
    return [(kind, adapter.label) for kind, adapter in ADAPTERS.items()]


def adapter(kind: str, definition: str = "") -> Adapter:
    """Raises KeyError for a kind that is not in the table.

    The definition is the account's, for the kind that is told how to speak.
    """
    return declared(definition) if kind == GENERIC else ADAPTERS[kind]

"""A provider that is told how to speak: one adapter for every definition.

The definition (reference, section 11) is JSON that `declared_checks.py` found nothing against. The
presets in `definitions/` are kinds of their own; for the kind "generic" it is the account's. One
message a request: what providers with batches answer differs too much to be declared.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from providers import base
from providers.declared_paths import Document, read
from providers.declared_rules import Answers, Letters
from providers.declared_signatures import Proof
from providers.declared_templates import Shape, Shared
from providers.declared_webhooks import ReportFields, Reports, Texts, read_callback

logger = logging.getLogger(__name__)

GENERIC = "generic"
DEFINITIONS = Path(__file__).parent / "definitions"
PRIOR_START = (
    "A person must have joined the keyword at the provider before it can text them; whoever has not"
    " is refused."
)


class NotDefined(ValueError):
    """The account has no definition that can be used."""


class Declared(base.OneByOne):
    def __init__(self, kind: str, plain: Mapping[str, Any]) -> None:
        self.kind = kind
        self.label = plain["name"]
        self.base_url = plain.get("base_url", "")
        self.credentials = tuple(plain.get("secrets", ()))
        self.optional_credentials = tuple(plain.get("optional_secrets", ()))
        self.evidence = _evidence(plain)
        request, webhooks = plain["request"], plain.get("webhooks", {})
        phone_format = request.get("phone_format", "e164")
        shared = Shared(
            auth=plain.get("auth", {"type": "none"}),
            base_url=self.base_url,
            phone_format=phone_format,
            optional_secrets=frozenset(self.optional_credentials),
        )
        self._letters = Letters(plain.get("text", {}), is_xml=request["body_format"] == "xml")
        self.max_chars = self._letters.max_chars
        self._answers = Answers(plain)
        self._shape = Shape(request, shared)
        self.asks_for_reports = has_our_query = "callback_url" in self._shape.names
        self._proof = Proof(
            webhooks.get("signature", {"type": "none"}),
            has_secret_path=webhooks.get("secret_path", False),
        )
        self.thanks = base.Thanks(**webhooks.get("thanks", {}))
        self.busy_status = webhooks.get("busy_status", 503)
        self._readers: list[Reports | Texts] = []
        self._asks_query = False
        report_fields = webhooks.get("status", {})
        self.names_our_ref = has_our_query or "ref" in report_fields or not report_fields
        if report_fields:
            reports = Reports(report_fields, phone_format, has_our_query=has_our_query)
            self._readers.append(reports)
            self._asks_query = reports.asks_query
        if "inbound" in webhooks:
            self._readers.append(Texts(webhooks["inbound"], phone_format))
        self._look_up = _look_up(plain, shared)

    def fit(self, text: str) -> str | None:
        return self._letters.fit(text)

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.HttpRequest:
        (send,) = sends
        return self._shape.request(send, access)

    def read_outcome(self, send: base.SendRequest, response: base.HttpResponse) -> base.Outcome:
        return self._answers.read(send, response)

    def needs_key(self, access: base.Access) -> bool:
        return self._proof.needs_key(access)

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        return self._proof.is_given(callback, access)

    def replay_key(self, callback: base.Callback) -> str:
        """The signature itself, where our reference is in the address and that is not signed."""
        is_open = self._asks_query and self._proof.is_hmac and not self._proof.covers_url
        return self._proof.signature(callback) if is_open else ""

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        return read_callback(callback, self._readers)

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest | None:
        return self._look_up.request(look_up, access) if self._look_up else None

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        if self._look_up is None:
            return base.NoAnswer("look_up_not_offered")
        return self._look_up.answer(look_up, response)


class LookUps:
    """Asking for a message by their id, or by our reference in a list or alone."""

    def __init__(self, plain: Mapping[str, Any], shared: Shared) -> None:
        self._shapes = {by: Shape(plain[by], shared) for by in ("by_id", "by_ref") if by in plain}
        self._plain = plain
        self._format: str = plain.get("format", "json")
        self._fields = ReportFields(plain, shared.phone_format)

    def request(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest | None:
        shape = self._shapes.get("by_id" if look_up.provider_ref else "by_ref")
        return None if shape is None else shape.request(look_up, access)

    def answer(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        """Exactly one must fit; what cannot be read is for the transport to call no answer."""
        if response.status == 404:
            return base.NotListed()
        if response.status != 200:
            return base.NoAnswer(str(response.status))
        document = read(response.body, self._format)
        has_list = not look_up.provider_ref and "list" in self._plain
        listed = document.several(self._plain["list"]) if has_list else [document]
        fitting = [one for one in listed if self._is_ours(one, look_up)]
        report = self._fields.read(fitting[0], look_up.ref) if len(fitting) == 1 else None
        return base.NotListed() if report is None else base.Found(report)

    def _is_ours(self, document: Document, look_up: base.LookUp) -> bool:
        if look_up.provider_ref:
            return document.get(self._plain["id"]) == look_up.provider_ref
        return document.get(self._plain["ref"]) == look_up.ref


def _look_up(plain: Mapping[str, Any], shared: Shared) -> LookUps | None:
    """Words, and rules for codes, are those of reports unless it has its own."""
    if "look_up" not in plain:
        return None
    reports = plain.get("webhooks", {}).get("status", {})
    usual = {name: reports[name] for name in ("status_map", "errors") if name in reports}
    return LookUps({**usual, **plain["look_up"]}, shared)


def _evidence(plain: Mapping[str, Any]) -> str:
    said = [plain.get("evidence", ""), PRIOR_START if plain.get("requires_prior_start") else ""]
    return " ".join(filter(None, said))


class Undefined(base.OneByOne):
    """The kind "generic" before it is known whose definition speaks. It sends and believes nothing.

    Also what stands for a definition that cannot be used, so that others' messages go on.
    """

    kind = GENERIC
    label = "Another provider, by its definition"
    base_url = ""
    credentials = ()
    max_chars = 1_600
    names_our_ref = False  # as far as is known: the definition says it

    def build_request(
        self, sends: Sequence[base.SendRequest], access: base.Access
    ) -> base.HttpRequest:
        raise NotDefined("no definition that can be used")

    def read_outcome(self, send: base.SendRequest, response: base.HttpResponse) -> base.Outcome:
        return base.Unknown("not defined")

    def needs_key(self, access: base.Access) -> bool:
        return True

    def is_genuine(self, callback: base.Callback, access: base.Access) -> bool:
        return False

    def read_callback(self, callback: base.Callback) -> base.Event | None:
        return None

    def build_look_up(self, look_up: base.LookUp, access: base.Access) -> base.HttpRequest | None:
        return None

    def read_look_up(self, look_up: base.LookUp, response: base.HttpResponse) -> base.LookUpAnswer:
        return base.NoAnswer("look_up_not_offered")


UNDEFINED = Undefined()


def preset(kind: str) -> Declared:
    """The adapter of one of the definitions that come with the product."""
    return Declared(kind, json.loads((DEFINITIONS / f"{kind}.json").read_text()))


@lru_cache(maxsize=256)
def declared(definition: str) -> base.Adapter:
    """The adapter of an account's own definition, read once; one with a mistake speaks to nobody.

    It was checked before it was saved. That it is checked again here is for one that an older or
    newer version of this module saved.
    """
    found = problems(definition)
    if not found:
        return Declared(GENERIC, json.loads(definition))
    if definition:
        logger.error("a stored definition cannot be used", extra={"problems": len(found)})
    return UNDEFINED


def problems(definition: str) -> list[str]:
    """What is wrong with a definition, each with the key it is about; none where it can be used."""
    found: list[str] = _checks().problems(definition)
    return found


@cache
def _checks() -> Any:
    """Loaded when first needed: the schema's package takes longer than all else of this module."""
    return import_module("providers.declared_checks")

"""What a definition says of callbacks: which are reports, which are texts, where their fields are.

A report of a word that the definition does not know means that the message was taken, no more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from providers import base
from providers.base import Status
from providers.declared_paths import Document, Fields, Unreadable, read
from providers.declared_rules import LONGEST_CODE, meaning_of
from providers.declared_templates import Template, e164

FAILURES = {Status.UNDELIVERED, Status.FAILED, Status.REJECTED, Status.EXPIRED}
LONGEST_REF = 64  # characters of an id that are kept
REPORT_PLACES = frozenset({"id", "ref", "to", "status", "error_code", "time"})
TEXT_PLACES = frozenset({"id", "from", "to", "text", "time"})
USUAL_KEY = "{id}:{ref}:{status}:{error_code}"
COMMANDS = {"stop": "STOP", "help": "HELP"}
_MILLISECONDS = 100_000_000_000  # a Unix time above is in these


class ReportFields:
    """Where a report's fields are, in a callback or in the answer to a look-up."""

    def __init__(self, plain: Mapping[str, Any], phone_format: str) -> None:
        self._plain = plain
        self._phone_format = phone_format
        self._words = {
            word.lower(): Status(ours) for word, ours in plain.get("status_map", {}).items()
        }
        self._rules: list[Mapping[str, Any]] = plain.get("errors", [])
        self._key = Template(plain.get("dedupe_key", USUAL_KEY))

    def read(self, document: Document, asked_ref: str = "") -> base.DeliveryReport | None:
        """None where it names no message, or says nothing of it."""
        said = {name: _field(document, self._plain, name) for name in REPORT_PLACES}
        said["ref"] = said["ref"] or asked_ref
        if not said["status"] or not (said["id"] or said["ref"]):
            return None
        status = self._words.get(said["status"].lower(), Status.ACCEPTED)
        code = said["error_code"][:LONGEST_CODE] if status in FAILURES else ""
        meaning = meaning_of(self._rules, code) if code else None
        return base.DeliveryReport(
            ref=said["ref"],
            provider_ref=said["id"],
            status=status,
            provider_status=said["status"],
            is_new_word=said["status"].lower() not in self._words,
            recipient_e164=e164(said["to"], self._phone_format),
            code=code,
            error_class=meaning.error_class if meaning else None,
            carrier_blocked=meaning.carrier_blocked if meaning else False,
            opted_out=meaning.opted_out if meaning else False,
            occurred_at=moment(said["time"]),
            dedupe_key=_short(self._key.text(said)),
        )


class Reports:
    """The callbacks that report on our messages."""

    def __init__(self, plain: Mapping[str, Any], phone_format: str, *, has_our_query: bool) -> None:
        self._kind = _Kind(plain, needed=("status",))
        self._fields = ReportFields(plain, phone_format)
        self.asks_query = has_our_query and "ref" not in plain

    def read(self, callback: base.Callback) -> base.DeliveryReport | None:
        """Raises Unreadable."""
        document = self._kind.document(callback)
        if document is None:
            return None
        asked_ref = callback.query.get(base.REF_FIELD, "") if self.asks_query else ""
        return self._fields.read(document, asked_ref)


class Texts:
    """The callbacks that bring what people write."""

    def __init__(self, plain: Mapping[str, Any], phone_format: str) -> None:
        self._kind = _Kind(plain, needed=("from",))
        self._plain = plain
        self._phone_format = phone_format
        self._commands: Mapping[str, str] = plain.get("command_map", {})
        self._key = Template(plain["dedupe_key"]) if "dedupe_key" in plain else None

    def read(self, callback: base.Callback) -> base.InboundMessage | None:
        """A text or a command; None where there is neither, as when they tell of someone who joins.

        Raises Unreadable.
        """
        document = self._kind.document(callback)
        if document is None:
            return None
        said = {name: _field(document, self._plain, name) for name in TEXT_PLACES}
        command = _field(document, self._plain, "command")
        ours = COMMANDS.get(self._commands.get(command, ""), "")
        text = said["text"] or ours or command
        if not said["from"] or not text:
            return None
        found = self._ref(said)
        return base.InboundMessage(
            provider_ref=found,
            from_e164=e164(said["from"], self._phone_format),
            to_value=e164(said["to"], self._phone_format),
            text=text,
            media_urls=_media(document, self._plain),
            keyword=ours or command,
            is_provider_optout=ours == COMMANDS["stop"],
            dedupe_key=found,
        )

    def _ref(self, said: Mapping[str, str]) -> str:
        """Their id, or what the definition makes one of.

        With neither, each is a text of its own: a STOP that comes again must not be taken for the
        one before it.
        """
        if said["id"]:
            return _short(said["id"])
        if self._key is not None and all(said[name] for name in self._key.names - {"id"}):
            return _short(self._key.text(said))
        return secrets.token_hex(16)


class _Kind:
    """Which callbacks are of one kind: by method and format, and what some fields must say."""

    def __init__(self, plain: Mapping[str, Any], needed: Sequence[str]) -> None:
        self._method: str = plain.get("method", "POST")
        self._format: str = plain.get("format", "json")
        self._when: Mapping[str, str] = plain.get("when", {})
        self._needed = [plain[name] for name in needed]

    def document(self, callback: base.Callback) -> Document | None:
        """None where it is of another kind. Raises Unreadable."""
        if callback.method != self._method:
            return None
        document = _document(callback, self._format)
        has_all = all(document.get(path) for path in self._needed)
        is_said = all(document.get(path) == said for path, said in self._when.items())
        return document if has_all and is_said else None


def _document(callback: base.Callback, form: str) -> Document:
    if form == "query":
        return Fields(callback.query)
    if form == "form" and callback.form:
        return Fields(callback.form)
    return read(callback.body, form)


def read_callback(callback: base.Callback, readers: Sequence[Reports | Texts]) -> base.Event | None:
    """By the first reader that knows it. Raises Unreadable where none of them can read it."""
    unreadable = []
    for reader in readers:
        try:
            event = reader.read(callback)
        except Unreadable as error:
            unreadable.append(error)
            continue
        if event is not None:
            return event
    if unreadable and len(unreadable) == len(readers):
        raise unreadable[0]
    return None


def _field(document: Document, paths: Mapping[str, Any], name: str) -> str:
    return (document.get(paths[name]) or "").strip() if name in paths else ""


def _media(document: Document, paths: Mapping[str, Any]) -> tuple[str, ...]:
    """Addresses, in a list of them or of things that have one as their `url`."""
    listed = document.several(paths["media"]) if "media" in paths else ()
    found = (one.get("") or one.get("url") for one in listed)
    return tuple(url for url in found if url)


def _short(key: str) -> str:
    """A key as long as it is kept; of a longer one what is as good as unique."""
    if len(key) <= LONGEST_REF:
        return key
    return hashlib.sha256(key.encode()).hexdigest()


def moment(said: str) -> datetime | None:
    """A time as ISO 8601 with its zone, or as Unix time in seconds or milliseconds."""
    try:
        if said.isdecimal():
            seconds = int(said) / 1000 if int(said) > _MILLISECONDS else int(said)
            return datetime.fromtimestamp(seconds, UTC)
        at = datetime.fromisoformat(said)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo else None

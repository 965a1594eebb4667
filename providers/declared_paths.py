"""What a provider said, as fields that paths lead to: JSON, a form, XML or plain text.

JSON has dot paths (`data.0.id`), a form the names of its fields, XML a path from its root down with
an attribute at its end (`/response/@result`), plain text the one path `text`. Whose field it is and
what it means stands in a definition, of which this module knows nothing.

XML is read by lxml: it is installed for Plivo's package anyway, refuses what is not well-formed,
and is told here to load nothing. A document type is refused, and with it every entity of its own;
defusedxml would do no more, and has had no release since 2021.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl

from lxml import etree

WHOLE_TEXT = "text"
_JSON_PATH = re.compile(r"[^.\s/{}]+(?:\.[^.\s/{}]+)*")
_XML_PATH = re.compile(r"(?:/[A-Za-z_][\w.-]*)+(?:/@[A-Za-z_][\w.-]*)?")
_FORM_PATH = re.compile(r"\S+")


class Unreadable(ValueError):
    """It is not in the format that it should have."""


class Document(Protocol):
    """What was said. A field that is not there, or is no single value, is None."""

    def get(self, path: str) -> str | None: ...

    def several(self, path: str) -> Sequence[Document]:
        """The members of the list at the path; an empty path is the whole."""
        ...


class Fields:
    """A form, or a query."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def get(self, path: str) -> str | None:
        return self._fields.get(path)

    def several(self, path: str) -> Sequence[Document]:
        return ()


class Plain:
    """A text without any form."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get(self, path: str) -> str | None:
        return self._text if path == WHOLE_TEXT else None

    def several(self, path: str) -> Sequence[Document]:
        return ()


class Json:
    def __init__(self, value: Any) -> None:
        self._value = value

    def get(self, path: str) -> str | None:
        found = self._at(path)
        if isinstance(found, bool):
            return "true" if found else "false"
        return str(found) if isinstance(found, str | int | float) else None

    def several(self, path: str) -> Sequence[Document]:
        found = self._at(path) if path else self._value
        return [Json(one) for one in found] if isinstance(found, list) else ()

    def _at(self, path: str) -> Any:
        """A member that is itself a value is reached by an empty path."""
        found = self._value
        for name in path.split(".") if path else ():
            if isinstance(found, dict):
                found = found.get(name)
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return None
        return found


class Xml:
    """Names are compared without their namespace; of several alike the first one counts."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def get(self, path: str) -> str | None:
        path, _, attribute = path.partition("/@")
        found = self._all(path)
        if not found:
            return None
        value = found[0].get(attribute) if attribute else "".join(found[0].itertext())
        return None if value is None else str(value)

    def several(self, path: str) -> Sequence[Document]:
        return [Xml(one) for one in self._all(path)]

    def _all(self, path: str) -> list[Any]:
        first, *rest = path.removeprefix("/").split("/")
        found = [self._root] if _name(self._root) == first else []
        for name in rest:
            found = [child for parent in found for child in parent if _name(child) == name]
        return found


def _name(element: Any) -> str:
    return str(etree.QName(element).localname)


def read(body: bytes, form: str) -> Document:
    """The body in one of the forms json, form, xml and text. Raises Unreadable."""
    return _READERS[form](body)


def _read_json(body: bytes) -> Document:
    try:
        return Json(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON") from error


def _read_form(body: bytes) -> Document:
    try:
        return Fields(dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True)))
    except ValueError as error:
        raise Unreadable("not a form") from error


def _read_xml(body: bytes) -> Document:
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable("not XML") from error
    if root.getroottree().docinfo.doctype:
        raise Unreadable("XML with a document type")
    return Xml(root)


def _read_text(body: bytes) -> Document:
    return Plain(body.decode(errors="replace"))


_READERS = {"json": _read_json, "form": _read_form, "xml": _read_xml, "text": _read_text}


def why_no_path(path: str, form: str) -> str:
    """What is wrong with a path, and how one looks in this form; empty where nothing is."""
    if form == "xml":
        return "" if _XML_PATH.fullmatch(path) else "write it like /response/@result"
    if form == "text":
        return "" if path == WHOLE_TEXT else f"a plain text has one path only: {WHOLE_TEXT}"
    if form == "json":
        return "" if _JSON_PATH.fullmatch(path) else "write it like data.id, or data.0.id in a list"
    return "" if _FORM_PATH.fullmatch(path) else "write the name of a field"

"""Requests made of a definition's templates: literals, and places for our values in braces.

Values are put in once, each as the format's own encoder writes it, so no value can be read as
markup or as another place. Which places there are is a closed list; what is true of a definition
(`declared_checks.py`) is taken for granted here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from lxml import etree

from providers.base import Access, HttpRequest, LookUp, SendRequest

Value = str | int | None
SECRET = "secret:"  # noqa: S105 - how a place for one begins

_PLACE = re.compile(r"\{([^{}]*)\}")
_COUNTRY = "1"  # national10 is the form of the North American plan


class NoValue(ValueError):
    """A place has no value, or none that may stand there; nothing can be sent."""


class Template:
    """A text with places. One that is a place and nothing else keeps the value's own type."""

    def __init__(self, text: str) -> None:
        self._literals, self._names = _PLACE.split(text)[::2], _PLACE.split(text)[1::2]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._names)

    @property
    def literal(self) -> str:
        """All that is not a place."""
        return "".join(self._literals)

    def value(self, values: Mapping[str, Value]) -> Value:
        if len(self._names) == 1 and self._literals == ["", ""]:
            return values[self._names[0]]
        return self.text(values)

    def text(self, values: Mapping[str, Value], escape: Callable[[str], str] = str) -> str:
        """Raises NoValue."""
        parts = [self._literals[0]]
        for name, literal in zip(self._names, self._literals[1:], strict=True):
            value = values[name]
            if value is None:
                raise NoValue(f"{name} has no value")
            parts += [escape(str(value)), literal]
        return "".join(parts)

    def joined(self, values: Mapping[str, bytes]) -> bytes:
        """As `text`, of bytes that need not be text."""
        parts = [self._literals[0].encode()]
        for name, literal in zip(self._names, self._literals[1:], strict=True):
            parts += [values[name], literal.encode()]
        return b"".join(parts)


# --- our values -----------------------------------------------------------------------------------


def _digits(number: str) -> str:
    """Of a phone number; a keyword, a short code or a name stays as it is."""
    return number.removeprefix("+") if number[1:].isdecimal() else number


def _national(number: str) -> str:
    digits = _digits(number)
    if not number.startswith("+"):
        return number
    if len(digits) != 11 or not digits.startswith(_COUNTRY):
        raise NoValue("not a number of ten national digits")
    return digits[1:]


PHONE_FORMATS: Mapping[str, Callable[[str], str]] = {
    "e164": str,
    "digits": _digits,
    "national10": _national,
}

_OF_ANY: Mapping[str, Callable[[Any], Value]] = {
    "ref": lambda asked: asked.ref,
    "to_e164": lambda asked: asked.to_e164,
    "to_digits": lambda asked: _digits(asked.to_e164),
    "to_national10": lambda asked: _national(asked.to_e164),
}
_OF_A_SEND: Mapping[str, Callable[[Any], Value]] = {
    **_OF_ANY,
    "text": lambda send: send.text,
    "callback_url": lambda send: send.status_callback_url or None,
    "valid_seconds": lambda send: send.valid_seconds(),
    "segments": lambda send: send.segments,
}
_OF_A_LOOK_UP: Mapping[str, Callable[[Any], Value]] = {
    **_OF_ANY,
    "id": lambda asked: asked.provider_ref,
}
BY_PHONE_FORMAT = {"to", "from"}
SEND_PLACES = frozenset({*_OF_A_SEND, *BY_PHONE_FORMAT, "base"})
LOOK_UP_PLACES = frozenset({*_OF_A_LOOK_UP, *BY_PHONE_FORMAT, "base"})


def e164(number: str, phone_format: str) -> str:
    """One of theirs as we write it; short codes, keywords and names stay as they are."""
    bare = number.strip().removeprefix("+")
    if not (bare.isascii() and bare.isdecimal()):
        return number.strip()
    if phone_format == "national10" and len(bare) == 10:
        return f"+{_COUNTRY}{bare}"
    return f"+{bare}" if len(bare) > 6 else bare


# --- requests -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What all requests of a definition have in common."""

    auth: Mapping[str, Any]
    base_url: str
    phone_format: str
    optional_secrets: frozenset[str]


class Shape:
    """One kind of request: how a definition writes it, filled with the values of a message."""

    def __init__(self, plain: Mapping[str, Any], shared: Shared) -> None:
        auth = shared.auth
        self._method = plain.get("method", "GET")
        self._url = Template(plain["url"])
        self._base_url = shared.base_url
        self._phone = PHONE_FORMATS[shared.phone_format]
        self._optional = shared.optional_secrets
        self._format = plain.get("body_format", "none")
        self._charset = plain.get("charset", "UTF-8")
        headers, query, body = with_auth(plain, auth)
        self._headers, self._query = _compiled(headers), _compiled(query)
        self._body = _compiled(body)
        self._basic = _compiled({name: auth[name] for name in ("user", "password") if name in auth})
        self.names = frozenset(names_in([plain["url"], headers, query, body, dict(auth)]))

    def request(self, asked: SendRequest | LookUp, access: Access) -> HttpRequest:
        """Raises NoValue, KeyError for a secret that the account lacks, or ValueError."""
        values = self._values(asked, access)
        headers = {name: part.text(values) for name, part in self._headers.items()}
        url, basic = self._whole_url(values), self._basic
        auth = (basic["user"].text(values), basic["password"].text(values)) if self._basic else None
        if self._format == "none":
            return HttpRequest(method=self._method, url=url, headers=headers, auth=auth)
        if self._format == "xml":
            body = to_xml(self._body, values, self._charset)
            if "content-type" not in map(str.lower, headers):
                headers = {"Content-Type": "application/xml", **headers}
            return HttpRequest(method="POST", url=url, headers=headers, auth=auth, body=body)
        filled = _filled(self._body, values)
        if self._format == "json":
            return HttpRequest(method="POST", url=url, headers=headers, auth=auth, json=filled)
        form = {name: str(value) for name, value in filled.items()}
        return HttpRequest(method="POST", url=url, headers=headers, auth=auth, form=form)

    def _values(self, asked: SendRequest | LookUp, access: Access) -> dict[str, Value]:
        makers = _OF_A_SEND if isinstance(asked, SendRequest) else _OF_A_LOOK_UP
        values = {name: make(asked) for name, make in makers.items() if name in self.names}
        values["base"] = (access.base_url or self._base_url).rstrip("/")
        if "to" in self.names:
            values["to"] = self._phone(asked.to_e164)
        if "from" in self.names:
            values["from"] = self._phone(asked.from_value)
        for place in self.names:
            if place.startswith(SECRET):
                name = place.removeprefix(SECRET)
                is_optional = name in self._optional
                values[place] = access.secrets.get(name) if is_optional else access.secrets[name]
        return values

    def _whole_url(self, values: Mapping[str, Value]) -> str:
        base, escaped = str(values["base"]), {**values, "base": ""}
        path = self._url.text(escaped, lambda value: quote(value, safe=""))
        if not {"", ".", ".."}.isdisjoint(path.removeprefix("/").split("/")):
            raise NoValue("a part of the path is empty, or leads elsewhere")
        query = _filled(self._query, values)
        return f"{base}{path}{'?' if query else ''}{urlencode(query, quote_via=quote, safe='')}"


def with_auth(
    plain: Mapping[str, Any], auth: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Headers, query and body with what proves who we are; the user and password come apart."""
    headers, query = dict(plain.get("headers", {})), dict(plain.get("query", {}))
    body = plain.get("body", {})
    match auth["type"]:
        case "bearer":
            headers["Authorization"] = f"Bearer {auth['token']}"
        case "header":
            headers[auth["name"]] = auth["value"]
        case "query":
            query[auth["name"]] = auth["value"]
        case "body_field" if plain.get("body_format", "none") != "none":
            body = _with_field(body, auth["path"].split("."), auth["value"])
    return headers, query, body


def _with_field(tree: Mapping[str, Any], path: list[str], value: str) -> dict[str, Any]:
    first, *rest = path
    inner = _with_field(tree.get(first, {}), rest, value) if rest else value
    return {**tree, first: inner}


def names_in(tree: Any) -> Iterator[str]:
    """The places in a tree of templates, in the order in which they stand."""
    for text in texts_in(tree):
        yield from _PLACE.findall(text)


def texts_in(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for member in tree.values():
            yield from texts_in(member)
    elif isinstance(tree, list):
        for member in tree:
            yield from texts_in(member)


def _compiled(tree: Any) -> Any:
    """The tree with a Template for each of its texts."""
    if isinstance(tree, str):
        return Template(tree)
    if isinstance(tree, Mapping):
        return {name: _compiled(member) for name, member in tree.items()}
    return [_compiled(member) for member in tree] if isinstance(tree, list) else tree


def _filled(tree: Any, values: Mapping[str, Value]) -> Any:
    """The tree with its values; a member that is one place without a value is left out."""
    if isinstance(tree, Template):
        return tree.value(values)
    if isinstance(tree, Mapping):
        filled = {name: _filled(member, values) for name, member in tree.items()}
        return {name: member for name, member in filled.items() if member is not None}
    if isinstance(tree, list):
        return [_filled(member, values) for member in tree]
    return tree


def to_xml(tree: Mapping[str, Any], values: Mapping[str, Value], charset: str) -> bytes:
    """One root; `@name` is an attribute, `#text` the text beside it, a list repeats its element.

    What the charset lacks becomes a character reference. Raises ValueError for what XML cannot
    hold, such as a control character.
    """
    ((name, content),) = _filled(tree, values).items()
    root = etree.Element(name)
    _fill_element(root, content)
    head = f'<?xml version="1.0" encoding="{charset}"?>'.encode()
    written: bytes = etree.tostring(root, encoding=charset, xml_declaration=False)
    return head + written


def _fill_element(element: Any, content: Any) -> None:
    if not isinstance(content, dict):
        element.text = str(content)
        return
    for name, member in content.items():
        if name.startswith("@"):
            element.set(name[1:], str(member))
        elif name == "#text":
            element.text = str(member)
        else:
            for one in member if isinstance(member, list) else [member]:
                _fill_element(etree.SubElement(element, name), one)

"""Whether the body of a declared request can be written in its format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")

Found = Iterator[str]


def body_problems(request: Mapping[str, Any]) -> Found:
    """Each as "key: what to do"."""
    body, form = request.get("body"), request["body_format"]
    if form != "none" and request["method"] == "GET":
        yield "request.body_format: a GET has no body; write none, and its fields as query"
    elif form == "none" and body is not None:
        yield "request.body: body_format is none; take the body out, or say its format"
    elif form != "none" and not body:
        yield "request.body: this is missing; add it"
    elif form == "form":
        yield from _form(body or {})
    elif form == "xml":
        yield from _xml(body or {})


def _form(body: Mapping[str, Any]) -> Found:
    for name, value in body.items():
        if not isinstance(value, str):
            yield f"request.body.{name}: a form has texts only; write it as one"


def _xml(body: Mapping[str, Any]) -> Found:
    if len(body) != 1 or not isinstance(next(iter(body.values())), Mapping | str):
        yield "request.body: XML has one root; put all of it into one group"
    yield from _elements(body, "request.body")


def _elements(tree: Mapping[str, Any], at: str) -> Found:
    for name, member in tree.items():
        path = f"{at}.{name}"
        if not (_XML_NAME.fullmatch(name.removeprefix("@")) or name == "#text"):
            yield f"{path}: this is no name in XML; begin with a letter, without spaces"
        if name.startswith(("@", "#")):
            if not isinstance(member, str):
                yield f"{path}: write a text here"
            continue
        for one in member if isinstance(member, list) else [member]:
            yield from _element(one, path)


def _element(member: object, path: str) -> Found:
    if isinstance(member, Mapping):
        yield from _elements(member, path)
    elif not isinstance(member, str):
        yield f"{path}: write a text or a group here"

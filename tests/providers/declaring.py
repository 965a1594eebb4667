"""What the tests of declared providers share: sends, answers and callbacks of a definition."""

from __future__ import annotations

import json

from providers.base import Access, Callback, HttpResponse, LookUp
from providers.declared import DEFINITIONS, Declared
from providers.registry import adapter
from tests.providers.peers import a_send

TO, FROM = "+12025550143", "+15005550001"


def definition_of(kind):
    """A preset's definition, or the example's, to be changed."""
    return json.loads((DEFINITIONS / f"{kind}.json").read_text())


def speaking(plain):
    return Declared("generic", plain)


def an_access(kind="generic", base_url="https://api.example.com", **secrets):
    return Access(kind=kind, base_url=base_url, secrets=secrets)


def request_of(speaks, access, **changes):
    return speaks.build_request([a_send(**changes)], access)


def outcome_of(speaks, status, body="", headers=None, **changes):
    """Of an answer with this body: text, or what is written as JSON."""
    raw = body if isinstance(body, str) else json.dumps(body)
    send = a_send(**changes)
    response = HttpResponse(status=status, headers=headers or {}, body=raw.encode())
    return speaks.read_response([send], response)[send.ref]


def a_callback(body=b"", *, method="POST", query=None, form=None, headers=None, url=""):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Callback(
        method=method,
        url=url or "https://hooks.example.com/webhooks/generic/1/status",
        headers=headers or {},
        query=query or {},
        form=form or {},
        body=raw,
    )


def a_look_up(**changes):
    values = {
        "ref": "r1",
        "to_e164": TO,
        "from_value": FROM,
        "text": "hi & bye",
        "intended_at": None,
    }
    return LookUp(**{**values, **changes})


def looked_up(speaks, status, body, **changes):
    response = HttpResponse(status=status, headers={}, body=json.dumps(body).encode())
    return speaks.read_look_up(a_look_up(**changes), response)


def preset(kind):
    return adapter(kind)

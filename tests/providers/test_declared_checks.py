"""What is said of a definition with a mistake: the key, and what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from providers.declared import DEFINITIONS, problems
from tests.providers.declaring import definition_of


def changed(path, value):
    """The example with another value at the path; None takes the key away."""
    plain = definition_of("example")
    *groups, name = path.split(".")
    inner = plain
    for group in groups:
        inner = inner.setdefault(group, {}) if isinstance(inner, dict) else inner[int(group)]
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    return plain


def said(plain):
    return problems(json.dumps(plain))


@pytest.mark.parametrize("file", sorted(DEFINITIONS.glob("*.json")), ids=lambda file: file.stem)
def test_nothing_is_wrong_with_the_definitions_that_come_along(file: Path):
    assert problems(file.read_text()) == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "definition: this is not JSON"),
        ("{", "definition: this is not JSON"),
        ("[]", "definition: this must be a group in braces"),
        ("7", "definition: this must be a group in braces"),
        ('{"name": "a", "name": "b"}', "definition: the key name stands twice"),
        ("[" * 50_000, "definition: it is nested too deeply"),
        ("[" * 30 + "]" * 30, "definition: it is nested too deeply"),
        (" " * 70_000, "definition: it is longer than"),
    ],
    ids=["empty", "torn", "a list", "a number", "twice", "deep", "deeper", "long"],
)
def test_what_is_no_definition_at_all(text, sentence):
    (found,) = problems(text)
    assert found.startswith(sentence)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("name", None, "name: this is missing; add it"),
        ("request.url", None, "request.url: this is missing; add it"),
        ("request.method", "PUT", "request.method: write POST or GET"),
        ("request.colour", "red", "request.colour: there is no such key; here may stand method"),
        ("success.status_in", [500], "success.status_in.0: 500 is greater than the maximum of 299"),
        ("errors.0.class", "bad", "errors.0.class: write permanent_recipient"),
        ("errors.1.http_status", 503, "errors.1.http_status: 503 is greater than the maximum"),
        ("auth", {"type": "bearer"}, "auth.token: this is missing; add it"),
        ("auth", {"type": "basic", "user": "u"}, "auth.password: this is missing; add it"),
        ("secrets", ["Api Key"], "secrets.0: 'Api Key' may not stand here"),
        (
            "webhooks.status.status_map.odd",
            "fine",
            "webhooks.status.status_map.odd: write accepted",
        ),
        ("webhooks.inbound.text", None, "webhooks.inbound: name text or command at least"),
        ("webhooks.thanks", {"status": 500}, "webhooks.thanks.status: 500 is greater than"),
        ("webhooks.signature", {"type": "hmac"}, "webhooks.signature.header: this is missing"),
        ("base_url", "http://example.com", "base_url: 'http://example.com' may not stand here"),
    ],
)
def test_a_shape_that_is_wrong(path, value, sentence):
    assert any(one.startswith(sentence) for one in said(changed(path, value)))


HMAC = {"type": "hmac", "header": "X-S", "secret": "api_key", "signed": "{body}"}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (
            "request.body.more",
            "{lead_name}",
            "request.body: there is no {lead_name} here; use base",
        ),
        ("request.body.more", "{secret:other}", "request.body: the secret other is not declared"),
        ("request.headers", {"X": "{text}"}, "request.headers: there is no {text} here"),
        ("request.url", "{base}/v1/{text}", "request.url: there is no {text} here"),
        ("request.body.more", "a {", "request.body: a brace without its other half"),
        ("request.url", "https://evil.example.com/v1", "request.url: the host is that of the acc"),
        ("request.url", "{base}.evil.example.com/v1", "request.url: the host is that of the acc"),
        ("request.url", "{base}/a/../b", "request.url: the host is that of the account"),
        ("request.url", "{base}/a?b={to}", "request.url: the host is that of the account"),
        ("request.url", "{base}//a", "request.url: the host is that of the account"),
        ("request.url", "{base}/{base}", "request.url: {base} stands twice"),
        ("request.headers", {"Host": "x"}, "request.headers.Host: this is set by itself"),
        ("request.headers", {"content-type": "x"}, "request.headers.content-type: this is set"),
        ("request.body.text", "hello", "request.body: nothing says the text"),
        ("request.body.to", "+15005550006", "request.body: nothing says whom it is for"),
        ("request.method", "GET", "request.body_format: a GET has no body"),
        ("request.body_format", "none", "request.body: body_format is none"),
        ("request.charset", "ISO-8859-1", "request.charset: JSON and forms are UTF-8 always"),
        ("request.body_format", "xml", "request.body: XML has one root"),
        ("auth", {"type": "bearer", "token": "{to}"}, "auth: there is no {to} here"),
        (
            "auth",
            {"type": "body_field", "path": "text.key", "value": "{secret:api_key}"},
            "auth.path: the body has no group of this name",
        ),
        ("optional_secrets", ["api_key"], "optional_secrets: api_key is among the secrets"),
        ("base_url", "https://127.0.0.1", "base_url: this address cannot be used"),
        ("success.id", None, "success.id: say where the id is"),
        ("success.id", ["/a/@b c"], "success.id.0: '/a/@b c' is no path in json"),
        ("success.unless", {"text": "("}, "success.unless.text: this expression cannot be read"),
        ("error_code", "a..b", "error_code: 'a..b' is no path in json"),
        ("errors.0.regex", "(", "errors.0.regex: this expression cannot be read"),
        ("errors.0.path", None, "errors.0.path: say which field must read so"),
        ("errors.0.equals", None, "errors.0.equals: say what the field must read"),
        ("errors.1.http_status", None, "errors.1: it would fit every answer"),
        ("errors.1.http_status", 200, "errors.1.path: an answer that says nothing may be a yes"),
        ("errors.1.http_status", [401, 202], "errors.1.path: an answer that says nothing"),
        ("errors.1.opted_out", "yes", "errors.1.opted_out: this goes with the class"),
        ("errors.0.fault", "sender", "errors.0.fault: this goes with the class"),
        ("webhooks.signature", {**HMAC, "secret": "x"}, "webhooks.signature.secret: the secret x"),
        (
            "webhooks.signature",
            {**HMAC, "signed": "{url}"},
            "webhooks.signature.signed: what they say must be signed",
        ),
        (
            "webhooks.signature",
            {**HMAC, "timestamp_part": "t"},
            "webhooks.signature.signed: {timestamp} goes with",
        ),
        (
            "webhooks.status.words",
            ["gone"],
            "webhooks.status.status_map: it misses their word gone",
        ),
        ("webhooks.status.dedupe_key", "{x}", "webhooks.status.dedupe_key: there is no {x} here"),
        ("webhooks.status.method", "GET", "webhooks.status.format: a GET has no body"),
        ("webhooks.status.when", {"a b": "x"}, "webhooks.status.when: 'a b' is no path in json"),
        (
            "webhooks.status.errors",
            [{"class": "transient"}],
            "webhooks.status.errors.0.equals: say which code",
        ),
        ("webhooks.inbound.command_map", {"Q": "stop"}, "webhooks.inbound.command: say where"),
        (
            "look_up",
            {"id": "id", "ref": "r", "status": "s", "by_ref": {"url": "{base}/{id}"}},
            "look_up.by_ref.url: there is no {id} here",
        ),
    ],
)
def test_what_a_schema_cannot_know(path, value, sentence):
    found = said(changed(path, value))
    assert any(one.startswith(sentence) for one in found), found


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"m": {"a b": "{to} {text}"}}, "request.body.m.a b: this is no name in XML"),
        ({"m": {"@to": 7, "t": "{to} {text}"}}, "request.body.m.@to: write a text here"),
        ({"m": {"n": 7, "t": "{to} {text}"}}, "request.body.m.n: write a text or a group here"),
        ({"a": "{to}", "b": "{text}"}, "request.body: XML has one root"),
        ({"m": {"n": ["{to}", ["{text}"]]}}, "request.body.m.n: write a text or a group here"),
    ],
)
def test_a_body_that_is_no_xml(body, sentence):
    plain = definition_of("example")
    plain["request"] |= {"body_format": "xml", "body": body}
    found = said(plain)
    assert any(one.startswith(sentence) for one in found), found


def test_a_form_has_texts_only():
    plain = definition_of("example")
    plain["request"] |= {"body_format": "form", "body": {"to": "{to}", "text": "{text}", "n": 7}}
    assert said(plain) == ["request.body.n: a form has texts only; write it as one"]


@pytest.mark.parametrize(
    ("signed", "missing"), [("{body}", "{url}"), ("{url}", "{body}"), ("{url}{body}", "")]
)
def test_what_all_callbacks_say_must_be_signed(signed, missing):
    """Reports come in a query, texts in a body."""
    plain = definition_of("example")
    plain["webhooks"]["signature"] = {**HMAC, "signed": signed}
    plain["webhooks"]["status"] |= {"method": "GET", "format": "query"}
    sentence = "webhooks.signature.signed: what they say must be signed, or anyone could change it"
    assert said(plain) == ([f"{sentence}; add {missing}"] if missing else [])


def test_look_ups_take_the_words_of_reports():
    plain = definition_of("pineapple")
    del plain["webhooks"]["status"]
    assert said(plain) == ["look_up.status_map: say which of our words theirs are"]

"""Requests of definitions: our values stay values in every format."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree

from providers.transport import form_encoded
from tests.providers.declaring import an_access, definition_of, request_of, speaking

ACCESS = an_access(api_key="k0")
HOSTILE = {
    "markup": "</text><x a='1'>&amp;<![CDATA[y]]>",
    "a quote": '"," to": "+1", "x": "\\',
    "a place": "{secret:api_key} {to} {{text}} %s ${a}",
    "a form's signs": "a=b&to=1+2%20;#?",
    "lines": "one\r\ntwo\nHost: example.org\n\n",
    "letters": "é 漢 🙂 \u202e",
}


def hostile(function):
    texts = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
    return texts(function)


def shaped(body_format, body=None, **request):
    plain = definition_of("example")
    plain["request"] |= {"body_format": body_format, "body": body, **request}
    if body is None:
        del plain["request"]["body"]
    return plain


class TestAValue:
    @hostile
    def test_is_one_text_in_json(self, text):
        body = {"to": "{to}", "text": "Hi {text}!"}
        request = request_of(speaking(shaped("json", body)), ACCESS, text=text)
        assert json.loads(json.dumps(request.json)) == {
            "to": "+12025550143",
            "text": f"Hi {text}!",
        }

    @hostile
    def test_is_one_field_in_a_form(self, text):
        body = {"to": "{to}", "text": "{text}"}
        request = request_of(speaking(shaped("form", body)), ACCESS, text=text)
        found = parse_qs(form_encoded(request.form).decode(), keep_blank_values=True)
        assert found == {"to": ["+12025550143"], "text": [text]}

    @pytest.mark.parametrize("charset", ["UTF-8", "ISO-8859-1", "US-ASCII"])
    @hostile
    def test_is_one_element_in_xml(self, text, charset):
        body = {"m": {"@to": "{to}", "@text": "{text}", "text": "{text}"}}
        request = request_of(speaking(shaped("xml", body, charset=charset)), ACCESS, text=text)
        root = etree.fromstring(request.body)
        assert [child.tag for child in root] == ["text"]
        assert dict(root.attrib) == {"to": "+12025550143", "text": text}
        assert root[0].text == text

    @pytest.mark.parametrize(
        ("given", "sent"),
        [({}, {"Content-Type": "application/xml"}), ({"content-type": "text/xml"},) * 2],
    )
    def test_goes_in_xml_that_says_so_once(self, given, sent):
        body = {"m": {"to": "{to}", "text": "{text}"}}
        plain = shaped("xml", body, headers=given)
        plain["auth"] = {"type": "none"}
        assert request_of(speaking(plain), ACCESS).headers == sent

    @hostile
    def test_is_one_field_in_a_query(self, text):
        plain = shaped("none", method="GET", query={"to": "{to}", "text": "{text}"})
        url = urlsplit(request_of(speaking(plain), ACCESS, text=text).url)
        assert (url.netloc, url.path) == ("api.example.com", "/v1/messages")
        found = parse_qs(url.query, keep_blank_values=True)
        assert found == {"to": ["+12025550143"], "text": [text]}

    @hostile
    def test_is_one_part_of_a_path(self, text):
        plain = shaped("json", {"text": "{text}"}, url="{base}/v1/{from}/send/{to}")
        url = urlsplit(request_of(speaking(plain), ACCESS, from_value=text).url)
        assert (url.netloc, url.query, url.fragment) == ("api.example.com", "", "")
        assert len(url.path.split("/")) == 5

    @pytest.mark.parametrize("text", ["\0", "\x0b", "\ufffe"])
    def test_that_xml_cannot_hold_does_not_go(self, text):
        speaks = speaking(shaped("xml", {"m": {"to": "{to}", "text": "{text}"}}))
        assert speaks.fit(text) is None
        with pytest.raises(ValueError):
            request_of(speaks, ACCESS, text=text)

    def test_of_a_secret_is_escaped_like_any_other(self):
        plain = shaped("xml", {"m": {"key": "{secret:api_key}", "to": "{to}", "t": "{text}"}})
        body = request_of(speaking(plain), an_access(api_key="</key>&")).body
        assert b"<key>&lt;/key&gt;&amp;</key>" in body

    def test_that_there_is_not_leaves_its_field_out(self):
        body = {"to": "{to}", "text": "{text}", "url": "{callback_url}", "life": "{valid_seconds}"}
        request = request_of(speaking(shaped("json", body)), ACCESS, status_callback_url="")
        assert set(request.json) == {"to", "text"}

    def test_that_there_is_not_may_not_stand_within_a_text(self):
        body = {"to": "{to}", "text": "{text}", "url": "see {callback_url}"}
        with pytest.raises(ValueError):
            request_of(speaking(shaped("json", body)), ACCESS, status_callback_url="")

    def test_keeps_its_type_in_json(self):
        body = {"to": "{to}", "text": "{text}", "parts": "{segments}", "said": "{segments} parts"}
        found = request_of(speaking(shaped("json", body)), ACCESS, segments=2).json
        assert (found["parts"], found["said"]) == (2, "2 parts")

    def test_beside_literals_leaves_them_as_they_are(self):
        body = {"to": ["{to}"], "text": "{text}", "flash": False, "n": 7, "none": {"a": []}}
        found = request_of(speaking(shaped("json", body)), ACCESS).json
        assert found["to"] == ["+12025550143"]
        assert (found["flash"], found["n"], found["none"]) == (False, 7, {"a": []})


class TestAPhoneNumber:
    @pytest.mark.parametrize(
        ("phone_format", "to", "sender"),
        [
            ("e164", "+12025550143", "+15005550001"),
            ("digits", "12025550143", "15005550001"),
            ("national10", "2025550143", "5005550001"),
        ],
    )
    def test_is_written_as_the_provider_wants_it(self, phone_format, to, sender):
        body = {"to": "{to}", "from": "{from}", "text": "{text}"}
        plain = shaped("json", body, phone_format=phone_format)
        found = request_of(speaking(plain), ACCESS).json
        assert (found["to"], found["from"]) == (to, sender)

    def test_may_be_written_otherwise_in_one_place(self):
        body = {"a": "{to_e164}", "b": "{to_digits}", "c": "{to_national10}", "text": "{text}"}
        found = request_of(speaking(shaped("json", body)), ACCESS).json
        assert [found[name] for name in "abc"] == ["+12025550143", "12025550143", "2025550143"]

    @pytest.mark.parametrize("sender", ["ACME", "12345"])
    def test_that_is_none_stays_as_it_is(self, sender):
        plain = shaped("json", {"f": "{from}", "to": "{to}", "t": "{text}"}, phone_format="digits")
        assert request_of(speaking(plain), ACCESS, from_value=sender).json["f"] == sender

    def test_of_another_country_has_no_ten_national_digits(self):
        body = {"to": "{to}", "text": "{text}"}
        plain = shaped("json", body, phone_format="national10")
        with pytest.raises(ValueError):
            request_of(speaking(plain), ACCESS, to_e164="+442079460000")


class TestWhoWeAre:
    BODY = {"to": "{to}", "text": "{text}", "login": {"user": "u"}}

    def request(self, auth, **secrets):
        plain = shaped("json", self.BODY)
        plain["auth"] = auth
        return request_of(speaking(plain), an_access(**{"api_key": "k0", **secrets}))

    def test_is_shown_by_nothing(self):
        request = self.request({"type": "none"})
        assert (request.headers, request.auth) == ({}, None)

    def test_is_shown_by_basic(self):
        auth = {"type": "basic", "user": "u", "password": "{secret:api_key}"}
        assert self.request(auth).auth == ("u", "k0")

    def test_is_shown_by_a_bearer_token(self):
        request = self.request({"type": "bearer", "token": "{secret:api_key}"})
        assert request.headers == {"Authorization": "Bearer k0"}

    def test_is_shown_by_a_header(self):
        auth = {"type": "header", "name": "X-Key", "value": "{secret:api_key}"}
        assert self.request(auth).headers == {"X-Key": "k0"}

    def test_is_shown_in_the_query(self):
        auth = {"type": "query", "name": "key", "value": "{secret:api_key}"}
        assert self.request(auth, api_key="k&0").url.endswith("/v1/messages?key=k%260")

    def test_is_shown_in_the_body(self):
        auth = {"type": "body_field", "path": "login.key", "value": "{secret:api_key}"}
        assert self.request(auth).json["login"] == {"user": "u", "key": "k0"}

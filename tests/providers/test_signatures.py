from __future__ import annotations

import base64
import hmac
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo.utils import signature_v3, validate_signature, validate_v3_signature
from twilio.request_validator import RequestValidator

from providers import signatures
from providers.base import Callback

TOKEN = "12345678901234567890123456789012"
URL = "https://hooks.example.com/wh/twilio/status/?r=42"
FORM = {
    "MessageSid": "SM00000000000000000000000000000001",
    "MessageStatus": "delivered",
    "To": "+15005550006",
    "From": "+15005550001",
}
SHA1 = "xkEwHXVzXMz9jjDwiIffEL6pYWE="
SHA256 = "l0g7wMQdgJ4K3irsJEGcGmNLEJl7EX2gZcyIG+jSjLU="
JSON_SHA256 = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"  # of {"a":1}
JSON_URL = f"https://hooks.example.com/j?bodySHA256={JSON_SHA256}"
JSON_SIGNATURE = "zBCxYp+HGeU0TePYYj+r9qy45qM="
PLIVO_TOKEN = "plivotoken"
PLIVO_URL = "https://hooks.example.com/wh/plivo/status/?r=42"
PLIVO_FORM = {
    "MessageUUID": "u-1",
    "Status": "delivered",
    "To": "15005550006",
    "From": "15005550001",
}
PLIVO_V2 = "f7KwcmRCqaiySn+seNaXMmrmMzm6rOMc0YvNwWELwPc="
PLIVO_V3 = "E7DQyYBccgdG0Lp2lJRUrbbm7QQowBMXbovFX2rrb6A="
BY_SHARED_KEY = {"X-Twilio-Webhooks-Signature-Settings": "key=k1,algorithm=HMAC_SHA256"}


def a_callback(signature, *, url=URL, form=FORM, body=None, method="POST", **headers):
    body = urlencode(form, doseq=True).encode() if body is None else body
    return Callback(
        method=method,
        url=url,
        headers={"X-Twilio-Signature": signature, **headers},
        query={name: values[0] for name, values in parse_qs(urlsplit(url).query).items()},
        form={name: value if isinstance(value, str) else value[-1] for name, value in form.items()},
        body=body,
    )


class TestTwilio:
    def test_the_known_answer_with_the_token_is_genuine(self):
        assert signatures.twilio(a_callback(SHA1), auth_token=TOKEN)

    def test_the_known_answer_with_a_shared_key_is_genuine(self):
        callback = a_callback(SHA256, **BY_SHARED_KEY)
        assert signatures.twilio(callback, auth_token="other", shared_key=TOKEN)

    def test_a_shared_key_we_do_not_have_is_not_genuine(self):
        callback = a_callback(SHA256, **BY_SHARED_KEY)
        assert not signatures.twilio(callback, auth_token=TOKEN)

    def test_the_token_does_not_stand_in_for_the_shared_key(self):
        callback = a_callback(SHA1, **BY_SHARED_KEY)
        assert not signatures.twilio(callback, auth_token=TOKEN, shared_key=TOKEN)

    def test_an_algorithm_we_do_not_know_is_not_genuine(self):
        settings = {"X-Twilio-Webhooks-Signature-Settings": "key=k1,algorithm=HMAC_MD5"}
        assert not signatures.twilio(a_callback(SHA1, **settings), auth_token=TOKEN)

    def test_the_known_answer_for_a_json_body_is_genuine(self):
        callback = a_callback(JSON_SIGNATURE, url=JSON_URL, form={}, body=b'{"a":1}')
        assert signatures.twilio(callback, auth_token=TOKEN)

    def test_a_json_body_that_was_changed_is_not_genuine(self):
        callback = a_callback(JSON_SIGNATURE, url=JSON_URL, form={}, body=b'{"a":2}')
        assert not signatures.twilio(callback, auth_token=TOKEN)

    @pytest.mark.parametrize(
        "changed",
        [
            {"form": {**FORM, "MessageStatus": "failed"}},
            {"form": {**FORM, "Extra": "1"}},
            {"url": URL.replace("42", "43")},
            {"url": URL.replace("https", "http")},
            {"method": "GET"},
            {"body": b"\xff=%FF"},
        ],
        ids=["a field", "one more field", "the query", "the scheme", "the method", "not text"],
    )
    def test_what_was_changed_after_signing_is_not_genuine(self, changed):
        assert not signatures.twilio(a_callback(SHA1, **changed), auth_token=TOKEN)

    @pytest.mark.parametrize("signature", ["", "x", "é", SHA1[:-1], SHA256])
    def test_another_signature_is_not_genuine(self, signature):
        assert not signatures.twilio(a_callback(signature), auth_token=TOKEN)

    def test_an_account_without_a_token_trusts_nothing(self):
        signature = RequestValidator("").compute_signature(URL, FORM)
        assert not signatures.twilio(a_callback(signature), auth_token="")

    @pytest.mark.parametrize(
        ("signed_url", "our_url"),
        [
            ("https://hooks.example.com:443/wh", "https://hooks.example.com/wh"),
            ("https://hooks.example.com/wh", "https://hooks.example.com:8443/wh"),
        ],
        ids=["signed with the port", "signed without it"],
    )
    def test_the_port_may_be_signed_or_left_out(self, signed_url, our_url):
        signature = RequestValidator(TOKEN).compute_signature(signed_url, FORM)
        assert signatures.twilio(a_callback(signature, url=our_url), auth_token=TOKEN)

    def test_repeated_fields_are_signed_once_each_and_sorted(self):
        form = {"A": ["2", "1", "2"], "B": ""}
        signature = RequestValidator(TOKEN).compute_signature(URL, _MultiDict(form))
        assert signatures.twilio(a_callback(signature, form=form), auth_token=TOKEN)

    @given(st.dictionaries(st.text(min_size=1), st.text(), max_size=6))
    def test_what_twilios_own_package_signs_is_genuine(self, form):
        signature = RequestValidator(TOKEN).compute_signature(URL, form)
        assert signatures.twilio(a_callback(signature, form=form), auth_token=TOKEN)


class _MultiDict(dict):
    def getlist(self, name):
        return self[name] if isinstance(self[name], list) else [self[name]]


PLIVO_HEADERS = {
    "V2": "X-Plivo-Signature-V2",
    "Ma-V2": "X-Plivo-Signature-Ma-V2",
    "V2-Nonce": "X-Plivo-Signature-V2-Nonce",
    "V3": "X-Plivo-Signature-V3",
    "Ma-V3": "X-Plivo-Signature-Ma-V3",
    "V3-Nonce": "X-Plivo-Signature-V3-Nonce",
}


def from_plivo(headers, *, url=PLIVO_URL, form=PLIVO_FORM, body=None, method="POST"):
    body = urlencode(form, doseq=True).encode() if body is None else body
    return Callback(
        method=method,
        url=url,
        headers={PLIVO_HEADERS[name]: value for name, value in headers.items()},
        query={},
        form={},
        body=body,
    )


def by_v2(signature=PLIVO_V2, nonce="12345", **changes):
    return from_plivo({"V2": signature, "V2-Nonce": nonce}, **changes)


def by_v3(signature=PLIVO_V3, nonce="12345", **changes):
    return from_plivo({"V3": signature, "V3-Nonce": nonce}, **changes)


def is_plivos(callback, token=PLIVO_TOKEN):
    return signatures.plivo(callback, auth_token=token)


def plivo_signs(form, *, url=PLIVO_URL, method="POST", token=PLIVO_TOKEN, nonce="12345"):
    """A signature of version 3 made by Plivo's own package."""
    form = dict(form)
    if method == "GET":
        signed = signature_v3.construct_get_url(url, form)
    else:
        signed = signature_v3.construct_post_url(url, form)
    return signature_v3.get_signature_v3(token.encode(), signed.decode(), nonce).decode()


ASCII_TEXTS = st.text(st.characters(max_codepoint=126, min_codepoint=32))
NAMES = st.text(st.characters(codec="utf-8"), min_size=1)
FORMS = st.dictionaries(NAMES, st.text(st.characters(codec="utf-8")), max_size=6)


class TestPlivoVersion2:
    def test_the_known_answer_is_genuine(self):
        assert is_plivos(by_v2())

    def test_the_known_answer_is_that_of_plivos_own_package(self):
        assert validate_signature(PLIVO_URL, "12345", PLIVO_V2, PLIVO_TOKEN)

    def test_the_main_accounts_signature_alone_will_do(self):
        assert is_plivos(from_plivo({"Ma-V2": PLIVO_V2, "V2-Nonce": "12345"}))

    def test_the_main_accounts_signature_will_do_beside_one_of_another_token(self):
        assert is_plivos(from_plivo({"V2": "x", "Ma-V2": PLIVO_V2, "V2-Nonce": "12345"}))

    def test_neither_query_nor_body_is_covered(self):
        """That is why its nonce must not come twice."""
        url = PLIVO_URL.replace("42", "43")
        assert is_plivos(by_v2(url=url, form={"Status": "failed"}))
        assert not signatures.plivo_covers_fields(by_v2())

    @pytest.mark.parametrize(
        "changed",
        [
            {"nonce": "12346"},
            {"nonce": ""},
            {"url": PLIVO_URL.replace("status", "inbound")},
            {"url": PLIVO_URL.replace("https", "http")},
            {"url": PLIVO_URL.replace("hooks", "other")},
            {"url": "https://[hooks.example.com/"},
            {"url": "https://hooks.example.com/\ud800"},
        ],
        ids=["nonce", "no nonce", "path", "scheme", "host", "not a URL", "not text"],
    )
    def test_what_was_changed_after_signing_is_not_genuine(self, changed):
        assert not is_plivos(by_v2(**changed))

    def test_a_piece_of_the_path_cannot_be_passed_off_as_the_nonce(self):
        """Signed are the same characters, as if for the address one step higher."""
        url = "https://hooks.example.com/wh/plivo/"
        assert validate_signature(url, "status/12345", PLIVO_V2, PLIVO_TOKEN)
        assert not is_plivos(by_v2(nonce="status/12345", url=url))

    @pytest.mark.parametrize("signature", ["", "x", "é", ",", PLIVO_V2[:-1], PLIVO_V3])
    def test_another_signature_is_not_genuine(self, signature):
        assert not is_plivos(by_v2(signature))

    def test_an_account_without_a_token_trusts_nothing(self):
        assert not is_plivos(by_v2(_v2_of(PLIVO_URL, "12345", token="")), token="")

    @given(ASCII_TEXTS, ASCII_TEXTS.filter(bool))
    def test_plivos_own_package_agrees(self, query, token):
        url = f"https://hooks.example.com/wh/?{urlencode({'a': query})}"
        callback = by_v2(url=url, nonce="n1")
        signature = _v2_of(url, "n1", token)
        assert validate_signature(url, "n1", signature, token)
        assert is_plivos(by_v2(signature, url=url, nonce="n1"), token)
        assert is_plivos(callback, token) == validate_signature(url, "n1", PLIVO_V2, token)


class TestPlivoVersion3:
    def test_the_known_answer_is_genuine(self):
        assert is_plivos(by_v3())

    def test_the_known_answer_is_that_of_plivos_own_package(self):
        form = dict(PLIVO_FORM)
        assert validate_v3_signature("POST", PLIVO_URL, "12345", PLIVO_TOKEN, PLIVO_V3, form)

    @pytest.mark.parametrize("given", [f"x,{PLIVO_V3}", f"{PLIVO_V3},x", f"x, {PLIVO_V3} ,y"])
    def test_one_of_several_signatures_will_do(self, given):
        assert is_plivos(by_v3(given))

    def test_the_main_accounts_signature_alone_will_do(self):
        assert is_plivos(from_plivo({"Ma-V3": PLIVO_V3, "V3-Nonce": "12345"}))

    @pytest.mark.parametrize(
        "changed",
        [
            {"form": {**PLIVO_FORM, "Status": "failed"}},
            {"form": {**PLIVO_FORM, "Extra": "1"}},
            {"form": {}},
            {"url": PLIVO_URL.replace("42", "43")},
            {"url": PLIVO_URL.replace("status", "inbound")},
            {"nonce": "12346"},
            {"method": "GET"},
            {"body": b"\xff"},
            {"body": b"a=%FF"},
            {"url": PLIVO_URL + "%FF"},
        ],
        ids=[
            *("a field", "one more field", "no fields", "the query", "the path", "the nonce"),
            *("the method", "not text", "not text in escapes", "not text in the query"),
        ],
    )
    def test_what_was_changed_after_signing_is_not_genuine(self, changed):
        assert not is_plivos(by_v3(**changed))

    def test_what_is_not_text_cannot_be_passed_off_as_the_sign_for_that(self):
        signature = plivo_signs({"Text": "\ufffd"})
        assert is_plivos(by_v3(signature, form={"Text": "\ufffd"}))
        assert not is_plivos(by_v3(signature, body=b"Text=%FF"))

    @pytest.mark.parametrize("header", ["V3", "Ma-V3", "V3-Nonce"])
    def test_where_a_header_of_version_3_stands_version_2_does_not_help(self, header):
        headers = {"V2": PLIVO_V2, "V2-Nonce": "12345", header: "x"}
        assert not is_plivos(from_plivo(headers))
        assert signatures.plivo_covers_fields(from_plivo(headers))

    def test_empty_headers_of_version_3_are_none(self):
        headers = {"V2": PLIVO_V2, "V2-Nonce": "12345", "V3": "", "V3-Nonce": ""}
        assert is_plivos(from_plivo(headers))
        assert not signatures.plivo_covers_fields(from_plivo(headers))

    def test_an_end_of_the_fields_cannot_be_passed_off_as_the_nonce(self):
        form = {"A": "b", "Text": "yes.no"}
        signature = plivo_signs(form)
        assert is_plivos(by_v3(signature, form=form))
        shorter = by_v3(signature, form={"A": "b", "Text": "yes"}, nonce="no.12345")
        assert not is_plivos(shorter)

    @pytest.mark.parametrize(
        "url",
        [
            "https://hooks.example.com/wh/",
            "https://hooks.example.com/wh/?b=2&a=1&a=0&c=",
            "https://hooks.example.com:8443/wh/?ref=a%20b%26c",
        ],
        ids=["no query", "several", "escapes"],
    )
    @pytest.mark.parametrize("form", [{}, {"B": "2", "A": ""}], ids=["no form", "form"])
    @pytest.mark.parametrize("method", ["POST", "GET"])
    def test_plivos_own_package_agrees_about_the_shape(self, url, form, method):
        form = {} if method == "GET" else form
        signature = plivo_signs(form, url=url, method=method)
        assert is_plivos(by_v3(signature, url=url, form=form, method=method))

    def test_repeated_fields_are_signed_each_and_sorted(self):
        form = {"A": ["2", "1", "2"], "B": ""}
        assert is_plivos(by_v3(plivo_signs(form), form=form))

    @given(FORMS)
    def test_what_plivos_own_package_signs_is_genuine(self, form):
        assert is_plivos(by_v3(plivo_signs(form), form=form))

    @given(st.dictionaries(ASCII_TEXTS.filter(bool), ASCII_TEXTS, max_size=4), FORMS)
    def test_so_it_is_whatever_the_query(self, query, form):
        url = f"https://hooks.example.com/wh/?{urlencode(query)}"
        assert is_plivos(by_v3(plivo_signs(form, url=url), url=url, form=form))


@given(
    st.dictionaries(st.sampled_from(sorted(PLIVO_HEADERS)), st.text()),
    st.text(),
    st.binary(),
    st.sampled_from(["GET", "POST", "PUT"]),
)
def test_whatever_comes_as_plivos_is_false_and_no_exception(headers, url, body, method):
    assert is_plivos(from_plivo(headers, url=url, body=body, method=method)) is False


def _v2_of(url, nonce, token):
    """By the steps of Plivo's page on signatures, which its package does not offer for signing."""
    plain = url.split("?")[0] + nonce
    return base64.b64encode(hmac.digest(token.encode(), plain.encode(), "sha256")).decode()

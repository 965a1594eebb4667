from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
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

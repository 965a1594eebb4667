from __future__ import annotations

import base64
import hashlib
import hmac
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vonage_http_client.auth import Auth
from vonage_jwt import verify_signature

from providers import signatures
from providers.base import Callback
from tests.providers.vonage import JWT_SECRET, a_token, signed_fields

SIGNED_AT = 1_700_000_000
FIELDS = {
    "msisdn": "15005550006",
    "to": "15005550001",
    "messageId": "0A00",
    "status": "delivered",
    "err-code": "0",
    "timestamp": str(SIGNED_AT),
    "nonce": "n-1",
    "client-ref": "a&b=c",
}
KNOWN = {
    "md5hash": "2af37dea1bf0577ef7380f89bc579bf9",
    "md5": "8CEFEB648DD820BF54945A93D1E5C1CC",
    "sha256": "59E99678F5A4A9C4698DE164FFE137146E3C4769BD791C77CFD8C2F5F4F9AF42",
}


@pytest.fixture
def soon_after(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: SIGNED_AT + 100.0)


def is_genuine(fields, secret="vonagesecret", method="sha256"):
    return signatures.vonage_sms(fields, secret=secret, method=method)


class TestTheSmsApi:
    @pytest.mark.parametrize("method", KNOWN)
    def test_the_known_answers_are_genuine(self, soon_after, method):
        """From the plain formula (md5hash) and Vonage's own package, run over these fields."""
        for given_ in (KNOWN[method], KNOWN[method].lower(), KNOWN[method].upper()):
            assert is_genuine({**FIELDS, "sig": given_}, method=method)

    @pytest.mark.parametrize("method", ["md5", "sha256"])
    def test_the_known_answers_are_those_of_vonages_own_package(self, method):
        auth = Auth(api_key="k", signature_secret="vonagesecret", signature_method=method)
        assert auth.sign_params(dict(FIELDS)).upper() == KNOWN[method]

    @pytest.mark.parametrize(
        "changes",
        [
            *({name: "x"} for name in FIELDS),
            {"more": ""},
            {"sig": ""},
            {"sig": "59E9"},
            {"sig": "\u00e9"},
            {"sig": "\ud800"},
        ],
    )
    def test_what_was_changed_after_signing_is_not_genuine(self, soon_after, changes):
        assert not is_genuine({**FIELDS, "sig": KNOWN["sha256"], **changes})

    @pytest.mark.parametrize("name", FIELDS)
    def test_what_was_taken_out_is_missed(self, soon_after, name):
        rest = {key: value for key, value in FIELDS.items() if key != name}
        assert not is_genuine({**rest, "sig": KNOWN["sha256"]})

    def test_a_field_cannot_be_hidden_in_the_name_of_another(self, soon_after):
        fields = {**FIELDS, "sig": KNOWN["sha256"]}
        fields["err-code=0&messageId"] = fields.pop("messageId")
        del fields["err-code"]
        assert not is_genuine(fields)

    @pytest.mark.parametrize("off", [-301, 301])
    def test_an_old_one_is_not_genuine(self, monkeypatch, off):
        monkeypatch.setattr(time, "time", lambda: SIGNED_AT + float(off))
        assert not is_genuine({**FIELDS, "sig": KNOWN["sha256"]})

    @pytest.mark.parametrize("name", ["nonce", "timestamp"])
    def test_one_that_was_signed_without_nonce_or_time_is_not_genuine(self, soon_after, name):
        rest = {**FIELDS, name: ""}
        signed = "".join(f"&{key}={rest[key].translate({38: 95, 61: 95})}" for key in sorted(rest))
        sig = hashlib.md5(f"{signed}vonagesecret".encode()).hexdigest()
        assert not is_genuine({**rest, "sig": sig}, method="md5hash")

    @pytest.mark.parametrize("method", ["", "SHA256", "sha224", "shake_128"])
    def test_another_method_trusts_nothing(self, soon_after, method):
        assert not is_genuine({**FIELDS, "sig": KNOWN["sha256"]}, method=method)

    def test_an_account_without_a_secret_trusts_nothing(self, soon_after):
        signed = "".join(f"&{key}={FIELDS[key]}" for key in sorted(FIELDS))
        sig = hashlib.md5(signed.replace("a&b=c", "a_b_c").encode()).hexdigest()
        assert not is_genuine({**FIELDS, "sig": sig}, secret="", method="md5hash")

    @given(
        st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="&="), min_size=1),
            st.text(st.characters(codec="utf-8")),
        )
    )
    def test_what_vonages_own_package_signs_is_genuine(self, fields):
        fields.pop("sig", None)
        assert is_genuine(signed_fields(fields))


BODY = b'{"message_uuid":"u-1","status":"delivered"}'
# The key, header and claims of RFC 7515, A.1: a known answer for HS256 that no library of ours made
RFC_KEY = base64.urlsafe_b64decode(
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
)
RFC_TOKEN = (
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)


def with_token(token, body=BODY, scheme="Bearer"):
    return Callback(
        method="POST",
        url="https://hooks.example.com/webhooks/vonage/1/status",
        headers={"authorization": f"{scheme} {token}"},
        query={},
        form={},
        body=body,
    )


def is_ours(callback, secret=JWT_SECRET, api_key="key1"):
    return signatures.vonage_jwt(callback, secret=secret, api_key=api_key)


class TestTheMessagesApi:
    def test_the_token_of_this_account_and_body_is_genuine(self):
        assert is_ours(with_token(a_token(BODY)))

    def test_vonages_own_package_agrees(self):
        assert verify_signature(a_token(BODY), JWT_SECRET)
        assert not verify_signature(a_token(BODY, secret="x" * 32), JWT_SECRET)

    def test_the_library_finds_the_known_answer_genuine(self):
        options = {"verify_exp": False, "enforce_minimum_key_length": True}
        claims = jwt.decode(RFC_TOKEN, RFC_KEY, algorithms=["HS256"], options=options)
        assert claims["iss"] == "joe"

    def test_the_hash_may_stand_in_upper_case(self):
        digest = hashlib.sha256(BODY).hexdigest().upper()
        assert is_ours(with_token(a_token(BODY, payload_hash=digest)))

    def test_an_audience_does_not_matter(self):
        assert is_ours(with_token(a_token(BODY, aud="somebody")))

    @pytest.mark.parametrize(
        "claims",
        [
            {"api_key": "key2"},
            {"api_key": ""},
            {"payload_hash": ""},
            {"payload_hash": "\u00e9"},
            {"payload_hash": 7},
            {"iat": SIGNED_AT},
            {"iat": "now"},
            {"jti": 7},
            {"exp": SIGNED_AT},
        ],
    )
    def test_with_a_claim_that_is_wrong_it_is_not(self, claims):
        assert not is_ours(with_token(a_token(BODY, **claims)))

    @pytest.mark.parametrize("claim", ["api_key", "payload_hash", "iat", "jti"])
    def test_without_a_claim_it_is_not(self, claim):
        assert not is_ours(with_token(a_token(BODY, without=(claim,))))

    @pytest.mark.parametrize("off", [-310, 310])
    def test_an_old_one_is_not_genuine(self, off):
        assert not is_ours(with_token(a_token(BODY, iat=int(time.time()) + off)))

    def test_of_another_body_it_is_not(self):
        assert not is_ours(with_token(a_token(BODY), body=b"{}"))

    def test_of_another_secret_it_is_not(self):
        assert not is_ours(with_token(a_token(BODY, secret="x" * 40)))

    @pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none"])
    def test_of_another_algorithm_it_is_not(self, algorithm):
        secret = None if algorithm == "none" else JWT_SECRET * 2
        token = a_token(BODY, secret=secret, algorithm=algorithm)
        assert not is_ours(with_token(token), secret=secret or JWT_SECRET)

    @pytest.mark.parametrize("length", [0, 31])
    def test_an_account_without_a_sound_secret_trusts_nothing(self, length):
        signed, secret = a_token(BODY).rpartition(".")[0], b"s" * length
        digest = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256"))
        token = f"{signed}.{digest.decode().rstrip('=')}"
        assert not is_ours(with_token(token), secret=secret.decode())

    def test_an_account_without_a_name_trusts_nothing(self):
        assert not is_ours(with_token(a_token(BODY, api_key="")), api_key="")

    def test_another_scheme_carries_none(self):
        assert not is_ours(with_token(a_token(BODY), scheme="Basic"))

    @given(st.text(), st.binary())
    def test_whatever_comes_is_false_and_no_exception(self, token, body):
        assert not is_ours(with_token(token, body))
        assert signatures.token_id(with_token(token, body)) == ""


@given(st.dictionaries(st.text(), st.text()))
def test_whatever_comes_as_fields_is_false_and_no_exception(fields):
    assert not is_genuine(fields)

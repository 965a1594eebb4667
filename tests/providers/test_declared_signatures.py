"""Who calls, by each scheme that a definition may name."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest

from tests.providers.declaring import a_callback, an_access, definition_of, speaking

BODY = b'{"event":"status","id":"m1","reference":"r1","status":"sent"}'


def speaks(signature, **webhooks):
    plain = definition_of("example")
    plain["optional_secrets"] = ["hook", "user", "password"]
    plain["webhooks"] |= {"signature": signature, "secret_path": False, **webhooks}
    return speaking(plain)


def an_hmac(**changes):
    scheme = {"type": "hmac", "header": "X-Sign", "signed": "{body}", "secret": "hook"}
    return speaks({**scheme, **changes})


class TestAnHmac:
    """Each is made by the standard library's own hmac, from the words of the scheme."""

    def proves(self, found, header, *, body=BODY, **headers):
        callback = a_callback(body, headers={"X-Sign": header, **headers})
        return found.is_genuine(callback, an_access(hook="h0"))

    @pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
    @pytest.mark.parametrize("encoding", ["hex", "base64"])
    def test_over_the_body(self, algorithm, encoding):
        digest = hmac.new(b"h0", BODY, algorithm)
        hexed, based = digest.hexdigest(), base64.b64encode(digest.digest()).decode()
        found = an_hmac(algorithm=algorithm, encoding=encoding)
        assert self.proves(found, hexed if encoding == "hex" else based)
        assert not self.proves(found, based if encoding == "hex" else hexed)

    def test_with_a_word_before_it(self):
        digest = hmac.new(b"h0", BODY, hashlib.sha256).hexdigest()
        assert self.proves(an_hmac(prefix="sha256="), f"sha256={digest}")

    def test_over_bytes_that_are_no_text(self):
        body = b"\xff\x00" + BODY
        digest = hmac.new(b"h0", body, hashlib.sha256).hexdigest()
        assert self.proves(an_hmac(), digest, body=body)

    def test_over_the_address_as_well(self):
        callback = a_callback(
            BODY, url="https://hooks.example.com/webhooks/generic/1/status?ref=r1"
        )
        signed = b"https://hooks.example.com/webhooks/generic/1/status?ref=r1" + BODY
        digest = hmac.new(b"h0", signed, hashlib.sha256).hexdigest()
        assert self.url_proves(callback, digest)
        assert not self.url_proves(a_callback(BODY), digest)

    def url_proves(self, callback, digest):
        found = an_hmac(signed="{url}{body}")
        signed = a_callback(callback.body, url=callback.url, headers={"x-sign": digest})
        return found.is_genuine(signed, an_access(hook="h0"))

    @pytest.mark.parametrize(("off", "proves"), [(0, True), (-50, True), (-70, False), (70, False)])
    def test_with_its_time_in_a_header(self, off, proves):
        at = str(int(time.time()) + off)
        digest = hmac.new(b"h0", at.encode() + BODY, hashlib.sha256).hexdigest()
        found = an_hmac(signed="{timestamp}{body}", timestamp_header="X-Time", tolerance_seconds=60)
        assert self.proves(found, digest, **{"X-Time": at}) is proves

    def test_of_nothing_is_none(self):
        assert not self.proves(an_hmac(), "")

    def test_without_a_secret_leaves_it_to_the_key_in_the_path(self):
        found = an_hmac()
        assert found.needs_key(an_access(api_key="k0"))
        assert not found.needs_key(an_access(hook="h0"))
        assert found.is_genuine(a_callback(BODY), an_access(api_key="k0"))


class TestBasic:
    FOUND = speaks({"type": "basic", "user": "user", "password": "password"})
    ACCESS = an_access(user="u", password="p")

    def test_shows_name_and_password(self):
        callback = a_callback(BODY, headers={"Authorization": "Basic dTpw"})
        assert self.FOUND.is_genuine(callback, self.ACCESS)
        assert not self.FOUND.needs_key(self.ACCESS)

    @pytest.mark.parametrize("header", ["", "Basic dTpx", "Bearer dTpw"])
    def test_shows_no_others(self, header):
        callback = a_callback(BODY, headers={"Authorization": header})
        assert not self.FOUND.is_genuine(callback, self.ACCESS)

    def test_with_half_of_it_stored_leaves_it_to_the_key(self):
        assert self.FOUND.needs_key(an_access(user="u"))


class TestNone:
    def test_needs_a_key_in_the_path(self):
        assert speaks({"type": "none"}).needs_key(an_access(api_key="k0"))

    def test_may_have_one_beside_a_signature(self):
        found = speaks(
            {"type": "shared_header", "header": "X-T", "secret": "hook"}, secret_path=True
        )
        assert found.needs_key(an_access(hook="h0"))


class TestAReplay:
    """Our reference may stand in an address that is not signed: one proof, one reference."""

    def key(self, signed, *, ref_in_body):
        plain = definition_of("example")
        plain["optional_secrets"] = ["hook"]
        scheme = {"type": "hmac", "header": "X-Sign", "signed": signed, "secret": "hook"}
        plain["webhooks"] |= {"signature": scheme}
        if not ref_in_body:
            del plain["webhooks"]["status"]["ref"]
        callback = a_callback(BODY, headers={"X-Sign": "s1"}, query={"ref": "r1"})
        found = speaking(plain)
        return found.replay_key(callback), found.read_callback(callback).ref

    def test_is_known_by_the_signature_where_the_reference_is_not_signed(self):
        assert self.key("{body}", ref_in_body=False) == ("s1", "r1")

    @pytest.mark.parametrize(("signed", "ref_in_body"), [("{body}", True), ("{url}{body}", False)])
    def test_is_no_harm_where_it_is(self, signed, ref_in_body):
        assert self.key(signed, ref_in_body=ref_in_body) == ("", "r1")

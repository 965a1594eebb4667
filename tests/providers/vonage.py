"""Vonage's end for the tests: what its own packages sign."""

from __future__ import annotations

import hashlib
import time

import jwt

from providers import simulator_signing

SMS_SECRETS = {"api_key": "key1", "api_secret": "secret1"}
JWT_SECRET = "vonage-signature-secret-of-40-characters"


def signed_fields(fields, secret="vonagesecret", method="sha256", *, at=None, nonce="n-1"):
    stamped = {**fields, "timestamp": str(int(at or time.time())), "nonce": nonce}
    return {**stamped, "sig": simulator_signing.vonage_sms(secret, stamped, method=method)}


def a_token(body, *, secret=JWT_SECRET, algorithm="HS256", headers=None, without=(), **claims):
    """The claims of Vonage's page "Signed webhooks"."""
    values = {
        "iat": int(time.time()),
        "jti": "j-1",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "key1",
        "application_id": "app1",
        **claims,
    }
    kept = {name: value for name, value in values.items() if name not in without}
    return jwt.encode(kept, secret, algorithm=algorithm, headers=headers)

"""Signatures of simulated callbacks, made by the providers' own packages: never by our code.

PineApple has no package, and all that is known of its signature is what we assume: it is made by
the plain formula here, apart from the code that checks it. What we check them with is
`signatures.py` and `declared_signatures.py`; the two sides must have nothing in common but the
secret.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from uuid import uuid4

import jwt
from plivo import utils as plivo_utils
from plivo.utils import signature_v3
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]


def twilio(token: str, url: str, form: Mapping[str, str]) -> str:
    return str(_validator(token).compute_signature(url, form))


def plivo_v3(token: str, url: str, form: Mapping[str, str], nonce: str) -> str:
    signed = signature_v3.construct_post_url(url, dict(form)).decode()
    return bytes(signature_v3.get_signature_v3(token.encode(), signed, nonce)).decode()


def plivo_v2(token: str, url: str, nonce: str) -> str:
    """Over scheme, host, path and nonce. The package checks it only inside one function, so it is
    made from the same parts as there.
    """
    parsed = plivo_utils.urlparse(url)
    bare = plivo_utils.urlunparse((parsed.scheme, parsed.netloc, parsed.path, "", "", ""))
    digest = plivo_utils.hnew(token.encode(), (bare + nonce).encode(), plivo_utils.sha256).digest()
    return bytes(plivo_utils.base64_encode(digest)).strip().decode()


@lru_cache(maxsize=256)
def _validator(token: str) -> RequestValidator:
    return RequestValidator(token)


def sinch(secret: str, body: str, nonce: str, timestamp: str) -> str:
    package = _sinch_package()
    signed = package.compute_signed_data(body, nonce, timestamp)
    return str(package.calculate_sinch_event_signature(signed, secret))


@cache
def _sinch_package() -> ModuleType:
    """Loaded when first needed: it brings a thousand modules."""
    return import_module("sinch.domains.authentication.sinch_events.v1.authentication_validation")


def pineapple(secret: str, body: bytes, timestamp: str) -> str:
    """Hex HMAC-SHA256 over time, a dot and the body (reference, section 10: assumed)."""
    signed = timestamp.encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def vonage_sms(secret: str, fields: Mapping[str, str], *, method: str) -> str:
    """Of the HMACs; their package has nothing for the plain MD5. It stands in upper case."""
    package = import_module("vonage_http_client.auth")
    auth = package.Auth(api_key="any", signature_secret=secret, signature_method=method)
    return str(auth.sign_params(dict(fields))).upper()


def vonage_jwt(secret: str, api_key: str, body: bytes) -> str:
    """Their package only checks such a token; it is made by the library that it checks with."""
    claims = {
        "iat": int(time.time()),
        "jti": str(uuid4()),
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": api_key,
    }
    return jwt.encode(claims, secret, algorithm="HS256")

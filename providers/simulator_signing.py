"""Signatures of simulated callbacks, made by the providers' own packages: never by our code.

What we check them with is `signatures.py`; the two must have nothing in common but the secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

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

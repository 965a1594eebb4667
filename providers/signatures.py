"""Whether a callback was signed with the secret we share with its provider."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlsplit

from providers.base import Callback

_TWILIO_HASHES = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS = {"https": 443, "http": 80}


def twilio(callback: Callback, *, auth_token: str, shared_key: str = "") -> bool:
    """Check X-Twilio-Signature: HMAC-SHA1 with the account's token, or SHA-256 with a shared key.

    X-Twilio-Webhooks-Signature-Settings says which; without it, it is the token. The URL is tried
    with and without its port, for Twilio signs either.
    """
    algorithm = _twilio_algorithm(callback.header("X-Twilio-Webhooks-Signature-Settings"))
    secret = shared_key if algorithm == "HMAC_SHA256" else auth_token
    given = callback.header("X-Twilio-Signature").encode(errors="replace")
    if algorithm not in _TWILIO_HASHES or not secret or not given:
        return False
    signed = _twilio_parameters(callback)
    if signed is None:
        return False
    return any(
        hmac.compare_digest(_digest(secret, url + signed, _TWILIO_HASHES[algorithm]), given)
        for url in _with_and_without_port(urlsplit(callback.url))
    )


def _twilio_algorithm(settings: str) -> str:
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _twilio_parameters(callback: Callback) -> str | None:
    """What is signed after the URL: the sorted form; nothing where bodySHA256 covers the body."""
    hashes = parse_qs(urlsplit(callback.url).query).get("bodySHA256")
    if hashes:
        body_hash = hashlib.sha256(callback.body).hexdigest()
        return "" if hmac.compare_digest(body_hash.encode(), hashes[0].encode()) else None
    if callback.method != "POST":
        return ""
    try:
        pairs = parse_qsl(callback.body.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        return None
    return "".join(name + value for name, value in sorted(set(pairs)))


def _with_and_without_port(url: SplitResult) -> Iterable[str]:
    yield url.geturl()
    try:
        port = url.port
    except ValueError:
        return
    if port is not None:
        yield url._replace(netloc=url.netloc.removesuffix(f":{port}")).geturl()
    elif url.scheme in _DEFAULT_PORTS:
        yield url._replace(netloc=f"{url.netloc}:{_DEFAULT_PORTS[url.scheme]}").geturl()


def _digest(secret: str, text: str, algorithm: str) -> bytes:
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), algorithm))

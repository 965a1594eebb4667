"""Whether a callback was signed with the secret we share with its provider."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlsplit

from providers.base import Callback

_TWILIO_HASHES = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS = {"https": 443, "http": 80}
# Plivo joins what it signs without a separator: a nonce of other characters could be a piece of it.
_PLIVO_NONCE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLIVO_V3 = ("X-Plivo-Signature-V3", "X-Plivo-Signature-Ma-V3", "X-Plivo-Signature-V3-Nonce")


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


def plivo(callback: Callback, *, auth_token: str) -> bool:
    """Check Plivo's HMAC-SHA256: version 3 wherever a header of it stands, else version 2.

    Version 3 covers URL, query and form; version 2 only the URL without its query, so its nonce
    must not come twice with other fields. The header with -Ma- has the main account's signature.
    """
    version = "V3" if plivo_covers_fields(callback) else "V2"
    nonce = callback.header(f"X-Plivo-Signature-{version}-Nonce")
    if not auth_token or not _PLIVO_NONCE.fullmatch(nonce):
        return False
    try:
        signed = _plivo_v3(callback) if version == "V3" else _plivo_v2(callback)
        wanted = _digest(auth_token, signed + nonce, "sha256")
    except ValueError:  # it cannot be read as a URL, or as text
        return False
    return any(
        hmac.compare_digest(wanted, given.strip().encode(errors="replace"))
        for prefix in ("", "Ma-")
        for given in callback.header(f"X-Plivo-Signature-{prefix}{version}").split(",")
    )


def plivo_covers_fields(callback: Callback) -> bool:
    """Whether it comes with version 3 of the signature; such a callback is never judged by 2."""
    return any(callback.header(name) for name in _PLIVO_V3)


def _plivo_v2(callback: Callback) -> str:
    return urlsplit(callback.url)._replace(query="", fragment="").geturl()


def _plivo_v3(callback: Callback) -> str:
    """As Plivo's own package puts it together, with UTF-8 where that has Latin-1 in the query."""
    query = "&".join(f"{name}={value}" for name, value in _pairs(urlsplit(callback.url).query))
    body = "" if callback.method == "GET" else callback.body.decode()
    fields = "".join(name + value for name, value in _pairs(body))
    url = _plivo_v2(callback) + ("?" if query or fields else "") + query
    return f"{url}{'.' if query and fields else ''}{fields}."


def _pairs(encoded: str) -> list[tuple[str, str]]:
    return sorted(parse_qsl(encoded, keep_blank_values=True, errors="strict"))

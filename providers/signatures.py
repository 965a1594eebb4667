"""Whether a callback was signed with the secret we share with its provider."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlsplit

import jwt
from jwt.types import Options

from providers.base import Callback

_TWILIO_HASHES = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS = {"https": 443, "http": 80}
# Plivo joins what it signs without a separator: a nonce of other characters could be a piece of it.
_PLIVO_NONCE = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_AGE = 300  # seconds; Sinch and Vonage sign the time
MD5_HASH = "md5hash"  # no HMAC: what a Vonage account has until it is set otherwise
VONAGE_METHODS = (MD5_HASH, "md5", "sha1", "sha256", "sha512")
SHORTEST_JWT_SECRET = 32  # bytes of a key for HS256 (RFC 7518, 3.2)
_JWT_OPTIONS: Options = {  # the time is looked at here, with a margin; they name us no audience
    "enforce_minimum_key_length": True,
    "verify_iat": False,
    "verify_aud": False,
    "require": ["iat", "jti", "api_key", "payload_hash"],
}
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


def basic(callback: Callback, *, user: str, password: str) -> bool:
    """Check the name and password of HTTP Basic (RFC 7617)."""
    scheme, _, given = callback.header("Authorization").partition(" ")
    wanted = base64.b64encode(f"{user}:{password}".encode())
    is_ours = hmac.compare_digest(wanted, given.strip().encode(errors="replace"))
    return scheme.lower() == "basic" and is_ours


def sinch(callback: Callback, *, secret: str) -> bool:
    """Check Sinch's HMAC-SHA256 over body, nonce and time, which may be five minutes off.

    The formula is that of Sinch's own package (`validate_webhook_signature`).
    """
    name = "X-Sinch-Webhook-Signature"
    nonce, at = callback.header(f"{name}-Nonce"), callback.header(f"{name}-Timestamp")
    given = callback.header(name).strip().encode(errors="replace")
    if not secret or not nonce or not _is_recent(at):
        return False
    signed = b".".join([callback.body, nonce.encode(), at.encode()])
    wanted = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256"))
    return hmac.compare_digest(wanted, given)


def vonage_sms(fields: Mapping[str, str], *, secret: str, method: str) -> bool:
    """Check `sig`, which Vonage's SMS API makes of all other fields, with a nonce and the time.

    `method` is the account's, one of VONAGE_METHODS; any other trusts nothing. The formula of the
    HMACs is that of Vonage's own package, the plain MD5 is from its pages. The time may be five
    minutes off.
    """
    if not secret or method not in VONAGE_METHODS:
        return False
    if not fields.get("nonce") or not _is_recent(fields.get("timestamp", "")):
        return False
    if re.search("[&=]", "".join(fields)):  # such a name could hold other fields, and hide them
        return False
    signed = "".join(
        f"&{name}={re.sub('[&=]', '_', fields[name])}" for name in sorted(fields) if name != "sig"
    )
    wanted = _vonage_digest(signed.encode(errors="replace"), secret.encode(), method)
    given = fields.get("sig", "").lower().encode(errors="replace")
    return hmac.compare_digest(wanted.encode(), given)


def _vonage_digest(signed: bytes, secret: bytes, method: str) -> str:
    if method == MD5_HASH:
        return hashlib.md5(signed + secret).hexdigest()  # noqa: S324 # theirs
    return hmac.new(secret, signed, method).hexdigest()


def vonage_jwt(callback: Callback, *, secret: str, api_key: str) -> bool:
    """Check the token that Vonage's Messages API sends: HS256, for this account and this body.

    It may be five minutes old. A secret too short for HS256 trusts nothing.
    """
    try:
        claims = jwt.decode(bearer(callback), secret, algorithms=["HS256"], options=_JWT_OPTIONS)
    except jwt.PyJWTError:
        return False
    body_hash = hashlib.sha256(callback.body).hexdigest()
    given = str(claims["payload_hash"]).lower().encode(errors="replace")
    is_ours = bool(api_key) and claims["api_key"] == api_key
    return (
        is_ours
        and _is_recent(str(claims["iat"]))
        and hmac.compare_digest(body_hash.encode(), given)
    )


def token_id(callback: Callback) -> str:
    """The id of a token that was found genuine; empty where there is none that can be read."""
    try:
        claims = jwt.decode(bearer(callback), options={"verify_signature": False})
    except jwt.PyJWTError:
        return ""
    return str(claims.get("jti") or "")


def bearer(callback: Callback) -> str:
    """The token of an Authorization header (RFC 6750); empty where it has none."""
    scheme, _, token = callback.header("Authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _is_recent(timestamp: str) -> bool:
    """A Unix time in seconds, of this five minutes' age at most, by the real clock."""
    if not timestamp.isascii() or not timestamp.isdigit():
        return False
    return abs(time.time() - int(timestamp)) <= MOST_AGE


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

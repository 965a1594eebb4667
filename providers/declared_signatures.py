"""Who a callback is from, by the means that a definition names: HMAC, Basic, or a shared header.

One scheme serves all callbacks of an account: a forger who may choose the kind of a callback must
not choose with it how it is proved. Where the account has no secret for it, a key in the path is
all there is.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Mapping
from typing import Any

from providers import base, signatures
from providers.declared_templates import Template

MOST_AGE = 300  # seconds; the most that a definition may allow
SIGNED_PLACES = frozenset({"body", "timestamp", "url"})


class Proof:
    """What a callback must show. Secrets go by their names in the account."""

    def __init__(self, plain: Mapping[str, Any], *, has_secret_path: bool) -> None:
        self._plain = plain
        self._kind: str = plain["type"]
        self._has_secret_path = has_secret_path
        self._signed = Template(plain["signed"]) if self._kind == "hmac" else None

    @property
    def is_hmac(self) -> bool:
        return self._signed is not None

    @property
    def covers_url(self) -> bool:
        return self._signed is not None and "url" in self._signed.names

    def needs_key(self, access: base.Access) -> bool:
        return self._has_secret_path or not self._is_set(access)

    def is_given(self, callback: base.Callback, access: base.Access) -> bool:
        if not self._is_set(access):
            return True  # the key in its path was asked for already
        secret = access.secrets.get(self._plain.get("secret", ""), "")
        match self._kind:
            case "basic":
                user, password = self._plain["user"], self._plain["password"]
                return signatures.basic(
                    callback, user=access.secrets[user], password=access.secrets[password]
                )
            case "shared_header":
                given = callback.header(self._plain["header"]).encode(errors="replace")
                return hmac.compare_digest(secret.encode(), given)
        return self._is_signed(callback, secret)

    def signature(self, callback: base.Callback) -> str:
        """What stands for the callback where the signature leaves the address out."""
        return self._parts(callback)[0]

    def _is_set(self, access: base.Access) -> bool:
        names = [
            self._plain[name] for name in ("secret", "user", "password") if name in self._plain
        ]
        return bool(names) and all(access.secrets.get(name) for name in names)

    def _is_signed(self, callback: base.Callback, secret: str) -> bool:
        given, timestamp = self._parts(callback)
        if self._signed is None or not given or not self._is_recent(timestamp):
            return False
        signed = _signed_bytes(self._signed, callback, timestamp)
        digest = hmac.digest(secret.encode(), signed, self._plain.get("algorithm", "sha256"))
        is_hex = self._plain.get("encoding", "hex") == "hex"
        wanted = digest.hex().encode() if is_hex else base64.b64encode(digest)
        return hmac.compare_digest(wanted, given.encode(errors="replace"))

    def _parts(self, callback: base.Callback) -> tuple[str, str]:
        """Signature and time; of `t=…,v1=…` those parts, each of which may be there once only."""
        whole = callback.header(self._plain["header"]).strip()
        timestamp = callback.header(self._plain.get("timestamp_header", "")).strip()
        if "signature_part" not in self._plain:
            return whole.removeprefix(self._plain.get("prefix", "")), timestamp
        pairs = [part.strip().partition("=") for part in whole.split(",")]
        parts = {name: value for name, _, value in pairs}
        if len(parts) != len(pairs):
            return "", ""
        timestamp = parts.get(self._plain.get("timestamp_part", ""), timestamp)
        return parts.get(self._plain["signature_part"], ""), timestamp

    def _is_recent(self, timestamp: str) -> bool:
        """By the real clock, in seconds; true where the scheme signs no time."""
        if self._signed is None or "timestamp" not in self._signed.names:
            return True
        if not timestamp.isascii() or not timestamp.isdigit():
            return False
        most = self._plain.get("tolerance_seconds", MOST_AGE)
        return abs(time.time() - int(timestamp)) <= float(most)


def _signed_bytes(template: Template, callback: base.Callback, timestamp: str) -> bytes:
    """Letter for letter what was signed: a body need not be UTF-8."""
    values = {"body": callback.body, "timestamp": timestamp.encode(), "url": callback.url.encode()}
    return template.joined(values)

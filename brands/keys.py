"""Partners' keys: made and shown once, found again by what a request brings, revoked.

A key is `so_live_` (in a sandbox `so_test_`) and 43 random characters, 256 bits of chance. Stored
are its first twelve characters, by which it is found and recognised, and SHA-256 of the whole: a
slower hash is for what people make up. All times are the installation's (`brands.clock`), since an
expiry is set and read beside its other times: a sandbox moved ahead finds its keys expired.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Q, TextChoices

from brands import clock
from brands.models import ApiKey, Brand, Installation

ALPHABET = string.ascii_letters + string.digits
LENGTH = 43  # 62 ** 43 is more than 2 ** 256
SHOWN = 12  # characters; four of them are random
TRIES = 20  # that two keys begin alike is rare, and then another is drawn
USE_IS_NOTED_EVERY = timedelta(minutes=1)

_SHAPE = re.compile(rf"so_(live|test)_[A-Za-z0-9]{{{LENGTH}}}")


class Scope(TextChoices):
    """What a key may do."""

    LEADS_WRITE = "leads:write", "Post leads"


class State(TextChoices):
    WORKS = "works", "Works"
    REVOKED = "key_revoked", "Revoked"
    EXPIRED = "key_expired", "Expired"
    BRAND_RETIRED = "brand_retired", "Brand retired"


class Made(NamedTuple):
    """A new key, and the whole of it: to be shown once, and kept nowhere."""

    key: ApiKey
    whole: str


class Found(NamedTuple):
    """The key of a request, and whether it works; a key that does not is known all the same."""

    key: ApiKey
    state: State


def make(
    brand: Brand,
    name: str,
    *,
    scopes: Sequence[str] = (Scope.LEADS_WRITE,),
    expires_at: datetime | None = None,
) -> Made:
    """A new key of the brand. Raises ValueError for a scope there is not."""
    kept = [Scope(scope).value for scope in scopes]
    key = ApiKey(brand=brand, name=name, scopes=kept, expires_at=expires_at)
    return Made(key, store(key))


def store(key: ApiKey) -> str:
    """Draw the characters of a new key and store it; returns the whole, for its one showing."""
    kind = "test" if Installation.objects.get().is_sandbox else "live"
    for _ in range(TRIES):
        whole = f"so_{kind}_" + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        key.prefix, key.key_hash = whole[:SHOWN], hash_of(whole)
        try:
            with transaction.atomic():
                key.save(force_insert=True)
        except IntegrityError:
            continue
        return whole
    raise RuntimeError(f"No key that begins like no other was drawn in {TRIES} tries.")


def find(whole: str) -> Found | None:
    """The key, with its brand, and its state now; None if there is no such key. One query."""
    if not _SHAPE.fullmatch(whole):
        return None
    rows = ApiKey.objects.select_related("brand").annotate(now=clock.database_now())
    key = rows.filter(prefix=whole[:SHOWN]).first()
    if key is None or not secrets.compare_digest(key.key_hash, hash_of(whole)):
        return None
    _note_use(key, key.now)
    return Found(key, state_of(key, key.now))


def state_of(key: ApiKey, now: datetime) -> State:
    if key.revoked_at is not None:
        return State.REVOKED
    if key.expires_at is not None and key.expires_at <= now:
        return State.EXPIRED
    return State.BRAND_RETIRED if key.brand.retired_at else State.WORKS


def revoke(key: ApiKey) -> bool:
    """End a key for good; whether it was not revoked before."""
    rows = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
    return bool(rows.update(revoked_at=clock.now()))


def hash_of(whole: str) -> str:
    return hashlib.sha256(whole.encode()).hexdigest()


def _note_use(key: ApiKey, now: datetime) -> None:
    """At most one UPDATE a minute for each key, and none that waits for another to do the same."""
    old = now - USE_IS_NOTED_EVERY
    if key.last_used_at is None or key.last_used_at < old:
        stale = ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=old), pk=key.pk)
        stale.update(last_used_at=now)

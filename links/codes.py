"""The codes of personal links: random, unguessable, and never mistaken when read aloud."""

from __future__ import annotations

import os

ALPHABET = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # without 0 O 1 I l
LENGTH = 8
SCHEMES = ("https", "http")

# A byte becomes a letter by its remainder; the last bytes, which would favour some letters, are
# thrown away. 57 letters in 8 places make 10**14 codes.
_FAIR = 256 - 256 % len(ALPHABET)
_LETTERS = bytes(ALPHABET[byte % len(ALPHABET)] for byte in range(256))
_UNFAIR = bytes(range(_FAIR, 256))


def new_codes(count: int) -> list[str]:
    """So many random codes, from the operating system's own source in one or two reads."""
    wanted = count * LENGTH
    letters = b""
    while len(letters) < wanted:
        more = os.urandom((wanted - len(letters)) * 5 // 4 + 16)
        letters += more.translate(_LETTERS, _UNFAIR)
    text = letters[:wanted].decode("ascii")
    return [text[start : start + LENGTH] for start in range(0, wanted, LENGTH)]


def new_code() -> str:
    return new_codes(1)[0]


def link_url(domain: str, code: str, *, scheme: str = "https") -> str:
    """What stands in the text. "http" is for a sandbox on this machine, which has no TLS."""
    return f"{scheme}://{domain}/{code}"

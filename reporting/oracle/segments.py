"""How many segments a text takes, counted independently of the code that sends (3GPP TS 23.038)."""

from __future__ import annotations

# The default alphabet by rows of the standard's table, then the characters that take an escape.
ALPHABET = frozenset(
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5"
    "\u0394_\u03a6\u0393\u039b\u03a9\u03a0\u03a8\u03a3\u0398\u039e\u00c6\u00e6\u00df\u00c9"
    " !\"#\u00a4%&'()*+,-./0123456789:;<=>?"
    "\u00a1ABCDEFGHIJKLMNOPQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7"
    "\u00bfabcdefghijklmnopqrstuvwxyz\u00e4\u00f6\u00f1\u00fc\u00e0"
)
ESCAPED = frozenset("\f^{}\\[~]|\u20ac")
EVERY = ALPHABET | ESCAPED


def segments_of(text: str) -> int:
    """The parts a carrier makes of it; no character is split over two of them."""
    if EVERY.issuperset(text):
        escaped = 0 if ALPHABET.issuperset(text) else sum(char in ESCAPED for char in text)
        if len(text) + escaped <= 160:
            return 1
        return _parts([2 if char in ESCAPED else 1 for char in text], 153)
    if len(text.encode("utf-16-le", "surrogatepass")) <= 2 * 70:
        return 1
    return _parts([2 if ord(char) > 0xFFFF else 1 for char in text], 67)


def _parts(widths: list[int], size: int) -> int:
    parts, left = 1, size
    for width in widths:
        if width > left:
            parts, left = parts + 1, size
        left -= width
    return parts

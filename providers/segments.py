"""How many segments a text takes: GSM-7 or UCS-2 (3GPP TS 23.038), without national tables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION = "\f^{}\\[~]|€"  # each is sent as an escape and a character

_all_basic = re.compile(f"[{re.escape(GSM_BASIC)}]*").fullmatch
_all_gsm = re.compile(f"[{re.escape(GSM_BASIC + GSM_EXTENSION)}]*").fullmatch
_EXTENSION = frozenset(GSM_EXTENSION)
_SINGLE_GSM, _PART_GSM = 160, 153
_SINGLE_UCS2, _PART_UCS2 = 70, 67


class Encoding(StrEnum):
    GSM7 = "gsm7"
    UCS2 = "ucs2"


@dataclass(frozen=True, slots=True)
class Segments:
    encoding: Encoding
    units: int  # septets, or UTF-16 code units
    parts: int

    @property
    def room(self) -> int:
        """The units that fit into so many parts; several parts each give some up to be joined."""
        gsm = self.encoding is Encoding.GSM7
        if self.parts == 1:
            return _SINGLE_GSM if gsm else _SINGLE_UCS2
        return self.parts * (_PART_GSM if gsm else _PART_UCS2)


def is_gsm(text: str) -> bool:
    """Whether the small alphabet holds every character of the text."""
    return _all_gsm(text) is not None


def count(text: str) -> Segments:
    """Count as the carriers bill; an empty text is one part."""
    if _all_basic(text):
        units = len(text)
        parts = 1 if units <= _SINGLE_GSM else -(-units // _PART_GSM)
        return Segments(Encoding.GSM7, units, parts)
    if _all_gsm(text):
        widths = [2 if char in _EXTENSION else 1 for char in text]
        return _packed(Encoding.GSM7, widths, _SINGLE_GSM, _PART_GSM)
    widths = [2 if char > "\uffff" else 1 for char in text]
    return _packed(Encoding.UCS2, widths, _SINGLE_UCS2, _PART_UCS2)


def cut(text: str) -> list[str]:
    """The parts that it is sent in, as many as `count` says."""
    found = count(text)
    if found.parts == 1:
        return [text]
    is_gsm7 = found.encoding is Encoding.GSM7
    size, pieces, used = _PART_GSM if is_gsm7 else _PART_UCS2, [""], 0
    for char in text:
        width = 2 if (char in _EXTENSION if is_gsm7 else char > "\uffff") else 1
        if used + width > size:
            pieces, used = [*pieces, ""], 0
        pieces[-1] += char
        used += width
    return pieces


def _packed(encoding: Encoding, widths: list[int], single: int, part: int) -> Segments:
    units = sum(widths)
    return Segments(encoding, units, 1 if units <= single else _parts(widths, part))


def _parts(widths: Iterable[int], size: int) -> int:
    """Fill part after part; a character of two units is never split across two."""
    parts, used = 1, 0
    for width in widths:
        if used + width > size:
            parts, used = parts + 1, 0
        used += width
    return parts

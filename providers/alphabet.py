"""Which characters of a text make it dear, what people call them, and what to write instead.

One character outside GSM-7 makes the whole text UCS-2: 70 characters a segment instead of 160.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from providers.segments import GSM_BASIC, GSM_EXTENSION, is_gsm

_GSM = re.escape(GSM_BASIC + GSM_EXTENSION)
_MARK = "\u0300-\u036f\u20e3\ufe0e\ufe0f\U0001f3fb-\U0001f3ff"  # joined to what stands before them
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
# A character with its marks is one to a person: a flag, a thumb of some colour, a family.
_SEEN = f"(?:[{_GSM}][{_MARK}]+|[^{_GSM}])[{_MARK}]*"
_ONE = re.compile(f"{_FLAG}|{_SEEN}(?:\u200d[^{_GSM}][{_MARK}]*)*")

# What word processors and phones put in by themselves: its name, and the plain way to write it.
COMMON = {
    "\u2018": ("opening curly single quote", "'"),
    "\u2019": ("curly apostrophe", "'"),
    "\u201a": ("low single quote", "'"),
    "\u201b": ("curly single quote", "'"),
    "\u201c": ("opening curly quote", '"'),
    "\u201d": ("closing curly quote", '"'),
    "\u201e": ("low curly quote", '"'),
    "\u00ab": ("angle quote", '"'),
    "\u00bb": ("angle quote", '"'),
    "\u2039": ("single angle quote", "'"),
    "\u203a": ("single angle quote", "'"),
    "\u2032": ("prime sign", "'"),
    "\u2033": ("double prime sign", '"'),
    "\u00b4": ("accent used as an apostrophe", "'"),
    "`": ("backtick", "'"),
    "\u2010": ("typographic hyphen", "-"),
    "\u2011": ("hyphen that does not break", "-"),
    "\u2012": ("figure dash", "-"),
    "\u2013": ("en dash", "-"),
    "\u2014": ("em dash", "-"),
    "\u2015": ("long dash", "-"),
    "\u2212": ("minus sign", "-"),
    "\u2026": ("ellipsis, three dots in one character", "..."),
    "\u2022": ("bullet", "-"),
    "\u00b7": ("middle dot", "-"),
    "\u00a0": ("space that does not break", " "),
    "\u202f": ("narrow space that does not break", " "),
    "\u2009": ("thin space", " "),
    "\u200a": ("hair space", " "),
    "\u2002": ("wide space", " "),
    "\u2003": ("wide space", " "),
    "\t": ("tab", " "),
    "\u2028": ("line separator", "\n"),
    "\u2029": ("paragraph separator", "\n"),
    "\u200b": ("invisible space", ""),
    "\u200c": ("invisible character", ""),
    "\u200d": ("invisible character", ""),
    "\u2060": ("invisible character", ""),
    "\ufeff": ("invisible character", ""),
    "\u00ad": ("invisible hyphen", ""),
    "\u2122": ("trade mark sign", "(TM)"),
    "\u00ae": ("registered sign", "(R)"),
    "\u00a9": ("copyright sign", "(C)"),
    "\u00b0": ("degree sign", " deg."),
    "\u00d7": ("multiplication sign", "x"),
    "\u00e7": ("small c with cedilla", "c"),
    "\u20b9": ("rupee sign", "Rs"),
    "\u00a2": ("cent sign", " cents"),
}


@dataclass(frozen=True, slots=True)
class Dear:
    """A character outside GSM-7. `instead` is None where no plain one says the same."""

    character: str
    name: str
    instead: str | None
    times: int


def dear_characters(text: str) -> list[Dear]:
    """Each of them once, in the order in which they first stand in the text."""
    found = Counter(match[0] for match in _ONE.finditer(text))
    return [Dear(one, name_of(one), instead_of(one), times) for one, times in found.items()]


def pieces(text: str) -> list[tuple[str, bool]]:
    """The text in parts that join to it again; True for each character outside GSM-7."""
    parts, end = [], 0
    for match in _ONE.finditer(text):
        parts += [(text[end : match.start()], False), (match[0], True)]
        end = match.end()
    return [part for part in [*parts, (text[end:], False)] if part[0]]


def plainer(text: str) -> str:
    """The text with every dear character replaced that can be."""
    return _ONE.sub(lambda match: _or_same(instead_of(match[0]), match[0]), text)


def _or_same(instead: str | None, character: str) -> str:
    return character if instead is None else instead


def instead_of(character: str) -> str | None:
    """What to write within GSM-7: "" to leave it out, None where a letter has no plain form."""
    if character in COMMON:
        return COMMON[character][1]
    for form in ("NFC", "NFKC", "NFKD"):
        plain = unicodedata.normalize(form, character).replace("\u2044", "/")
        if form == "NFKD":
            plain = "".join(c for c in plain if unicodedata.category(c)[0] != "M")
        if plain and is_gsm(plain):
            return plain
    is_letter = unicodedata.category(character[0]).startswith(("L", "N"))
    return None if is_letter else ""


def name_of(character: str) -> str:
    """In words: what people call it, else its name in Unicode."""
    if character in COMMON:
        return COMMON[character][0]
    if re.fullmatch(_FLAG, character):
        return "emoji, flag"
    if _is_emoji(character):
        return f"emoji, {_unicode_name(character[0])}"
    return _unicode_name(unicodedata.normalize("NFC", character)[0])


def _is_emoji(character: str) -> bool:
    return unicodedata.category(character[0]) in ("So", "Sk") or character[0] > "\uffff"


def _unicode_name(character: str) -> str:
    return unicodedata.name(character, "unknown character").lower().removeprefix("latin ")

"""Message texts that staff write: filled by a closed list of names, never by a template engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

NAMES = frozenset({"first_name", "last_name", "city", "state", "zip_code", "brand", "link"})
PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\|([^{}]*))?\}")
LEFT_OVER = re.compile(r"[{}]")


class BadTemplate(ValueError):
    """A template that can never be filled in; the message says where and why."""


class MissingValue(ValueError):
    """A name of the template has no value for this person and no fall-back."""


def check_template(text: str) -> None:
    """Raises BadTemplate for an unknown name or a stray brace."""
    for match in PLACEHOLDER.finditer(text):
        if match[1] not in NAMES:
            known = ", ".join(sorted(NAMES))
            raise BadTemplate(f"{{{match[1]}}} is not a name we know; use one of: {known}.")
    if stray := LEFT_OVER.search(PLACEHOLDER.sub("", text)):
        raise BadTemplate(f"A {stray[0]} stands alone; names are written like {{first_name}}.")


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """The text with each {name} replaced; `{first_name|there}` falls back to `there`.

    Values are put in as they are: a brace in a person's name is never read as a placeholder.
    Raises MissingValue.
    """

    words = []
    for literal, name, fall_back in _parts(text):
        words.append(literal)
        if name:
            found = values.get(name, "").strip() or fall_back
            if found is None:
                raise MissingValue(name)
            words.append(found)
    return "".join(words)


@lru_cache(maxsize=1024)
def _parts(text: str) -> tuple[tuple[str, str, str | None], ...]:
    """What stands before each placeholder, its name and its fall-back; after the last no name."""
    parts, end = [], 0
    for match in PLACEHOLDER.finditer(text):
        parts.append((text[end : match.start()], match[1], match[2]))
        end = match.end()
    return (*parts, (text[end:], "", None))

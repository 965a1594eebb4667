"""What a partner posted: one JSON value in, a checked row or its problem out.

Pure. The columns are those of a file and are checked by the same function, `leads.rows.check_row`;
here is only what a file cannot have: other kinds of values, unknown names, fields in fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from leads.csvfile import LONGEST_NAME
from leads.rows import COLUMNS, LONGEST_FIELD, LeadRow, Problem, check_row

FIELDS = "fields"
MOST_FIELDS = 100
LONGEST_SHOWN = 60  # characters of an unknown name that are repeated
LONGEST_KEPT = 500  # characters of a value that are kept of a refused lead
_KNOWN = frozenset({*COLUMNS, FIELDS})
_CANNOT_BE_STORED = re.compile("[\x00\ud800-\udfff]")

NOT_A_LEAD = Problem("not_a_lead", "", "A lead is an object: names and their values.")
BAD_FIELDS = Problem("fields_invalid", FIELDS, "The fields are an object: names and their values.")
TOO_MANY = Problem("too_many_fields", FIELDS, f"A lead has at most {MOST_FIELDS} other fields.")


def read(posted: object, *, source: str) -> LeadRow | Problem:
    """One posted lead; `source` stands in where it names none. The first problem counts."""
    if not isinstance(posted, dict):
        return NOT_A_LEAD
    for name, value in posted.items():
        if name not in _KNOWN:
            return _unknown(name)
        if name != FIELDS and not (value is None or isinstance(value, str)):
            return _not_text(name, value)
    fields = _read_fields(posted.get(FIELDS))
    if isinstance(fields, Problem):
        return fields
    cells = {name: posted[name] for name in COLUMNS if posted.get(name)}
    if not cells.get("source", "").strip():
        cells["source"] = source
    return check_row(cells, fields)


def kept(posted: object) -> dict[str, str]:
    """What stood there, as far as it can be stored and read by a person."""
    if not isinstance(posted, dict):
        return {"posted": _in_words(posted)}
    fields = posted.get(FIELDS)
    inner = fields if isinstance(fields, dict) else {}
    outer = {name: value for name, value in posted.items() if name != FIELDS or not inner}
    named = [*outer.items(), *((f"{FIELDS}.{name}", value) for name, value in inner.items())]
    return {clean(name): _in_words(value) for name, value in named[: MOST_FIELDS + len(COLUMNS)]}


def clean(text: str, longest: int = LONGEST_SHOWN) -> str:
    """The text as far as it can be stored and answered."""
    return _CANNOT_BE_STORED.sub("\ufffd", text[:longest])


def source_of(posted: object, otherwise: str) -> str:
    """Where a refused lead says it comes from, cut to what fits."""
    found = posted.get("source") if isinstance(posted, dict) else None
    named = clean(" ".join(found.split()), 80) if isinstance(found, str) else ""
    return named or otherwise


def _read_fields(posted: object) -> Mapping[str, str] | Problem:
    """The lead's other fields, all of them as text: templates and lists read nothing else."""
    if posted is None:
        return {}
    if not isinstance(posted, dict):
        return BAD_FIELDS
    if len(posted) > MOST_FIELDS:
        return TOO_MANY
    found = {}
    for name, value in posted.items():
        if problem := _bad_name(name) or _bad_value(name, value):
            return problem
        if text := "" if value is None else _as_text(value):
            found[name] = text
    return found


def _bad_name(name: str) -> Problem | None:
    path = f"{FIELDS}.{clean(name)}"
    if name in _KNOWN:
        return Problem("field_name_invalid", path, f"{name} stands beside the fields, not in them.")
    if not name.isprintable() or not name.strip() or len(name) > LONGEST_NAME:
        message = f"A name has 1 to {LONGEST_NAME} characters, all of them visible."
        return Problem("field_name_invalid", path, message)
    return None


def _bad_value(name: str, value: object) -> Problem | None:
    path = f"{FIELDS}.{name}"
    if not (value is None or isinstance(value, str | int | float)):
        message = f"{path} is {_kind(value)}; a text, a number, true or false can be kept."
        return Problem("field_value_invalid", path, message)
    if isinstance(value, float) and not math.isfinite(value):
        return Problem("field_value_invalid", path, f"{path} is larger than any number kept here.")
    if isinstance(value, str) and len(value) > LONGEST_FIELD:
        message = f"{path} has {len(value)} characters; {LONGEST_FIELD} fit."
        return Problem("too_long", path, message)
    return None


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()


def _unknown(name: str) -> Problem:
    shown = clean(name)
    message = f"There is no {shown}. What else is known of a person goes into fields."
    return Problem("unknown_field", shown, message)


def _not_text(name: str, value: object) -> Problem:
    return Problem("not_text", name, f"{name} is {_kind(value)}; send a text, in quotes.")


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"
    return "a text" if isinstance(value, str) else "null"


def _in_words(value: object) -> str:
    """A value that is no text is named and not written out: it may be as deep as it likes."""
    if isinstance(value, list | dict):
        return f"({_kind(value)})"
    return clean("null" if value is None else _as_text(value), LONGEST_KEPT)

"""The shape of a definition: the JSON Schema beside this file, its errors in plain sentences."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

SCHEMA = json.loads((Path(__file__).parent / "definition_schema.json").read_text())

_VALIDATOR = Draft202012Validator(SCHEMA)
_KINDS = {
    "object": "a group in braces",
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "string": "a text",
}


def shape_problems(plain: object) -> list[str]:
    """Each as "key: what to do", in the order of the keys."""
    return sorted({said for error in _VALIDATOR.iter_errors(plain) for said in _said(error)})


def _said(error: ValidationError) -> Iterator[str]:
    path = [str(part) for part in error.absolute_path]
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield f"{dotted(path, name)}: this is missing; add it"
    elif error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in error.instance:
            if name not in known:
                yield f"{dotted(path, name)}: there is no such key; here may stand {listed(known)}"
    else:
        say = _SENTENCES.get(str(error.validator), lambda one: f"{one.message[:200]}; change it")
        yield f"{dotted(path)}: {say(error)}"


def _must_be(error: ValidationError) -> str:
    wanted = error.validator_value
    kinds = [wanted] if isinstance(wanted, str) else wanted
    return f"this must be {listed([_KINDS[kind] for kind in kinds], 'or')}"


_SENTENCES: Mapping[str, Callable[[ValidationError], str]] = {
    "enum": lambda error: f"write {listed(error.validator_value, 'or')}",
    "type": _must_be,
    "anyOf": lambda error: (
        f"name {listed([one['required'][0] for one in error.validator_value], 'or')} at least"
    ),
    "pattern": lambda error: (
        f"{error.instance!r} may not stand here; it must fit {error.validator_value}"
    ),
}


def dotted(path: Sequence[str], *more: str) -> str:
    return ".".join([*path, *more]) or "definition"


def listed(words: Any, last: str = "and") -> str:
    *first, final = [str(word) for word in words]
    return f"{', '.join(first)} {last} {final}" if first else final

"""What became of a request, and how it stands in the journal."""

from __future__ import annotations

import json
from dataclasses import KW_ONLY, dataclass

from providers.base.words import ErrorClass, Fault


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took it and gave an id: nothing sends it again, whatever fails later."""

    provider_ref: str
    _: KW_ONLY
    segments: int | None = None
    part_refs: tuple[str, ...] = ()  # the ids of further parts, where each part has its own


@dataclass(frozen=True, slots=True)
class Rejected:
    """They said no to this recipient or this content: final."""

    error_class: ErrorClass
    code: str
    _: KW_ONLY
    opted_out: bool = False
    carrier_blocked: bool = False
    only_here: bool = False  # it says nothing of the number: another sender may reach them


@dataclass(frozen=True, slots=True)
class NotSent:
    """Certainly not taken: no connection, throttled, or the account or sender was at fault."""

    code: str
    _: KW_ONLY
    fault: Fault | None = None
    throttled: bool = False
    unreachable: bool = False  # no connection was made
    goes_alone: bool = False  # its request held others, one of which may be at fault
    retry_after: float | None = None  # seconds


@dataclass(frozen=True, slots=True)
class Unknown:
    """Perhaps taken: a report or a look-up settles it, never another send."""

    detail: str


Outcome = Accepted | Rejected | NotSent | Unknown
_OUTCOMES: dict[str, type[Outcome]] = {
    "accepted": Accepted,
    "rejected": Rejected,
    "not_sent": NotSent,
    "unknown": Unknown,
}
_NAMES = {kind: name for name, kind in _OUTCOMES.items()}
_to_compact_json = json.JSONEncoder(separators=(",", ":")).encode


def outcome_to_json(outcome: Outcome) -> str:
    """One compact line of printable ASCII; what is at its default is left out."""
    plain: dict[str, object] = {"outcome": _NAMES[type(outcome)]}
    for name in outcome.__slots__:
        value = getattr(outcome, name)
        if value is not None and value is not False and value != ():
            plain[name] = value
    return _to_compact_json(plain)


def outcome_from_json(line: str | bytes) -> Outcome:
    """Read back what outcome_to_json wrote. A line that is torn or not ours is a ValueError."""
    plain = json.loads(line)
    if not isinstance(plain, dict) or plain.get("outcome") not in _OUTCOMES:
        raise ValueError("not the line of an outcome")
    kind = _OUTCOMES[plain.pop("outcome")]
    for name, restore in (("error_class", ErrorClass), ("fault", Fault), ("part_refs", tuple)):
        if name in plain:
            plain[name] = restore(plain[name])
    try:
        return kind(**plain)
    except TypeError as error:
        raise ValueError(f"not the fields of {kind.__name__}") from error

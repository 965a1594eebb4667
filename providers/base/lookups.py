"""The question whether a message was taken, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from providers.base.events import DeliveryReport
from providers.base.requests import HttpResponse
from providers.base.words import SenderKind


@dataclass(frozen=True, kw_only=True, slots=True)
class LookUp:
    """The question whether a send of unknown outcome was taken. Times are real, never shifted."""

    ref: str
    request_ref: str = ""
    provider_ref: str = ""
    to_e164: str
    from_value: str
    from_kind: str = SenderKind.LONG_CODE
    text: str
    intended_at: datetime
    other_refs: frozenset[str] = frozenset()  # provider ids that belong to other attempts
    rivals: tuple[LookUp, ...] = ()  # other attempts on the person whose id nobody knows either


@dataclass(frozen=True, slots=True)
class Found:
    """They have it; the report says how far it came."""

    report: DeliveryReport


@dataclass(frozen=True, slots=True)
class NotListed:
    """They answered and it was not there (yet): proves nothing, for listings lag."""


@dataclass(frozen=True, slots=True)
class Several:
    """So many of theirs fit equally well, or one of theirs fits so many of ours."""

    many: int


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The look-up itself failed: ask again later."""

    detail: str


LookUpAnswer = Found | NotListed | Several | NoAnswer


def looked_up(
    look_up: LookUp,
    response: HttpResponse,
    *,
    report_of: Callable[[Any, str], DeliveryReport],
    fitting: Callable[[Any, LookUp], Sequence[Any]],
) -> LookUpAnswer:
    """Judge an answer about one message by its id, or a listing, of which exactly one may fit.

    Where two fit equally well, theirs or ours, reports must say which belongs to which.
    """
    if look_up.provider_ref and response.status == 404:
        return NotListed()
    if response.status != 200:
        return NoAnswer(str(response.status))
    answer = response.json()
    if look_up.provider_ref:
        return Found(report_of(answer, look_up.ref))
    found = fitting(answer, look_up)
    if not found:
        return NotListed()
    ours = 1 + sum(found[0] in fitting(answer, rival) for rival in look_up.rivals)
    many = max(len(found), ours)
    return Several(many) if many > 1 else Found(report_of(found[0], look_up.ref))

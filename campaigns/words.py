"""The states of campaigns and slots as staff read them, and pills that show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from brands.paging import pill
from campaigns.models import Campaign, Slot

# People who are left out before a message is made for them.
LEFT_OUT = {
    "opted_out": "said STOP",
    "undeliverable": "number cannot be reached",
    "sunset": "no sign of life for a long time",
    "lead_inactive": "switched off, or erased on request",
}
SLOT_STATES = {
    Slot.State.DRAFT: ("Draft: waits for Start", ""),
    Slot.State.OPEN: ("Open: sends when its time comes", "info"),
    Slot.State.CLOSED: ("Done: nothing more leaves", "good"),
}


@dataclass(frozen=True, slots=True)
class State:
    word: str
    tone: str = ""  # good, warn, bad or info; none is grey
    why: str = ""


def state_of(campaign: Campaign, *, has_open_slots: bool) -> State:
    """The one word that says most about the campaign."""
    if campaign.retired_at is not None:
        return State("Retired")
    if campaign.paused_at is not None:
        return State("Paused", "warn", campaign.pause_reason or "by a person")
    if campaign.started_at is None:
        return State("Draft")
    if has_open_slots:
        return State("Started", "info")
    return State("Done", "good")


def state_pill(word: str, tone: str = "", why: str = "") -> SafeString:
    shown = pill(word, tone)
    return format_html("{} <span>{}</span>", shown, why) if why else shown


def left_out(suppressed: Mapping[str, int]) -> SafeString | str:
    """How many people were left out, one line for each reason, the largest first."""
    largest_first = sorted(suppressed.items(), key=lambda item: -item[1])
    counted = ((LEFT_OUT.get(code, code), f"{many:,}") for code, many in largest_first)
    return format_html_join("", "<div>{}: {}</div>", counted) or "nobody so far"

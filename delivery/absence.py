"""Why a person has no message of a slot, by the rules that planning goes by.

Pure but for `slots_without`, `entries_of` and `progress_of`, one query each; it plans nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet

from campaigns.models import Slot
from campaigns.schedule import planning_opens_at
from compliance.models import Person
from delivery import planning
from delivery.explain import Clock, small
from delivery.models import Message, Planned
from delivery.states import Reason
from delivery.wording import DO
from leads.models import Lead, ListEntry
from providers.models import Channel

LATELY = timedelta(days=7)
MOST_SLOTS = 50


@dataclass(frozen=True, slots=True)
class Absence:
    """Why there is no message of this slot, or not yet. `to_do`: what staff can do about it."""

    slot: Slot
    words: str
    to_do: str = ""
    is_to_come: bool = False


@dataclass(frozen=True, slots=True)
class Suppression:
    """What keeps a person out at planning as things stand, and since when if that is known."""

    reason: Reason
    since: datetime | None = None


def suppressions(
    person: Person, lead: Lead, rejoined_after: int | None, channel: str = Channel.SMS
) -> list[Suppression]:
    """All that planning would leave this lead out for now; the first is the one it counts.

    `rejoined_after` is the last opt-out event that the person's JOIN to the brand came after.
    """
    event_id = person.opt_out_event_id
    bounced_at = bounces_since(person, lead, channel)
    is_out = person.opted_out_at is not None and event_id is not None
    found = [
        (
            is_out and (rejoined_after or -1) < (event_id or 0),
            Reason.OPTED_OUT,
            person.opted_out_at,
        ),
        (bounced_at is not None, Reason.UNDELIVERABLE, bounced_at),
        (person.sunset_at is not None, Reason.SUNSET, person.sunset_at),
        (lead.status != Lead.Status.ACTIVE, Reason.LEAD_INACTIVE, None),
    ]
    return [Suppression(reason, since) for holds, reason, since in found if holds]


def bounces_since(person: Person, lead: Lead, channel: str) -> datetime | None:
    """Since when the phone, or the mailbox of the lead, is known not to work."""
    if channel == Channel.SMS:
        return person.undeliverable_at
    owner = person if person.email else lead.email_person
    return owner.email_undeliverable_at if owner else None


def slots_without(person_id: int, brand_ids: Collection[int], now: datetime) -> list[Slot]:
    """Slots of these brands that run, come, or ended lately, and gave the person no message."""
    sent = Message.objects.filter(
        person_id=person_id, campaign_id=OuterRef("campaign_id"), slot_id=OuterRef("pk")
    )
    coming = Q(state=Slot.State.DRAFT, local_date__gte=now.date(), campaign__retired_at=None)
    lately = Q(state=Slot.State.CLOSED, closed_at__gte=now - LATELY)
    rows: QuerySet[Slot] = Slot.objects.filter(
        Q(state=Slot.State.OPEN) | coming | lately, campaign__brand__in=brand_ids
    )
    rows = rows.exclude(Exists(sent)).select_related("campaign__brand", "campaign__lead_list")
    return list(rows.order_by("-local_date", "-local_time", "-pk")[:MOST_SLOTS])


def entries_of(lead_ids: Sequence[int]) -> list[ListEntry]:
    """The places of these leads on lists."""
    rows = ListEntry.objects.filter(lead_id__in=lead_ids)
    return list(rows.select_related("lead_list", "lead__email_person", "places").order_by("id"))


def progress_of(
    slots: Sequence[Slot], entries: Sequence[ListEntry]
) -> Mapping[tuple[int, int], int]:
    """How far planning came, by slot and set of places (0: none is known)."""
    rows = Planned.objects.filter(slot__in=[slot.pk for slot in slots]).filter(
        Q(places__in={entry.places_id for entry in entries if entry.places_id}) | Q(places=None)
    )
    return {(row.slot_id, row.places_id or 0): row.through_entry_id for row in rows}


def why_not(
    slot: Slot,
    entry: ListEntry | None,
    *,
    through: int,
    kept_out: Sequence[Suppression],
    now: datetime,
) -> Absence:
    """`entry` is the person's on the list; `through` how far planning came where they are."""
    if entry is None:
        words = f"Not on the list “{slot.campaign.lead_list}”."
        is_over = slot.state == Slot.State.CLOSED
        to_do = "" if is_over else "Who is added while the slot runs, joins it."
        return Absence(slot, words, to_do)
    if slot.state == Slot.State.DRAFT:
        words = "On its list, but the slot has not been started."
        return Absence(slot, words, "Press Start on the campaign's page.", is_to_come=True)
    zones = tuple(entry.places.zones) if entry.places else ()
    clock = Clock(zones, slot.campaign.brand.zone)
    share = planning.share_of(slot, entry.places_id, entry.pk, zones)
    if entry.added_at >= share.expires_at:
        came, ended = clock.said(entry.added_at), clock.said(share.expires_at)
        return Absence(
            slot, f"Came onto the list {came}, after the slot had ended for them {ended}."
        )
    opens_at = planning_opens_at(share.due_at)
    if entry.pk <= through:
        return _left_out(slot, kept_out, max(opens_at, entry.added_at))
    if slot.state == Slot.State.CLOSED:
        return Absence(slot, "The slot was closed before their turn on the list came.")
    return _to_come(slot, share.due_at, opens_at, clock, kept_out, now)


def _left_out(slot: Slot, kept_out: Sequence[Suppression], since: datetime) -> Absence:
    """Planning came by and made no message. `since` is the earliest that it can have been."""
    counted = [Reason(reason) for reason in slot.suppressed if reason in Reason.values]
    for one in kept_out:
        is_sure = len(counted) == 1 or one.since is None or one.since <= since
        if one.reason in counted and is_sure:
            return Absence(slot, f"Left out: {small(one.reason.label)}.", DO[one.reason])
    which = " or ".join(small(reason.label) for reason in counted)
    return Absence(
        slot,
        f"Left out when the list was gone through, for a reason of that moment: {which}."
        if which
        else "Left out when the list was gone through.",
    )


def _to_come(
    slot: Slot,
    due_at: datetime,
    opens_at: datetime,
    clock: Clock,
    kept_out: Sequence[Suppression],
    now: datetime,
) -> Absence:
    if opens_at > now:
        words = f"Not planned yet: due {clock.said(due_at)}, and planned half an hour before."
    else:
        words = "Not planned yet: planning comes by within a minute or two."
    if kept_out:
        first = kept_out[0].reason
        words = f"{words} As things stand they will be left out: {small(first.label)}."
        return Absence(slot, words, DO[first], is_to_come=True)
    return Absence(slot, words, is_to_come=True)

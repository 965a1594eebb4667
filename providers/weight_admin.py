"""How much an account sends, as staff see it: the pill, its pin, and what moved its weight."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from brands import clock
from brands.paging import pill
from providers.models import Halves, ProviderAccount, WeightChange

SHOWN = 20  # changes on an account's page; all are under "Changes of weight"
WORDS = {Halves.OUT: ("Out", "bad"), Halves.HALF: ("Half weight", "warn")}


def weight_pill(account: ProviderAccount, now: datetime) -> SafeString:
    """What it gets of its weight now, and since when."""
    if account.pinned_until and account.pinned_until > now:
        return pill(f"Pinned until {_moment(account.pinned_until)}", "info")
    if account.halves == Halves.FULL:
        return pill("Full weight", "good")
    words, tone = WORDS[Halves(account.halves)]
    since = f" since {_moment(account.halves_since)}" if account.halves_since else ""
    return pill(f"{words}{since}", tone)


def weight_now(account: ProviderAccount) -> SafeString:
    """The pill, and why; what it means where it is not full."""
    now = clock.now()
    shown = weight_pill(account, now)
    if account.halves == Halves.FULL:
        return shown
    means = (
        "It gets half of its weight of what is planned anew; a minute without losses ends that."
        if account.halves == Halves.HALF
        else "Its messages leave by the other numbers of their route, or wait where there are none."
        " One message at a time tries it, and the first that is answered brings it back. To use it"
        " at once all the same, pin it below."
    )
    why = account.weightchange_set.exclude(halves_after=Halves.FULL).order_by("-id").first()
    because = f"because {why.reason}." if why else ""
    return format_html('{} {}<p class="so-wrap">{}</p>', shown, because, means)


def pinned_anew(form: Any) -> bool:
    """Whether the form pins the account from now on, or for another time."""
    return "pinned_until" in form.changed_data and form.cleaned_data["pinned_until"] is not None


def full_weight(now: datetime) -> Mapping[str, Any]:
    """What pinning does to an account."""
    return {"halves": Halves.FULL, "halves_since": now, "probe_until": None}


def note_change(account: ProviderAccount, form: Any, halves_before: int, by: str) -> None:
    """A row for what a person changed of the weight, if anything."""
    said = [f"Set by {by}"] if "weight" in form.changed_data else []
    if pinned_anew(form):
        said.append(f"Pinned by {by} until {_moment(account.pinned_until)}")
    if said:
        WeightChange.objects.create(
            account=account,
            before=form.initial["weight"],
            after=account.weight,
            halves_before=halves_before,
            halves_after=account.halves,
            reason="; ".join(said),
        )


def _moment(at: datetime | None) -> str:
    return f"{at:%d %b, %H:%M} UTC" if at else ""


def history(account: ProviderAccount) -> SafeString:
    """The last changes, the newest first.

    No inline: it would hang on the rows that were there when the form was opened.
    """
    changes = account.weightchange_set.order_by("-id")[:SHOWN]
    return render_to_string("providers/_weight_changes.html", {"changes": changes})

"""What a number's page says of its health, rests and warm-up, and the ways to end a rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from brands import clock
from brands.admin import Rows, state_pill
from brands.braking import Braked
from brands.paging import pill
from providers import health, rests, warming
from providers.models import SenderNumber

WARMING = ("warms_up_since", "warm_up_days", "warm_up_first")
LABELS = {
    "warms_up_since": "Warms up since",
    "warm_up_days": "Days it takes",
    "warm_up_first": "Messages on the first day",
}
HELP = {
    "warms_up_since": "UTC. Empty: it is warm, and sends at its full speed. What it sent before is"
    " not counted.",
    "warm_up_days": "Each is 24 hours long. The speed grows by the same step each day.",
    "warm_up_first": "Campaigns' messages; answers are not counted. Each day it may send more, by"
    " the same factor, up to what its full speed makes in a day.",
}


def brief(number: float) -> str:
    """With three digits that count, and never as a power of ten below a million."""
    return f"{float(f'{number:.3g}'):,g}"


def rest_pill(number: Any) -> SafeString | None:
    """Until when a number that could work rests; None for all else, accounts too."""
    until = getattr(number, "rests_until", None)
    if number.paused_at or number.retired_at or until is None:
        return None
    if until <= (getattr(number, "looked_at", None) or clock.now()):
        return None
    if not number.rests_because:
        return pill(f"Rests until {until:%H:%M:%S} UTC", "info")
    tone = "warn" if number.rests_because == rests.BLOCKS else "info"
    return pill(f"Rests until {until:%d %b, %H:%M} UTC", tone)


def working_pill(row: Any) -> SafeString:
    """The state of an account or a number, with what the provider said when it refused it."""
    if row.paused_at and row.fault:
        return pill(f"Refused: {row.fault}", "bad")
    return rest_pill(row) or state_pill(row, "Works")


@admin.action(permissions=["change"], description="End the rest for carrier blocks")
def end_rest(page: Any, request: HttpRequest, rows: Rows) -> None:
    own = page.visible(request, rows, page.to_change)
    page.message_user(request, f"{rests.end(own, clock.now())} send again.")


class WarmingForm(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    class Meta:
        labels = LABELS
        help_texts = HELP

    def clean_warms_up_since(self) -> datetime | None:
        since: datetime | None = self.cleaned_data["warms_up_since"]
        if since and since > clock.now() and "warms_up_since" in self.changed_data:
            raise forms.ValidationError(
                "This is still to come. Type when it begins or began: now at the latest.",
                code="in_the_future",
            )
        return since


class Cared(Braked):
    """A page of numbers that shows how they fare. Its list and its page read the same rows."""

    change_form_outer_before_template = "providers/_number_brakes.html"

    def get_queryset(self, request: HttpRequest) -> Rows:
        return warming.with_warming(super().get_queryset(request), clock.now())

    def get_urls(self) -> list[URLPattern]:
        address = path(
            "<path:object_id>/wake/",
            self.admin_site.admin_view(self.wake),
            name="providers_sendernumber_wake",
        )
        return [address, *super().get_urls()]

    def wake(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End one number's rest for blocks. Takes a POST."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        number = self.get_object(request, unquote(object_id))
        if number is None:
            raise Http404(f"There is no number {object_id}.")
        if not self.may_brake(request, number):
            raise PermissionDenied
        if rests.end(SenderNumber.objects.filter(pk=number.pk), clock.now()):
            self.log_change(request, number, "Rest ended.")
            messages.success(request, f"{number} sends again.")
        return redirect(reverse("admin:providers_sendernumber_change", args=[number.pk]))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        number = context.get("original")
        if number and rests.can_be_ended(number, clock.now()) and self.may_brake(request, number):
            context["wake_url"] = reverse("admin:providers_sendernumber_wake", args=[number.pk])
            context["rest_words"] = rests.in_words(number, clock.now())
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="State")
    def state(self, number: SenderNumber) -> SafeString:
        return working_pill(number)

    @admin.display(description="Segments a second", ordering="segments_per_second")
    def rate(self, number: Any) -> str:
        full = f"{number.segments_per_second:,g}"
        if number.warm_day is None:
            return full
        return f"{brief(number.pace)} of {full} ({warming.in_words(number)})"

    @admin.display(description="Last 7 days")
    def health_read(self, number: SenderNumber) -> str:
        return health.in_words(number.health)

    @admin.display(description="Last 7 days")
    def health_brief(self, number: SenderNumber) -> SafeString:
        """For a narrow column, whose head says how many days."""
        words = health.in_brief(number.health)
        return format_html('<span style="display: block; min-width: 11rem">{}</span>', words)

    @admin.display(description="Rests")
    def rest_read(self, number: SenderNumber) -> str:
        return rests.in_words(number, clock.now())

    @admin.display(description="Speed now")
    def speed_read(self, number: Any) -> str:
        """Of a stored number; a new one has none yet."""
        if getattr(number, "pace", None) is None:
            return "-"
        speed = f"{brief(number.pace)} segments a second"
        if number.warm_day is None:
            return f"{speed}: it is warm"
        return f"{speed}, {warming.in_words(number)}"

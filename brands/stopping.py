"""Stop-all, the brake of the whole installation: nothing leaves while it holds, answers neither."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from brands import access, clock, pages
from brands.access import Ability
from brands.models import Installation


def stop_all() -> bool:
    """Hold every message from now on; returns whether it was not held already."""
    return bool(Installation.objects.filter(stopped_at=None).update(stopped_at=clock.now()))


def end_the_stop() -> bool:
    """Send again; returns whether it was held."""
    return bool(Installation.objects.exclude(stopped_at=None).update(stopped_at=None))


@require_http_methods(["GET", "POST"])
@pages.staff_page(Ability.FIGURES)
def stop_page(request: HttpRequest) -> HttpResponse:
    """Asks once before it stops, or goes on again; a click by mistake changes nothing."""
    if not access.may(request.user, Ability.OWN, None):
        raise PermissionDenied
    goes_on = pages.next_of(request, reverse("admin:index"))
    if request.method != "POST":
        return pages.show(request, "brands/stop_all.html", title="Stop all sending", next=goes_on)
    if request.POST.get("do") == "go_on":
        if end_the_stop():
            messages.success(request, "Sending goes on.")
    elif stop_all():
        messages.warning(request, "All sending is stopped. What was handed over is on its way.")
    return redirect(goes_on)

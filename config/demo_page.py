"""The button that empties a sandbox and begins its demo anew."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from brands import access, pages
from brands.access import Ability
from brands.models import Installation
from config import demo_accounts, demo_wipe


@require_http_methods(["GET", "POST"])
@pages.staff_page(Ability.FIGURES)
def wipe_page(request: HttpRequest) -> HttpResponse:
    """Asks once before it wipes. There is no such page in an installation that is no sandbox."""
    if not access.may(request.user, Ability.OWN, None):
        raise PermissionDenied
    installation = Installation.objects.first()
    if installation is None or not installation.is_sandbox:
        raise Http404("Only a sandbox can be wiped.")
    if request.method == "POST":
        if demo_wipe.ask():
            messages.warning(request, "The sandbox is being emptied; a new demo begins by itself.")
            return redirect("admin:index")
        messages.error(request, "Nobody runs a demo here, so nothing was wiped.")
    return pages.show(
        request,
        "config/wipe.html",
        title="Wipe the sandbox",
        is_run=demo_wipe.is_run(),
        course=demo_accounts.COURSE,
    )

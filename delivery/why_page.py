"""The page that answers "why did this person get it, or not?". It changes nothing."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from brands import pages
from brands.access import Ability
from delivery import person_page
from delivery.person_page import NOBODY, Problem

LONGEST = 254


@require_safe
@pages.staff_page(Ability.PEOPLE)
def why_page(request: HttpRequest) -> HttpResponse:
    """`?phone=` is what was typed: a phone number in any form, or an e-mail address."""
    typed = request.GET.get("phone", "")[:LONGEST]
    context = answer(request, typed) if typed.strip() else {"error": _nothing(request)}
    title = "Why did they get it, or not?"
    return pages.show(request, "delivery/why.html", title=title, typed=typed, **context)


def _nothing(request: HttpRequest) -> str:
    return "Type a phone number or an e-mail address." if "phone" in request.GET else ""


def answer(request: HttpRequest, typed: str) -> dict[str, object]:
    """What the page shows for what was typed."""
    address = person_page.read_address(typed)
    if isinstance(address, Problem):
        return {"error": address.words}
    known = person_page.look_up(address, request.user)
    if known is None:
        return {"nobody": NOBODY, "address": address.value}
    return {"address": address.value, **person_page.page_of(known, request.user)}

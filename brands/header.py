"""What stands at the head of every page for staff: the brake, and in a sandbox its clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from brands import access, clock
from brands.access import Ability
from brands.models import Installation


def context(request: HttpRequest) -> dict[str, Any]:
    """Two short queries for whoever is logged in, none for others."""
    if not admin.site.has_permission(request):
        return {}
    installation = Installation.objects.first()
    return {
        "installation": installation,
        "may_stop_all": access.may(request.user, Ability.OWN, None),
        "may_send": access.may_anywhere(request.user, Ability.SEND),
        "sandbox_now": sandbox_now(installation),
    }


def sandbox_now(installation: Installation | None) -> datetime | None:
    """The sandbox's own time (UTC); None in a real installation, whose time is the real one."""
    return clock.now() if installation is not None and installation.is_sandbox else None


def can_own(request: HttpRequest) -> bool:
    return access.may(request.user, Ability.OWN, None)


def can_manage(request: HttpRequest) -> bool:
    return access.may_anywhere(request.user, Ability.MANAGE)


def can_send(request: HttpRequest) -> bool:
    return access.may_anywhere(request.user, Ability.SEND)


def can_read_people(request: HttpRequest) -> bool:
    return access.may_anywhere(request.user, Ability.PEOPLE)


def can_see_rows(request: HttpRequest) -> bool:
    return access.may_anywhere(request.user, Ability.ROWS)


def can_see_figures(request: HttpRequest) -> bool:
    return access.may_anywhere(request.user, Ability.FIGURES)

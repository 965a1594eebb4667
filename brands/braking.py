"""Pause and resume of one brand, campaign, account or number, by a button on its page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from brands import clock, pages
from brands.access import Ability
from brands.paging import Page

DONE = {"pause": "is paused", "resume": "sends again"}


class Braked(Page):
    """A page whose rows have `paused_at`. Braking asks for `to_brake`, and may be all one may do.

    The addresses are named `admin:<app>_<model>_pause` and `…_resume`; both take a POST, and a
    `next` to go on at.
    """

    to_brake = Ability.SEND
    change_form_outer_before_template = "admin/_brake.html"

    def stamps(self, does: str, now: datetime) -> Mapping[str, Any]:
        """What a row is updated to; a page with more to forgive adds to it."""
        return {"paused_at": now if does == "pause" else None}

    def may_brake(self, request: HttpRequest, row: Any) -> bool:
        return self._may(request, self.to_brake, row)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        ours = [
            path(
                f"<path:object_id>/{does}/",
                self.admin_site.admin_view(self.brake),
                {"does": does},
                name=f"{name}_{does}",
            )
            for does in DONE
        ]
        return [*ours, *super().get_urls()]

    def brake(self, request: HttpRequest, object_id: str, does: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        if not self.may_brake(request, row):
            raise PermissionDenied
        rows = self.model._default_manager.filter(pk=row.pk, paused_at__isnull=does == "pause")
        if rows.update(**self.stamps(does, clock.now())):
            self.log_change(request, row, f"{does.capitalize()}d.")
            messages.success(request, f"{row} {DONE[does]}.")
        here = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return redirect(pages.next_of(request, reverse(here, args=[row.pk])))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = context.get("original")
        if row is not None and self.may_brake(request, row):
            does = "resume" if row.paused_at else "pause"
            name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{does}"
            context |= {"brake": does, "brake_url": reverse(name, args=[row.pk])}
        return super().render_change_form(request, context, *args, **kwargs)

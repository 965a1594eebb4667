"""What our own pages for staff share: log-in, abilities, and the frame of the admin around them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from brands import access
from brands.access import Ability

View = Callable[..., HttpResponseBase]


def staff_page(ability: Ability) -> Callable[[View], View]:
    """For staff who have the ability for some brand: others get the log-in page, or a 403.

    Which brands' rows a view may show is for the view to ask, of `brands.access`.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not access.may_anywhere(request.user, ability):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        @wraps(view)
        def page(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if is_htmx(request) and not admin.site.has_permission(request):
                return HttpResponse(status=204, headers={"HX-Redirect": reverse("admin:index")})
            return admin.site.admin_view(guarded)(request, *args, **kwargs)

        return page

    return decorate


def is_htmx(request: HttpRequest) -> bool:
    """Whether a page asks for a part of itself."""
    return request.headers.get("HX-Request") == "true"


def show(
    request: HttpRequest, template: str, *, title: str, status: int = 200, **context: Any
) -> TemplateResponse:
    """A whole page in the frame of the admin."""
    frame = admin.site.each_context(request)
    return TemplateResponse(request, template, {**frame, "title": title, **context}, status=status)


def next_of(request: HttpRequest, otherwise: str) -> str:
    """Where a form says to go on, if that is a page of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()})
    return wanted if is_ours else otherwise

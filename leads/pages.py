"""The pages of an upload: the form, how far the import is, and what it refused."""

from __future__ import annotations

import math
from typing import Any

from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from brands import access, pages
from brands.access import Ability
from leads import refused, tasks, uploads
from leads.models import Import
from leads.upload_form import COLUMNS, SAMPLE, UploadForm, content_of

STOP_POLLING = 286  # htmx's own
UPLOAD = "leads/upload.html"


@require_http_methods(["GET", "POST"])
@pages.staff_page(Ability.SEND)
def upload_page(request: HttpRequest) -> HttpResponse:
    """Takes a file; a wrong one is told here, and nothing of it is stored."""
    if request.method != "POST":
        chosen = request.GET.get("list", "")
        initial = {"lead_list": chosen if chosen.isdecimal() else ""}
        return _show_form(request, UploadForm(request.user, initial=initial))
    form = UploadForm(request.user, request.POST, request.FILES)
    if form.is_valid() and (taken_in := _receive(request, form)):
        tasks.call()
        return redirect("import-progress", taken_in.pk)
    return _show_form(request, form)


def _receive(request: HttpRequest, form: UploadForm) -> Import | None:
    file = form.cleaned_data["file"]
    try:
        return uploads.receive(
            content_of(file),
            file_name=file.name,
            lead_list=form.wanted_list(),
            source=form.cleaned_data["source"],
            uploaded_by=request.user,
        )
    except IntegrityError:  # somebody made that list a moment ago
        form.add_error("name", form.taken_name())
        return None


def _show_form(request: HttpRequest, form: UploadForm) -> HttpResponse:
    brands = form.brands
    return pages.show(
        request,
        UPLOAD,
        title="Upload people",
        form=form,
        lists=form.lists,
        brands=brands,
        only_brand=brands[0].pk if len(brands) == 1 else None,
        columns=COLUMNS,
        most_bytes=uploads.MOST_BYTES,
        most_mb=uploads.MOST_BYTES // uploads.PART,
    )


@require_GET
@pages.staff_page(Ability.SEND)
def sample_file(request: HttpRequest) -> HttpResponse:
    """Three invented people, in every column there is."""
    return HttpResponse(SAMPLE, headers=as_file("people-sample.csv"))


@require_GET
@pages.staff_page(Ability.ROWS)
def progress_page(request: HttpRequest, import_id: int) -> HttpResponse:
    """How far an import is. htmx asks for the changing part each second until there is no more."""
    taken_in = _find(request, import_id, Ability.ROWS)
    context = _progress(request, taken_in)
    if not pages.is_htmx(request):
        title = f"Import of {taken_in.file_name}"
        context |= _refused(request, taken_in)
        return pages.show(request, "leads/import.html", title=title, **context)
    if context["has_ended"] or request.GET.get("shown") != str(context["shown"]):
        context |= {"is_update": True, **_refused(request, taken_in)}
    status = STOP_POLLING if context["has_ended"] else 200
    return render(request, "leads/_import_answer.html", context, status=status)


def _find(request: HttpRequest, import_id: int, ability: Ability) -> Import:
    rows = Import.objects.select_related("brand", "lead_list", "uploaded_by")
    return get_object_or_404(
        access.visible(rows, request.user, ability, path="brand"), pk=import_id
    )


def _progress(request: HttpRequest, taken_in: Import) -> dict[str, Any]:
    has_ended = taken_in.state not in uploads.OPEN
    return {
        "taken_in": taken_in,
        "has_ended": has_ended,
        "percent": _percent(taken_in),
        "shown": min(taken_in.rows_refused, refused.SHOWN),
        "may_stop": not has_ended and access.may(request.user, Ability.SEND, taken_in.brand_id),
        "may_upload": access.may(request.user, Ability.SEND, taken_in.brand_id),
    }


def _percent(taken_in: Import) -> int | None:
    """Of the bytes; None where nobody knows how many there are."""
    if taken_in.state == Import.State.DONE:
        return 100
    if not taken_in.bytes_total:
        return None
    return math.floor(100 * min(taken_in.bytes_read / taken_in.bytes_total, 1))


def _refused(request: HttpRequest, taken_in: Import) -> dict[str, Any]:
    if not taken_in.rows_refused:
        return {}
    whole = access.may(request.user, Ability.PEOPLE, taken_in.brand_id)
    return {
        "reasons": refused.reasons(taken_in),
        "refused_rows": refused.first_rows(taken_in, whole=whole),
        "counted": refused.COUNTED if taken_in.rows_refused > refused.COUNTED else None,
        "may_read": whole,
    }


@require_POST
@pages.staff_page(Ability.SEND)
def stop_import(request: HttpRequest, import_id: int) -> HttpResponse:
    taken_in = _find(request, import_id, Ability.SEND)
    if uploads.stop(taken_in, request.user.get_username()):
        messages.success(request, "The import is stopped. Who was in already stays in.")
    else:
        messages.info(request, "The import had ended already.")
    return redirect("import-progress", import_id)


@require_GET
@pages.staff_page(Ability.PEOPLE)
def errors_file(request: HttpRequest, import_id: int) -> Any:
    """Every refused row, with why; streamed, for there may be millions."""
    taken_in = _find(request, import_id, Ability.PEOPLE)
    name = f"refused-rows-of-import-{import_id}.csv"
    return StreamingHttpResponse(refused.as_csv(taken_in), headers=as_file(name))


def as_file(name: str) -> dict[str, str]:
    return {
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}"',
    }

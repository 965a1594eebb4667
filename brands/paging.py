"""The base of every admin page, and lists of big tables: never counted, walked by id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Field, URLField
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator

if TYPE_CHECKING:  # Unfold's classes carry no types; they are Django's with other templates
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin, TabularInline


class Page(ModelAdmin):
    """A page for staff. The total of the whole table is never asked for."""

    show_full_result_count = False

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        if isinstance(db_field, URLField):
            kwargs.setdefault("assume_scheme", "https")
        return super().formfield_for_dbfield(db_field, request, **kwargs)


class Inline(TabularInline):
    """Rows shown on the page of the row they belong to."""

    extra = 0
    tab = False


class BigTable(Page):
    """The list of a table with millions of rows. `Next` is offered while a page is full."""

    paginator = InfinitePaginator
    show_facets = admin.ShowFacets.NEVER  # a facet is a count
    ordering = ("-pk",)
    sortable_by = ()  # sorting by another column would read the whole table

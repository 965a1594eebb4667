"""The base of every admin page: who sees which rows, and lists of big tables that are not counted.

A page says by `brand_path` how its rows belong to a brand, and by `to_look` and `to_change` which
ability they ask for. What a user may not see is not there for them: 404, in lists and in choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from django import forms
from django.contrib import admin
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Field, ForeignKey, QuerySet, TimeField, URLField
from django.http import Http404, HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.paginator import InfinitePaginator

from brands import access
from brands.access import Ability

if TYPE_CHECKING:  # Unfold's classes carry no types; they are Django's with other templates
    ModelAdminBase = BaseModelAdmin[Any]
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin, TabularInline

    ModelAdminBase = object


def pill(words: str, tone: str = "") -> SafeString:
    """A word in a colour of its own: good, warn, bad or info; none is grey."""
    return format_html('<span class="so-pill {}">{}</span>', f"so-{tone}" if tone else "", words)


class OwnChoices(ModelAdminBase):
    """A form offers, and takes, only what its user may see."""

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        page = admin.site._registry.get(db_field.related_model)
        if field is not None and isinstance(page, Page) and not request.user.is_superuser:
            offered = field.queryset if field.queryset is not None else page.model.objects.all()
            field.queryset = page.visible(request, offered, self.ability_for(db_field.name, page))
        return field

    def ability_for(self, field: str, page: Page) -> Ability:
        """What its user needs for a row of `page` to be chosen in this field.

        The field by which the row belongs to a brand is chosen to act for that brand; what else a
        row names need only be seen.
        """
        owner = (getattr(self, "brand_path", None) or "").partition("__")[0]
        ability: Ability = getattr(self, "to_change", page.to_look)
        return ability if field == owner or page.brand_path == "pk" else page.to_look


class Page(OwnChoices, ModelAdmin):
    """A page for staff. The total of the whole table is never asked for."""

    brand_path: str | None = None  # None: rows of the installation, for superusers
    to_look = Ability.ROWS
    to_change = Ability.SEND
    show_full_result_count = False

    def visible(
        self, request: HttpRequest, rows: QuerySet[Any], ability: Ability | None = None
    ) -> QuerySet[Any]:
        """Those of `rows` that the user may look at, or has the ability for."""
        return access.visible(rows, request.user, ability or self.to_look, path=self.brand_path)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.visible(request, super().get_queryset(request))

    def _may(self, request: HttpRequest, ability: Ability, obj: Any) -> bool:
        if self.brand_path is None:
            return access.may(request.user, Ability.OWN, None)
        if obj is None or self.brand_path.endswith("__many"):
            return access.may_anywhere(request.user, ability)
        return access.may(request.user, ability, access.brand_id_of(obj, self.brand_path))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.to_look, None)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.to_look, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request, self.to_change, None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.to_change, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, self.to_change, obj)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Exact look-ups on own columns and on what the page filters by; anything else is a 400.

        Django allows look-ups through relations, and patterns, which tell what is not shown.
        """
        if "\0" in str(value):
            return False
        name = lookup
        for suffix in ("__exact", "__in", "__isnull", "__id", "__pk"):
            name = name.removesuffix(suffix)
        named = (entry[0] if isinstance(entry, tuple) else entry for entry in self.list_filter)
        filtered = {entry for entry in named if isinstance(entry, str)}
        columns = {column.name for column in self.opts.concrete_fields}
        return name in columns | filtered and super().lookup_allowed(lookup, value, request)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What a box offers while somebody types is what its form will take."""
        return super().get_search_results(
            request, self._offered(request, queryset), search_term.replace("\0", "")
        )

    def _offered(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        match = request.resolver_match
        if match is None or match.url_name != "autocomplete":
            return rows
        names = (request.GET.get("app_label", ""), request.GET.get("model_name", ""))
        asking = next(
            (
                page
                for model, page in admin.site._registry.items()
                if (model._meta.app_label, model._meta.model_name) == names
            ),
            None,
        )
        if not isinstance(asking, Page):
            return rows
        field = request.GET.get("field_name", "")
        return self.visible(request, rows, asking.ability_for(field, self))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write what was changed and no more: a stop or a pause made meanwhile stays."""
        if not change:
            super().save_model(request, obj, form, change)
        elif names := self.changed_columns(form):
            obj.save(update_fields=sorted(names))

    def changed_columns(self, form: Any) -> set[str]:
        """The columns that a form has changed; a page whose form fills in others adds them."""
        columns = {column.name for column in self.opts.concrete_fields}
        return columns.intersection(form.changed_data)

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> NoReturn:
        """Django leads to the front page; a missing row and a foreign one are both a 404 here."""
        raise Http404(f"There is no {opts.verbose_name} {object_id}.")

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        if isinstance(db_field, URLField):
            kwargs.setdefault("assume_scheme", "https")
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(db_field, TimeField):
            field.widget.format = "%H:%M"
        return field


class Inline(OwnChoices, TabularInline):
    """Rows shown on the page of the row they belong to, to whoever may see and change that."""

    extra = 0
    tab = False
    to_change = Ability.SEND

    def _parent(self) -> Page:
        page = self.admin_site._registry[self.parent_model]
        assert isinstance(page, Page)  # noqa: S101 - all our pages are
        return page

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._parent().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._parent().has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._parent().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._parent().has_change_permission(request, obj)


class BigTable(Page):
    """The list of a table with millions of rows. `Next` is offered while a page is full."""

    paginator = InfinitePaginator
    show_facets = admin.ShowFacets.NEVER  # a facet is a count
    ordering = ("-pk",)
    sortable_by = ()  # sorting by another column would read the whole table

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Django leaves out the arrows only; an address that asks to sort is heard all the same."""
        usual = super().get_changelist(request, **kwargs)

        class Unsorted(usual):  # type: ignore[misc, valid-type]
            def get_ordering_field(self, field_name: Any) -> None:
                return None

        return Unsorted

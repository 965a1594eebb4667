"""Routes in the admin: their numbers, what each gets, and who may have them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import ForeignKey, Q
from django.forms.models import ModelChoiceIterator
from django.http import HttpRequest
from django.utils.safestring import SafeString

from brands import access
from brands.access import Ability
from brands.admin import (
    BrandFilter,
    NeverDeleted,
    RetiredFilter,
    Rows,
    bring_back,
    retire,
)
from brands.paging import Inline, Page, pill
from providers.models import Route, RouteNumber, SenderNumber
from providers.route_forms import OwnNumbers, RouteForm


def offered_numbers(request: HttpRequest) -> Rows:
    """Numbers of the user's brands, and those that every brand may use."""
    ids = access.brand_ids(request.user, Ability.MANAGE)
    mine = Q() if ids is None else Q(brand=None) | Q(brand__in=ids)
    return SenderNumber.objects.filter(mine).select_related("account").order_by("value")


class RouteNumberInline(Inline):
    model = RouteNumber
    formset = OwnNumbers
    fields = ("number", "order", "weight")

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).select_related("number")

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field and db_field.name == "number":
            field.queryset = offered_numbers(request)
            field.choices = list(ModelChoiceIterator(field))  # read once, not again for each row
        return field


@admin.register(Route)
class RouteAdmin(NeverDeleted, Page):
    form = RouteForm
    brand_path = "brand"
    to_change = Ability.MANAGE
    list_display = ("name", "brand", "channel", "use", "shares", "state")
    list_filter = (RetiredFilter, "channel", BrandFilter)
    search_fields = ("name", "brand__name")
    list_select_related = ("brand",)
    ordering = ("brand__name", "name")
    autocomplete_fields = ("brand",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    *("brand", "channel", "name", "is_default", "prefers_cheapest"),
                    *("keeps_number", "prefers_area"),
                    *("shares", "retired_at"),
                ),
                "description": "The numbers that messages go out by. Lower order goes first, and"
                " only when none of it can send the next one takes over; within one order the"
                " weights divide the messages. A brand has one default route for each channel;"
                " e-mail leaves by e-mail senders alone.",
            },
        ),
    )
    inlines = (RouteNumberInline,)
    actions = (retire, bring_back)

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).prefetch_related("numbers__number__account")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Route | None = None
    ) -> tuple[str, ...]:
        return (*(("brand", "channel") if obj else ()), "shares", "retired_at")

    @admin.display(description="Used", ordering="is_default")
    def use(self, route: Route) -> str:
        return "by default" if route.is_default else "where it is chosen"

    @admin.display(description="State")
    def state(self, route: Route) -> SafeString:
        return pill("Retired") if route.retired_at else pill("In use", "good")

    @admin.display(description="Who sends how much")
    def shares(self, route: Route) -> str:
        return shares_in_words(route) or "Nobody: it has no number yet."


def shares_in_words(route: Route) -> str:
    """The share of each number, turn by turn, as long as all of them work at their full weight."""
    parts = []
    rows = list(route.numbers.all()) if route.pk else []
    for turn in sorted({row.turn for row in rows}):
        same = [row for row in rows if row.turn == turn]
        weights = [row.weight * row.number.account.weight for row in same]
        total = sum(weights) or 1
        named = (
            f"{row.number.value} {100 * weight / total:.0f} %"
            for row, weight in zip(same, weights, strict=True)
        )
        parts.append(", ".join(named))
    return "; then ".join(parts)

"""The page of partners' keys: made by name, shown whole once, revoked by a button."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Field, ForeignKey, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import DATETIME_CLASSES, UnfoldAdminCheckboxSelectMultipleWidget

from brands import clock, keys, pages
from brands.access import Ability
from brands.keys import Scope, State
from brands.models import ApiKey, Brand
from brands.paging import Page, pill

TONES = {State.WORKS: "good", State.EXPIRED: "warn", State.REVOKED: "bad"}
MOST = timedelta(days=3653)
NEW = "whole"  # where a key that was just made is kept until its one page is answered


class KeyForm(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    last_day = forms.DateField(
        label="Last day it works",
        required=False,
        widget=forms.DateInput(
            format="%Y-%m-%d", attrs={"type": "date", "class": " ".join(DATETIME_CLASSES)}
        ),
        help_text="Until midnight where the brand is. Empty: until somebody revokes it.",
    )

    class Meta:
        help_texts = {"name": "Who posts with it. Leads that name no source have this name."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["last_day"] = last_day_of(self.instance)

    def clean_name(self) -> str:
        """It becomes the source of leads that name none, so it must be one."""
        name = " ".join(self.cleaned_data["name"].split())
        if not name.isprintable():
            raise ValidationError("There is a character in this name that cannot be shown.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        brand = cleaned.get("brand") or (self.instance.brand if self.instance.pk else None)
        last_day = cleaned.get("last_day")
        if "last_day" in self.changed_data and brand is not None:
            if problem := _bad_day(last_day, brand):
                self.add_error("last_day", problem)
            else:
                self.instance.expires_at = end_of(last_day, brand) if last_day else None
        return cleaned


class NewKeyForm(KeyForm):
    """For whom a key is, and what it may do, is settled when it is made."""

    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=Scope.choices,
        initial=[Scope.LEADS_WRITE],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    def clean_brand(self) -> Brand:
        brand: Brand = self.cleaned_data["brand"]
        if brand.retired_at is not None:
            raise ValidationError("This brand is retired: none of its keys would work.")
        return brand


def _bad_day(day: date | None, brand: Brand) -> str:
    today = clock.now().astimezone(ZoneInfo(brand.zone)).date()
    if day is not None and day < today:
        return "This day is over where the brand is."
    if day is not None and day > today + MOST:
        return "This is more than ten years from now. Leave it empty for a key without an end."
    return ""


def end_of(day: date, brand: Brand) -> datetime:
    """The end of a day where the brand is."""
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=ZoneInfo(brand.zone))


def last_day_of(key: ApiKey) -> date | None:
    """The last day, where the brand is, on which a key works; None if it does not expire."""
    if key.expires_at is None:
        return None
    return (key.expires_at - timedelta(microseconds=1)).astimezone(ZoneInfo(key.brand.zone)).date()


@admin.register(ApiKey)
class ApiKeyAdmin(Page):
    brand_path = "brand"
    to_look = Ability.MANAGE
    to_change = Ability.MANAGE
    change_form_outer_before_template = "api/_key_state.html"
    list_display = ("name", "brand", "begins", "may", "used", "ends", "state")
    list_filter = (("brand", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("prefix__startswith", "name")
    search_help_text = "A name, or how a key begins"
    list_select_related = ("brand",)
    readonly_fields = ("begins", "may", "used", "created_at", "revoked_at")
    ordering = ("-pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        rows: QuerySet[ApiKey] = super().get_queryset(request)
        return rows.annotate(now=clock.database_now())

    def get_fieldsets(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        if obj is None:
            return ((None, {"fields": ("brand", "name", "last_day", "scopes")}),)
        about = ("brand", "begins", "may", "used", "created_at", "revoked_at")
        return ((None, {"fields": ("name", "last_day")}), ("About this key", {"fields": about}))

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> Any:
        return self.readonly_fields if obj is None else ("brand", *self.readonly_fields)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Any]]:
        kwargs["form"] = NewKeyForm if obj is None else KeyForm
        return super().get_form(request, obj, change, **kwargs)

    def formfield_for_dbfield(
        self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(db_field, ForeignKey) and field is not None:  # no brand is made on the way
            for does in ("add", "change", "view", "delete"):
                setattr(field.widget, f"can_{does}_related", False)
        return field

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what it brought in names it

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "expires_at"])
        else:
            obj.scopes = form.cleaned_data["scopes"]
            setattr(obj, NEW, keys.store(obj))

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The one page that shows the whole key. It is kept by nobody: not stored, not cached."""
        here = reverse("admin:brands_apikey_change", args=[obj.pk])
        url = settings.PUBLIC_BASE_URL + reverse("api-leads")
        response = pages.show(
            request,
            "api/key_made.html",
            title=f"The key {obj.name}",
            key=obj,
            whole=getattr(obj, NEW),
            here=here,
            url=url,
        )
        response["Cache-Control"] = "no-store"
        return response

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        key = context.get("original")
        if isinstance(key, ApiKey):
            context |= {"key_state": _pill(keys.state_of(key, clock.now())), "key": key}
            context["may_revoke"] = self.has_change_permission(request, key)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(self.revoke)
        ours = path("<path:object_id>/revoke/", revoke, name="brands_apikey_revoke")
        return [ours, *super().get_urls()]

    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks on a GET, does it on a POST."""
        key = self.get_object(request, unquote(object_id))
        if key is None:
            raise Http404(f"There is no key {object_id}.")
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        here = reverse("admin:brands_apikey_change", args=[key.pk])
        if request.method == "GET":
            return pages.show(
                request, "api/revoke_key.html", title=f"Revoke {key.name}", key=key, here=here
            )
        if request.method != "POST":
            return HttpResponseNotAllowed(["GET", "POST"])
        if keys.revoke(key):
            self.log_change(request, key, "Revoked.")
            messages.success(request, f"{key} is revoked: it opens nothing any more.")
        return redirect(here)

    @admin.display(description="Begins with", ordering="prefix")
    def begins(self, key: ApiKey) -> SafeString:
        return format_html("<code>{}…</code>", key.prefix)

    @admin.display(description="It may")
    def may(self, key: ApiKey) -> str:
        words = dict(Scope.choices)
        return ", ".join(str(words.get(scope, scope)) for scope in key.scopes) or "Nothing"

    @admin.display(description="Last used (UTC)", ordering="last_used_at")
    def used(self, key: ApiKey) -> str:
        return date_format(key.last_used_at, "j M Y, H:i") if key.last_used_at else "Never"

    @admin.display(description="Last day", ordering="expires_at")
    def ends(self, key: ApiKey) -> str:
        last_day = last_day_of(key)
        return date_format(last_day, "j M Y") if last_day else "No end"

    @admin.display(description="State")
    def state(self, key: Any) -> SafeString:
        return _pill(keys.state_of(key, key.now))


def _pill(state: State) -> SafeString:
    return pill(state.label, TONES.get(state, ""))

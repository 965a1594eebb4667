"""Users and what they may do for which brand. Roles are all there is: no groups, no permissions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from brands import access
from brands.models import Membership
from brands.paging import Inline, Page

ROLES_HELP = (
    "Admin: the brand's settings, routes and keys, and all below. Marketer: sets up, starts and"
    " pauses campaigns, takes in leads, reads people's numbers. Analyst: figures and rows, numbers"
    " masked. Partner: nothing here; partners come with an API key."
)

WORDS = {
    "is_superuser": {
        "label": "May do everything",
        "help_text": "For every brand, and for the installation itself.",
    },
    "is_active": {
        "label": "May log in",
        "help_text": "Switch a user off instead of deleting: what they did stays theirs.",
    },
}


class StaffForm(UserChangeForm):  # type: ignore[misc] # Unfold's classes carry no types
    """The last who may do everything cannot take that from themselves."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in ("is_superuser", "is_active"):
            if not cleaned.get(name, True) and access.is_last_owner(self.instance):
                self.add_error(
                    name,
                    ValidationError(
                        "Nobody else may do everything: give it to another user first.",
                        code="last_owner",
                    ),
                )
        return cleaned


class NewStaffForm(UserCreationForm):  # type: ignore[misc]
    usable_password = None  # everybody logs in with a password here


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[misc]
    usable_password = None


class MembershipInline(Inline):
    model = Membership
    fields = ("brand", "role")
    autocomplete_fields = ("brand",)
    verbose_name = "role"
    verbose_name_plural = "Roles, brand by brand"

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "role":
            kwargs["help_text"] = ROLES_HELP
        return super().formfield_for_choice_field(db_field, request, **kwargs)


admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class StaffAdmin(UserAdmin, Page):  # type: ignore[type-arg]
    """Who may log in is not ticked: it follows from the roles."""

    form = StaffForm
    add_form = NewStaffForm
    change_password_form = PasswordForm
    list_display = ("username", "full_name", "roles", "last_login", "is_active")
    list_filter = ("is_active", "is_superuser", "membership__role")
    search_fields = ("username", "first_name", "last_name", "email")
    ordering = ("username",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    inlines = (MembershipInline,)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who it is", {"fields": ("first_name", "last_name", "email")}),
        (
            "What they may do",
            {
                "fields": ("is_superuser", "is_active"),
                "description": "Below, give a role for each brand. Whoever may do everything needs"
                " none: accounts, users, rules and Stop all sending are theirs too.",
            },
        ),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "password1", "password2")}),
        ("What they may do", {"fields": ("is_superuser",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("membership_set__brand")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs |= WORDS.get(db_field.name, {})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        access.settle_log_in(form.instance.pk)

    @admin.display(description="Name")
    def full_name(self, user: User) -> str:
        return user.get_full_name() or user.email or "-"

    @admin.display(description="May")
    def roles(self, user: User) -> str:
        if user.is_superuser:
            return "Everything"
        rows = sorted((row.brand.name, row.get_role_display()) for row in user.membership_set.all())
        return ", ".join(f"{brand}: {role}" for brand, role in rows) or "Nothing yet"


@admin.register(Membership)
class MembershipAdmin(Page):
    list_display = ("user", "brand", "role")
    list_filter = ("role", ("brand", admin.RelatedOnlyFieldListFilter))
    search_fields = ("user__username", "brand__name")
    list_select_related = ("user", "brand")
    autocomplete_fields = ("user", "brand")

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["help_text"] = ROLES_HELP
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        for user_id in {obj.user_id, form.initial.get("user") or obj.user_id}:
            access.settle_log_in(user_id)

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        super().delete_model(request, obj)
        access.settle_log_in(obj.user_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        users = list(queryset.values_list("user_id", flat=True))
        super().delete_queryset(request, queryset)
        for user_id in users:
            access.settle_log_in(user_id)

"""The page of an account with what its messages and texts show of it.

It adds to the page of `providers/admin.py`, which knows no message.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

from delivery import hearing
from providers.admin import ProviderAccountAdmin
from providers.models import ProviderAccount

HEARD = ("unknown_outcomes", "words_we_do_not_know", "texts_listed")

admin.site.unregister(ProviderAccount)


@admin.register(ProviderAccount)
class AccountAdmin(ProviderAccountAdmin):
    def get_fieldsets(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return (*fieldsets, ("How it is heard", {"fields": HEARD})) if obj else fieldsets

    def get_readonly_fields(
        self, request: HttpRequest, obj: ProviderAccount | None = None
    ) -> tuple[Any, ...]:
        return (*super().get_readonly_fields(request, obj), *(HEARD if obj else ()))

    @admin.display(description="Unknown outcomes")
    def unknown_outcomes(self, account: ProviderAccount) -> SafeString:
        doubt = hearing.doubt(account.pk)
        among = f" Among the newest {hearing.WALKED:,} of all accounts." * doubt.is_of_newest
        return format_html(
            "Last hour: {}.<br>Last day: {}.{}<br>Perhaps taken: asked about, never sent again.",
            *(doubt.hour, doubt.day, among),
        )

    @admin.display(description="Words we do not know")
    def words_we_do_not_know(self, account: ProviderAccount) -> SafeString:
        context = {"words": hearing.new_words(account.pk)}
        return SafeString(render_to_string("delivery/_new_words.html", context))

    @admin.display(description="Texts it lists")
    def texts_listed(self, account: ProviderAccount) -> SafeString:
        context = {"listings": hearing.listings(account)}
        return SafeString(render_to_string("delivery/_listings.html", context))

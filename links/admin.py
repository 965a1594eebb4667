"""Short links and the hits on them, to look at."""

from __future__ import annotations

from django.contrib import admin

from brands.access import Ability
from brands.admin import ReadOnly, lines
from brands.paging import BigTable
from links.models import Click, ShortLink


@admin.register(ShortLink)
class ShortLinkAdmin(ReadOnly, BigTable):
    brand_path = "brand"
    list_display = ("code", "brand", "destination", "expires_at")
    search_fields = ("code__exact",)
    search_help_text = "A whole code"
    list_select_related = ("brand",)
    fields = ("code", "brand", "destination", "expires_at")


@admin.register(Click)
class ClickAdmin(ReadOnly, BigTable):
    brand_path = "link__brand"
    to_look = Ability.PEOPLE  # a personal link says who sat at the address
    list_display = ("at", "link", "by", "ip", "agent_read")
    list_filter = ("verdict",)
    search_fields = ("link__code__exact",)
    search_help_text = "The whole code of a link"
    list_select_related = ("link",)
    fields = ("link", "at", "method", "ip", "agent", "referer", "verdict", "reasons_read")
    readonly_fields = ("reasons_read",)

    @admin.display(description="By", ordering="verdict")
    def by(self, click: Click) -> str:
        return click.get_verdict_display() if click.verdict else "Not judged yet"

    @admin.display(description="Browser")
    def agent_read(self, click: Click) -> str:
        return click.agent[:60] or "said nothing"

    @admin.display(description="Reasons")
    def reasons_read(self, click: Click) -> str:
        return lines(click.reasons)

"""What came in: people's texts, reports of providers, and what came to nothing. To look at only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from brands.access import Ability
from brands.admin import BrandFilter, ReadOnly, SetOrNot, lines
from brands.paging import BigTable, Page, pill
from delivery.models import Inbound, InboundReview, WebhookEvent, WebhookTally
from delivery.rows import Readable
from delivery.wording import LABELS


def unfolded(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a stored callback, those of its query and form each by its own name."""
    flat: dict[str, Any] = {}
    for name, value in raw.items():
        inner = value if isinstance(value, dict) else {"": value}
        flat.update({f"{name} {key}".rstrip(): one for key, one in sorted(inner.items())})
    return flat


class AppliedFilter(SetOrNot):
    title = "applied"
    parameter_name = "applied_at"
    words = ("Applied", "Waiting")


class DecidedFilter(SetOrNot):
    title = "judged"
    parameter_name = "decided_at"
    words = ("Judged", "Waiting")


@admin.register(Inbound)
class InboundAdmin(Readable, ReadOnly, BigTable):
    brand_path = "brand"
    to_look = Ability.PEOPLE
    list_display = ("id", "from_whom", "said", "read_as", "to_number", "received_at", "applied_at")
    list_filter = (AppliedFilter, BrandFilter)
    search_fields = ("person__phone__exact",)
    fieldsets = (
        (None, {"fields": ("received_at", "from_whom", "to_number", "said")}),
        (
            "How it was read",
            {
                "fields": ("read_as", "person", "brand", "applied_at"),
                "description": "Until it is applied, the person gets nothing.",
            },
        ),
        ("Where it came from", {"fields": ("account", "number", "provider_ref", "raw_read")}),
    )
    readonly_fields = ("from_whom", "to_number", "said", "read_as", "raw_read")

    @admin.display(description="From")
    def from_whom(self, inbound: Inbound) -> str:
        return inbound.from_value

    @admin.display(description="To")
    def to_number(self, inbound: Inbound) -> str:
        return inbound.to_value

    @admin.display(description="Said")
    def said(self, inbound: Inbound) -> str:
        return inbound.text or "(no words)"

    @admin.display(description="Read as")
    def read_as(self, inbound: Inbound) -> str:
        return LABELS.get(inbound.label, inbound.label)

    @admin.display(description="As it came")
    def raw_read(self, inbound: Inbound) -> str:
        return lines(unfolded(inbound.raw))


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnly, BigTable):
    list_display = ("id", "account", "received_at", "applied_at", "what_became")
    list_filter = (AppliedFilter, "account")
    list_select_related = ("account",)
    fieldsets = (
        (
            None,
            {
                "fields": ("account", "received_at", "applied_at", "what_became"),
                "description": "Kept as it came, then applied in the order of arrival (UTC).",
            },
        ),
        ("What came", {"fields": ("raw_read", "dedupe_key")}),
    )
    readonly_fields = ("what_became", "raw_read")

    @admin.display(description="What became of it")
    def what_became(self, event: WebhookEvent) -> str:
        return event.result.replace("_", " ").capitalize() or "Waiting"

    @admin.display(description="As it came")
    def raw_read(self, event: WebhookEvent) -> str:
        return lines(unfolded(event.raw))


@admin.register(InboundReview)
class InboundReviewAdmin(Readable, ReadOnly, BigTable):
    brand_path = "inbound__brand"
    to_look = Ability.PEOPLE
    list_display = ("id", "from_whom", "said", "received_at", "decided", "decided_at")
    list_filter = (DecidedFilter,)
    search_fields = ("person__phone__exact",)
    list_select_related = ("inbound",)
    fieldsets = (
        (
            None,
            {
                "fields": ("from_whom", "said", "received_at", "person", "inbound"),
                "description": "A reply that may mean STOP. Its sender gets nothing until it is"
                " judged.",
            },
        ),
        ("The judgement", {"fields": ("decided", "decided_at")}),
    )
    readonly_fields = ("from_whom", "said", "received_at", "decided")

    @admin.display(description="From")
    def from_whom(self, review: InboundReview) -> str:
        return review.inbound.from_value

    @admin.display(description="Said")
    def said(self, review: InboundReview) -> str:
        return review.inbound.text

    @admin.display(description="Came at")
    def received_at(self, review: InboundReview) -> str:
        return f"{review.inbound.received_at:%-d %b %Y, %H:%M:%S} UTC"

    @admin.display(description="Judged as")
    def decided(self, review: InboundReview) -> SafeString:
        return pill(review.decision.capitalize()) if review.decision else pill("Waiting", "warn")


@admin.register(WebhookTally)
class WebhookTallyAdmin(ReadOnly, Page):
    list_display = ("hour", "account", "what", "count")
    list_filter = ("what", "account")
    list_select_related = ("account",)
    ordering = ("-hour", "what")
    fieldsets = (
        (
            None,
            {
                "fields": ("hour", "account", "what", "count"),
                "description": "Callbacks of one hour (UTC) that came to nothing. No account: the"
                " address was none of ours.",
            },
        ),
    )

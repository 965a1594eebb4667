"""The rows of a message's walk, to look at; nothing here is changed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest

from brands.access import Ability
from brands.admin import ReadOnly, Rows, SetOrNot, lines
from brands.paging import BigTable, Inline, Page
from compliance.admin import ByAddress
from delivery.models import (
    Attempt,
    CapCounter,
    Due,
    Inbound,
    InboundReview,
    Message,
    WebhookEvent,
    WebhookTally,
)

# A message's attempts have two partial indexes and no whole one: both must be named.
EITHER_INDEX = Q(is_not_sent=False) | Q(is_not_sent=True)


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


class AttemptInline(ReadOnly, Inline):
    model = Attempt
    fields = (
        *("account", "number", "outcome", "code", "segments", "intent_at", "answered_at"),
        *("report_status", "report_code", "reported_at"),
    )
    readonly_fields = fields
    ordering = ("id",)
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> Rows:
        rows = super().get_queryset(request).filter(EITHER_INDEX)
        return rows.select_related("account", "number")


@admin.register(Message)
class MessageAdmin(ByAddress, ReadOnly, BigTable):
    brand_path = "brand"
    list_display = ("id", "kind", "brand", "campaign", "slot", "status", "reason", "expires_at")
    list_filter = ("status", "kind", "brand")
    search_fields = ("person__phone__exact", "person__email__exact")
    list_select_related = ("brand", "campaign", "slot")
    fieldsets = (
        (None, {"fields": ("status", "reason", "kind", "created_at", "expires_at")}),
        ("Who to whom", {"fields": ("brand", "campaign", "slot", "lead", "person", "link")}),
        ("Asked for by", {"fields": ("idempotency_key", "inbound", "reply_kind")}),
    )
    inlines = (AttemptInline,)


@admin.register(Due)
class DueAdmin(ReadOnly, BigTable):
    brand_path = "brand"
    list_display = (
        *("message_id", "brand", "campaign", "lane", "priority", "not_before", "expires_at"),
        *("tries", "strikes", "reason"),
    )
    list_filter = ("brand", "reason")
    search_fields = ("message_id__exact",)
    search_help_text = "The number of a message"
    list_select_related = ("brand", "campaign", "lane")


@admin.register(Attempt)
class AttemptAdmin(ReadOnly, BigTable):
    brand_path = "message__brand"
    to_look = Ability.PEOPLE
    list_display = (
        *("id", "message_id", "account", "number", "outcome", "code", "segments"),
        *("intent_at", "answered_at"),
    )
    list_filter = ("outcome",)
    search_fields = ("ref__exact",)
    search_help_text = "Our reference of an attempt"
    list_select_related = ("account", "number")
    fieldsets = (
        (None, {"fields": ("message", "account", "number", "text", "segments", "brand_day")}),
        ("The hand-over", {"fields": ("intent_at", "sender", "ref", "request_ref")}),
        (
            "The answer",
            {
                "fields": (
                    *("answered_at", "outcome", "code", "error_class", "fault"),
                    "provider_refs_read",
                )
            },
        ),
        ("The report", {"fields": ("reported_at", "report_status", "report_code")}),
    )
    readonly_fields = ("provider_refs_read",)

    @admin.display(description="The provider's references")
    def provider_refs_read(self, attempt: Attempt) -> str:
        return lines(attempt.provider_refs)


@admin.register(Inbound)
class InboundAdmin(ByAddress, ReadOnly, BigTable):
    brand_path = "brand"
    to_look = Ability.PEOPLE
    list_display = ("id", "received_at", "from_value", "to_value", "text", "label", "applied_at")
    list_filter = (AppliedFilter, "brand")
    search_fields = ("person__phone__exact",)
    fieldsets = (
        (None, {"fields": ("received_at", "from_value", "to_value", "text")}),
        ("How it was read", {"fields": ("label", "person", "brand", "applied_at")}),
        ("Where it came from", {"fields": ("account", "number", "provider_ref", "raw_read")}),
    )
    readonly_fields = ("raw_read",)

    @admin.display(description="As it came")
    def raw_read(self, inbound: Inbound) -> str:
        return lines(unfolded(inbound.raw))


@admin.register(WebhookEvent)
class WebhookEventAdmin(ReadOnly, BigTable):
    list_display = ("id", "account", "received_at", "applied_at", "result")
    list_filter = (AppliedFilter, "account")
    list_select_related = ("account",)
    fields = ("account", "dedupe_key", "received_at", "applied_at", "result", "raw_read")
    readonly_fields = ("raw_read",)

    @admin.display(description="As it came")
    def raw_read(self, event: WebhookEvent) -> str:
        return lines(unfolded(event.raw))


@admin.register(InboundReview)
class InboundReviewAdmin(ByAddress, ReadOnly, BigTable):
    brand_path = "inbound__brand"
    to_look = Ability.PEOPLE
    list_display = ("id", "said", "received_at", "decision", "decided_at")
    list_filter = (DecidedFilter,)
    search_fields = ("person__phone__exact",)
    list_select_related = ("inbound",)
    fields = ("person", "inbound", "said", "received_at", "decision", "decided_at")
    readonly_fields = ("said", "received_at")

    @admin.display(description="What the person wrote")
    def said(self, review: InboundReview) -> str:
        return review.inbound.text

    @admin.display(description="Came at")
    def received_at(self, review: InboundReview) -> datetime:
        return review.inbound.received_at


@admin.register(WebhookTally)
class WebhookTallyAdmin(ReadOnly, Page):
    list_display = ("hour", "account", "what", "count")
    list_filter = ("what", "account")
    list_select_related = ("account",)
    ordering = ("-hour", "what")


@admin.register(CapCounter)
class CapCounterAdmin(ReadOnly, Page):
    list_display = ("key", "used")
    search_fields = ("key__startswith",)
    search_help_text = "The beginning of a key"
    ordering = ("key",)

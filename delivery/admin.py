"""The rows of a message's walk, to look at; nothing here is changed by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from brands import access
from brands.access import Ability
from brands.admin import BrandFilter, ReadOnly, lines
from brands.paging import BigTable, Page, pill
from compliance.admin import SEARCH_HELP
from delivery import account_admin, inbound_admin, message_page  # noqa: F401 - they register theirs
from delivery.explain import because
from delivery.models import (
    Attempt,
    CapCounter,
    Due,
    Message,
    Outcome,
)
from delivery.rows import OF_ADDRESS, Readable, address_of
from delivery.states import Reason, Status
from delivery.wording import REPORTS, TONES
from providers.models import Limit

OUTCOME_TONES = message_page.OUTCOME_TONES


def to_whom(request: HttpRequest) -> Callable[[Message], str]:
    """A column of addresses, masked where this user may not read them."""

    @admin.display(description="To")
    def to(message: Message) -> str:
        return access.shown(request.user, address_of(message), message.brand_id)

    return to


@admin.register(Message)
class MessageAdmin(Readable, ReadOnly, BigTable):
    """Its page is not a form: `message_page.py` reads what its template shows."""

    brand_path = "brand"
    list_display = ("number", "state", "why", "campaign", "slot_at", "brand", "kind", "created")
    list_filter = ("status", "kind", BrandFilter)
    search_fields = ("person__phone__exact", "person__email__exact")
    search_help_text = SEARCH_HELP
    list_select_related = ("brand", "slot", "due", *OF_ADDRESS)

    def get_list_display(self, request: HttpRequest) -> Any:
        number, *others = self.list_display
        return (number, to_whom(request), *others)

    @admin.display(description="Number")
    def number(self, message: Message) -> int:
        return message.pk

    @admin.display(description="State")
    def state(self, message: Message) -> SafeString:
        status = Status(message.status)
        return pill(status.label, TONES[status])

    @admin.display(description="Why")
    def why(self, message: Message) -> str | None:
        due = getattr(message, "due", None)
        reason = message.reason or (due.reason if due is not None else "")
        return Reason(reason).label if reason else None

    @admin.display(description="Slot")
    def slot_at(self, message: Message) -> str | None:
        slot = message.slot
        return f"{slot.local_date:%-d %b %Y}, {slot.local_time:%H:%M}" if slot else None

    @admin.display(description="Planned (UTC)")
    def created(self, message: Message) -> str:
        return f"{message.created_at.astimezone(UTC):%-d %b %Y, %H:%M}"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method == "POST" or not self.has_view_permission(request):
            raise PermissionDenied
        message = self.get_object(request, unquote(object_id))
        if message is None:
            self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": "Message",
            "subtitle": str(message.pk),
            "opts": self.opts,
            "original": message,
            **message_page.page_of(message.pk, request.user),
        }
        return TemplateResponse(request, "admin/delivery/message/change_form.html", context)


@admin.register(Due)
class DueAdmin(ReadOnly, BigTable):
    brand_path = "brand"
    list_display = (
        *("number", "brand", "campaign", "from_number", "priority", "not_before", "expires_at"),
        *("tries", "why"),
    )
    list_filter = (BrandFilter, "reason")
    search_fields = ("message_id__exact",)
    search_help_text = "The number of a message"
    list_select_related = ("brand", "campaign", "lane")
    fieldsets = (
        (
            None,
            {
                "fields": ("message", "brand", "campaign", "from_number", "why"),
                "description": "A message that waits. It leaves the queue when it is decided.",
            },
        ),
        (
            "When",
            {
                "fields": ("not_before", "expires_at", "priority"),
                "description": "Not tried before the one time, given up at the other (both UTC)."
                " Lower priorities go first.",
            },
        ),
        (
            "What happened so far",
            {
                "fields": ("tries", "strikes", "crashes"),
                "description": "Tries: it certainly did not leave. Strikes: errors of ours while"
                " deciding. Crashes: workers that died with it in hand; then it goes alone.",
            },
        ),
    )
    readonly_fields = ("from_number", "why")

    @admin.display(description="Message")
    def number(self, due: Due) -> int:
        return due.message_id

    @admin.display(description="From")
    def from_number(self, due: Due) -> str:
        return str(due.lane)

    @admin.display(description="Waits because")
    def why(self, due: Due) -> str:
        return Reason(due.reason).label if due.reason else "It is not its turn yet"


@admin.register(Attempt)
class AttemptAdmin(ReadOnly, BigTable):
    brand_path = "message__brand"
    to_look = Ability.PEOPLE
    list_display = (
        *("id", "message_number", "account", "number", "answer", "code", "segments"),
        *("intent_at", "answered_at"),
    )
    list_filter = ("outcome",)
    search_fields = ("ref__exact",)
    search_help_text = "Our reference of an attempt"
    list_select_related = ("account", "number")
    fieldsets = (
        (None, {"fields": ("message", "account", "number", "text", "segments", "brand_day")}),
        (
            "The hand-over",
            {
                "fields": ("intent_at", "ref", "request_ref", "sender"),
                "description": "Written down before the first byte left (UTC). The references are"
                " ours; the provider gives them back in its reports.",
            },
        ),
        (
            "The answer",
            {
                "fields": ("answered_at", "answer", "why", "code", "provider_refs_read"),
                "description": "Only what certainly did not leave is ever tried again.",
            },
        ),
        (
            "The report",
            {
                "fields": ("reported_at", "report", "report_code"),
                "description": "The last one that came.",
            },
        ),
    )
    readonly_fields = ("answer", "why", "report", "provider_refs_read")

    @admin.display(description="Message")
    def message_number(self, attempt: Attempt) -> int:
        return attempt.message_id

    @admin.display(description="Answer")
    def answer(self, attempt: Attempt) -> SafeString:
        outcome = Outcome(attempt.outcome)
        return pill(outcome.label, OUTCOME_TONES[outcome])

    @admin.display(description="Why")
    def why(self, attempt: Attempt) -> str:
        return because(attempt)

    @admin.display(description="It said")
    def report(self, attempt: Attempt) -> str:
        return REPORTS.get(attempt.report_status, attempt.report_status)

    @admin.display(description="The provider's references")
    def provider_refs_read(self, attempt: Attempt) -> str:
        return lines(attempt.provider_refs)


@admin.register(CapCounter)
class CapCounterAdmin(ReadOnly, Page):
    list_display = ("what", "key", "used")
    search_fields = ("key__startswith",)
    search_help_text = "The beginning of a key"
    ordering = ("key",)
    fieldsets = (
        (
            None,
            {
                "fields": ("what", "key", "used"),
                "description": "How much of a daily cap is used. A message that did not leave"
                " gives its share back.",
            },
        ),
    )
    readonly_fields = ("what",)

    @admin.display(description="Counts")
    def what(self, counter: CapCounter) -> str:
        kind, _, rest = counter.key.partition(":")
        number, _, day = rest.partition(":")
        of = {"brand": f"Brand {number}", "campaign": f"Campaign {number}"}
        of |= {unit: f"Limit {number}, in {unit}" for unit in Limit.Unit.values}
        return f"{of[kind]}, {day}" if kind in of else "Decisions so far"

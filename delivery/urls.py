"""Where providers post to, delivery reports and inbound texts, and where people unsubscribe."""

from __future__ import annotations

from django.urls import path

from delivery import unsubscribing, webhooks

urlpatterns = [
    path("u/<str:ref>", unsubscribing.unsubscribe_page, name="unsubscribe"),
    path("webhooks/<slug:kind>/<int:account_id>/status", webhooks.receive, name="webhook-status"),
    path("webhooks/<slug:kind>/<int:account_id>/inbound", webhooks.receive, name="webhook-inbound"),
    path(
        "webhooks/<slug:kind>/<int:account_id>/<slug:key>/status",
        webhooks.receive,
        name="webhook-status-by-key",
    ),
    path(
        "webhooks/<slug:kind>/<int:account_id>/<slug:key>/inbound",
        webhooks.receive,
        name="webhook-inbound-by-key",
    ),
]

"""Pages of the walk of a message, inside the admin."""

from __future__ import annotations

from django.urls import URLPattern, path

from delivery import starting_page, testing_page, why_page

urlpatterns: list[URLPattern] = [
    path("campaign/<int:campaign_id>/start/", starting_page.start_page, name="start-campaign"),
    path("why/", why_page.why_page, name="why"),
    path("campaign/<int:campaign_id>/test/", testing_page.ask_page, name="test-campaign"),
    path(
        "campaign/<int:campaign_id>/test/<int:message_id>/",
        testing_page.progress_page,
        name="test-progress",
    ),
]

"""The partners' API; with a slash at the end it is the same, and documented once."""

from __future__ import annotations

from django.urls import path

from leads.api import Leads

urlpatterns = [
    path("leads", Leads.as_view(), name="api-leads"),
    path("leads/", Leads.as_view(schema=None)),
]

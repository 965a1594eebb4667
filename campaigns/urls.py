"""Pages of campaigns, inside the admin."""

from __future__ import annotations

from django.urls import path

from campaigns import flow

urlpatterns = [
    path("new-campaign/", flow.new_campaign, name="new-campaign"),
    path("new-campaign/parts/", flow.campaign_parts, name="campaign-parts"),
    path("new-campaign/text/", flow.campaign_text, name="campaign-text"),
]

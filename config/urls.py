"""All addresses."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    # Our own pages stand before the admin's, which takes every address under its own.
    path("admin/", include("brands.urls")),
    path("admin/", include("leads.urls")),
    path("admin/", include("campaigns.urls")),
    path("admin/", include("delivery.page_urls")),
    path("admin/", include("reporting.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("leads.api_urls")),
    path("", include("delivery.urls")),
    path("", include("links.urls")),
]

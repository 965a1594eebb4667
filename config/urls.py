"""All addresses."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from brands import api
from config import demo_page

api_docs = SpectacularSwaggerSplitView.as_view(url_name="api-schema", template_name="api/docs.html")

urlpatterns = [
    # Our own pages stand before the admin's, which takes every address under its own.
    path("admin/", include("brands.urls")),
    path("admin/wipe/", demo_page.wipe_page, name="wipe-sandbox"),
    path("admin/", include("leads.urls")),
    path("admin/", include("campaigns.urls")),
    path("admin/", include("delivery.page_urls")),
    path("admin/", include("reporting.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("leads.api_urls")),
    path("api/v1/schema/", SpectacularJSONAPIView.as_view(), name="api-schema"),
    re_path(r"^api/docs/?\Z", api_docs, name="api-docs"),
    re_path(r"^api/", api.no_such_address, name="api-nothing"),
    path("", include("delivery.urls")),
    path("", include("links.urls")),
]

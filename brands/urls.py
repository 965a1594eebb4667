"""Pages of the whole installation, inside the admin."""

from __future__ import annotations

from django.urls import path

from brands import stopping

urlpatterns = [path("stop-all/", stopping.stop_page, name="stop-all")]

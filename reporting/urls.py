"""Report pages and the index, inside the admin."""

from __future__ import annotations

from django.urls import URLPattern, path

from reporting import live_page, report_page, report_rows_page, route_page

urlpatterns: list[URLPattern] = [
    path("live/", live_page.live_part, name="live"),
    path("report/", report_page.report_page, name="report"),
    path("report/table.csv", report_page.report_csv, name="report-csv"),
    path("route/<int:route_id>/", route_page.route_page, name="route"),
    path("report/rows/", report_rows_page.report_rows_page, name="report-rows"),
]

"""Pages of lists and imports, inside the admin."""

from __future__ import annotations

from django.urls import path

from leads import pages

urlpatterns = [
    path("upload/", pages.upload_page, name="upload-leads"),
    path("upload/sample.csv", pages.sample_file, name="upload-sample"),
    path("import/<int:import_id>/", pages.progress_page, name="import-progress"),
    path("import/<int:import_id>/stop/", pages.stop_import, name="import-stop"),
    path("import/<int:import_id>/errors.csv", pages.errors_file, name="import-errors"),
]

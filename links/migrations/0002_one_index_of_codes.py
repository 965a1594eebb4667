"""Codes are looked up whole, never by their beginning: one index of them is enough."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("links", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "DROP INDEX IF EXISTS links_shortlink_code_83aa5716_like",
            "CREATE INDEX links_shortlink_code_83aa5716_like"
            " ON links_shortlink (code varchar_pattern_ops)",
        ),
    ]

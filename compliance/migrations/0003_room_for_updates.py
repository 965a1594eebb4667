"""Room in the page for the next version of each person: every message writes one."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("compliance", "0002_guards")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE compliance_person SET (fillfactor = 50)",
            "ALTER TABLE compliance_person SET (fillfactor = 70)",
        ),
    ]

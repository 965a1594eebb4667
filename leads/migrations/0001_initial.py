import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("brands", "0001_initial"),
        ("compliance", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Import",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file_name", models.CharField(max_length=255)),
                (
                    "state",
                    models.CharField(
                        choices=[("running", "Running"), ("done", "Done"), ("failed", "Stopped")],
                        default="running",
                        max_length=8,
                    ),
                ),
                ("problem", models.TextField(blank=True)),
                ("rows_read", models.PositiveBigIntegerField(default=0)),
                ("leads_created", models.PositiveBigIntegerField(default=0)),
                ("leads_updated", models.PositiveBigIntegerField(default=0)),
                ("rows_refused", models.PositiveBigIntegerField(default=0)),
                (
                    "started_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ImportError",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("line", models.PositiveBigIntegerField()),
                ("field", models.CharField(blank=True, max_length=40)),
                ("code", models.CharField(max_length=40)),
                ("message", models.TextField()),
                ("row", models.JSONField(default=dict)),
                (
                    "taken_in",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="errors",
                        to="leads.import",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Lead",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("inactive", "Switched off"),
                            ("erased", "Erased on request"),
                        ],
                        db_default="active",
                        default="active",
                        max_length=8,
                    ),
                ),
                ("external_ref", models.CharField(blank=True, db_default="", max_length=100)),
                ("first_name", models.CharField(blank=True, db_default="", max_length=80)),
                ("last_name", models.CharField(blank=True, db_default="", max_length=80)),
                ("city", models.CharField(blank=True, db_default="", max_length=80)),
                ("state", models.CharField(blank=True, db_default="", max_length=2)),
                ("zip_code", models.CharField(blank=True, db_default="", max_length=5)),
                (
                    "fields",
                    models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
                ),
                ("source", models.CharField(blank=True, db_default="", max_length=80)),
                (
                    "attribution",
                    models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="brands.brand",
                    ),
                ),
                (
                    "consent",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="compliance.consentevent",
                    ),
                ),
                (
                    "email_person",
                    models.ForeignKey(
                        blank=True,
                        help_text="Another person who owns this lead's e-mail; an opt-out goes to both.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="compliance.person",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="leads",
                        to="compliance.person",
                    ),
                ),
                (
                    "places",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="compliance.places",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="LeadList",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("rules", models.JSONField(blank=True, default=dict)),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="import",
            name="lead_list",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, to="leads.leadlist"
            ),
        ),
        migrations.CreateModel(
            name="ListEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "added_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                (
                    "lead",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="leads.lead"),
                ),
                (
                    "lead_list",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="leads.leadlist",
                    ),
                ),
                (
                    "places",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="compliance.places",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "list entries",
            },
        ),
        migrations.CreateModel(
            name="RejectedLead",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("source", models.CharField(blank=True, max_length=80)),
                ("code", models.CharField(max_length=40)),
                ("message", models.TextField()),
                ("fields", models.JSONField(default=dict)),
                (
                    "at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="lead",
            constraint=models.UniqueConstraint(
                fields=("brand", "person"), name="one_lead_per_brand_and_person"
            ),
        ),
        migrations.AddConstraint(
            model_name="leadlist",
            constraint=models.UniqueConstraint(
                models.F("brand"),
                django.db.models.functions.text.Upper("name"),
                name="list_names_are_unique_per_brand",
            ),
        ),
        migrations.AddIndex(
            model_name="listentry",
            index=models.Index(fields=["lead_list", "places", "id"], name="entries_to_plan"),
        ),
        migrations.AddConstraint(
            model_name="listentry",
            constraint=models.UniqueConstraint(
                fields=("lead_list", "lead"), name="one_entry_per_list_and_lead"
            ),
        ),
    ]

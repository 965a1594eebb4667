import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("brands", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ShortLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("code", models.CharField(max_length=12, unique=True)),
                ("destination", models.TextField()),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "brand",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        to="brands.brand",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Click",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                ("method", models.CharField(max_length=8)),
                ("ip", models.GenericIPAddressField(null=True)),
                ("agent", models.TextField(blank=True)),
                ("referer", models.TextField(blank=True)),
                (
                    "verdict",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("human", "A person"),
                            ("suspected", "Perhaps a machine"),
                            ("bot", "A machine"),
                        ],
                        db_default="",
                        max_length=10,
                    ),
                ),
                (
                    "reasons",
                    models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
                ),
                (
                    "link",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to="links.shortlink"
                    ),
                ),
            ],
        ),
    ]

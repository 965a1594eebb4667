import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("brands", "0001_initial"),
        ("campaigns", "0001_initial"),
        ("compliance", "0001_initial"),
        ("leads", "0001_initial"),
        ("links", "0001_initial"),
        ("providers", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="CapCounter",
            fields=[
                ("key", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("used", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Frontier",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False),
                ),
                ("attempt_id", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Inbound",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("provider_ref", models.CharField(max_length=64)),
                ("from_value", models.CharField(max_length=100)),
                ("to_value", models.CharField(max_length=100)),
                ("text", models.TextField(blank=True)),
                ("raw", models.JSONField(default=dict)),
                ("label", models.CharField(blank=True, db_default="", max_length=12)),
                (
                    "received_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                ("applied_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="providers.provideraccount"
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, to="brands.brand"
                    ),
                ),
                (
                    "number",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="providers.sendernumber",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="compliance.person",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("campaign", "Campaign"),
                            ("single", "Single message"),
                            ("reply", "Reply"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("planned", "Planned"),
                            ("sending", "Handed to a provider, answer awaited"),
                            ("accepted", "Accepted by the provider"),
                            ("sent", "Handed to the carrier"),
                            ("delivered", "Delivered"),
                            ("undelivered", "Not delivered"),
                            ("failed", "Failed"),
                            ("no_report", "Accepted, no report came"),
                            ("unknown", "Perhaps taken, being looked up"),
                            ("not_found", "Looked up to the end, nothing known"),
                            ("rejected", "Rejected by the provider"),
                            ("refused", "Refused by our rules"),
                            ("expired", "Its time ran out"),
                            ("cancelled", "Cancelled by a person"),
                            ("dead", "Out of tries"),
                        ],
                        default="planned",
                        max_length=11,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "None"),
                            ("stop_all", "All sending is stopped"),
                            ("brand_paused", "The brand is paused"),
                            ("campaign_paused", "The campaign is paused"),
                            ("lane_paused", "The number or its account is paused"),
                            ("opted_out", "The person opted out"),
                            ("person_held", "The person is on hold until a reply is judged"),
                            ("inbound_waiting", "A reply of the person is being read"),
                            ("undeliverable", "The address does not work"),
                            ("sunset", "No sign of life for long"),
                            ("lead_inactive", "The lead is switched off"),
                            ("no_consent", "No consent on record for this brand"),
                            ("no_address", "No phone number"),
                            ("no_place", "Nothing tells where the person is"),
                            ("no_common_window", "No hour suits every place the person may be in"),
                            ("quiet_hours", "Outside the sending hours"),
                            ("no_rules", "The hours could not be read"),
                            ("person_limit", "The person had enough messages lately"),
                            ("same_words", "The person got the same words that day"),
                            ("cannot_render", "The text could not be filled in"),
                            ("too_long", "The text is too long"),
                            ("no_route", "No number can send it"),
                            ("brand_cap", "The brand's daily cap is reached"),
                            ("campaign_cap", "The campaign's daily cap is reached"),
                            ("no_capacity", "The numbers were too slow for its slot"),
                            ("throttled", "The provider asked us to wait"),
                            ("not_connected", "The provider could not be reached"),
                            ("account_fault", "The provider refused the account or the number"),
                            ("not_sent", "It certainly did not leave; it goes round again"),
                            ("step_failed", "An error of ours; it waits and is tried again"),
                            ("worker_killed", "It ended its worker twice and was set aside"),
                            ("rejected", "The provider refused this recipient or text"),
                            ("out_of_tries", "Tried too often"),
                        ],
                        db_default="",
                        max_length=16,
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                ("idempotency_key", models.CharField(max_length=100, null=True)),
                ("reply_kind", models.CharField(max_length=10, null=True)),
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
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="brands.brand",
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.campaign",
                    ),
                ),
                (
                    "lead",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="leads.lead",
                    ),
                ),
                (
                    "link",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="links.shortlink",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="compliance.person",
                    ),
                ),
                (
                    "slot",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.slot",
                    ),
                ),
                (
                    "inbound",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="delivery.inbound",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="InboundReview",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("decision", models.CharField(blank=True, max_length=12)),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "inbound",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, to="delivery.inbound"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="compliance.person"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Planned",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("through_entry_id", models.BigIntegerField()),
                (
                    "places",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="compliance.places",
                    ),
                ),
                (
                    "slot",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.slot",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Sticky",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="brands.brand",
                    ),
                ),
                (
                    "number",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.sendernumber",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="compliance.person"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "sticky numbers",
            },
        ),
        migrations.CreateModel(
            name="Strike",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("ordinal", models.BigIntegerField()),
                ("step", models.CharField(max_length=60)),
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
                    "campaign",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.campaign",
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="delivery.message",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("dedupe_key", models.CharField(max_length=200)),
                ("raw", models.JSONField()),
                (
                    "received_at",
                    models.DateTimeField(
                        db_default=models.Func(
                            function="sendonce_now", output_field=models.DateTimeField()
                        ),
                        editable=False,
                    ),
                ),
                ("applied_at", models.DateTimeField(null=True)),
                ("result", models.CharField(blank=True, db_default="", max_length=20)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="providers.provideraccount"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Due",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="due",
                        serialize=False,
                        to="delivery.message",
                    ),
                ),
                ("queue", models.BigIntegerField()),
                ("priority", models.PositiveSmallIntegerField(default=100)),
                ("segments", models.PositiveSmallIntegerField(default=1)),
                ("not_before", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("tries", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("strikes", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("crashes", models.PositiveSmallIntegerField(db_default=0, default=0)),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "None"),
                            ("stop_all", "All sending is stopped"),
                            ("brand_paused", "The brand is paused"),
                            ("campaign_paused", "The campaign is paused"),
                            ("lane_paused", "The number or its account is paused"),
                            ("opted_out", "The person opted out"),
                            ("person_held", "The person is on hold until a reply is judged"),
                            ("inbound_waiting", "A reply of the person is being read"),
                            ("undeliverable", "The address does not work"),
                            ("sunset", "No sign of life for long"),
                            ("lead_inactive", "The lead is switched off"),
                            ("no_consent", "No consent on record for this brand"),
                            ("no_address", "No phone number"),
                            ("no_place", "Nothing tells where the person is"),
                            ("no_common_window", "No hour suits every place the person may be in"),
                            ("quiet_hours", "Outside the sending hours"),
                            ("no_rules", "The hours could not be read"),
                            ("person_limit", "The person had enough messages lately"),
                            ("same_words", "The person got the same words that day"),
                            ("cannot_render", "The text could not be filled in"),
                            ("too_long", "The text is too long"),
                            ("no_route", "No number can send it"),
                            ("brand_cap", "The brand's daily cap is reached"),
                            ("campaign_cap", "The campaign's daily cap is reached"),
                            ("no_capacity", "The numbers were too slow for its slot"),
                            ("throttled", "The provider asked us to wait"),
                            ("not_connected", "The provider could not be reached"),
                            ("account_fault", "The provider refused the account or the number"),
                            ("not_sent", "It certainly did not leave; it goes round again"),
                            ("step_failed", "An error of ours; it waits and is tried again"),
                            ("worker_killed", "It ended its worker twice and was set aside"),
                            ("rejected", "The provider refused this recipient or text"),
                            ("out_of_tries", "Tried too often"),
                        ],
                        db_default="",
                        max_length=16,
                    ),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="brands.brand",
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="campaigns.campaign",
                    ),
                ),
                (
                    "lane",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.sendernumber",
                    ),
                ),
            ],
            options={
                "verbose_name": "due message",
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "sender",
                    models.UUIDField(help_text="The journal of the worker that held the intent."),
                ),
                ("ref", models.CharField(max_length=22, unique=True)),
                ("request_ref", models.CharField(blank=True, db_default="", max_length=22)),
                (
                    "provider_refs",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64),
                        db_default=[],
                        default=list,
                        size=None,
                    ),
                ),
                ("text", models.TextField()),
                ("segments", models.PositiveSmallIntegerField()),
                (
                    "brand_day",
                    models.DateField(help_text="The brand's local day of the intent, for its cap."),
                ),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Answer awaited"),
                            ("accepted", "Accepted"),
                            ("rejected", "Rejected"),
                            ("not_sent", "Certainly not sent"),
                            ("unknown", "Perhaps taken"),
                        ],
                        db_default="",
                        max_length=8,
                    ),
                ),
                ("is_not_sent", models.BooleanField(db_default=False, default=False)),
                ("error_class", models.CharField(blank=True, db_default="", max_length=24)),
                ("code", models.CharField(blank=True, db_default="", max_length=60)),
                ("fault", models.CharField(blank=True, db_default="", max_length=8)),
                ("report_status", models.CharField(blank=True, db_default="", max_length=11)),
                ("report_code", models.CharField(blank=True, db_default="", max_length=60)),
                ("intent_at", models.DateTimeField()),
                ("answered_at", models.DateTimeField(null=True)),
                ("reported_at", models.DateTimeField(null=True)),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.provideraccount",
                    ),
                ),
                (
                    "number",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="providers.sendernumber",
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="attempts",
                        to="delivery.message",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_not_sent", True)),
                        fields=["message"],
                        name="not_sent_attempts",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_not_sent", False)),
                        fields=("message",),
                        name="one_live_attempt_per_message",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome__in", ["", "accepted", "rejected", "not_sent", "unknown"])
                        ),
                        name="attempt_outcome_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("is_not_sent", True), ("outcome", "not_sent")),
                            models.Q(
                                models.Q(("outcome", "not_sent"), _negated=True),
                                ("is_not_sent", False),
                            ),
                            _connector="OR",
                        ),
                        name="not_sent_is_said_once",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                fields=("slot", "lead", "campaign"), name="one_message_per_lead_campaign_slot"
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                fields=("person", "campaign", "slot"), name="one_message_per_person_campaign_slot"
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key__isnull", False)),
                fields=("brand", "idempotency_key"),
                name="one_single_per_idempotency_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.UniqueConstraint(
                condition=models.Q(("inbound__isnull", False)),
                fields=("inbound", "reply_kind"),
                name="one_reply_per_inbound_and_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "campaign"), _negated=True),
                    models.Q(
                        ("campaign__isnull", False),
                        ("lead__isnull", False),
                        ("slot__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="campaign_message_is_complete",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "single"), _negated=True),
                    ("idempotency_key__isnull", False),
                    _connector="OR",
                ),
                name="single_has_its_key",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "reply"), _negated=True),
                    models.Q(("inbound__isnull", False), ("reply_kind__isnull", False)),
                    _connector="OR",
                ),
                name="reply_has_its_inbound",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["campaign", "single", "reply"])),
                name="message_kind_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "status__in",
                        [
                            "planned",
                            "sending",
                            "accepted",
                            "sent",
                            "delivered",
                            "undelivered",
                            "failed",
                            "no_report",
                            "unknown",
                            "not_found",
                            "rejected",
                            "refused",
                            "expired",
                            "cancelled",
                            "dead",
                        ],
                    )
                ),
                name="message_status_is_known",
            ),
        ),
        migrations.AddIndex(
            model_name="inbound",
            index=models.Index(
                condition=models.Q(("applied_at__isnull", True)),
                fields=["person"],
                name="inbound_to_apply",
            ),
        ),
        migrations.AddConstraint(
            model_name="inbound",
            constraint=models.UniqueConstraint(
                fields=("account", "provider_ref"), name="an_inbound_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="planned",
            constraint=models.UniqueConstraint(
                fields=("slot", "places"),
                name="one_progress_per_slot_and_places",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="sticky",
            constraint=models.UniqueConstraint(
                fields=("person", "brand"), name="one_number_per_person_and_brand"
            ),
        ),
        migrations.AddIndex(
            model_name="strike",
            index=models.Index(fields=["campaign", "ordinal"], name="strikes_by_campaign"),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("applied_at__isnull", True)),
                fields=["id"],
                name="events_to_apply",
            ),
        ),
        migrations.AddConstraint(
            model_name="webhookevent",
            constraint=models.UniqueConstraint(
                fields=("account", "dedupe_key"), name="an_event_once"
            ),
        ),
        migrations.AddIndex(
            model_name="due",
            index=models.Index(
                condition=models.Q(("crashes", 0)),
                fields=["queue", "lane", "not_before", "message"],
                name="due_by_lane",
            ),
        ),
        migrations.AddIndex(
            model_name="due",
            index=models.Index(
                condition=models.Q(("crashes__gt", 0)), fields=["not_before"], name="due_alone"
            ),
        ),
        migrations.AddIndex(
            model_name="due",
            index=models.Index(fields=["expires_at"], name="due_by_expiry"),
        ),
    ]

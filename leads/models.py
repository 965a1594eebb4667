"""The people as a brand knows them: leads, lists, imports and what was refused."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Upper

from brands.clock import database_now
from brands.models import ApiKey, Brand
from compliance.models import ConsentEvent, Person, Places


class Lead(models.Model):
    """One person as one brand knows them. Never hard-deleted."""

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        INACTIVE = "inactive", "Switched off"
        ERASED = "erased", "Erased on request"

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, db_index=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="leads")
    email_person = models.ForeignKey(
        Person,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Another person who owns this lead's e-mail; an opt-out goes to both.",
    )
    places = models.ForeignKey(Places, on_delete=models.PROTECT, null=True, db_index=False)
    consent = models.ForeignKey(ConsentEvent, on_delete=models.PROTECT, null=True, db_index=False)
    status = models.CharField(
        max_length=8, choices=Status.choices, default=Status.ACTIVE, db_default=Status.ACTIVE
    )
    external_ref = models.CharField(max_length=100, blank=True, db_default="")
    first_name = models.CharField(max_length=80, blank=True, db_default="")
    last_name = models.CharField(max_length=80, blank=True, db_default="")
    city = models.CharField(max_length=80, blank=True, db_default="")
    state = models.CharField(max_length=2, blank=True, db_default="")
    zip_code = models.CharField(max_length=5, blank=True, db_default="")
    fields = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    source = models.CharField(max_length=80, blank=True, db_default="")
    attribution = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_lead_per_brand_and_person", fields=["brand", "person"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or f"Lead {self.pk}"


class LeadList(models.Model):
    """A named list of a brand's leads. `rules` is room for lists that fill themselves."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    name = models.CharField(max_length=120)
    rules = models.JSONField(default=dict, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint("brand", Upper("name"), name="list_names_are_unique_per_brand")
        ]

    def __str__(self) -> str:
        return self.name


class ListEntry(models.Model):
    """A lead's place on a list.

    Planning reads entries by (list, places) in id order and remembers the last id, so `places`
    repeats the lead's, and a lead whose places change gets a new entry. Whoever inserts holds the
    list's shared advisory lock (`leads.intake.lock_list`), so that no lower id can appear later.
    """

    lead_list = models.ForeignKey(LeadList, on_delete=models.PROTECT, db_index=False)
    lead = models.ForeignKey(Lead, on_delete=models.PROTECT)
    places = models.ForeignKey(Places, on_delete=models.PROTECT, null=True, db_index=False)
    added_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        verbose_name_plural = "list entries"
        constraints = [
            models.UniqueConstraint(
                name="one_entry_per_list_and_lead", fields=["lead_list", "lead"]
            )
        ]
        indexes = [models.Index(name="entries_to_plan", fields=["lead_list", "places", "id"])]


class Import(models.Model):
    """One file taken in, with its counts. Rows commit in chunks; `rows_read` says how far.

    An uploaded file waits in `ImportPart` rows until a worker has taken it in.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Stopped"

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    lead_list = models.ForeignKey(LeadList, on_delete=models.PROTECT)
    file_name = models.CharField(max_length=255)
    state = models.CharField(max_length=8, choices=State.choices, default=State.RUNNING)
    problem = models.TextField(blank=True)
    source = models.CharField(max_length=80, blank=True, db_default="")
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    bytes_total = models.PositiveBigIntegerField(default=0, db_default=0)
    bytes_read = models.PositiveBigIntegerField(default=0, db_default=0)
    rows_read = models.PositiveBigIntegerField(default=0)
    leads_created = models.PositiveBigIntegerField(default=0)
    leads_updated = models.PositiveBigIntegerField(default=0)
    rows_refused = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField(db_default=database_now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.file_name


class ImportPart(models.Model):
    """A piece of an uploaded file, in the order of `ordinal`; gone when the import has ended."""

    taken_in = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="parts")
    ordinal = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_part_per_place", fields=["taken_in", "ordinal"])
        ]


class ImportError(models.Model):
    """A row of a file that was not taken, with its line, its reason and what stood there."""

    taken_in = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="errors")
    line = models.PositiveBigIntegerField()
    field = models.CharField(max_length=40, blank=True)
    code = models.CharField(max_length=40)
    message = models.TextField()
    row = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(name="import_errors_by_line", fields=["taken_in", "line"])]


class RejectedLead(models.Model):
    """A lead that a partner posted and that was not taken, with its reason."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    source = models.CharField(max_length=80, blank=True)
    code = models.CharField(max_length=40)
    message = models.TextField()
    fields = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=database_now(), editable=False)


class ApiRequest(models.Model):
    """A partner's request under its idempotency key, and the answer that a repetition gets.

    `status` is null while the first one is still being worked on.
    """

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT)
    idempotency_key = models.CharField(max_length=255)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_request_per_idempotency_key", fields=["api_key", "idempotency_key"]
            )
        ]

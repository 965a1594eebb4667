"""What to say, to whom and when: templates, campaigns and their slots."""

from __future__ import annotations

from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.dateformat import format as in_words

from brands.clock import database_now
from brands.models import Brand
from campaigns.rendering import Mail, mail_troubles, trouble
from leads.models import LeadList
from providers.models import Channel, Route

LONGEST_SUBJECT = 200  # characters; most programs show some sixty


class Template(models.Model):
    """A text under a name, for one channel; what it says stands in its versions."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    channel = models.CharField(
        max_length=8, choices=Channel.choices, default=Channel.SMS, db_default=Channel.SMS
    )
    name = models.CharField(
        max_length=120, help_text="What colleagues know it by; no recipient sees it."
    )
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="template_names_are_unique", fields=["brand", "name"]),
            models.CheckConstraint(
                name="template_channel_is_known", condition=Q(channel__in=Channel.values)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def latest(self) -> TemplateVersion | None:
        """The version that a campaign started now would pin."""
        return self.versions.order_by("-number").first()


class TemplateVersion(models.Model):
    """What a template said at one time. Never changed; a change is a new version.

    Subject and HTML are those of an e-mail; a text message has none.
    """

    template = models.ForeignKey(Template, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    subject = models.CharField(max_length=LONGEST_SUBJECT, blank=True, default="", db_default="")
    text = models.TextField()
    html = models.TextField(blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="version_numbers_are_unique", fields=["template", "number"]
            )
        ]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"

    def clean(self) -> None:
        wrong = {"text": trouble(self.text)}
        if self.template.channel == Channel.EMAIL:
            wrong = mail_troubles(self.mail)
        if any(wrong.values()):
            raise ValidationError(wrong)

    @property
    def mail(self) -> Mail:
        return Mail(self.subject, self.text, self.html)


class ListRoute(models.Model):
    """The route of what is sent to one list by its channel; it goes before the campaign's and the
    brand's.
    """

    lead_list = models.OneToOneField(LeadList, on_delete=models.CASCADE, verbose_name="list")
    route = models.ForeignKey(Route, on_delete=models.PROTECT)

    class Meta:
        verbose_name = "route of a list"
        verbose_name_plural = "routes of lists"

    def __str__(self) -> str:
        return f"{self.lead_list} by {self.route}"


class Campaign(models.Model):
    """A text or an e-mail to a list in slots. It sends from `started_at` on, while not paused."""

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT)
    name = models.CharField(max_length=120, help_text="Only colleagues see it.")
    channel = models.CharField(
        max_length=8,
        choices=Channel.choices,
        default=Channel.SMS,
        db_default=Channel.SMS,
        help_text="Text and route must be of the same. Fixed once the campaign has started.",
    )
    lead_list = models.ForeignKey(
        LeadList,
        on_delete=models.PROTECT,
        verbose_name="list",
        help_text="The people who get it. Fixed once the campaign has started.",
    )
    template = models.ForeignKey(
        Template,
        on_delete=models.PROTECT,
        verbose_name="text",
        help_text="Its newest version at the time of Start is what goes out.",
    )
    route = models.ForeignKey(
        Route,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        help_text="Empty: the brand's default of the channel. A route of the list goes before"
        " both.",
    )
    destination = models.URLField(
        blank=True,
        verbose_name="where {link} leads",
        help_text="A page on one of the brand's link hosts. Needed only if the text has a {link}.",
    )
    daily_cap = models.PositiveIntegerField(
        null=True,
        blank=True,
        verbose_name="messages a day at most",
        help_text="Of this campaign, in the brand's day. Empty: only the brand's own cap counts.",
    )
    priority = models.PositiveSmallIntegerField(
        default=100, help_text="A campaign with a lower number goes before others of its brand."
    )
    repeats_words = models.BooleanField(
        default=False,
        verbose_name="may repeat its words",
        help_text="The same words may reach a person twice on one day. Leave it off for"
        " advertising.",
    )
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=200, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=database_now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="campaign_names_are_unique", fields=["brand", "name"]),
            models.CheckConstraint(
                name="campaign_channel_is_known", condition=Q(channel__in=Channel.values)
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Slot(models.Model):
    """One sending of a campaign: a local date and an ordinal on it.

    Its time is an attribute, frozen by a trigger once a message of it has an intent. Template
    version, route and list rules are pinned at Start. People suppressed before planning have no
    message; `suppressed` counts them by reason.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        OPEN = "open", "Open"
        CLOSED = "closed", "Closed"

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="slots")
    local_date = models.DateField(verbose_name="day")
    ordinal = models.PositiveSmallIntegerField(
        default=1,
        verbose_name="number on that day",
        help_text="1, unless the campaign goes out more than once on one day.",
    )
    local_time = models.TimeField(verbose_name="time", help_text="Each person's own local time.")
    length_minutes = models.PositiveSmallIntegerField(
        default=120,
        verbose_name="minutes it may take",
        validators=[MinValueValidator(5), MaxValueValidator(720)],
        help_text="How long after that time a message may still leave.",
    )
    state = models.CharField(max_length=6, choices=State.choices, default=State.DRAFT)
    template_version = models.ForeignKey(
        TemplateVersion,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        verbose_name="text",
    )
    route = models.ForeignKey(Route, on_delete=models.PROTECT, null=True, editable=False)
    list_rules = models.JSONField(default=dict, editable=False)
    largest_segments = models.PositiveSmallIntegerField(default=1, editable=False)
    suppressed = models.JSONField(default=dict, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                name="one_slot_per_campaign_date_and_ordinal",
                fields=["campaign", "local_date", "ordinal"],
            ),
            models.CheckConstraint(
                name="an_open_slot_is_pinned",
                condition=Q(state="draft") | Q(template_version__isnull=False, route__isnull=False),
            ),
        ]
        indexes = [
            models.Index(name="open_slots", fields=["local_date"], condition=Q(state="open"))
        ]

    def __str__(self) -> str:
        nth = f", number {self.ordinal}" if self.ordinal > 1 else ""
        return f"{in_words(self.local_date, 'j M Y')}{nth}"

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.length_minutes)

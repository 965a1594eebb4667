"""The form of the campaign flow: what may be chosen, what is filled in already, what was typed.

It checks shape; `campaigns/setting_up.py` decides what may be set up.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db.models import QuerySet
from django.utils.dateformat import format as in_words

from brands.models import Brand
from campaigns.models import LONGEST_SUBJECT, Campaign, Template
from campaigns.setting_up import (
    CampaignDraft,
    Errors,
    SlotDraft,
    free_name,
    tomorrow,
    usual_slot,
)
from leads.models import LeadList
from providers.models import Channel, Route

MOST_SLOTS = 31
LONGEST_TEXT = 1_600  # what the providers take in one message
LONGEST_MAIL = 100_000  # some programs cut off an e-mail of more
LENGTHS = [
    (60, "for 1 hour"),
    (120, "for 2 hours"),
    (180, "for 3 hours"),
    (240, "for 4 hours"),
    (360, "for 6 hours"),
    (480, "for 8 hours"),
    (720, "until its sending hours end"),
]


class FlowForm(forms.Form):
    """The parts of a campaign of one brand; it offers only what belongs to that brand."""

    use_required_attribute = False  # what is missing is said beside the field, by the server

    brand = forms.ModelChoiceField(
        Brand.objects.none(),
        empty_label=None,
        error_messages={"invalid_choice": "Choose one of your brands."},
    )
    channel = forms.ChoiceField(
        choices=Channel.choices,
        error_messages={"invalid_choice": "Choose text message or e-mail."},
    )
    name = forms.CharField(max_length=120, error_messages={"required": "Give the campaign a name."})
    lead_list = forms.ModelChoiceField(
        LeadList.objects.none(),
        label="List",
        empty_label="Choose a list…",
        error_messages={
            "required": "Choose the list of people to write to.",
            "invalid_choice": "This list is not one of this brand's; choose one that is.",
        },
    )
    template = forms.ModelChoiceField(
        Template.objects.none(),
        label="Text",
        required=False,
        empty_label="Write a new text",
        error_messages={
            "invalid_choice": "This text is not one of this brand's; choose one that is."
        },
    )
    subject = forms.CharField(required=False, max_length=LONGEST_SUBJECT)
    text = forms.CharField(label="What people read", required=False, strip=False)
    html = forms.CharField(label="HTML", required=False, strip=False, max_length=LONGEST_MAIL)
    text_name = forms.CharField(label="Save the text as", required=False, max_length=120)
    destination = forms.URLField(
        label="Where {link} leads",
        required=False,
        assume_scheme="https",
        error_messages={"invalid": "This is not a web address like https://jobs.example.com/."},
    )
    route = forms.ModelChoiceField(
        Route.objects.none(),
        required=False,
        empty_label="The brand's default route",
        error_messages={
            "invalid_choice": "This route is not one of this brand's; choose one that is."
        },
    )

    def __init__(
        self,
        *args: Any,
        brands: QuerySet[Brand],
        brand: Brand,
        channel: Channel = Channel.SMS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        longest = LONGEST_MAIL if channel == Channel.EMAIL else LONGEST_TEXT
        self.fields["text"].validators.append(MaxLengthValidator(longest))
        offered: Mapping[str, QuerySet[Any]] = {
            "brand": brands,
            "lead_list": LeadList.objects.filter(brand=brand, retired_at=None).order_by("-id"),
            "template": Template.objects.filter(
                brand=brand, channel=channel, retired_at=None, versions__isnull=False
            )
            .distinct()
            .order_by("name"),
            "route": Route.objects.filter(brand=brand, retired_at=None, channel=channel).order_by(
                "-is_default", "name"
            ),
        }
        for name, rows in offered.items():
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - as declared above
            field.queryset = rows

    def clean_text(self) -> str:
        """Browsers send line ends as two characters, and people are billed for one."""
        return str(self.cleaned_data["text"]).replace("\r\n", "\n").strip()

    def clean_html(self) -> str:
        return str(self.cleaned_data["html"]).replace("\r\n", "\n").strip()


class SlotForm(forms.Form):
    use_required_attribute = False

    local_date = forms.DateField(
        label="Day",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        error_messages={"required": "Choose a day.", "invalid": "This is not a day."},
    )
    local_time = forms.TimeField(
        label="Time",
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        error_messages={"required": "Choose a time.", "invalid": "This is not a time of day."},
    )
    length_minutes = forms.TypedChoiceField(label="Keep sending", choices=LENGTHS, coerce=int)


class Slots(forms.BaseFormSet):  # type: ignore[type-arg] # generic for the checker only
    """The times to send at, one or more."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "missing_management_form": "The times were lost on the way; choose them again.",
        "too_many_forms": f"A campaign has at most {MOST_SLOTS} times here.",
    }

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        """A time that is left empty is one that was forgotten."""
        return {**super().get_form_kwargs(index), "empty_permitted": False}

    @property
    def drafts(self) -> tuple[SlotDraft | None, ...]:
        return tuple(
            SlotDraft(**form.cleaned_data) if form.is_valid() else None for form in self.forms
        )


SlotFormSet = forms.formset_factory(
    SlotForm,
    formset=Slots,
    extra=0,
    max_num=MOST_SLOTS,
    validate_max=True,
    absolute_max=MOST_SLOTS + 1,
)


def defaults(brand: Brand, now: datetime) -> dict[str, Any]:
    """What the form of this brand holds before anything is typed."""
    return {
        "brand": brand.pk,
        "channel": Channel.SMS.value,
        "name": free_name(Campaign, brand, in_words(tomorrow(brand, now), "l, j F")),
        "lead_list": only_list(brand),
        "destination": usual_destination(brand),
    }


def only_list(brand: Brand) -> int | None:
    """The list of a brand that has one: there is nothing to choose."""
    lists = list(LeadList.objects.filter(brand=brand, retired_at=None)[:2])
    return lists[0].pk if len(lists) == 1 else None


def usual_destination(brand: Brand) -> str:
    return f"https://{brand.link_hosts[0]}/" if brand.link_hosts else ""


def slot_defaults(brand: Brand, day: date) -> dict[str, Any]:
    slot = usual_slot(brand, day)
    return {
        "local_date": slot.local_date,
        "local_time": slot.local_time,
        "length_minutes": slot.length_minutes,
    }


def slots_form(data: Any = None, initial: Any = None) -> Slots:
    made = SlotFormSet(data, prefix="slots", initial=initial)
    assert isinstance(made, Slots)  # noqa: S101 - the factory's type says less
    return made


def draft_of(form: FlowForm, slots: Slots) -> CampaignDraft | None:
    """What was typed, as far as it can be read; None without a brand. Both have been cleaned."""
    typed: dict[str, Any] = {name: form.cleaned_data.get(name) for name in form.fields}
    if typed["brand"] is None:
        return None
    typed["channel"] = Channel(typed["channel"] or Channel.SMS)
    if typed["template"] is not None:
        typed |= {"subject": "", "text": "", "html": "", "text_name": ""}
    if typed["channel"] == Channel.SMS:
        typed |= {"subject": "", "html": ""}
    for name in ("name", "subject", "text", "html", "text_name", "destination"):
        typed[name] = typed[name] or ""
    return CampaignDraft(**typed, slots=slots.drafts)


def tell(form: FlowForm, slots: Slots, errors: Errors) -> None:
    """Put each thing that is wrong beside its field, unless the form has found worse there."""
    for name, found in errors.items():
        first, _, place = name.partition("-")
        if first == "slot":
            slot = slots.forms[int(place)]
            if not slot.errors:
                slot.add_error("local_date", ValidationError(found))
        elif name not in form.fields:
            form.add_error(None, ValidationError(found))
        elif not form.has_error(name):
            form.add_error(name, ValidationError(found))

"""The form of an upload: which list, which file. It stores nothing."""

from __future__ import annotations

from typing import Any, BinaryIO, NamedTuple

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet

from brands import access
from brands.access import Ability, Visitor
from brands.models import Brand
from leads import uploads
from leads.csvfile import BadFile
from leads.models import LeadList


class Column(NamedTuple):
    """A column that a file may have, in the words of the page."""

    name: str
    holds: str
    example: str
    need: str = ""


COLUMNS = (
    Column("phone", "American or Canadian mobile number", "(212) 555-0142", "phone or email"),
    Column("email", "E-mail address", "ana@example.com", "phone or email"),
    Column(
        "consent_at", "When the person agreed to be contacted", "2026-03-01T14:05:00Z", "needed"
    ),
    Column("consent_wording", "What they agreed to, word for word", "Yes, text me job offers"),
    Column("consent_url", "The page on which they agreed", "https://jobs.example.com/join"),
    Column("first_name", "First name", "Ana"),
    Column("last_name", "Last name", "Lopez"),
    Column("city", "City", "New York"),
    Column("state", "State, as two letters or in full", "NY"),
    Column("zip", "ZIP code; it tells us the person's own time", "10001"),
    Column("source", "Where this person came from", "spring-fair"),
    Column("external_ref", "Your own number or name for this person", "A-1001"),
)
SAMPLE = """\
phone,email,consent_at,consent_wording,consent_url,first_name,last_name,city,state,zip,source,external_ref
+12125550142,ana@example.com,2026-03-01T14:05:00Z,"Yes, text me job offers",https://jobs.example.com/join,Ana,Lopez,New York,NY,10001,spring-fair,A-1001
(310) 555-0173,,2026-03-02,"Yes, text me job offers",https://jobs.example.com/join,Ben,Okafor,Los Angeles,California,90012,spring-fair,A-1002
617-555-0118,,2026-03-02T09:30:00-05:00,,,Chloe,,,MA,02108,website,
"""  # noqa: E501 - a line here is a line of the file


class UploadForm(forms.Form):
    """A list that the user may fill or a name for a new one, a file, and a source for it."""

    lead_list = forms.ModelChoiceField(
        LeadList.objects.none(),
        required=False,
        error_messages={"invalid_choice": "This list is not to be had any more: choose another."},
    )
    brand = forms.ModelChoiceField(
        Brand.objects.none(),
        required=False,
        error_messages={"invalid_choice": "This brand is not to be had any more: choose another."},
    )
    name = forms.CharField(required=False, max_length=120)
    source = forms.CharField(required=False, max_length=80)
    file = forms.FileField(
        allow_empty_file=True, error_messages={"required": "Choose the file with the people."}
    )

    def __init__(self, user: Visitor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        brands = access.brands(user, Ability.SEND).filter(retired_at=None)
        self._choices("brand").queryset = brands
        self._choices("lead_list").queryset = lists_of(brands)

    def _choices(self, name: str) -> forms.ModelChoiceField[Any]:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - declared above
        return field

    @property
    def lists(self) -> list[LeadList]:
        return list(self._choices("lead_list").queryset or ())

    @property
    def brands(self) -> list[Brand]:
        return list(self._choices("brand").queryset or ())

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        if not name.isprintable():
            raise forms.ValidationError("There is a character in this name that cannot be shown.")
        return name

    def clean_source(self) -> str:
        source = " ".join(self.cleaned_data["source"].split())
        if not source.isprintable():
            raise forms.ValidationError("There is a character in this that cannot be shown.")
        return source

    def clean_file(self) -> UploadedFile[Any]:
        upload: UploadedFile[Any] = self.cleaned_data["file"]
        try:
            uploads.check(content_of(upload), upload.size or 0)
        except BadFile as error:
            raise forms.ValidationError(str(error)) from error
        return upload

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        if found.get("lead_list") is None and "lead_list" not in self.errors:
            self._check_new_list(found.get("brand"), found.get("name"))
        return found

    def _check_new_list(self, brand: Brand | None, name: str | None) -> None:
        if brand is None and "brand" not in self.errors:
            self.add_error("brand", "Choose whose list this is.")
        if not name:
            if "name" not in self.errors:
                self.add_error("name", "Give the new list a name, or choose a list above.")
        elif brand and LeadList.objects.filter(brand=brand, name__iexact=name).exists():
            self.add_error("name", self.taken_name())

    def taken_name(self) -> str:
        brand, name = self.cleaned_data["brand"], self.cleaned_data["name"]
        return f"{brand} has a list named {name} already: choose it above, or use another name."

    def wanted_list(self) -> LeadList:
        """The chosen list, or a new one that is not stored yet."""
        found = self.cleaned_data
        chosen: LeadList | None = found["lead_list"]
        return chosen or LeadList(brand=found["brand"], name=found["name"])


def lists_of(brands: QuerySet[Brand]) -> QuerySet[LeadList]:
    lists = LeadList.objects.filter(brand__in=brands, retired_at=None)
    return lists.select_related("brand").order_by("brand__name", "name")


def content_of(upload: UploadedFile[Any]) -> BinaryIO:
    content = upload.file
    assert content is not None  # noqa: S101 - every upload handler of Django sets it
    return content  # type: ignore[return-value] # a temporary file or one in memory

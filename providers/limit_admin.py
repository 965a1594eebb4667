"""Limits on the page of the number, the account or the brand that they limit, and their presets."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget

from brands import access
from brands.access import Ability
from brands.paging import Inline, Page
from providers import limit_presets
from providers.carriers import Carrier
from providers.models import MOST, Limit, SenderNumber

PRESET = "limits_preset"
SCOPE = ("kind", "measure", "carrier")
MEASURES = {
    f"{unit} {per.label}": (unit.value, per.value) for per in Limit.Per for unit in Limit.Unit
}
DESCRIPTION = (
    "They stand at the foot of this page. Of all limits the one that is reached first holds. When a"
    " limit a day is set, nothing goes out under it for about ten seconds, until what went out that"
    " day is counted. To count something else, delete a limit and add another."
)


class LimitForm(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    """Of a stored limit only the amount changes: its counter goes with what it counts."""

    measure = forms.ChoiceField(
        label="Of",
        choices=[(words, words) for words in MEASURES],
        initial="messages a day",
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        labels = {
            "amount": "At most",
            "zone": "Whose day",
            "kind": "By",
            "carrier": "To",
            "counts_unknown": "Unknown carriers count",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["measure"] = f"{self.instance.unit} {self.instance.get_per_display()}"
            for name in self.fields.keys() - {"amount"}:
                self.fields[name].disabled = True
        for name, words, known in (
            ("kind", "All", SenderNumber.Kind.choices),
            ("carrier", "All", Carrier.choices),
        ):
            field = self.fields.get(name)
            if isinstance(field, forms.ChoiceField):
                field.choices = [("", words), *known]

    def clean_amount(self) -> float:
        amount: float = self.cleaned_data["amount"]
        if not 0 < amount <= MOST:
            raise forms.ValidationError(f"More than nothing, and at most {MOST:,}.")
        return amount

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if measure := MEASURES.get(cleaned.get("measure", "")):
            self.instance.unit, self.instance.per = measure
        said = {name: cleaned.get(name) or getattr(self.instance, name) for name in Limit.SAID}
        for name, words in problems(said, is_brands=self.is_brands):
            if name in self.fields and name not in self.errors:
                self.add_error(name, words)
        return cleaned

    is_brands = False


class BrandLimitForm(LimitForm):
    is_brands = True


def problems(said: dict[str, Any], *, is_brands: bool) -> list[tuple[str, str]]:
    """What is wrong with a limit, by field."""
    found = []
    amount, a_second = said["amount"], said["per"] == Limit.Per.SECOND
    if not a_second and amount is not None and amount != int(amount):
        found.append(("amount", "A whole number, for a day."))
    if a_second and said["zone"]:
        found.append(("zone", "A limit a second has no day: leave this empty."))
    if not a_second and not said["zone"] and not is_brands:
        found.append(("zone", "Choose the zone whose midnight begins the day."))
    if a_second and said["carrier"]:
        found.append(("carrier", "A carrier's limit can only be one a day."))
    if a_second and said["unit"] == Limit.Unit.SEGMENTS and not said["kind"]:
        found.append(
            ("measure", "All segments a second have a field of their own, further up on the page.")
        )
    return found


class LimitsOfOne(BaseInlineFormSet):  # type: ignore[type-arg] # generic for the checker only
    """Of one owner no two limits count the same."""

    def clean(self) -> None:
        super().clean()
        seen = set()
        for form in self.forms:
            if form in self.deleted_forms or not (form.instance.pk or form.has_changed()):
                continue
            said = form.cleaned_data if form.is_valid() else {}
            scope = tuple(said.get(name) or "" for name in SCOPE)
            if said and scope in seen:
                form.add_error("amount", "There is such a limit already: change its amount.")
            seen.add(scope)


class LimitInline(Inline):
    """Owners alone change it, as they do the speed of a number."""

    model = Limit
    form = LimitForm
    formset = LimitsOfOne
    verbose_name = "limit"
    verbose_name_plural = "Further limits"

    def _may(self, request: HttpRequest, obj: Any) -> bool:
        return access.may(request.user, Ability.OWN, None)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, obj)


class NumberLimits(LimitInline):
    fk_name = "number"
    fields = ("amount", "measure", "zone")


class AccountLimits(LimitInline):
    fk_name = "account"
    fields = ("amount", "measure", "kind", "zone")


class BrandLimits(LimitInline):
    """Of a brand its managers change them, as they do its other caps."""

    fk_name = "brand"
    form = BrandLimitForm
    fields = ("amount", "measure", "kind", "zone", "carrier", "counts_unknown")

    def _may(self, request: HttpRequest, obj: Any) -> bool:
        return self._parent().has_change_permission(request, obj)


class WithLimits(Page):
    """A page with the limits of its row, and a choice of presets for it."""

    limit_inline: type[LimitInline]

    def limits_may_change(self, request: HttpRequest, obj: Any) -> bool:
        inline = self.limit_inline(self.model, self.admin_site)
        return obj is not None and inline.has_change_permission(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        inlines = list(super().get_inlines(request, obj))
        return [*inlines, self.limit_inline] if obj else inlines

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if self.limits_may_change(request, obj):
            own = {PRESET: _choice(obj), f"clean_{PRESET}": _clean_preset}
            kwargs["form"] = type(self.form.__name__, (self.form,), own)
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_fieldsets(request, obj), *self.limit_fieldsets(request, obj))

    def limit_fieldsets(self, request: HttpRequest, obj: Any) -> list[Any]:
        if not self.limits_may_change(request, obj):
            return []
        return [("Limits beside these", {"fields": (PRESET,), "description": DESCRIPTION})]

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        if name := form.cleaned_data.get(PRESET):
            preset = limit_presets.apply(name, form.instance)
            words = f"Set: {preset.label}. Source: {preset.source}."
            self.message_user(request, words, messages.SUCCESS)


def _clean_preset(form: Any) -> str:
    """What was offered was for the kind that is stored, and the same page may change the kind."""
    name = str(form.cleaned_data[PRESET])
    kind = form.cleaned_data.get("kind", getattr(form.instance, "kind", ""))
    if name and not limit_presets.is_for(name, kind):
        raise forms.ValidationError("This is for another kind: save the kind first, then choose.")
    return name


def _choice(obj: Any) -> forms.ChoiceField:
    presets = limit_presets.for_owner(obj)
    return forms.ChoiceField(
        label="Use a preset",
        required=False,
        choices=[("", "None"), *((one.name, one.label) for one in presets)],
        widget=UnfoldAdminSelectWidget,
        help_text="Sets what it says when this page is saved, and leaves all other limits as they"
        " are. Ask your provider which of them is yours.",
    )

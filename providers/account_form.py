"""The form of an account: credentials go in and never come out, a definition is checked first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from brands import clock
from brands.models import Installation
from providers.addresses import AddressRefused, allowed, allowed_for_mail, judged
from providers.base import Access, Channel
from providers.declared import DEFINITIONS, GENERIC, declared, problems
from providers.models import ProviderAccount
from providers.reach import Reach, reach
from providers.registry import ADAPTERS, adapter

if TYPE_CHECKING:  # Unfold's classes carry no types; they are Django's with other templates
    Textarea = forms.Textarea
else:
    from unfold.widgets import UnfoldAdminTextareaWidget as Textarea

MICROS = 1_000_000  # of a dollar
SECRETS = f"{GENERIC}_secrets"
SLOW = (
    "Saved. Nothing answered at its address within two seconds: if it is not merely slow, correct"
    " it before messages go there."
)
NEEDED = "This is needed for the account."
NOT_REACHED = {
    Reach.NO_SUCH_NAME: "There is no such host: correct its name.",
    Reach.REFUSES: "Nothing listens there: correct the host or the port, or start what should.",
    Reach.NOT_ALLOWED: "This address cannot be used: the name leads to one that is not public, or"
    " not on this machine.",
}


def field_name(kind: str, credential: str) -> str:
    return f"{kind}_{credential}"


def names_of(kind: str) -> tuple[str, ...]:
    return (*ADAPTERS[kind].credentials, *ADAPTERS[kind].optional_credentials)


def credential_fields() -> Iterator[tuple[str, forms.Field]]:
    """A field for each credential of each provider; which one is needed is known with the kind."""
    for kind in ADAPTERS:
        for name in names_of(kind):
            widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})
            label = name.replace("_", " ").capitalize()
            yield (
                field_name(kind, name),
                forms.CharField(required=False, label=label, widget=widget),
            )


def option_name(kind: str, option: str) -> str:
    return f"{kind}_option_{option}"


def options_of(kind: str) -> Sequence[str]:
    """The names of the fields of what an account of this kind may choose."""
    return [option_name(kind, option) for option in ADAPTERS[kind].options]


def option_fields() -> Iterator[tuple[str, forms.Field]]:
    for kind, speaks in ADAPTERS.items():
        for name, option in speaks.options.items():
            yield (
                option_name(kind, name),
                forms.ChoiceField(
                    label=option.label,
                    choices=list(option.choices.items()),
                    initial=option.usual,
                    required=False,
                    help_text=option.help_text,
                    widget=UnfoldAdminSelectWidget,
                ),
            )


def evidence_fields() -> dict[str, Callable[[ProviderAccount], str]]:
    """What is assumed of each provider that says so, for who is about to choose it."""

    def field(kind: str) -> Callable[[ProviderAccount], str]:
        def read(_: ProviderAccount) -> str:
            return ADAPTERS[kind].evidence

        read.__name__ = f"evidence_{kind}"
        return admin.display(description="What is assumed")(read)

    return {kind: field(kind) for kind in ADAPTERS if ADAPTERS[kind].evidence}


EVIDENCE = evidence_fields()


def reached(typed: str, stored: ProviderAccount | None) -> Reach | None:
    """What is at an address that was typed; None for the stored one, and for one to be refused."""
    url, installation = typed.strip(), Installation.objects.first()
    if not url or installation is None or (stored is not None and stored.base_url == url):
        return None
    try:
        judged(url, simulated=installation.is_sandbox)
    except AddressRefused:
        return None  # the form says why
    return reach(url, simulated=installation.is_sandbox)


class Code(Textarea):
    """Text in letters of one width, as it was typed."""

    def __init__(self, **attrs: Any) -> None:
        style = "font-family: ui-monospace, monospace; font-size: 0.8rem"
        super().__init__(attrs={"spellcheck": "false", "style": style, **attrs})


class WriteOnlyCode(Code):
    def get_context(self, name: str, value: Any, attrs: Any) -> Any:
        return super().get_context(name, None, attrs)


def secrets_in(lines: str) -> dict[str, str]:
    """By name, from lines like `name = value`. Raises ValidationError, which repeats no value."""
    found = {}
    for number, line in enumerate(lines.splitlines(), start=1):
        name, has_sign, value = (part.strip() for part in line.partition("="))
        if not line.strip():
            continue
        if not (name and has_sign and value):
            raise forms.ValidationError(f"Line {number} is not of the form name = value.")
        found[name] = value
    return found


class WriteOnlyCredentials(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    """Empty fields leave what is stored as it is."""

    secrets: Mapping[str, str] | None = None  # None: nothing was typed
    reached: Reach | None = None  # what was found at the address; None: it was not tried
    price = forms.DecimalField(
        label="Price of a segment, in dollars",
        min_value=0,
        max_value=10,
        max_digits=8,
        decimal_places=6,
        required=False,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Such as 0.0079. The forecast before a Start reckons with it.",
    )

    class Meta:
        labels = {
            "base_url": "Address",
            "segments_per_second": "Segments a second, at most",
            "in_flight": "Requests at once, at most",
            "pinned_until": "Weight stays until",
            "blocks_least": "Blocked messages, at least",
            "blocks_percent": "And per cent of those that ended",
            "block_rest_hours": "Hours of rest",
        }
        help_texts = {
            "base_url": "https://… of the provider; of a mail server smtp://host:587 or"
            " smtps://host:465. Empty: its usual one, where it has one.",
            "definition": "How this provider is spoken to, as JSON. It begins with an example; the"
            " files in providers/definitions are whole ones to copy from.",
            "segments_per_second": "All numbers of the account together. Empty: no limit of its"
            " own.",
            "weight": "Divides messages among the accounts of a route; 0 sends nothing. How much of"
            " it counts follows what becomes of the requests.",
            "pinned_until": "In UTC. The account gets its full weight at once, and only a person"
            " changes that until then. Empty: it follows what becomes of the requests.",
            "blocks_least": "Of one number within an hour: with fewer it does not rest.",
            "blocks_percent": "Delivered, failed and rejected messages of that hour are counted.",
            "block_rest_hours": "With commas: the first rest, the second within seven days, and so"
            " on; the last stands for all after it. Such as 1, 4, 24.",
            "in_flight": "Of one worker. A slow provider wants more, a strict one fewer.",
        }
        widgets = {
            "definition": Code(rows=28),
            "block_rest_hours": UnfoldAdminTextInputWidget,
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "definition" in self.fields and not self.instance.pk:
            self.initial.setdefault("definition", (DEFINITIONS / "example.json").read_text())
        if self.instance.pk:
            self.initial["price"] = Decimal(self.instance.price_micros) / MICROS
            for name, secret in self._stored().items():
                if field := self.fields.get(field_name(self.instance.kind, name)):
                    field.help_text = f"Stored, {len(secret)} characters. Empty: it stays."
            for name, word in self.instance.options.items():
                self.initial[option_name(self.instance.kind, name)] = word
        if self.instance.kind == GENERIC:
            self.fields[SECRETS].help_text = self._about_secrets()

    def clean_pinned_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["pinned_until"]
        if until and "pinned_until" in self.changed_data and until <= clock.now():
            raise forms.ValidationError("This time is over: type a later one, or nothing.")
        return until

    def clean_price(self) -> Decimal:
        price = Decimal(self.cleaned_data["price"] or 0)
        self.instance.price_micros = int(price * MICROS)
        return price

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        kind = cleaned.get("kind") or self.instance.kind
        installation = Installation.objects.first()
        if installation is None:
            raise forms.ValidationError("There is no installation yet: run `manage.py set_up`.")
        self.instance.is_simulated = installation.is_sandbox
        if "definition" in self.fields and kind != GENERIC:
            cleaned["definition"] = ""
        self._check_address(kind, cleaned.get("base_url"))
        if kind == GENERIC:
            self._read_definition(cleaned)
        elif kind in ADAPTERS:
            self._read_secrets(kind, cleaned)
        if kind in ADAPTERS:
            self.instance.options = {
                name: cleaned.get(option_name(kind, name)) or option.usual
                for name, option in ADAPTERS[kind].options.items()
            }
        return cleaned

    def _check_address(self, kind: str, base_url: str | None) -> None:
        try:
            if base_url:
                is_mail = kind in ADAPTERS and ADAPTERS[kind].channel is Channel.EMAIL
                judge = allowed_for_mail if is_mail else allowed
                judge(base_url, simulated=self.instance.is_simulated)
            elif kind in ADAPTERS and not ADAPTERS[kind].base_url and "base_url" not in self.errors:
                self.add_error(
                    "base_url", "This provider has no usual address: type the account's."
                )
            if base_url and self.reached in NOT_REACHED:
                self.add_error("base_url", NOT_REACHED[self.reached])
        except AddressRefused as error:
            self.add_error("base_url", f"This address cannot be used: {error}.")

    def _read_secrets(self, kind: str, cleaned: Mapping[str, Any]) -> None:
        fields = {name: cleaned.get(field_name(kind, name)) for name in names_of(kind)}
        typed = {name: value for name, value in fields.items() if value}
        if self.instance.pk and not typed:
            return
        self.secrets = {**self._stored(), **typed}
        for name in ADAPTERS[kind].credentials:
            if name not in self.secrets:
                self.add_error(field_name(kind, name), NEEDED)
        access = Access(kind=kind, secrets=self.secrets)
        for name, problem in ADAPTERS[kind].problems(access).items():
            if field_name(kind, name) not in self.errors:  # what is missing is no wrong one, too
                self.add_error(field_name(kind, name), problem)

    # --- a provider by its definition -------------------------------------------------------

    def _read_definition(self, cleaned: Mapping[str, Any]) -> None:
        """The definition first: its secrets are judged by what it declares."""
        definition = cleaned.get("definition") or ""
        if found := problems(definition) if definition else ["Type the definition."]:
            self.add_error("definition", found)
            return
        try:
            typed = secrets_in(cleaned.get(SECRETS) or "")
        except forms.ValidationError as error:
            self.add_error(SECRETS, error)
            return
        if self.instance.pk and not typed and "definition" not in self.changed_data:
            return
        self._keep_declared(definition, typed)

    def _keep_declared(self, definition: str, typed: Mapping[str, str]) -> None:
        """What the definition declares, of what is stored and typed; the rest is forgotten."""
        speaks = adapter(GENERIC, definition)
        names = (*speaks.credentials, *speaks.optional_credentials)
        for name in typed:
            if name not in names:
                known = ", ".join(names) or "none"
                self.add_error(SECRETS, f"The definition declares no {name}. It declares: {known}.")
        both = {**self._stored(), **typed}
        self.secrets = {name: both[name] for name in names if name in both}
        if missing := [name for name in speaks.credentials if name not in self.secrets]:
            self.add_error(SECRETS, f"Needed for the account: {', '.join(missing)}.")

    def _about_secrets(self) -> str:
        stored = [f"{name} ({len(value)} characters)" for name, value in self._stored().items()]
        names = declared(self.instance.definition).optional_credentials
        optional = f" May be left out: {', '.join(names)}." if names else ""
        kept = f"Stored: {', '.join(stored)}. What is not typed here stays." if stored else ""
        return f"{ABOUT_SECRETS} {kept}{optional}"

    def _stored(self) -> Mapping[str, str]:
        try:
            return self.instance.access().secrets if self.instance.pk else {}
        except ImproperlyConfigured:  # sealed with a key that is gone: all must be typed again
            return {}


ABOUT_SECRETS = (
    "One a line, as in: api_key = 0123456789. The definition says which names there are."
)

AccountForm: type[Any] = type(
    "AccountForm",
    (WriteOnlyCredentials,),
    {
        **dict(credential_fields()),
        **dict(option_fields()),
        SECRETS: forms.CharField(
            required=False,
            label="Secrets",
            help_text=ABOUT_SECRETS,
            widget=WriteOnlyCode(rows=4, autocomplete="off"),
        ),
    },
)

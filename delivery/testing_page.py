"""The page "Send me a test": a campaign's text to the phone of the member of staff who asks.

It plans and looks on; sending is the walk's. A double click, or the same form sent again, is one
test: the form carries a token.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.contrib.auth.models import AbstractBaseUser
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from brands import access, clock, pages
from brands.access import Ability, Visitor
from campaigns.models import Campaign
from campaigns.rendering import Mail, framed
from compliance import phones
from delivery import singles
from delivery.models import Attempt, Message
from delivery.rows import OF_ADDRESS, address_of
from delivery.singles import LIVES, CannotTest, Mailbox, Name, Recipient
from delivery.states import Status
from delivery.testing_story import is_final, story
from delivery.wording import TONES
from leads import rows
from providers import pretend
from providers.models import Channel, ProviderAccount

TOKEN = re.compile(r"[A-Za-z0-9_-]{22,64}")
NOBODY = {
    "first_name": "Robin",
    "last_name": "Sample",
    "city": "Springfield",
    "state": "IL",
    "zip_code": "62701",
}
LABELS = {
    "first_name": "First name",
    "last_name": "Last name",
    "city": "City",
    "state": "State",
    "zip_code": "ZIP code",
}


class AskForm(forms.Form):
    """A phone or a mailbox, its owner's agreement, and a value for each {name} of the words."""

    phone = forms.CharField(
        max_length=80, error_messages={"required": "Type the number of your own phone."}
    )
    email = forms.CharField(
        max_length=254, error_messages={"required": "Type your own e-mail address."}
    )
    agrees = forms.BooleanField(
        error_messages={"required": "Tick this: a test goes only to whoever agreed to get it."}
    )
    token = forms.CharField(required=False)

    def __init__(self, *args: Any, names: list[Name], channel: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["phone" if channel == Channel.EMAIL else "email"]
        for entry in names:
            self.fields[f"value_{entry.name}"] = forms.CharField(
                label=LABELS[entry.name],
                required=entry.fall_back is None,
                max_length=80,
                help_text=f"Left empty, it says “{entry.fall_back}”." if entry.fall_back else "",
                error_messages={"required": "The text needs a value here."},
            )

    def clean_phone(self) -> phones.Phone:
        found = phones.parse(self.cleaned_data["phone"])
        if isinstance(found, phones.BadPhone):
            raise forms.ValidationError(found.reason, code=found.code)
        return found

    def clean_email(self) -> Mailbox:
        found = rows.read_email(self.cleaned_data["email"])
        if not isinstance(found, str):
            raise forms.ValidationError(rows.BAD_EMAIL.message, code=rows.BAD_EMAIL.code)
        return Mailbox(found)

    def recipient(self) -> Recipient:
        """Whom the form is for, once it is valid."""
        data = self.cleaned_data
        to: Recipient = data["phone"] if "phone" in data else data["email"]
        return to

    def values(self) -> Iterator[forms.BoundField]:
        return (self[name] for name in self.fields if name.startswith("value_"))


@require_http_methods(["GET", "HEAD", "POST"])
@pages.staff_page(Ability.SEND)
def ask_page(request: HttpRequest, campaign_id: int) -> HttpResponse:
    """The form; while somebody types, its preview alone."""
    campaign = _campaign(request.user, campaign_id)
    try:
        words = singles.words_of(campaign)
    except CannotTest as error:
        return _form_page(request, campaign, Mail("", ""), None, text_problem=str(error))
    names, channel = singles.names_in(words), campaign.channel
    if request.method == "POST":
        form = AskForm(request.POST, names=names, channel=channel)
        return _send(request, campaign, words, form)
    if pages.is_htmx(request):
        typed = _values(request.GET, names)
        context = _preview(campaign, words, typed)
        return render(request, "delivery/_test_preview.html", {**context, "campaign": campaign})
    first = {f"value_{name}": value for name, value in NOBODY.items()}
    last = singles.last_address(_user(request), channel)
    form = AskForm(names=names, channel=channel, initial={**first, "phone": last, "email": last})
    return _form_page(request, campaign, words, form)


def _campaign(user: Visitor, campaign_id: int) -> Campaign:
    """A campaign of a brand for which the user may send; else it is as if there were none."""
    campaigns = Campaign.objects.select_related("brand", "template", "route")
    seen = access.visible(campaigns, user, Ability.SEND, path="brand")
    return get_object_or_404(seen, pk=campaign_id)


def _user(request: HttpRequest) -> AbstractBaseUser:
    assert isinstance(request.user, AbstractBaseUser)  # noqa: S101 - staff_page let nobody else in
    return request.user


def _values(typed: Mapping[str, Any], names: list[Name]) -> dict[str, str]:
    return {entry.name: str(typed.get(f"value_{entry.name}", "")) for entry in names}


def _send(request: HttpRequest, campaign: Campaign, words: Mail, form: AskForm) -> HttpResponse:
    if not form.is_valid():
        return _form_page(request, campaign, words, form)
    token = form.cleaned_data["token"]
    try:
        message = singles.send_test(
            campaign,
            to=form.recipient(),
            values=_values(form.cleaned_data, singles.names_in(words)),
            asked_by=_user(request),
            idempotency_key=token if TOKEN.fullmatch(token) else secrets.token_urlsafe(16),
        )
    except CannotTest as error:
        if error.field in form.fields:
            form.add_error(error.field, str(error))
            return _form_page(request, campaign, words, form)
        return _form_page(request, campaign, words, form, **{f"{error.field}_problem": str(error)})
    return redirect("test-progress", campaign.pk, message.pk)


def _form_page(
    request: HttpRequest, campaign: Campaign, words: Mail, form: AskForm | None, **problems: str
) -> HttpResponse:
    is_mail = campaign.channel == Channel.EMAIL
    context: dict[str, Any] = {"campaign": campaign, "form": form, "is_mail": is_mail, **problems}
    if form is not None:
        typed = form.data if form.is_bound else form.initial
        token = str(form.data.get("token", ""))
        context |= _preview(campaign, words, _values(typed, singles.names_in(words)))
        context["token"] = token if TOKEN.fullmatch(token) else secrets.token_urlsafe(16)
        context["agreement"] = singles.agreement(campaign.brand, campaign.channel)
        context["route_problem"] = singles.route_problem(campaign)
    return pages.show(request, "delivery/test.html", title="Send me a test", **context)


def _preview(campaign: Campaign, words: Mail, values: Mapping[str, str]) -> dict[str, Any]:
    try:
        return {"preview": singles.preview(campaign, words, values)}
    except CannotTest as error:
        label = LABELS.get(error.field.removeprefix("value_"), "")
        return {"preview_problem": f"{label}: {error}" if label else str(error)}


@require_safe
@pages.staff_page(Ability.SEND)
def progress_page(request: HttpRequest, campaign_id: int, message_id: int) -> HttpResponse:
    """How far the test has come; it asks for its own inner part each second until the end."""
    campaign = _campaign(request.user, campaign_id)
    context = {"campaign": campaign, **_progress(campaign, _user(request), message_id)}
    if pages.is_htmx(request):
        return render(request, "delivery/_test_progress.html", context)
    return pages.show(request, "delivery/test_progress.html", title="Your test", **context)


def _progress(campaign: Campaign, user: AbstractBaseUser, message_id: int) -> dict[str, Any]:
    """Everybody sees their own tests only: they hold a phone number."""
    tests = Message.objects.filter(
        brand=campaign.brand_id, kind="single", single__is_test=True, single__asked_by=user.pk
    )
    related = ("due__lane__account", *OF_ADDRESS)
    message = tests.select_related(*related).filter(pk=message_id).first()
    if message is None:
        raise Http404
    due = getattr(message, "due", None)
    attempts = Attempt.objects.filter(message=message).select_related("account", "number", "mail")
    attempt = attempts.filter(is_not_sent=False).first()
    tries = attempts.filter(is_not_sent=True).count()
    account = attempt.account if attempt else due and due.lane.account
    said = getattr(attempt, "mail", None)
    mail_html = framed(said.html) if said is not None else ""
    return {
        "message": message,
        "to": address_of(message),
        "mail_html": mail_html,
        "attempt": attempt,
        "lines": story(message, due, attempt, tries),
        "pill": f"so-{TONES[Status(message.status)] or 'info'}",
        "is_final": is_final(message),
        "goes_on": not is_final(message) and clock.now() < message.expires_at + LIVES,
        "pretend_page": _pretend_page(message, account),
    }


def _pretend_page(message: Message, account: ProviderAccount | None) -> str:
    """Where the simulator shows it; only sandboxes have simulated accounts."""
    if account is None or not account.is_simulated or not account.base_url:
        return ""
    to = address_of(message)
    if message.single.channel == Channel.EMAIL:
        return pretend.mailbox_page(account.base_url, to)
    return pretend.phone_page(account.base_url, to)

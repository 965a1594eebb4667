"""The form of a template: its words by channel; other words than before are a new version."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.validators import MaxLengthValidator
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns.flow_form import LONGEST_MAIL, LONGEST_TEXT
from campaigns.models import LONGEST_SUBJECT
from campaigns.rendering import Mail
from campaigns.setting_up import wrong_words
from providers.models import Channel


class TemplateForm(forms.ModelForm):  # type: ignore[type-arg] # generic for the checker only
    """A template with its words; of a text message the text alone."""

    subject = forms.CharField(
        required=False,
        max_length=LONGEST_SUBJECT,
        widget=UnfoldAdminTextInputWidget(attrs={"id": "id_subject"}),
    )
    text = forms.CharField(
        label="What people read",
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 6, "id": "id_text"}),
        help_text="A change is saved as a new version. What has been started keeps its words.",
    )
    html = forms.CharField(
        label="HTML",
        required=False,
        strip=False,
        max_length=LONGEST_MAIL,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "id": "id_html", "class": "so-code"}),
        help_text="Of an e-mail. Left empty, people read the plain text.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        latest = self.instance.latest() if self.instance.pk else None
        for part, words in (latest.mail if latest else Mail("", ""))._asdict().items():
            self.fields[part].initial = words

    def clean(self) -> dict[str, Any] | None:
        """The rules of `setting_up.wrong_words`, beside the fields."""
        cleaned = super().clean() or {}
        words = self.words()
        longest = LONGEST_MAIL if self._channel() == Channel.EMAIL else LONGEST_TEXT
        try:
            MaxLengthValidator(longest)(words.text)
        except forms.ValidationError as error:
            self.add_error("text", error)
        for part, wrong in wrong_words(self._channel(), words).items():
            if not self.has_error(part):
                self.add_error(part, wrong)
        return cleaned

    def words(self) -> Mail:
        """As they are stored: one character for a line's end, and nothing but text in a text."""
        typed = {part: str(self.cleaned_data.get(part) or "") for part in Mail._fields}
        mail = Mail(**{part: text.replace("\r\n", "\n").strip() for part, text in typed.items()})
        return mail if self._channel() == Channel.EMAIL else Mail("", mail.text)

    def _channel(self) -> Channel:
        """Chosen once: a template that is stored keeps its channel."""
        return Channel(self.cleaned_data.get("channel") or self.instance.channel)

"""New words for a template: a version with the next number. What was said once stays."""

from __future__ import annotations

from django.db import transaction

from campaigns.models import Template, TemplateVersion
from campaigns.rendering import Mail


def add_version(
    template: Template, text: str, *, subject: str = "", html: str = ""
) -> TemplateVersion:
    """The words as the newest version; the one there is, if it says the same.

    Two people at once wait for each other. The caller has checked the words.
    """
    mail = Mail(subject, text, html)
    with transaction.atomic():
        locked = Template.objects.select_for_update(no_key=True).get(pk=template.pk)
        latest = locked.latest()
        if latest is not None and latest.mail == mail:
            return latest
        number = latest.number + 1 if latest else 1
        return TemplateVersion.objects.create(template=locked, number=number, **mail._asdict())

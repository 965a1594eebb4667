"""What the pages of this app's rows share: who finds them by address, and whose that is."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from brands import access
from brands.access import Ability
from brands.admin import Rows
from compliance.admin import ByAddress, as_address
from compliance.models import Person
from delivery.explain import is_mail
from delivery.models import Message

OF_ADDRESS = ("campaign", "single", "person", "lead__email_person")  # what `address_of` reads


def address_of(message: Message) -> str:
    """The phone, or the mailbox, that the message goes to; empty where there is none."""
    person, lead = message.person, message.lead
    if not is_mail(message):
        return person.phone or person.email or ""
    beside = lead.email_person if lead else None
    return person.email or (beside.email if beside else "") or ""


class Readable(ByAddress):
    """Found by address only among the rows whose addresses the user may read whole."""

    def get_search_fields(self, request: HttpRequest) -> Any:
        fields = super().get_search_fields(request)
        return fields if access.may_anywhere(request.user, Ability.PEOPLE) else ()

    def get_search_results(
        self, request: HttpRequest, queryset: Rows, search_term: str
    ) -> tuple[Rows, bool]:
        """The person first: then their index answers, whatever else the list is filtered by."""
        if not search_term.strip() or not self.get_search_fields(request):
            return queryset, False
        address = as_address(search_term).replace("\0", "")
        column = "email" if "@" in address else "phone"
        people = Person.objects.filter(**{column: address}).values_list("pk", flat=True)
        rows = self.visible(request, queryset, Ability.PEOPLE)
        return rows.filter(person__in=list(people)), False

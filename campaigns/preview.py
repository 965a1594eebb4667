"""What a text looks like on a phone, what it costs in segments, and what makes it dear.

Counted by the code that sends: `campaigns/rendering.py` and `providers/segments.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brands.models import Brand
from campaigns import sizing
from campaigns.rendering import PLACEHOLDER, Mail, check_template, framed
from leads.models import Lead, LeadList
from providers import alphabet, segments
from providers.alphabet import Dear

INVENTED = {
    "first_name": "Maria",
    "last_name": "Lopez",
    "city": "Springfield",
    "state": "IL",
    "zip_code": "62701",
}
SHOWN = 8  # dear characters explained; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One text for one person. `largest` is None where the list's names were not counted in time.

    `dear` are the characters outside GSM-7 of the text itself, `others` those that names, the brand
    or its opt-out line bring in. `plainer` is the text without those that can be replaced, `saved`
    what it would take then.
    """

    person: str
    is_real: bool
    pieces: list[tuple[str, bool]]
    counted: segments.Segments
    dear: list[Dear]
    more_dear: int
    others: list[Dear]
    plainer: str
    saved: segments.Segments
    twice: list[str]
    missing: list[str]
    without_fall_back: list[str]
    largest: int | None
    wide_names: list[str]
    has_list: bool
    has_link: bool

    @property
    def is_wide(self) -> bool:
        return self.counted.encoding is segments.Encoding.UCS2

    @property
    def replaceable(self) -> bool:
        return any(one.instead is not None for one in self.dear)

    @property
    def left(self) -> int:
        return self.counted.room - self.counted.units


def preview(text: str, brand: Brand, lead_list: LeadList | None, *, with_people: bool) -> Preview:
    """Filled in for a person of the list, or an invented one. Raises BadTemplate."""
    check_template(text)
    lead = _somebody(lead_list) if lead_list and with_people else None
    values = sizing.values_of(lead) if lead else INVENTED
    filled = sizing.said(_tried(text, values), values, brand)
    plainer = alphabet.plainer(text)
    own = alphabet.dear_characters(text)
    known = {one.character for one in own}
    longest = sizing.longest_values_soon(lead_list.pk, text) if lead_list else sizing.NOBODY
    return Preview(
        person=_called(values),
        is_real=lead is not None,
        pieces=alphabet.pieces(filled),
        counted=segments.count(filled),
        dear=own[:SHOWN],
        more_dear=len(own[SHOWN:]),
        others=[one for one in alphabet.dear_characters(filled) if one.character not in known],
        plainer=plainer,
        saved=segments.count(sizing.said(_tried(plainer, values), values, brand)),
        twice=sorted({char for char in filled if char in segments.GSM_EXTENSION}),
        missing=_missing(text, values),
        without_fall_back=_without_fall_back(text),
        largest=sizing.largest(text, brand, longest) if longest else None,
        wide_names=sorted(longest.wide.values())[:3] if longest else [],
        has_list=lead_list is not None,
        has_link="{link" in text,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPreview:
    """One e-mail for one person; the HTML of `mail` is fit for a frame."""

    person: str
    is_real: bool
    mail: Mail
    without_fall_back: list[str]
    has_link: bool
    in_text: bool  # a link to unsubscribe stands in it already; else it is added at the end
    in_html: bool


def preview_mail(
    mail: Mail, brand: Brand, lead_list: LeadList | None, *, with_people: bool
) -> MailPreview:
    """Filled in as `preview` does it. Its templates must be sound: ask `mail_troubles`."""
    lead = _somebody(lead_list) if lead_list and with_people else None
    values = sizing.values_of(lead) if lead else INVENTED
    said = sizing.said_by_mail(Mail(*(_tried(part, values) for part in mail)), values, brand)
    every = "\n".join(mail)
    return MailPreview(
        person=_called(values),
        is_real=lead is not None,
        mail=said._replace(html=framed(said.html)),
        without_fall_back=_without_fall_back(every),
        has_link="{link" in every,
        in_text="{unsubscribe" in mail.text,
        in_html="{unsubscribe" in mail.html,
    )


def _somebody(lead_list: LeadList) -> Lead | None:
    """A person of the list, the same each time; found by the index of its entries."""
    leads = Lead.objects.filter(listentry__lead_list=lead_list, status=Lead.Status.ACTIVE)
    return leads.order_by("listentry__lead_id").first()


def _called(values: Mapping[str, str]) -> str:
    return f"{values['first_name']} {values['last_name']}".strip() or "a person without a name"


def _tried(text: str, values: Mapping[str, str]) -> str:
    """The text with a mark where this person has no value: they would get no message at all."""
    for name in _missing(text, values):
        text = text.replace(f"{{{name}}}", f"[no {name.replace('_', ' ')}]")
    return text


def _missing(text: str, values: Mapping[str, str]) -> list[str]:
    return [name for name in _without_fall_back(text) if not values[name].strip()]


def _without_fall_back(text: str) -> list[str]:
    """Names that keep a person without such a value from getting the text."""
    bare = [m[1] for m in PLACEHOLDER.finditer(text) if m[2] is None]
    return [name for name in dict.fromkeys(bare) if name in sizing.FROM_LEAD]

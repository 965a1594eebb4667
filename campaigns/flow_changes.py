"""What a button of the campaign flow, or another brand, does to what was typed; saves nothing."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from brands import clock
from brands.models import Brand
from campaigns import flow_form
from campaigns.models import Template
from campaigns.rendering import Mail
from campaigns.setting_up import tomorrow
from providers.models import Channel

SLOT_FIELDS = ("local_date", "local_time", "length_minutes")
Row = dict[str, str]


def chosen(rows: QuerySet[Any], key: object) -> Any:
    """The row with this key as typed, or None."""
    text = str(key)
    is_key = text.isascii() and text.isdecimal() and len(text) < 19
    return rows.filter(pk=int(text)).first() if is_key else None


def channel_of(typed: object) -> Channel:
    """As it was typed; a text message where that cannot be read."""
    return Channel(str(typed)) if str(typed) in Channel.values else Channel.SMS


def changed(data: QueryDict, brands: QuerySet[Brand], brand: Brand) -> QueryDict:
    """The form's fields afterwards; `do` is the button: add, remove-<place> or write."""
    data = data.copy()
    does, _, place = data.get("do", "").partition("-")
    _follow_brand(data, chosen(brands, data.get("was_brand")), brand)
    if channel_of(data.get("was_channel")) != channel_of(data.get("channel")):
        data["template"], data["route"] = "", ""  # they were of the other channel
    if does == "add":
        _put_rows(data, _one_more(_rows(data), brand))
    elif does == "remove":
        _put_rows(data, _one_less(_rows(data), place))
    elif does == "write":
        template = chosen(Template.objects.filter(brand=brand), data.get("template"))
        latest = template.latest() if template else None
        mail = latest.mail if latest else Mail("", "")
        data["subject"], data["text"], data["html"] = mail
        data["template"] = ""
    return data


def _follow_brand(data: QueryDict, was: Brand | None, brand: Brand) -> None:
    """The new brand's only list is chosen; a destination that nobody typed is its own."""
    if was is None or was == brand:
        return
    data["lead_list"] = str(flow_form.only_list(brand) or "")
    if data.get("destination", "") in ("", flow_form.usual_destination(was)):
        data["destination"] = flow_form.usual_destination(brand)


def _rows(data: QueryDict) -> list[Row]:
    """The times as they were typed."""
    total = data.get("slots-TOTAL_FORMS", "")
    is_number = total.isascii() and total.isdecimal() and len(total) < 9
    many = min(int(total), flow_form.MOST_SLOTS) if is_number else 0
    return [
        {name: data.get(f"slots-{place}-{name}", "") for name in SLOT_FIELDS}
        for place in range(many)
    ]


def _put_rows(data: QueryDict, rows: list[Row]) -> None:
    data["slots-TOTAL_FORMS"], data["slots-INITIAL_FORMS"] = str(len(rows)), "0"
    for place, row in enumerate(rows):
        for name, value in row.items():
            data[f"slots-{place}-{name}"] = value


def _one_more(rows: list[Row], brand: Brand) -> list[Row]:
    """A day after the last one, at its usual time, for as long as the last one."""
    usual = flow_form.slot_defaults(brand, _day_after(rows, brand))
    added = {name: str(value) for name, value in usual.items()}
    if rows:
        added["length_minutes"] = rows[-1]["length_minutes"]
    return [*rows, added][: flow_form.MOST_SLOTS]


def _day_after(rows: list[Row], brand: Brand) -> date:
    try:
        return date.fromisoformat(rows[-1]["local_date"]) + timedelta(days=1)
    except (IndexError, ValueError, OverflowError):
        return tomorrow(brand, clock.now())


def _one_less(rows: list[Row], place: str) -> list[Row]:
    """The last one stays."""
    if len(rows) == 1 or not (place.isascii() and place.isdecimal() and len(place) < 3):
        return rows
    return [row for at, row in enumerate(rows) if at != int(place)]

"""A row of each table that has a page, made with whatever it needs; each has a brand of its own."""

from __future__ import annotations

import uuid
from datetime import date, time, timedelta
from itertools import count

from django.contrib.auth.models import User

from brands import clock
from brands.models import ApiKey, Brand, ClockShift, Installation, Membership
from campaigns.models import Campaign, ListRoute, Slot, Template
from compliance.models import ClosedDay, ConsentEvent, Keyword, OptOutEvent, Person, StateRule
from delivery.models import (
    Attempt,
    CapCounter,
    Due,
    Inbound,
    InboundReview,
    Message,
    WebhookEvent,
    WebhookTally,
)
from leads.models import Import, ImportError, Lead, LeadList, ListEntry, RejectedLead
from links.models import Click, ShortLink
from providers.models import ProviderAccount, Route, SenderNumber, WeightChange
from tests.factories import (
    make_account,
    make_brand,
    make_campaign,
    make_due,
    make_lead,
    make_list,
    make_number,
    make_person,
    make_route,
    make_template,
    open_slot,
)

numbers = count(1)


def a_campaign():
    brand = make_brand()
    lane = make_number()
    make_route(brand, lane)
    return make_campaign(brand, make_list(brand, make_lead(brand))), lane


def an_attempt():
    campaign, lane = a_campaign()
    now = clock.now()
    slot = open_slot(campaign, on=now.date(), at=time(9))
    message = make_due(slot, make_lead(campaign.brand), lane, now=now)
    link = ShortLink.objects.create(
        code=f"code{next(numbers):04d}", brand=campaign.brand, destination="https://example.com/"
    )
    Message.objects.filter(pk=message.pk).update(link=link)
    return Attempt.objects.create(
        message=message,
        account=lane.account,
        number=lane,
        sender=uuid.uuid4(),
        ref=f"ref-{next(numbers)}",
        provider_refs=["SM1"],
        text="Hi there",
        segments=1,
        brand_day=now.date(),
        intent_at=now,
    )


def an_inbound():
    lane, person = make_number(), make_person()
    return Inbound.objects.create(
        account=lane.account,
        number=lane,
        person=person,
        brand=make_brand(),
        provider_ref=f"SM{next(numbers)}",
        from_value=person.phone,
        to_value=lane.value,
        text="STOP",
        raw={"Body": "STOP"},
    )


def an_import():
    made = make_list(make_brand())
    return Import.objects.create(brand=made.brand, lead_list=made, file_name="people.csv")


def an_import_error():
    return ImportError.objects.create(
        taken_in=an_import(), line=2, code="bad_phone", message="No.", row={"phone": "x"}
    )


def a_list_route():
    brand = make_brand()
    return ListRoute.objects.create(
        lead_list=make_list(brand), route=make_route(brand, make_number())
    )


def an_api_key():
    n = next(numbers)
    return ApiKey.objects.create(
        brand=make_brand(), name="Portal", prefix=f"k{n}", key_hash=f"h4sh{n}", scopes=["leads"]
    )


def a_clock_shift():
    return ClockShift.objects.create(seconds=60, real_at=clock.now(), total_seconds=60)


def a_membership():
    user = User.objects.create(username=f"user{next(numbers)}")
    return Membership.objects.create(user=user, brand=make_brand(), role="admin")


def an_opt_out():
    return OptOutEvent.objects.create(person=make_person(), source="inbound", brand=make_brand())


def a_webhook_event():
    return WebhookEvent.objects.create(
        account=make_account(), dedupe_key=f"key{next(numbers)}", raw={"a": 1}
    )


def a_review():
    inbound = an_inbound()
    return InboundReview.objects.create(inbound=inbound, person=make_person(), decision="")


def a_tally():
    return WebhookTally.objects.create(
        account=make_account(), what="forged", hour=clock.now(), count=3
    )


def a_state_rule():
    return StateRule.objects.create(
        state="FL", weekday=0, opens=time(8), closes=time(20), source="x", valid_from="2026-01-01"
    )


MAKERS = {
    Brand: make_brand,
    Membership: a_membership,
    ApiKey: an_api_key,
    Installation: lambda: Installation.objects.get(),
    ClockShift: a_clock_shift,
    User: lambda: User.objects.create(username=f"user{next(numbers)}"),
    Person: make_person,
    OptOutEvent: an_opt_out,
    ConsentEvent: lambda: make_lead(make_brand()).consent,
    StateRule: a_state_rule,
    ClosedDay: lambda: ClosedDay.objects.create(
        state="FL", on=date(2026, 1, 1) + timedelta(next(numbers)), name="A day"
    ),
    Keyword: lambda: Keyword.objects.create(brand=make_brand(), word="HALT", label="stop"),
    Lead: lambda: make_lead(make_brand()),
    LeadList: lambda: make_list(make_brand()),
    ListEntry: lambda: make_list(b := make_brand(), make_lead(b)).listentry_set.get(),
    Import: an_import,
    ImportError: an_import_error,
    RejectedLead: lambda: RejectedLead.objects.create(
        brand=make_brand(), code="bad_phone", message="No.", fields={"phone": "x"}
    ),
    Template: lambda: make_template(make_brand()),
    Campaign: lambda: a_campaign()[0],
    Slot: lambda: Slot.objects.create(
        campaign=a_campaign()[0], local_date=date(2026, 6, 1), local_time=time(9)
    ),
    ListRoute: a_list_route,
    ProviderAccount: make_account,
    SenderNumber: make_number,
    Route: lambda: make_route(make_brand(), make_number()),
    WeightChange: lambda: WeightChange.objects.create(
        account=make_account(), before=1, after=2, reason="Tried."
    ),
    Message: lambda: an_attempt().message,
    Due: lambda: an_attempt().message.due,
    Attempt: an_attempt,
    Inbound: an_inbound,
    InboundReview: a_review,
    WebhookEvent: a_webhook_event,
    WebhookTally: a_tally,
    CapCounter: lambda: CapCounter.objects.create(key=f"brand:{next(numbers)}:2026-11-21"),
    ShortLink: lambda: an_attempt() and ShortLink.objects.latest("pk"),
    Click: lambda: Click.objects.create(
        link=MAKERS[ShortLink](), method="GET", ip="192.0.2.1", agent="Browser/1.0"
    ),
}

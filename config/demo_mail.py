"""The e-mail of a demo: one brand's newsletter, to people who left an address and no phone.

They stand in a file of their own. Its campaign goes out half an hour after the brand's text, by the
simulator's mail server. It may bounce, and who reads it complain or unsubscribe.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import time
from io import StringIO
from itertools import islice

from brands.models import Brand
from campaigns.models import Campaign, Template, TemplateVersion
from config.demo_accounts import MAIL
from leads.invention import HEADER, MAGIC_ENDINGS, Inventor
from leads.models import LeadList
from providers.models import Channel, ProviderAccount, Route, RouteNumber, SenderNumber

LIST, CAMPAIGN = "Newsletter", "Openings by e-mail"
AT = time(11, 30)
RATE = 50.0  # e-mails a second; to write one takes a worker as long as many texts
ONE_IN = 50  # of the leads there is one more who left an address alone
SUBJECT = "{first_name|Hello}, new openings near {city|you}"
TEXT = "Hi {first_name|there},\n\nthere are new openings from {brand} near you:\n{link}"
HTML = """<html><body>
<p>Hi {first_name|there},</p>
<p>there are new openings from {brand} near you.</p>
<p><a href="{link}">See them</a></p>
</body></html>"""
CONSENT = "I agree to receive job alerts by e-mail"
ODD_ENDINGS = {f"{ending:04d}" for ending in range(1, MAGIC_ENDINGS + 1)}  # of mailboxes


def lines(inventor: Inventor, count: int, *, first: int) -> Iterator[str]:
    """The header and so many rows with an address and a home, of people from index `first` on."""
    yield HEADER + "\n"
    rows = csv.DictReader(inventor.lines(4 * count + 100, first=first))
    for row in islice(filter(_is_reader, rows), count):
        yield _line({**row, "phone": "", "consent_wording": CONSENT})


def _is_reader(row: dict[str, str]) -> bool:
    """Their home tells their hours; how their mailbox behaves is drawn, as most people's is."""
    mailbox = row["email"].partition("@")[0]
    return bool(mailbox and row["zip"]) and mailbox[-4:] not in ODD_ENDINGS


def _line(row: dict[str, str]) -> str:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerow(row.values())
    return out.getvalue()


def make_route(brand: Brand, account: ProviderAccount) -> None:
    """Its one sender, and the route by which its e-mail goes."""
    route = Route.objects.create(brand=brand, name="E-mail", channel=Channel.EMAIL, is_default=True)
    number = SenderNumber.objects.create(
        account=account,
        brand=brand,
        value=f"jobs@{brand.slug}.example.com",
        kind=SenderNumber.Kind.EMAIL,
        segments_per_second=RATE,
    )
    RouteNumber.objects.create(route=route, number=number, weight=MAIL.weight)


def make_campaign(brand: Brand) -> Campaign:
    template = Template.objects.create(
        brand=brand, name="Openings by e-mail", channel=Channel.EMAIL
    )
    TemplateVersion.objects.create(
        template=template, number=1, subject=SUBJECT, text=TEXT, html=HTML
    )
    return Campaign.objects.create(
        brand=brand,
        name=CAMPAIGN,
        channel=Channel.EMAIL,
        lead_list=LeadList.objects.get(brand=brand, name=LIST),
        template=template,
        destination=f"https://jobs.example.com/{brand.slug}",
    )

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import transaction

from brands.models import Brand
from campaigns.models import Slot
from compliance.models import Person
from config import demo_accounts, demo_mail
from config import demo_stage as stage
from config.demo_accounts import ACCOUNTS, SENDING
from config.demo_stage import ALL_MAGIC, BRANDS, MAGIC, Folder
from leads.models import Lead, LeadList
from providers.models import ProviderAccount, Route, SenderNumber
from tests.factories import make_brand

SIMULATOR, MAIL_SERVER = "http://127.0.0.1:9", "smtp://127.0.0.1:25"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "demo")


def make_demo(folder: Folder, leads: int = 300) -> None:
    stage.found(seed=1, simulator=SIMULATOR, mail_server=MAIL_SERVER, short_domain=None)
    stage.invent(folder, leads=leads, seed=1)
    for plan in BRANDS:
        stage.take_in(folder, plan)
    stage.make_campaigns()


def rows_of(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


def phones(folder: Folder, slug: str) -> list[str]:
    """Their digits, without the country's."""
    cells = (row.partition(",")[0] for row in rows_of(stage.leads_file(folder, slug)))
    return ["".join(filter(str.isdigit, cell))[-10:] for cell in cells]


@pytest.mark.parametrize(
    ("now", "morning"),
    [
        pytest.param("2035-03-07T12:00Z", "2035-03-07T14:50Z", id="the same day"),
        pytest.param("2035-03-07T15:00Z", "2035-03-08T14:50Z", id="the next day"),
        pytest.param("2035-03-10T15:00Z", "2035-03-12T13:50Z", id="past Sunday, in summer time"),
        pytest.param("2035-03-08T02:00Z", "2035-03-08T14:50Z", id="the date in New York counts"),
    ],
)
def test_the_clock_begins_at_ten_to_ten_in_new_york(now: str, morning: str):
    assert stage.next_morning(datetime.fromisoformat(now)) == datetime.fromisoformat(morning)
    assert stage.next_morning(datetime.fromisoformat(now)).tzinfo == UTC


@pytest.mark.parametrize("leads", [100, 999, 50_000])
def test_every_lead_belongs_to_a_brand(leads: int):
    assert sum(stage.sizes(leads)) == leads


class TestInvent:
    def test_each_brand_gets_as_many_rows_as_it_was_promised(self, folder):
        rows = stage.invent(folder, leads=2_000, seed=1)
        assert rows == {
            plan.slug: size for plan, size in zip(BRANDS, stage.sizes(2_000), strict=True)
        }
        assert {slug: len(phones(folder, slug)) for slug in rows} == rows

    def test_only_wanted_magic_numbers_are_in(self, folder):
        stage.invent(folder, leads=20_000, seed=1)
        endings = {phone[-4:] for plan in BRANDS for phone in phones(folder, plan.slug)}
        assert endings.isdisjoint(set(ALL_MAGIC) - set(MAGIC))
        assert endings & set(MAGIC)

    def test_neighbouring_brands_share_a_few_people(self, folder):
        stage.invent(folder, leads=5_000, seed=1)
        first, second, third = (Counter(phones(folder, plan.slug)) for plan in BRANDS)
        assert 0 < (first & second).total() <= 0.02 * second.total()
        assert 0 < (second & third).total() <= 0.02 * third.total()

    def test_the_same_seed_invents_the_same_people(self, folder, tmp_path):
        other = Folder(tmp_path / "other")
        for place in (folder, other):
            stage.invent(place, leads=500, seed=7)
        slug = BRANDS[0].slug
        assert phones(folder, slug) == phones(other, slug)


@pytest.mark.django_db
class TestStage:
    def test_each_brand_has_numbers_on_every_account(self):
        stage.found(seed=1, simulator=SIMULATOR, mail_server=MAIL_SERVER, short_domain=None)
        numbers = SenderNumber.objects.exclude(kind="email")
        lanes = Counter(numbers.values_list("brand__slug", "account__name"))
        each = {plan.name: plan.numbers for plan in ACCOUNTS}
        assert lanes == {
            (brand.slug, name): many for brand in BRANDS for name, many in each.items()
        }
        assert numbers.values("value").distinct().count() == sum(lanes.values())

    def test_five_kinds_of_providers_send_and_another_one_is_in_reserve(self):
        stage.found(seed=1, simulator=SIMULATOR, mail_server=MAIL_SERVER, short_domain=None)
        (route, *_) = Route.objects.order_by("id")
        orders = route.numbers.values_list("order", "number__account__kind").distinct()
        kinds = {order: {kind for at, kind in orders if at == order} for order in (0, 1)}
        assert kinds[0] == set(SENDING)
        assert len(kinds[0]) == 5
        assert kinds[1] == {"pineapple"}

    def test_the_same_seed_gives_the_same_credentials_and_another_others(self):
        first, again, other = (secrets_of(seed) for seed in (1, 1, 2))
        assert first == again
        assert all(one != another for one, another in zip(first, other, strict=True))

    def test_the_cap_is_just_above_what_can_be_sent(self, folder):
        make_demo(folder)
        stage.opt_out_some(1, share=0.02)
        (capped,) = Brand.objects.filter(daily_cap__isnull=False)
        able = Lead.objects.filter(brand=capped, person__opted_out_at=None).count()
        assert able < capped.daily_cap <= able * 1.1

    def test_every_campaign_is_started_with_one_slot_on_the_clocks_day(self, folder):
        make_demo(folder)
        slots = Slot.objects.values_list("campaign__brand__slug", "state", "local_date")
        assert set(slots) == {(plan.slug, "open", stage.today()) for plan in BRANDS}

    def test_the_lists_hold_what_the_files_held(self, folder):
        make_demo(folder)
        with_phone = Lead.objects.exclude(person__phone=None)
        kept = Counter(with_phone.values_list("brand__slug", flat=True))
        for plan in BRANDS:
            everybody = LeadList.objects.get(brand__slug=plan.slug, name=stage.LIST)
            entries = everybody.listentry_set.count()
            rows = len(rows_of(stage.leads_file(folder, plan.slug)))
            assert 0.9 * rows < kept[plan.slug] == entries <= rows

    def test_the_next_day_has_a_slot_of_each_campaign(self, folder):
        make_demo(folder)
        before = stage.today()
        on = stage.open_next_day()
        assert on > before
        assert Slot.objects.filter(local_date=on, state="open").count() == len(BRANDS) + 1

    def test_the_next_day_may_be_of_one_brand_alone(self, folder):
        make_demo(folder)
        on = stage.open_next_day(BRANDS[-1:])
        opened = Slot.objects.filter(local_date=on).values_list("campaign__brand__slug", "state")
        assert list(opened) == [(BRANDS[-1].slug, "open")] * 2  # of its texts, and of its e-mail

    def test_the_next_day_keeps_each_brands_own_hour(self, folder):
        make_demo(folder)
        on = stage.open_next_day()
        slots = Slot.objects.filter(local_date=on)
        hours = slots.values_list("campaign__brand__slug", "campaign__channel", "local_time")
        assert set(hours) == {
            *((plan.slug, "sms", plan.local_time) for plan in BRANDS),
            (stage.MAILING.slug, "email", demo_mail.AT),
        }

    def test_the_share_that_opts_out_is_as_asked_and_not_twice_the_same(self, folder):
        make_demo(folder)
        people = Person.objects.count()
        gone = stage.opt_out_some(1, share=0.1) + stage.opt_out_some(1, share=0.1)
        assert Person.objects.filter(opted_out_at__isnull=False).count() == gone
        assert gone == int(people * 0.1) + int((people - int(people * 0.1)) * 0.1)


@pytest.mark.django_db
class TestTheNewsletter:
    @pytest.fixture
    def readers(self, folder):
        make_demo(folder, leads=400)
        return Lead.objects.filter(listentry__lead_list__name=demo_mail.LIST)

    def test_goes_to_people_who_left_an_address_and_no_phone(self, readers):
        found = list(readers.values_list("person__phone", "person__email", "consent__wording"))
        assert len(found) == 400 // demo_mail.ONE_IN
        assert {(phone, wording) for phone, _, wording in found} == {(None, demo_mail.CONSENT)}
        assert all("@example." in email for _, email, _ in found)

    def test_knows_where_they_live(self, readers):
        assert not readers.filter(places=None).exists()

    def test_is_one_brands_and_leaves_by_its_mail_relay(self, readers):
        slot = Slot.objects.get(campaign__channel="email")
        assert slot.campaign.brand.slug == stage.MAILING.slug
        assert set(readers.values_list("brand", flat=True)) == {slot.campaign.brand_id}
        (lane,) = slot.route.numbers.all()
        account = lane.number.account
        assert (account.kind, account.base_url) == ("smtp", MAIL_SERVER)

    def test_reaches_no_mailbox_that_behaves_oddly(self, folder):
        stage.invent(folder, leads=20_000, seed=1)
        cells = (row.split(",")[1] for row in rows_of(stage.readers_file(folder)))
        endings = {cell.partition("@")[0][-4:] for cell in cells}
        assert endings.isdisjoint(demo_mail.ODD_ENDINGS)


def secrets_of(seed: int) -> list[object]:
    """Of the accounts that a demo with this seed makes, which are undone."""
    with transaction.atomic():
        made = demo_accounts.make_accounts(seed, SIMULATOR, MAIL_SERVER)
        transaction.set_rollback(True)
    return [account.access().secrets for account in made]


@pytest.mark.django_db
def test_a_demo_that_goes_on_points_accounts_and_links_at_where_they_are_now():
    brand = make_brand(slug=stage.BRANDS[0].slug)
    demo_accounts.make_accounts(1, SIMULATOR, MAIL_SERVER)
    stage.point_at(
        simulator="http://127.0.0.1:8",
        mail_server="smtp://127.0.0.1:26",
        short_domain="127.0.0.1:8001",
    )
    brand.refresh_from_db()
    urls = dict(ProviderAccount.objects.values_list("kind", "base_url"))
    assert brand.short_domain == "127.0.0.1:8001"
    assert urls["twilio"] == "http://127.0.0.1:8"
    assert urls["pineapple"] == "http://127.0.0.1:8/pineapple"
    assert urls["smtp"] == "smtp://127.0.0.1:26"

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from campaigns.models import Template
from compliance import phones
from compliance.models import ConsentEvent, Person
from delivery import explain, upkeep
from delivery.models import Due, Message, SingleText, Sticky
from delivery.singles import CannotTest
from delivery.states import Reason, Status
from leads.intake import Intake
from leads.models import Lead, ListEntry
from leads.rows import LeadRow
from providers.models import ProviderAccount, SenderNumber
from tests.delivery import singles_asked, walking
from tests.factories import (
    NOON,
    make_brand,
    make_due,
    make_lead,
    make_list,
    make_number,
    make_route,
    make_slot,
    make_template,
    phone,
    set_clock,
)
from tests.staff import make_user

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NIGHT = NOON + 11 * HOUR  # 23:00 in New York

# Fixtures: asking needs all of them.
brand = singles_asked.brand
lane = singles_asked.lane
campaign = singles_asked.campaign
user = singles_asked.user
ask = singles_asked.ask


def refusal(ask, **fields):
    with pytest.raises(CannotTest) as caught:
        ask(**fields)
    return caught.value.field


def is_planned(ask, to, key, **fields):
    try:
        ask(to, key, **fields)
    except CannotTest:
        return False
    return True


class TestPlanning:
    def test_makes_a_single_message_with_its_text_and_one_queue_row(self, ask, brand, lane, user):
        message = ask()
        found = Message.objects.get()
        assert (found, found.kind, found.status) == (message, "single", "planned")
        assert (found.campaign, found.slot, found.brand) == (None, None, brand)
        assert (message.single.is_test, message.single.asked_by) == (True, user)
        due = Due.objects.get(message=message)
        assert (due.queue, due.lane, due.tries) == (-brand.pk, lane, 0)
        assert due.expires_at == message.expires_at

    def test_lives_for_ten_minutes(self, ask):
        message = ask()
        assert NOON + 10 * MINUTE <= message.expires_at < NOON + 11 * MINUTE

    def test_says_the_latest_version_of_the_campaigns_template(self, ask, campaign):
        campaign.template.versions.create(number=2, text="Newer: {link}")
        message = ask()
        assert (message.single.text, message.single.destination) == (
            "Newer: {link}",
            "https://jobs.example.com/",
        )

    def test_is_priced_in_its_own_segments(self, ask):
        assert ask(values={"first_name": "R" * 200}).due.segments == 2

    def test_the_same_key_plans_once(self, ask):
        assert ask() == ask()
        assert Due.objects.count() == Message.objects.count() == SingleText.objects.count() == 1

    def test_what_was_changed_in_between_is_another_test(self, ask):
        assert ask() != ask(values={"first_name": "Kim"})

    def test_another_member_of_staff_with_the_same_key_has_a_test_of_their_own(self, ask):
        assert ask() != ask(asked_by=make_user())

    def test_takes_a_fixed_number_of_statements(self, ask, statements):
        assert statements(ask) == statements(lambda: ask(phones.parse(phone()), "k2")) <= 40


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    @pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
    def test_two_clicks_plan_one(self, ask, brand, at_once, is_known):
        own = make_lead(brand).person.phone if is_known else phone()
        found = at_once(lambda _: ask(phones.parse(own)).pk, threads=4)
        assert len(set(found)) == 1
        assert Due.objects.count() == SingleText.objects.count() == Message.objects.count() == 1
        walking.assert_all_adds_up()

    @pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
    def test_many_do_not_pass_the_limit_of_whoever_asks(self, ask, brand, at_once, is_known):
        make = partial(make_lead, brand) if is_known else None
        own = [phones.parse(make().person.phone if make else phone()) for _ in range(26)]
        for n in range(18):
            ask(own[n], key=f"k{n}")
        planned = at_once(lambda n: is_planned(ask, own[18 + n], f"x{n}"), threads=8)
        assert (sum(planned), Message.objects.count()) == (2, 20)

    def test_many_do_not_pass_the_limit_of_a_phone(self, ask, at_once):
        own, users = phones.parse(phone()), [make_user() for _ in range(6)]
        for n in range(8):
            ask(own, key=f"k{n}", asked_by=users[0])
        planned = at_once(lambda n: is_planned(ask, own, "x", asked_by=users[n]), threads=6)
        assert (sum(planned), Message.objects.count()) == (2, 10)

    def test_two_clicks_on_the_last_one_are_both_answered(self, ask, at_once):
        for n in range(9):
            ask(key=f"k{n}")
        found = at_once(lambda _: ask(key="last").pk, threads=4)
        assert len(set(found)) == 1


class TestTheNumberItLeavesBy:
    def test_is_the_one_the_person_hears_the_brand_from(self, ask, brand, lane):
        route = brand.route_set.get()
        others = [make_number() for _ in range(8)]
        for other in others:
            route.numbers.create(number=other)
        first = ask()
        Sticky.objects.create(person=first.person, brand=brand, number=others[4])
        assert {ask(key=f"again{n}").due.lane for n in range(6)} == {others[4]}

    @pytest.mark.parametrize("is_sticky", [True, False])
    def test_is_never_one_that_is_paused(self, ask, brand, lane, is_sticky):
        paused = make_number(paused_at=NOON)
        brand.route_set.get().numbers.create(number=paused)
        if is_sticky:
            Sticky.objects.create(person=ask().person, brand=brand, number=paused)
        assert {ask(key=f"again{n}").due.lane for n in range(8)} == {lane}

    def test_comes_from_the_campaigns_own_route(self, ask, campaign, brand):
        own = make_number()
        campaign.route = make_route(brand, own, is_default=False)
        assert ask().due.lane == own


class TestConsent:
    def test_of_a_new_phone_is_on_record_word_for_word(self, ask, brand):
        message = ask()
        assert (message.lead.brand, message.lead.source) == (brand, "staff test")
        words = "This is my own phone, and I agree to get test messages of Acme on it."
        event = message.single.consent
        assert (event.wording, event.method, event.person) == (words, "web", message.person)
        assert ConsentEvent.objects.get() == event

    def test_puts_nobody_on_a_list(self, ask):
        ask()
        assert not ListEntry.objects.exists()

    @pytest.mark.parametrize("fields", [{}, {"consent": None}], ids=["with", "without"])
    def test_stands_beside_the_one_of_the_lead(self, ask, brand, fields):
        lead = make_lead(brand, **fields)
        message = ask(phones.parse(lead.person.phone))
        assert (message.lead, Lead.objects.get().consent) == (lead, lead.consent)
        assert Lead.objects.get().first_name == "Ada"
        assert message.single.consent.method == "web"

    def test_each_test_has_its_own(self, ask):
        assert ask().single.consent != ask(key="k2").single.consent

    @pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
    def test_lets_no_campaign_in(self, ask, brand, lane, journal, is_known):
        own = make_lead(brand, consent=None).person.phone if is_known else phone()
        message = ask(phones.parse(own))
        (intent,) = walking.hand_over(journal)
        assert intent.message_id == message.pk
        slot = make_slot(lane, message.lead, brand=brand)
        of_campaign = make_due(slot, message.lead, lane, now=NOON)
        assert walking.hand_over(journal) == []
        of_campaign.refresh_from_db()
        assert (of_campaign.status, of_campaign.reason) == (Status.REFUSED, Reason.NO_CONSENT)

    @pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
    def test_gives_way_to_any_that_is_taken_in_later(self, ask, brand, is_known):
        own = make_lead(brand, consent=None).person.phone if is_known else phone()
        message = ask(phones.parse(own))
        years_ago = NOON - timedelta(days=3000)
        row = LeadRow(own, None, "Kim", "", "", "", "", years_ago, "Yes", "", "", "fair", {})
        Intake(brand_id=brand.pk, list_id=None).take_in([row])
        lead = Lead.objects.get()
        assert (lead, lead.consent.agreed_at) == (message.lead, years_ago)

    def test_is_what_a_test_rests_on(self, ask, journal):
        message = ask()
        SingleText.objects.update(consent=None)
        assert walking.hand_over(journal) == []
        message.refresh_from_db()
        assert (message.status, message.reason) == (Status.REFUSED, Reason.NO_CONSENT)


class TestToSomebodyOnAList:
    """Whoever typed the number may hold another's phone: then the rules of campaigns bind."""

    @pytest.fixture(params=["of-this-brand", "of-another-brand"])
    def listed(self, request, brand):
        """The phone of a person who stands on a list."""
        lead = make_lead(brand)
        owner = brand if request.param == "of-this-brand" else make_brand()
        beside = lead if owner == brand else make_lead(owner, lead.person)
        make_list(owner, beside)
        return phones.parse(lead.person.phone)

    def test_waits_for_the_hours_and_ends_with_that_reason(self, ask, listed, journal):
        set_clock(NIGHT)
        message = ask(listed)
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == Reason.QUIET_HOURS
        set_clock(NIGHT + 11 * MINUTE)
        upkeep.sweep_expired()
        message.refresh_from_db()
        assert (message.status, message.reason) == (Status.EXPIRED, Reason.QUIET_HOURS)

    def test_is_explained_by_the_steps_it_passed(self, ask, listed, journal):
        set_clock(NIGHT)
        message = ask(listed)
        walking.hand_over(journal)
        found = explain.passed(message, Due.objects.get())
        (waits,) = [step for step in found if step.state == explain.State.WAITS]
        assert waits.detail == Reason.QUIET_HOURS.label

    def test_is_not_written_past_the_close_of_the_window(self, ask, listed, journal):
        set_clock(NOON + 9 * HOUR - timedelta(seconds=30))  # 20:59:30 in New York
        ask(listed)
        (intent,) = walking.hand_over(journal)
        assert intent.window_closes_at == NOON + 9 * HOUR

    def test_waits_for_what_the_person_had_lately(self, ask, listed, journal):
        ask(listed)
        assert len(walking.hand_over(journal)) == 1
        ask(listed, key="k2")
        assert walking.hand_over(journal) == []
        assert Due.objects.get().reason == Reason.PERSON_LIMIT
        walking.assert_all_adds_up()

    def test_in_one_batch_takes_of_the_persons_allowance_once(self, ask, listed, journal):
        for n in range(3):
            ask(listed, key=f"k{n}")
        assert len(walking.hand_over(journal)) == 1

    def test_who_is_known_but_on_no_list_gets_it_at_night(self, ask, brand, journal):
        set_clock(NIGHT)
        ask(phones.parse(make_lead(brand).person.phone))
        assert len(walking.hand_over(journal)) == 1


class TestRefusals:
    def test_without_a_text(self, ask, campaign):
        campaign.template = Template.objects.create(brand=campaign.brand, name="Empty")
        assert refusal(ask) == "text"

    def test_with_a_text_that_cannot_be_filled_in(self, ask):
        assert refusal(ask, values={"city": "Troy"}) == "value_first_name"

    def test_without_a_route(self, ask, campaign):
        campaign.brand.route_set.update(is_default=False)
        assert refusal(ask) == "route"

    @pytest.mark.parametrize(
        "rest",
        [
            pytest.param(lambda: SenderNumber.objects.update(paused_at=NOON), id="number-paused"),
            pytest.param(
                lambda: ProviderAccount.objects.update(paused_at=NOON), id="account-paused"
            ),
            pytest.param(
                lambda: SenderNumber.objects.update(rests_until=NOON + HOUR), id="number-rests"
            ),
            pytest.param(lambda: ProviderAccount.objects.update(weight=0), id="weight-of-nothing"),
        ],
    )
    def test_while_no_number_can_send(self, ask, rest):
        rest()
        assert refusal(ask) == "route"

    def test_of_a_person_who_was_erased(self, ask, brand):
        lead = make_lead(brand, status="erased")
        assert refusal(ask, to=phones.parse(lead.person.phone)) == "phone"

    def test_of_the_twenty_first_within_an_hour(self, ask):
        own = [phones.parse(phone()) for _ in range(21)]
        for n in range(20):
            ask(own[n], key=f"k{n}")
        assert refusal(ask, to=own[20], key="k20") == "phone"
        assert ask(own[0], key="k0")  # what was sent is still found
        set_clock(NOON + HOUR + MINUTE)
        assert ask(own[20], key="k20")

    @pytest.mark.parametrize("is_known", [True, False], ids=["known", "new"])
    def test_of_the_eleventh_to_one_phone_within_an_hour_whoever_asks(self, ask, brand, is_known):
        own = phones.parse(make_lead(brand).person.phone if is_known else phone())
        for n in range(10):
            ask(own, key=f"k{n}", asked_by=make_user())
        assert refusal(ask, to=own, key="k10") == "phone"
        assert ask(phones.parse(phone()), key="k10")
        set_clock(NOON + HOUR + MINUTE)
        assert ask(own, key="k10")

    def test_of_the_eleventh_to_one_phone_by_another_brand(self, ask, campaign):
        own = phones.parse(phone())
        for n in range(10):
            ask(own, key=f"k{n}")
        other = make_brand()
        make_route(other, make_number())
        campaign.brand, campaign.template = other, make_template(other)
        assert refusal(ask, to=own, key="k10") == "phone"

    def test_leaves_nothing_behind(self, ask, brand):
        refusal(ask, values={})
        brand.route_set.update(is_default=False)
        refusal(ask)
        for table in (Message, SingleText, Due, Lead, ConsentEvent, Person):
            assert not table.objects.exists()

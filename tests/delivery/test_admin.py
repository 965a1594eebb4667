from __future__ import annotations

import pytest

from delivery.inbound_admin import unfolded
from delivery.message_page import attempts_of
from delivery.models import Message
from tests.factories import NOON, make_brand, make_due, make_lead, make_number, make_slot
from tests.plans import plan_by_indexes
from tests.staff import client_of, make_user

LIST = "/admin/delivery/message/"


@pytest.mark.django_db
def test_the_attempts_of_a_message_are_found_by_their_two_indexes():
    plan = plan_by_indexes(attempts_of(7))
    assert "one_live_attempt_per_message" in plan
    assert "not_sent_attempts" in plan


def test_a_stored_callback_is_shown_field_by_field():
    raw = {"method": "POST", "query": {"ref": "r1"}, "form": {"To": "+1", "Body": "STOP"}}
    assert unfolded(raw) == {
        "method": "POST",
        "query ref": "r1",
        "form Body": "STOP",
        "form To": "+1",
    }


@pytest.fixture
def message(sandbox):
    brand = make_brand()
    lane = make_number()
    lead = make_lead(brand)
    slot = make_slot(lane, lead, brand=brand)
    return make_due(slot, lead, lane, now=NOON)


def refuse(message):
    Message.objects.filter(pk=message.pk).update(status="refused", reason="opted_out")


@pytest.mark.django_db
class TestTheListOfMessages:
    def shown_to(self, message, role, **query):
        return client_of(make_user(message.brand, role)).get(LIST, query)

    def found(self, message, role, typed):
        response = self.shown_to(message, role, q=typed)
        return [row.pk for row in response.context["cl"].result_list]

    def test_says_state_and_reason_in_words(self, message):
        refuse(message)
        text = self.shown_to(message, "marketer").text
        assert "Refused by our rules" in text
        assert "The person opted out" in text

    def test_shows_the_whole_number_to_who_may_read_it(self, message):
        assert message.person.phone in self.shown_to(message, "marketer").text

    def test_masks_the_number_for_others(self, message):
        text = self.shown_to(message, "analyst").text
        assert message.person.phone not in text
        assert f"•••{message.person.phone[-2:]}" in text

    def test_finds_a_person_however_their_number_is_typed(self, message):
        digits = message.person.phone[2:]
        typed = f"({digits[:3]}) {digits[3:6]}-{digits[6:]}"
        assert self.found(message, "marketer", typed) == [message.pk]
        assert self.found(message, "marketer", "(212) 555-9999") == []

    def test_is_not_searched_by_who_may_not_read_numbers(self, message):
        """A search that finds would confirm a number that is masked."""
        assert self.found(message, "analyst", "(212) 555-9999") == [message.pk]

    def test_finds_no_number_in_a_brand_where_the_reader_sees_figures_only(self, message):
        user = make_user(message.brand, "analyst")
        user.membership_set.create(brand=make_brand(), role="marketer")
        response = client_of(user).get(LIST, {"q": message.person.phone})
        assert list(response.context["cl"].result_list) == []

    def test_offers_only_brands_of_the_reader_to_filter_by(self, message):
        other = make_brand(name="Somebody else")
        assert "Somebody else" not in self.shown_to(message, "marketer").text
        foreign = self.shown_to(message, "marketer", brand=other.pk)
        assert list(foreign.context["cl"].result_list) == []

    @pytest.mark.parametrize("brand", ["x", "9" * 30, "-1", ""])
    def test_a_filter_that_is_no_brand_is_no_error(self, message, brand):
        response = client_of(make_user()).get(LIST, {"brand": brand})
        assert response.status_code in (200, 302)

from __future__ import annotations

import pytest
from django.db import connection

from delivery.admin import EITHER_INDEX, unfolded
from delivery.models import Attempt


@pytest.mark.django_db
def test_the_attempts_of_a_message_are_found_by_their_two_indexes():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = Attempt.objects.filter(EITHER_INDEX, message_id=7).explain()
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

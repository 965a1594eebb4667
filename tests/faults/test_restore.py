"""A database that forgot what it had committed: nothing is claimed until a person confirms it."""

from __future__ import annotations

import io

from django.core.management import call_command

from delivery.models import Attempt
from delivery.picking import read_mark
from providers import rates
from providers.rates import Mark


def test_a_database_behind_its_mark_claims_nothing_until_a_person_confirms_it(world, redis):
    world.fill(20)
    mark = read_mark()
    ahead = Mark(mark.attempt_id + 1, mark.opt_out_id)
    rates.confirm_database(redis, str(world.installation.identity), ahead)
    world.start(seconds=1).over()
    assert (Attempt.objects.count(), world.received()) == (0, 0)
    call_command("confirm_database", "--yes", stdout=io.StringIO())
    world.send_all(world.start())
    world.assert_sent_once()

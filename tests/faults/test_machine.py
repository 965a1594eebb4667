"""Any order of what may happen to a campaign: plan, claim, send, die, reap, STOP, report, wait.

Hypothesis chooses the steps and makes a failing run small. The tables are real and the functions
are the product's; only the provider and the sending thread are stood in for.

SENDONCE_MACHINE_EXAMPLES=2000 makes a long run of new examples in place of the same few.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from delivery import planning
from tests.faults import machine_ground, machine_steps
from tests.faults.machine import Example, Place, pick
from tests.faults.machine_checks import Questions
from tests.faults.machine_steps import MOST, How

EXAMPLES = "SENDONCE_MACHINE_EXAMPLES"
FEW = 16
STEPS = 60

WHICH = st.integers(0, 11)
MANY = st.sampled_from([1, 2, MOST])
# A number, not one of the steps that are possible: where the database is free to choose, it may
# choose otherwise in a repeat, and Hypothesis must never be offered another choice.
NUMBER = st.integers(0, 999)

# Hypothesis makes most of a few examples out of the others. Each of ours is long and costs a
# second, so each is to be a new one; what fails is made smaller as ever.
EACH_A_NEW_ONE = "each-a-new-one"
AVAILABLE_PROVIDERS[EACH_A_NEW_ONE] = HypothesisProvider

# What must have happened at least once, or the examples are too poor to show anything.
MET = {
    "planned -> sending",
    "planned -> refused",
    "planned -> expired",
    "sending -> planned",
    "sending -> accepted",
    "sending -> rejected",
    "sending -> unknown",
    "reported early",
    "reported",
    "no doubt any more",
    "revived",
    "settled from a journal",
    "given up by the reconciler",
    "claimed alone",
    "stop in a claim",
    "stop_unapplied in a claim",
}


class Machine(RuleBasedStateMachine):
    def __init__(self, place: Place) -> None:
        super().__init__()
        self.example = Example(place)
        self.is_sound = False

    @initialize(claimed=MANY, lies=st.booleans())
    def begin(self, claimed, lies):
        self.example.lies = lies
        planning.plan_open_slots()
        self.example.worker(0).claim(claimed)

    @rule(number=NUMBER, how=st.builds(How, WHICH, WHICH, MANY, st.booleans()))
    def go_on(self, number, how):
        self.is_sound = False
        step = pick(machine_steps.possible(self.example), number)
        note(step.__name__)
        step(self.example, how)

    @invariant()
    def all_holds(self):
        self.example.check()
        self.is_sound = True

    def teardown(self):
        if self.is_sound:
            self.example.come_to_the_end()
        for worker in self.example.workers:
            worker.die()


@pytest.fixture
def place(transactional_db, sandbox, tmp_path):
    logging.disable()  # every step is a trouble here, and there are thousands
    with machine_ground.standing_clock(), ThreadPoolExecutor(1) as elsewhere:
        ground = machine_ground.lay(sandbox)
        ground.remember()
        yield Place(ground, Questions(), tmp_path / "journal", elsewhere, Counter())
        elsewhere.submit(lambda: connection.close()).result()  # the one of that thread
    connection.close()  # its tables and statements go with it
    logging.disable(logging.NOTSET)


def chosen():
    """The same few examples, or as many new ones as are asked for."""
    many = int(os.environ.get(EXAMPLES, "0"))
    return settings(
        max_examples=many or FEW,
        stateful_step_count=STEPS,
        derandomize=not many,
        backend=EACH_A_NEW_ONE,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


def test_nothing_is_sent_twice_or_lost_whatever_happens_in_whatever_order(place):
    run_state_machine_as_test(partial(Machine, place), settings=chosen())
    missing = {what for what in MET if not place.met[what]}
    assert not missing, f"the examples are too poor, none has: {missing}"

"""The nine ways to break a promise that the tests must notice, and which of them notices.

An anchor stands once in its file, or the control says so and fails: the code has moved on, and the
mutation must follow it. There is no switch for any of this in the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FAULTS = "tests/faults"
DELIVERY = "tests/delivery"
PROMISES = "tests/faults/test_promises.py"
KILLED = f"{PROMISES}::test_what_a_killed_worker_may_have_sent_is_never_sent_again"
SENT_TWICE = r"messages that were sent twice: \{\d+: 2"


@dataclass(frozen=True)
class Change:
    file: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """`says`: a pattern in what the failing test says; to fail in another way is no catch.

    `migrates`: it changes how tables are made, so they must be made anew.
    """

    name: str
    changes: Sequence[Change]
    caught_by: str
    says: str
    migrates: bool = False


MUTATIONS: Sequence[Mutation] = (
    Mutation(
        name="the attempt index is dropped",
        changes=[
            Change(
                "delivery/migrations/0001_initial.py",
                'fields=("message",),\n' + 24 * " " + 'name="one_live_attempt_per_message"',
                'fields=("id",),\n' + 24 * " " + 'name="one_live_attempt_per_message"',
            )
        ],
        caught_by=f"{DELIVERY}/test_states.py::TestAnAttempt::test_is_the_only_one_that_may_have_left",
        says="DID NOT RAISE",
        migrates=True,
    ),
    Mutation(
        name="intents are committed asynchronously",
        changes=[
            Change(
                "delivery/claims.py",
                'BEGIN_CLAIM = """\nSELECT ',
                "BEGIN_CLAIM = \"\"\"\nSELECT set_config('synchronous_commit', 'off', true), ",
            )
        ],
        caught_by=f"{PROMISES}::test_an_intent_is_on_the_disk_before_it_may_leave",
        says="an intent may leave that a crash would lose",
    ),
    Mutation(
        name="what was sending is planned again",
        changes=[
            Change(
                "delivery/settling.py",
                'Unknown("worker_died_while_sending")',
                'NotSent("worker_died_while_sending")',
            )
        ],
        caught_by=KILLED,
        says=SENT_TWICE,
    ),
    Mutation(
        name="the limiter is open while Redis is gone",
        changes=[
            Change(
                "providers/rates.py",
                "return _nothing(wants, wait=WAIT_AFTER_TROUBLE, trouble=trouble)",
                "return Granted(tuple(want.rows for want in wants), (0.0,) * len(wants))",
            )
        ],
        caught_by=f"{PROMISES}::test_while_redis_is_gone_no_intent_is_made",
        says="intents were made without tokens",
    ),
    Mutation(
        name="a time-out is tried again",
        changes=[
            Change(
                "providers/transport.py",
                "return Unknown(name_of(error))",
                "return NotSent(name_of(error), throttled=True)",
            )
        ],
        caught_by=f"{FAULTS}/test_provider.py::test_a_request_on_a_kept_connection_that_is_read_and_not"
        "_answered_is_never_made_again",
        says=r"assert len\(seen\) == len\(set\(seen\)\)",
    ),
    # The STOP writes to the person's row and so locks it whatever else it does: it is the decision
    # that must not read the row without its lock.
    Mutation(
        name="a STOP passes a decision without the person's lock",
        changes=[
            Change("delivery/facts.py", "ORDER BY p.id FOR NO KEY UPDATE OF p", "ORDER BY p.id")
        ],
        caught_by=f"{DELIVERY}/test_one_person.py::TestStop::test_a_decision_waits_for_a_stop_in_the_making",
        says=r"assert at_once\(work\)\[1\] == \[\]",
    ),
    Mutation(
        name="a status may go backwards",
        changes=[
            Change("delivery/reports.py", "if to in MOVES[status]:", "if to != status:"),
            Change(
                "delivery/migrations/0002_guards.py",
                "WHEN (OLD.status <> NEW.status AND NOT",
                "WHEN (false AND NOT",
            ),
        ],
        caught_by=f"{DELIVERY}/test_inbox.py::TestApplyWaiting::test_goes_by_the_order_in_which_they_came",
        says=r"assert 'undelivered' == 'delivered'",
        migrates=True,
    ),
    Mutation(
        name="there is no journal of what leaves",
        changes=[
            Change(
                "delivery/sender.py",
                "self.journal.leaving(*(intent.send.ref for intent in self.intents))",
                "pass",
            )
        ],
        caught_by=KILLED,
        says=SENT_TWICE,
    ),
    Mutation(
        name="the due row is lost on a hold",
        changes=[Change("delivery/intents.py", "    put_back(held)\n", "    held.clear()\n")],
        caught_by=f"{FAULTS}/test_kills.py::test_killed_before_anything_leaves_a_worker_leaves_nothing"
        "_in_doubt[before the hand-over]",
        says="planned is not the same as a queue row",
    ),
)

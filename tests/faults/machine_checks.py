"""What must hold after every step: the invariants and the oracle's SQL half, in one statement.

Asked one by one they take ten times as long, nearly all of it for planning the statements; so they
are prepared together once. Where any finds something, the oracle itself says what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from delivery import sql
from reporting.oracle import answers, checks
from reporting.oracle.checks import Probe, Scope
from tests.faults.invariants import ROWS

IN_SQL = "\nWITH found AS MATERIALIZED"  # how a question begins that is nothing but a statement
IN_TIME = {"O9"}  # nothing is stuck: true when somebody tidies up, which the machine does at random
HONEST_ONLY = {"O7"}  # a provider that lies makes us send more than we would have

OWN = {
    "an error of ours while deciding": "SELECT message_id, step FROM delivery_strike",
    "whom the planner came by has no message and is not counted as suppressed": """
        SELECT s.id, count(e.id) FROM campaigns_slot s
        JOIN campaigns_campaign c ON c.id = s.campaign_id
        JOIN delivery_planned p ON p.slot_id = s.id
        LEFT JOIN leads_listentry e ON e.lead_list_id = c.lead_list_id
             AND e.places_id IS NOT DISTINCT FROM p.places_id AND e.id <= p.through_entry_id
        GROUP BY s.id HAVING count(e.id) <>
            (SELECT count(*) FROM delivery_message m WHERE m.slot_id = s.id)
            + (SELECT coalesce(sum(value::int), 0) FROM jsonb_each_text(s.suppressed))
    """,
}
TABLES = ROWS | OWN

PREPARE = """
PREPARE all_questions (timestamptz, timestamptz, int) AS
SELECT asked, says, problems FROM ({questions}) q WHERE problems > 0
"""
QUESTION = """
SELECT '{asked}' AS asked, '{says}' AS says, (SELECT count(*) FROM ({query}) q) AS problems
"""
EXECUTE = "EXECUTE all_questions (sendonce_now(), %s, 1)"


class Questions:
    """To be made once per connection, and asked often."""

    def __init__(self) -> None:
        self._oracle = {
            f"{check.id} {number}": probe
            for check in answers.WITHOUT_LEDGER
            if check.id not in IN_TIME
            for number, probe in enumerate(check.probes)
        }
        own = [("", says, query.replace("%%", "%")) for says, query in TABLES.items()]
        questions = [
            QUESTION.format(asked=asked, says=says.replace("'", "''"), query=query)
            for asked, says, query in [*own, *self._in_sql()]
        ]
        with connection.cursor() as cursor:
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            cursor.execute(PREPARE.format(questions=" UNION ALL ".join(questions)))

    def _in_sql(self) -> Iterator[tuple[str, str, str]]:
        for asked, probe in self._oracle.items():
            says, statement = heard(probe)
            if statement.startswith(IN_SQL):
                yield asked, says, numbered(statement)

    def problems(self, *, is_honest: bool) -> list[object]:
        found: list[object] = []
        for asked, says, _ in sql.rows(EXECUTE, checks.SINCE_EVER):
            if not asked:
                found.append((says, sql.rows(TABLES[says])))
            elif is_honest or asked.split()[0] not in HONEST_ONLY:
                found.append((asked, self._oracle[asked](Scope(now=checks.installation_now()))))
        return found


def problems_at_the_end(*, is_honest: bool) -> list[object]:
    """All of the oracle's half, when everything has come to its end."""
    scope = Scope(now=checks.installation_now())
    wanted = [c for c in answers.WITHOUT_LEDGER if is_honest or c.id not in HONEST_ONLY]
    results = checks.run(wanted, scope)
    return [(result.check.id, found) for result in results for found in result.found if found.total]


def heard(probe: Probe) -> tuple[str, str]:
    """What a question of the oracle says, and the statement it asks the database."""
    statements: list[str] = []
    with listening(statements.append):
        says = probe(Scope(now=checks.installation_now())).says
    return says, statements[0]


@contextmanager
def listening(tell: Callable[[str], None]) -> Iterator[None]:
    def listen(execute: Callable[..., Any], statement: str, *rest: Any) -> Any:
        tell(statement)
        return execute(statement, *rest)

    with connection.execute_wrapper(listen):
        yield


def numbered(statement: str) -> str:
    """With the parameters of PREPARE in the place of the driver's."""
    names = {"%(now)s": "$1", "%(since)s": "$2", "%(limit)s": "$3", "%%": "%"}
    for name, number in names.items():
        statement = statement.replace(name, number)
    return statement

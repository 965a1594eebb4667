"""One example of the machine: its workers, its provider, what people said, and how it ends.

What a step does and what the model has to know of it stand together here; which step comes next is
for Hypothesis to say.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

from brands import clock, stopping
from brands.models import Brand
from campaigns.models import Campaign
from compliance.models import Person
from delivery import inbound, inbox, planning, routing, settling, sql, upkeep
from delivery.models import Inbound
from providers.base import InboundMessage
from providers.models import ProviderAccount, SenderNumber
from tests.faults.machine_checks import Questions, problems_at_the_end
from tests.faults.machine_ground import Ground
from tests.faults.machine_model import Model, Text
from tests.faults.machine_provider import Provider
from tests.faults.machine_workers import Worker, make_old

MOST_WORKERS = 3
MINUTE = timedelta(minutes=1)
LONGEST = timedelta(days=4)  # a person's row forgets after eight days, and is right to do so
BRAKED = (Brand, Campaign, ProviderAccount, SenderNumber)

LOST = "SELECT ref FROM delivery_attempt WHERE outcome = '' AND intent_at < %s"
UNFINISHED = """
SELECT 'message', id FROM delivery_message WHERE status IN ('planned', 'sending')
UNION ALL SELECT 'slot', id FROM campaigns_slot WHERE state = 'open'
UNION ALL SELECT 'text', id FROM delivery_inbound WHERE applied_at IS NULL
UNION ALL SELECT 'report', id FROM delivery_webhookevent WHERE applied_at IS NULL
"""


@dataclass(frozen=True)
class Place:
    """What all examples share. `elsewhere`: a thread with a connection of its own."""

    ground: Ground
    questions: Questions
    journals: Path
    elsewhere: ThreadPoolExecutor
    met: Counter[str]


class Example:
    """`lies`: whether the provider may say that it did not take what it took."""

    lies = False

    def __init__(self, place: Place) -> None:
        self.ground, self.questions, self.met = place.ground, place.questions, place.met
        self.journals, self.elsewhere = place.journals, place.elsewhere
        shutil.rmtree(self.journals, ignore_errors=True)
        self.ground.put_back()
        self.provider = Provider()
        self.model = Model(self.ground, self.provider, self.met)
        self.workers: list[Worker] = []
        self.texts: list[Text] = []
        self.newcomers = list(self.ground.newcomers)
        self.upkeep = [planning.plan_open_slots, self.reconcile, self.park, self.sweep,
                       self.fail_over, self.apply_waiting_texts, self.apply_reports]  # fmt: skip
        self._passed = timedelta(0)
        self._refs = count(1)

    # --- workers --------------------------------------------------------------------------------

    def worker(self, which: int, *, but: Worker | None = None) -> Worker:
        """One of those that live, or one more."""
        others = [worker for worker in self.workers if worker is not but]
        if which < len(others) or len(others) >= MOST_WORKERS:
            return pick(others, which)
        self.workers.append(Worker.start(self.journals, str(self.ground.installation.identity)))
        return self.workers[-1]

    def claim_while(self, worker: Worker, rows: int, happens: Callable[[], None]) -> None:
        """Claim; when the rows are taken something happens elsewhere, and is committed there."""
        troubles: list[BaseException | None] = []

        def meanwhile() -> None:
            troubles.append(self.elsewhere.submit(happens).exception(timeout=10))

        worker.claim(rows, meanwhile)
        for trouble in filter(None, troubles):
            raise trouble
        self.met[f"{happens.__name__} in a claim"] += len(troubles)

    def die(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.die()

    def die_with_the_host(self, worker: Worker, lines: int | None) -> None:
        """Its journal is gone, or has some lines of it: nobody can know what left."""
        self.model.in_doubt.update(attempt.ref for attempt in self.model.pending)
        self.workers.remove(worker)
        if lines is None:
            worker.die_with_its_host()
        else:
            worker.die_of_a_power_loss(lines)

    # --- upkeep ---------------------------------------------------------------------------------

    def reap(self, *, is_old: bool) -> None:
        """`is_old`: as if nothing had been written to the journals for long."""
        make_old(self.journals, by=60.0 if is_old else 0.0)
        settled = settling.settle_dead(self.journals, str(self.ground.installation.identity))
        self.met["settled from a journal"] += settled

    def reconcile(self) -> None:
        lost = [ref for (ref,) in sql.rows(LOST, clock.now() - settling.LOST_AFTER)]
        self.model.in_doubt.update(lost)
        self.met["given up by the reconciler"] += settling.reconcile()

    def sweep(self) -> None:
        self.met["expired"] += upkeep.sweep_expired()

    def park(self) -> None:
        self.met["parked"] += settling.park_killers()

    def fail_over(self) -> None:
        self.met["moved to another number"] += routing.move_resting()

    def apply_reports(self) -> None:
        """As the dispatcher has it done: what revives a message is settled the next time."""
        for _ in range(2):
            while inbox.apply_waiting():
                pass

    # --- people ---------------------------------------------------------------------------------

    def somebody(self, which: int) -> Person:
        """Rather one for whom a message waits, if there are any."""
        waited_for = {m.person_id for m in self.model.messages.values() if m.status == "planned"}
        everybody = self.ground.everybody
        return pick([p for p in everybody if p.pk in waited_for] or everybody, which)

    def store_text(self, person: Person, words: str, lane: SenderNumber) -> Text:
        message = InboundMessage(
            provider_ref=f"SM-in-{next(self._refs)}",
            from_e164=str(person.phone),
            to_value=lane.value,
            text=words,
        )
        stored = Inbound.objects.get(pk=inbound.store(lane.account_id, message, {}))
        text = Text(stored.pk, person.pk, lane.brand_id or 0, words, stored.received_at)
        self.texts.append(text)
        self.model.stored(text)
        return text

    def apply_text(self, text: Text) -> None:
        inbound.apply(text.inbound_id)
        self.model.applied(text, clock.now())
        self.met[text.words] += 1

    def apply_waiting_texts(self) -> None:
        waiting = dict(self.model.waiting)
        inbound.apply_waiting()
        applied = Inbound.objects.filter(pk__in=waiting, applied_at__isnull=False)
        for id_ in applied.order_by("applied_at").values_list("id", flat=True):
            self.model.applied(waiting[id_], clock.now())

    # --- staff, and time ------------------------------------------------------------------------

    def pause(self, what: type, row_id: int) -> None:
        what.objects.filter(pk=row_id).update(paused_at=clock.now())

    def pause_within_a_claim(self, campaign: Campaign) -> None:
        """The batch must see it, though it did not when its rows were taken."""
        self.pause(Campaign, campaign.pk)
        self.model.brakes.add(("campaign", campaign.pk))

    def release_all(self) -> None:
        stopping.end_the_stop()
        for what in BRAKED:
            for row_id in what.objects.filter(paused_at__isnull=False).values_list("id", flat=True):
                self.resume(what, row_id)

    def resume(self, what: type, row_id: int) -> None:
        changes = {"paused_at": None}
        if what in (ProviderAccount, SenderNumber):
            changes |= {"resumed_at": clock.now(), "fault": ""}
        what.objects.filter(pk=row_id).update(**changes)

    def wait(self, by: timedelta) -> None:
        if self._passed + by <= LONGEST:
            self._passed += by
            self.ground.pass_time(by)

    # --- what holds, and the end ----------------------------------------------------------------

    def check(self) -> None:
        self.model.check()
        nothing(self.questions.problems(is_honest=not self.provider.has_lied))
        if not inbox.is_waiting():
            self.model.check_ends()

    def come_to_the_end(self) -> None:
        """Everybody dies, nothing is braked any more, and time passes: all has its end."""
        while self.workers:
            self.die(self.workers[0])
        self.release_all()
        self.ground.pass_time(settling.LOST_AFTER + MINUTE)
        self.reap(is_old=True)
        self.reconcile()
        self.apply_waiting_texts()
        self.apply_reports()
        self.check()
        self.ground.pass_time(timedelta(days=2))
        for part in (planning.plan_open_slots, self.sweep, planning.plan_open_slots):
            part()
        self.check()
        nothing(sql.rows(UNFINISHED))
        nothing(problems_at_the_end(is_honest=not self.provider.has_lied))
        nothing(list(self.journals.glob("*")))


def nothing(found: Sequence[object]) -> None:
    assert not found, found


def pick(things, which: int):
    """The same number means the same thing in a repeat."""
    return things[which % len(things)]

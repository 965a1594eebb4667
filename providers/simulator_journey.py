"""One message's way through its reports, step after step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from json.encoder import encode_basestring_ascii as quoted

from providers.simulator_fates import Course, Step
from providers.simulator_poster import GENUINE, Agenda, Callback, Post, Poster, Seal
from providers.simulator_wire import Report, Taken, Wire


@dataclass(eq=False, slots=True)
class Journey:
    """A step's reports leave together; the next step comes when all were answered, after a pause.

    `ended` is called once, after the last one.
    """

    wire: Wire
    message: Taken
    course: Course
    agenda: Agenda
    poster: Poster
    ended: Callable[[Journey], None]
    held: asyncio.Future[None] | None = None  # what waits until the reports were answered
    _step: int = 0
    _open: int = 0  # reports of the step in hand
    _last: dict[str, Callback] = field(default_factory=dict)  # the last genuine one of each part
    _was_taken: bool = False  # all of the step before were answered 2xx

    def go_on(self) -> None:
        if self._step == len(self.course.steps):
            self.ended(self)
        elif self.course.is_before_answer:
            self._post()
        else:
            self.agenda.add(self.course.pause, self._post)

    def _post(self) -> None:
        step = self.course.steps[self._step]
        self._step += 1
        is_borne = step.seal in {Seal.COPIED, Seal.REPEATED}
        if is_borne and not (self._last and self._was_taken):
            self.go_on()  # what was not taken gives nobody anything to repeat
            return
        callbacks = [self._callback(step, part) for part in self.wire.parts(self.message)]
        self._open, self._was_taken = step.copies * len(callbacks), True
        for callback in callbacks * step.copies:
            post = Post(callback, self._answered)
            self.poster.post(post, first=self.course.is_before_answer)

    def _callback(self, step: Step, message: Taken) -> Callback:
        words, last = self.wire.words, self._last.get(message.provider_ref)
        if step.seal is Seal.REPEATED and last is not None:
            return replace(last, seal=step.seal, copied=last.headers)
        callback = report_callback(self.wire, message, words[step.fate], seal=step.seal)
        if step.seal is Seal.CHANGED:
            final = next(s.fate for s in reversed(self.course.steps) if s.seal in GENUINE)
            callback.signed_form = self.wire.report_form(message, words[final])
        elif step.seal is Seal.COPIED and last is not None:
            callback.copied, callback.added = last.headers, last.added
        elif step.seal in GENUINE:
            self._last[message.provider_ref] = callback
        return callback

    def _answered(self, answer: int) -> None:
        self._was_taken = self._was_taken and 200 <= answer < 300
        self._open -= 1
        if self._open == 0:
            self.go_on()


def report_callback(
    wire: Wire, message: Taken, report: Report, *, seal: Seal = Seal.GENUINE
) -> Callback:
    what = (
        f'"provider":{quoted(wire.name)},"account":{quoted(message.account)},'
        f'"genuine":{"true" if seal in GENUINE else "false"}',
        f'"ref":{quoted(message.ref)},"provider_ref":{quoted(message.provider_ref)},'
        f'"word":{quoted(report.word)},"code":{quoted(report.code)},"to":{quoted(message.to)}',
    )
    return Callback(
        wire=wire,
        account=message.account,
        kind="report",
        url=message.url,
        form=wire.report_form(message, report),
        what=what,
        seal=seal,
    )

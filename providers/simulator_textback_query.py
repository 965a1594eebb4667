"""TextBack's older way to send, all in the address of a GET, as the simulator speaks it.

One hobby script is all that shows it (reference, section 9): that it answers in a word, and what
word, is assumed. It has no place for our reference and tells no id, so it reports on nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from providers.simulator_behaviour import Refusal
from providers.simulator_http import Request, response
from providers.simulator_ledger import Ledger, LedgerEntry, Submission
from providers.simulator_textback import MAX_CHARS, TextBackWire
from providers.simulator_wire import NUMBER, Fate, Report

PATH = "/send"
STATUSES = {
    Refusal.THROTTLED: 429,
    Refusal.UNAUTHORISED: 401,
    Refusal.SERVER_ERROR: 500,
    Refusal.UNAVAILABLE: 503,
}


class TextBackQueryWire(TextBackWire):
    """What people write comes as it does with TextBack's other interface."""

    name = "textback_query"
    prefix = PATH
    account_prefixes: tuple[str, ...] = ("tbq-",)
    words: Mapping[Fate, Report] = {}
    known_words: frozenset[str] = frozenset()
    names_callback_url = False
    sends_by_get = True

    def read(self, request: Request) -> Sequence[Submission] | None:
        query = _query(request)
        if request.path != PATH or query.get("action") != "sendText":
            return None
        submission = Submission(
            self.name,
            query.get("apiKey", ""),
            query.get("from", ""),
            query.get("to", ""),
            query.get("text", ""),
            ref="",
        )
        return (submission,)

    def objection(self, request: Request, sent: Sequence[Submission]) -> bytes | None:
        (one,) = sent
        if not one.account:
            return self.refused(Refusal.UNAUTHORISED)
        is_whole = bool(NUMBER.fullmatch(one.to) and one.from_value and one.text)
        return None if is_whole and len(one.text) <= MAX_CHARS else _word(400, "ERROR")

    def accepted(self, entries: Sequence[LedgerEntry]) -> bytes:
        return _word(200, "OK")

    def refused(self, refusal: Refusal, sent: Sequence[Submission] = ()) -> bytes:
        return _word(STATUSES.get(refusal, 400), "ERROR")

    def not_found(self) -> bytes:
        return _word(404, "ERROR")

    def look_up(self, request: Request, ledger: Ledger) -> bytes:
        return self.not_found()


def _query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.query).items()}


def _word(status: int, word: str) -> bytes:
    return response(status, word, content_type="text/plain")

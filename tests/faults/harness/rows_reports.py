"""Rows about what providers post to us: reports that come amiss, and a flood with a STOP in it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from functools import partial
from random import Random
from typing import Any
from urllib.parse import urlencode

from django.conf import settings

from config import invented_accounts
from delivery import sql
from delivery.models import Attempt
from providers.models import ProviderAccount, SenderNumber
from tests.delivery import callers
from tests.faults.harness.arena import Arena
from tests.faults.harness.load import Load
from tests.faults.harness.trials import Row, Trial

ENDS = {"sent", "delivered", "undelivered", "failed"}
AMISS = {
    "delay_ms": 50,
    "jitter_ms": 400,
    "undelivered": 0.15,
    "failed": 0.1,
    "twice": 0.3,
    "reversed": 0.3,
    "before_answer": 0.3,
    "forged": 0.4,
    "truncated": 0.2,
    "repeated": 0.3,
    "v2": 0.3,
}
A_MESSAGE = 3.0  # posts, or a few more, by what is said above
RETRIES = {"after_ms": [200, 400, 800]}
BROKEN_OFF = 20  # reports whose sender goes away in the middle of them
APPLIED_WITHIN = 40.0

IS_WAITING = "SELECT EXISTS (SELECT 1 FROM delivery_webhookevent WHERE applied_at IS NULL)"
STOPPED = "SELECT EXISTS (SELECT 1 FROM compliance_optoutevent WHERE person_id = %s)"


def come_amiss(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """Each post is a trial: what is genuine and whole is taken, a forgery is turned away."""
    arena.load(Load(people=int(trials / A_MESSAGE), rate=250, twice=0.05))
    let_one_speak_plivo(arena)
    arena.crew.start_web(arena.web_port)
    arena.told(retries=RETRIES)
    arena.told(reports={**AMISS, "seed": chance.randrange(1_000_000)})
    arena.crew.start_workers(2)
    arena.until(lambda: not arena.has_work(), "all is sent", seconds=60)
    break_off(arena, chance)
    until_applied(arena)
    arena.may_end |= ENDS
    found = [trial_of(post) for post in posts(arena)]
    arena.problems += [trial.what for trial in found if not trial.hit]
    return found


def let_one_speak_plivo(arena: Arena) -> None:
    """Its older signature covers no fields, and its newer one has a nonce."""
    account = arena.stage.accounts[1]
    account.kind = "plivo"
    account.seal(invented_accounts.credentials(account.kind, account.pk))
    account.save()


def break_off(arena: Arena, chance: Random) -> None:
    """Genuine to the letter, but for the letters that are missing."""
    found = list(Attempt.objects.filter(outcome="accepted").select_related("message__person"))
    for attempt in chance.sample(found, min(BROKEN_OFF, len(found))):
        account = ProviderAccount.objects.get(pk=attempt.account_id)
        fields = callers.report_fields(
            account,
            provider_ref=attempt.provider_refs[0],
            word="failed",
            to=attempt.message.person.phone,
        )
        path = callers.address(account, "status", f"ref={attempt.ref}")
        url, token = f"{settings.PUBLIC_BASE_URL}{path}", account.access().secrets["auth_token"]
        signature = callers.sign(account.kind, url, fields, token=token)
        send_half(arena.web_port, path, urlencode(fields).encode(), signature)


def send_half(port: int, path: str, body: bytes, headers: dict[str, str]) -> None:
    lines = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": callers.FORM,
        "Content-Length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body[: len(body) // 2])


def until_applied(arena: Arena) -> None:
    """What was posted is worked through; what is sent from now on is not reported."""
    arena.told(reports=None)
    arena.until(lambda: is_silent(arena), "all is posted", seconds=APPLIED_WITHIN)
    arena.until(lambda: not sql.one(IS_WAITING)[0], "all is applied", seconds=APPLIED_WITHIN)


def is_silent(arena: Arena) -> bool:
    told = callbacks(arena)
    return not any(told[name] for name in ("waiting", "retrying", "in_flight"))


def callbacks(arena: Arena) -> dict[str, Any]:
    """What the simulator says of its own posts."""
    found: dict[str, Any] = arena.told(mode="normal", account="nobody")["callbacks"]
    return found


def posts(arena: Arena) -> Iterator[dict[str, Any]]:
    """The reports in the simulator's ledger, each with its answer."""
    waiting: dict[int, dict[str, Any]] = {}
    with arena.ledger.open() as lines:
        for line in lines:
            told = json.loads(line)
            if told.get("kind") == "report":
                waiting[told["callback"]] = told
            elif told.get("callback") in waiting and "answer" in told:
                yield {**waiting.pop(told["callback"]), **told}


def trial_of(post: dict[str, Any]) -> Trial:
    genuine, answer = post["genuine"], post["answer"]
    hit = 200 <= answer < 300 if genuine else 400 <= answer < 500
    what = f"a {'genuine' if genuine else 'forged'} report was answered {answer}"
    return Trial(hit=hit, what=what)


# --- a flood, and a STOP in it -------------------------------------------------------------------

FLOODED = 1_600  # messages whose reports come all at once, half of them by one account
NORMAL = 5.0  # messages a second, and so many reports
TIMES = 20
WORDS = ("sent", "delivered", "delivered")
STILL_SENDS = 120  # messages
STOPS = 6
STOP_WITHIN = 5.0  # seconds
HEARD_BY = 0.5  # of a burst, so that it still goes on then

WAITING = """
SELECT d.message_id, p.id, p.phone, n.value, a.id
FROM delivery_due d JOIN delivery_message m ON m.id = d.message_id
JOIN compliance_person p ON p.id = m.person_id
JOIN providers_sendernumber n ON n.id = d.lane_id
JOIN providers_provideraccount a ON a.id = n.account_id
WHERE d.not_before <= (SELECT sendonce_now()) ORDER BY d.message_id DESC LIMIT %s
"""


def flood(arena: Arena, trials: int, chance: Random) -> list[Trial]:
    """Twenty times as many reports as usual during a campaign; who writes STOP is heard."""
    arena.load(Load(people=FLOODED, rate=1_000, twice=0, latency_ms=20))
    arena.crew.start_web(arena.web_port)
    arena.crew.start_workers(3)
    arena.until(lambda: not arena.has_work(), "the flood gathers", seconds=60)
    set_rate(arena, NORMAL)
    hear(arena)
    arena.told(reports={"delay_ms": 200, "jitter_ms": 200})
    arena.stage.add(STILL_SENDS)
    found = [drown(arena, chance) for _ in range(trials)]
    set_rate(arena, arena.stage.load.rate)
    arena.until(lambda: not arena.has_work(), "the campaign ends", seconds=60)
    until_applied(arena)
    arena.may_end |= ENDS
    return found


def set_rate(arena: Arena, rate: float) -> None:
    """Messages a second of all numbers together."""
    SenderNumber.objects.update(segments_per_second=rate / arena.stage.load.numbers)


def hear(arena: Arena) -> None:
    """People can write to our numbers."""
    for account in arena.stage.accounts:
        arena.told(account=invented_accounts.introduction(account, settings.PUBLIC_BASE_URL))


def name_of(account: ProviderAccount) -> str:
    """As its provider knows it."""
    return invented_accounts.known(account.kind, account.access().secrets).name


def says_stop(arena: Arena, phone: str, number: str, *, times: int = 1) -> None:
    """The person of this phone writes to one of our numbers."""
    account = SenderNumber.objects.select_related("account").get(value=number).account
    told = {"from": phone, "to": number, "text": "STOP", "times": times}
    arena.told(inbound={**told, "account": name_of(account)})


def drown(arena: Arena, chance: Random) -> Trial:
    account = arena.stage.accounts[0]
    file = arena.folder / "flood.csv"
    lines = list(flood_lines(account))
    file.write_text("".join(lines))
    writers = sql.rows(WAITING, STOPS)
    rates, were_inside = [], 0
    for number, word in enumerate(WORDS):
        begin_burst(arena, account, word, str(file))
        for writer in writers[number :: len(WORDS)]:
            many = len(lines) * chance.uniform(0, HEARD_BY)
            arena.until(partial(has_answered, arena, many), "the flood rises")
            took = stop(arena, *writer[1:4])
            were_inside += burst(arena)["running"]
            if took > STOP_WITHIN:
                arena.problems.append(f"a STOP took {took:.1f} s")
        arena.until(lambda: not burst(arena)["running"], "the flood passes", seconds=60)
        told = burst(arena)
        rates.append(told["answered"] / told["seconds"])
        if set(told["answers"]) != {"200"}:
            arena.problems.append(f"reports of a flood were answered {told['answers']}")
    return Trial(
        hit=were_inside >= STOPS - 1 and min(rates) >= TIMES * NORMAL,
        what=f"{min(rates):.0f} reports a second, {were_inside} STOPs inside",
    )


def has_answered(arena: Arena, many: float) -> bool:
    return bool(burst(arena)["answered"] >= many)


def flood_lines(account: ProviderAccount) -> Iterator[str]:
    found = Attempt.objects.filter(account_id=account.pk, outcome="accepted").select_related(
        "message__person"
    )
    for attempt in found:
        yield f"{attempt.ref},{attempt.provider_refs[0]},{attempt.message.person.phone}\n"


def begin_burst(arena: Arena, account: ProviderAccount, word: str, file: str) -> None:
    arena.told(
        burst={
            "provider": account.kind,
            "account": name_of(account),
            "url": f"{settings.PUBLIC_BASE_URL}{callers.address(account, 'status')}",
            "file": file,
            "word": word,
        }
    )


def burst(arena: Arena) -> dict[str, Any]:
    found: dict[str, Any] = callbacks(arena)["burst"]
    return found


def stop(arena: Arena, person_id: int, phone: str, number: str) -> float:
    """Who writes STOP now is opted out after so many seconds."""
    began = time.monotonic()
    says_stop(arena, phone, number)
    arena.until(lambda: sql.one(STOPPED, person_id)[0], "a STOP is applied")
    return time.monotonic() - began


ROWS: Sequence[Row] = (
    Row(
        name="reports",
        says="reports twice, reversed, early, forged, replayed, truncated",
        short=2_000,
        release=200_000,
        run=come_amiss,
        chunk=2_000,
    ),
    Row(
        name="flood",
        says="20 times the usual reports, a STOP in it within 5 s",
        short=1,
        release=10,
        run=flood,
    ),
)

from __future__ import annotations

import asyncio
import json
import threading
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest

from delivery.intents import Intent
from delivery.journal import CannotWrite, Journal, read
from delivery.sender import FEWEST_PLACES, LONGEST_PACE, MOST_WAITING, Parcel, Places, Sender
from providers.base import Accepted, NotSent, SendRequest, Unknown
from providers.rates import Breaker
from tests.delivery.providing import Provider
from tests.delivery.waiting import wait_until
from tests.providers.peers import an_access, answer

ACCOUNT = 8


@pytest.fixture
def provider():
    started = Provider()
    yield started
    started.stop()


@pytest.fixture
def breaker():
    return Breaker()


@pytest.fixture
def sender(breaker):
    started = Sender(breaker)
    yield started
    started.stop()


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path, "installation") as opened:
        yield opened


@pytest.fixture
def send(sender, provider, journal):
    """Hand intents over and wait for what becomes of each; ten seconds each, or as told."""

    def send(*intents, within=10.0, into=journal):
        now, answers = time.monotonic(), []
        sender.submit(Parcel([(intent, now + within) for intent in intents], into))
        while sender.under_way and time.monotonic() < now + 30:
            answers += sender.collect(wait=5)
        return {one.intent.message_id: one.outcome for one in answers}

    return send


@pytest.fixture
def an_intent(provider):
    def an_intent(message_id=1, **changes):
        values = {
            "attempt_id": message_id,
            "message_id": message_id,
            "queue": 7,
            "brand_id": 1,
            "lane_id": 6,
            "account_id": ACCOUNT,
            "segments_per_second": 1e6,
            "in_flight": 64,
            "access": an_access(provider.port),
            "window_closes_at": None,
        }
        ref = f"{message_id:022d}"
        request = SendRequest(
            ref=ref,
            to_e164="+12125550143",
            from_value="+12025550100",
            text=f"message {message_id}",
            segments=changes.pop("segments", 1),
        )
        return Intent(**{**values, "send": request, **changes})

    return an_intent


class TestSend:
    def test_brings_back_what_the_provider_said(self, send, an_intent, provider):
        outcomes = send(an_intent(1))
        assert isinstance(outcomes[1], Accepted)
        assert provider.texts == ["message 1"]

    def test_brings_back_one_outcome_for_each(self, send, an_intent, provider):
        outcomes = send(*(an_intent(n) for n in range(1, 101)))
        assert sorted(outcomes) == list(range(1, 101))
        assert len({outcome.provider_ref for outcome in outcomes.values()}) == 100
        assert sorted(provider.texts) == sorted(f"message {n}" for n in range(1, 101))

    def test_counts_what_is_under_way(self, sender, an_intent, provider, journal):
        provider.go_on.clear()
        write_by = time.monotonic() + 10
        sender.submit(Parcel([(an_intent(1), write_by), (an_intent(2), write_by)], journal))
        assert (sender.under_way, sender.collect(wait=0.0)) == (2, [])
        provider.go_on.set()
        while sender.under_way:
            sender.collect(wait=1)
        assert len(provider.texts) == 2

    def test_an_answer_that_cannot_be_read_is_unknown(self, send, an_intent, provider):
        provider.answer = lambda form: answer(500)
        assert send(an_intent(1)) == {1: Unknown("500")}
        assert len(provider.texts) == 1


class TestTheJournal:
    def test_has_its_line_before_the_provider_has_the_request(
        self, send, an_intent, provider, journal
    ):
        seen = []
        provider.on_request = lambda: seen.append(read(journal.path))
        intent = an_intent(1)
        send(intent)
        assert intent.send.ref in seen[0].left
        assert seen[0].outcomes == {}

    def test_has_the_outcome_afterwards(self, send, an_intent, journal):
        intent = an_intent(1)
        outcomes = send(intent)
        line = json.loads(read(journal.path).outcomes[intent.send.ref])
        assert line == {"outcome": "accepted", "provider_ref": outcomes[1].provider_ref,
                        "segments": 1}  # fmt: skip

    def test_that_cannot_be_written_keeps_the_request_here(
        self, send, an_intent, provider, journal
    ):
        journal.close()
        assert send(an_intent(1)) == {1: NotSent("journal_not_written")}
        assert provider.texts == []

    @pytest.mark.parametrize(
        ("error", "left"),
        [(CannotWrite, Accepted), (ValueError, Accepted | Unknown)],
        ids=["full-disk", "bug"],
    )
    def test_that_loses_the_outcome_never_says_that_nothing_left(
        self, send, an_intent, provider, journal, monkeypatch, error, left
    ):
        def lose(*_):
            raise error

        monkeypatch.setattr(journal, "came_back", lose)
        assert isinstance(send(an_intent(1))[1], left)
        assert len(provider.texts) == 1


class TestTheDeadline:
    def test_keeps_here_what_is_too_late(self, send, an_intent, provider, journal):
        assert send(an_intent(1), within=-0.1) == {1: NotSent("too_late")}
        assert provider.texts == []
        assert read(journal.path).left == frozenset()

    def test_is_looked_at_again_after_the_journal_line(
        self, send, an_intent, provider, journal, monkeypatch
    ):
        leaving, passed = journal.leaving, [0.0]

        def be_slow(ref):
            leaving(ref)
            passed.append(60.0)

        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + passed[-1])
        monkeypatch.setattr(journal, "leaving", be_slow)
        monkeypatch.setattr("providers.leaving.time", clock)
        intent = an_intent(1)
        assert send(intent) == {1: NotSent("too_late")}
        assert provider.texts == []
        assert "too_late" in read(journal.path).outcomes[intent.send.ref]

    def test_passes_for_what_waits_for_a_place(self, sender, an_intent, provider, journal):
        provider.go_on.clear()
        now, outcomes = time.monotonic(), {}
        one, other = (an_intent(n, in_flight=1) for n in (1, 2))
        sender.submit(Parcel([(one, now + 20), (other, now + 0.3)], journal))
        time.sleep(0.4)
        provider.go_on.set()
        while sender.under_way:
            outcomes |= {a.intent.message_id: a.outcome for a in sender.collect(wait=5)}
        assert isinstance(outcomes[1], Accepted)
        assert outcomes[2] == NotSent("too_late")
        assert provider.texts == ["message 1"]


class TestThePace:
    @pytest.fixture
    def pauses(self, sender, monkeypatch):
        """The pauses the sender asks for; they pass at once. Without those for who stood still."""
        asked, call_later = [], sender._loop.call_later

        def note(seconds, call, *arguments, **context):
            if call != sender._line_up:
                return call_later(seconds, call, *arguments, **context)
            (errand,) = arguments
            if not errand.was_late:
                asked.append(round(seconds, 2))
            return call_later(0, call, errand)

        monkeypatch.setattr(sender._loop, "call_later", note)
        return asked

    def test_is_each_numbers_own_in_segments(self, send, an_intent, pauses):
        slow = {"lane_id": 6, "segments_per_second": 10.0, "segments": 2}
        other = {"lane_id": 7, "segments_per_second": 10.0, "segments": 1}
        send(an_intent(1, **slow), an_intent(2, **slow), an_intent(3, **slow),
             an_intent(4, **other), an_intent(5, **other))  # fmt: skip
        assert pauses == pytest.approx([0.2, 0.4, 0.1], abs=0.03)

    def test_goes_on_with_the_next_parcel(self, send, an_intent, pauses):
        slow = {"segments_per_second": 0.02}
        send(an_intent(1, **slow))
        send(an_intent(2, **slow))
        assert pauses == [LONGEST_PACE]

    def test_never_puts_a_burst_off_until_it_is_too_late(self, send, an_intent, pauses):
        slow = {"segments_per_second": 0.1, "segments": 3}
        outcomes = send(*(an_intent(n, **slow) for n in range(1, 5)))
        assert max(pauses) <= LONGEST_PACE
        assert {type(outcome) for outcome in outcomes.values()} == {Accepted}

    def test_is_kept_by_what_a_provider_that_stood_still_held_back(self, send, an_intent, provider):
        came = []

        def look():
            came.append(time.monotonic())
            if len(came) == 1:
                provider.go_on.clear()
                threading.Timer(0.8, provider.go_on.set).start()

        provider.on_request = look
        send(*(an_intent(n, in_flight=1, segments_per_second=20.0) for n in range(1, 8)))
        pauses = [after - before for before, after in pairwise(came[1:])]
        assert len(pauses) == 5
        assert sum(pauses) > 0.19  # a timer may be a millisecond early

    def test_survives_a_rate_that_was_taken_away(self, send, an_intent):
        assert isinstance(send(an_intent(1, segments_per_second=0.0))[1], Accepted)


class TestPlaces:
    @pytest.fixture
    def three(self, provider):
        """Nobody is answered until three have come, and a moment for a fourth has passed."""

        def look():
            if len(provider.texts) == 3:
                threading.Timer(0.1, provider.go_on.set).start()

        provider.go_on.clear()
        provider.on_request = look

    def test_are_no_more_than_the_account_allows(self, send, an_intent, provider, three):
        send(*(an_intent(n, in_flight=3) for n in range(1, 10)), within=5)
        assert provider.most_open == 3
        assert len(provider.texts) == 9

    def test_are_each_accounts_own(self, send, an_intent, provider, three):
        send(*(an_intent(n, in_flight=1, account_id=n) for n in range(1, 4)), within=5)
        assert provider.most_open == 3

    def test_that_are_taken_keep_nobody_for_longer_than_it_may_wait(
        self, sender, an_intent, provider, journal
    ):
        provider.go_on.clear()
        now = time.monotonic()
        one, other = (an_intent(n, in_flight=1) for n in (1, 2))
        sender.submit(Parcel([(one, now + 20.0), (other, now + 0.2)], journal))
        (answer,) = sender.collect(wait=5)
        assert (answer.intent, answer.outcome) == (other, NotSent("too_late"))
        assert sender.room(ACCOUNT) in {0, MOST_WAITING}  # none, once it stands still
        provider.go_on.set()
        (answer,) = sender.collect(wait=5)
        assert isinstance(answer.outcome, Accepted)
        wait_until(lambda: sender.room(ACCOUNT) == MOST_WAITING + 1)  # as it lets go of its place


class TestPlacesWhoseMessagesAreLate:
    """More at once would only make each other late."""

    def test_are_used_by_half_and_so_are_those_that_may_wait(self, sender, send, an_intent):
        outcomes = send(*(an_intent(n) for n in range(1, 4)), within=-1)
        assert set(outcomes.values()) == {NotSent("too_late")}
        wait_until(lambda: sender.room(ACCOUNT) == 32 + MOST_WAITING / 2)

    def test_are_used_again_one_by_one_with_answers(self, sender, send, an_intent):
        send(an_intent(1, in_flight=12), within=-1)
        send(*(an_intent(n, in_flight=12) for n in range(2, 9)))
        wait_until(lambda: sender.room(ACCOUNT) == 7 + int(MOST_WAITING * 7 / 12))

    def test_are_all_used_again_after_a_while(self):
        places = Places(most=16)
        places.was_late(0.0)
        for _ in range(8 * 16):
            places.was_answered(1.0)
        assert (places.used, places.may_wait) == (16, MOST_WAITING)

    def test_are_never_too_few(self):
        places = Places(most=20)
        for second in range(10):
            places.was_late(float(second))
        assert places.used == FEWEST_PLACES

    def test_narrow_once_for_what_is_late_at_one_moment(self):
        places = Places(most=64)
        for _ in range(100):
            places.was_late(7.0)
        assert places.used == 32

    def test_take_no_more_than_that(self, send, an_intent, provider):
        """Forty that come at once, after one was late, leave by eight places of sixteen."""
        send(an_intent(1, in_flight=16), within=-1)
        provider.go_on.clear()
        open_ones = []

        def let_go():
            open_ones.append(provider.most_open)
            provider.go_on.set()

        threading.Timer(0.5, let_go).start()
        send(*(an_intent(n, in_flight=16) for n in range(2, 42)))
        assert open_ones == [8]
        assert len(provider.texts) == 40

    def test_end_where_they_are_more_than_are_used(self, sender, an_intent, provider, journal):
        provider.go_on.clear()
        now = time.monotonic()
        first = [(an_intent(n, in_flight=16), now + 20.0) for n in range(1, 33)]
        sender.submit(Parcel(first, journal))
        wait_until(lambda: provider.most_open == 16)
        sender.submit(Parcel([(an_intent(40, in_flight=16), now - 1)], journal))
        provider.go_on.set()
        wait_until(lambda: len(sender.collect(wait=0.1)) == 0 and sender.under_way == 0)
        assert len(provider.texts) == 32


class TestAnAccountThatStandsStill:
    @pytest.fixture
    def hanging(self, sender, an_intent, provider, journal):
        """Three requests that nobody answers."""
        provider.go_on.clear()
        later = time.monotonic() + 60
        sender.submit(Parcel([(an_intent(n, in_flight=3), later) for n in (1, 2, 3)], journal))
        wait_until(lambda: sender.hung == 3)
        yield
        provider.go_on.set()

    def test_is_told_from_what_is_under_way(self, sender, hanging, provider):
        assert sender.under_way == sender.hung == 3
        provider.go_on.set()
        wait_until(lambda: sender.hung == 0)

    def test_does_not_move_by_what_is_given_up(self, sender, hanging, provider):
        provider.answer = lambda form: answer(500)
        provider.spared.add("message 1")
        wait_until(lambda: sender.collect(wait=0.1))
        assert sender.hung == 2
        assert sender.room(ACCOUNT) == 1

    def test_has_nobody_wait_for_its_places(self, sender, hanging):
        assert sender.room(ACCOUNT) == 0
        assert sender.room(ACCOUNT + 1) == MOST_WAITING


class TestTheBreaker:
    @pytest.fixture
    def began(self):
        """A rest that began since is not over then, however long the test takes."""
        return time.monotonic()

    def test_rests_an_account_that_cannot_be_reached(self, send, an_intent, breaker, began):
        nowhere = {"access": an_access(1)}
        outcomes = send(*(an_intent(n, **nowhere) for n in range(1, 4)))
        assert all(outcome.unreachable for outcome in outcomes.values())
        assert breaker.room(ACCOUNT, 10, now=began) == 0

    def test_rests_an_account_that_throttles_us(self, send, an_intent, provider, breaker, began):
        provider.answer = lambda form: answer(429, Retry_After="7")
        outcomes = send(*(an_intent(n) for n in range(1, 4)))
        assert outcomes[1] == NotSent("429", throttled=True, retry_after=7.0)
        assert breaker.rest_left(ACCOUNT, now=began) >= 7

    def test_hears_of_what_is_answered(self, send, an_intent, breaker, began):
        for _ in range(2):
            breaker.refused(ACCOUNT, now=time.monotonic())
        send(an_intent(1))
        breaker.refused(ACCOUNT, now=time.monotonic())
        assert breaker.room(ACCOUNT, 10, now=began) == 10

    def test_hears_nothing_of_what_never_left(self, send, an_intent, breaker, began):
        send(*(an_intent(n) for n in range(1, 4)), within=-1)
        assert breaker.room(ACCOUNT, 10, now=began) == 10


class TestErrorsOfOurs:
    def test_before_the_journal_line_are_not_sent(self, send, an_intent, provider, journal):
        unknown_kind = an_access(provider.port, kind="nobody")
        outcomes = send(an_intent(1, access=unknown_kind), an_intent(2))
        assert outcomes[1] == NotSent("error_before_sending")
        assert isinstance(outcomes[2], Accepted)
        assert len(read(journal.path).left) == 1

    @pytest.mark.parametrize("error", [RuntimeError, asyncio.CancelledError])
    def test_after_it_are_unknown(self, send, an_intent, sender, monkeypatch, error):
        async def fail(*_, announce, **__):
            announce()
            raise error

        monkeypatch.setattr(sender._transport, "send", fail)
        assert send(an_intent(1)) == {1: Unknown("error_while_sending")}

from __future__ import annotations

import json
import threading
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from brands import clock
from config import demo_accounts, demo_outside, demo_processes, invented_accounts
from config.demo_accounts import FAILS, NAMES, THROTTLES
from config.demo_outside import REPLIES, REPORTS, STOPS, Outside, Unheard
from config.demo_processes import HOST, Children
from delivery.models import Attempt, Due, Inbound, Lookup, WebhookEvent
from delivery.states import ReplyKind
from providers.models import ProviderAccount
from tests.delivery.walking import make_reply
from tests.factories import NOON, fill_queue, make_account, make_brand, make_number, make_person
from tests.factories import make_slot as make_open_slot

pytestmark = pytest.mark.django_db

WEB = "http://127.0.0.1:9"
QUIET = {"waiting": 0, "retrying": 0, "in_flight": 0}


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    """The address of a simulator that runs."""
    folder = tmp_path_factory.mktemp("simulator")
    port = demo_processes.free_port()
    with Children(environment={}, logs=folder / "logs", run=folder / "run") as children:
        ledger = folder / "ledger.jsonl"
        demo_processes.start_simulator(children, port=port, ledger=ledger, latency_ms=0)
        yield f"http://{HOST}:{port}"


@pytest.fixture
def simulator(provider):
    """The same one, as if it had just been started."""
    urllib.request.urlopen(f"{provider}/control/reset", data=b"").close()
    return provider


def state_of(simulator: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{simulator}/control") as answer:
        return json.loads(answer.read())


@pytest.fixture
def accounts(sandbox):
    """The demo's, by their names."""
    made = demo_accounts.make_accounts(1, WEB, "smtp://127.0.0.1:25")
    return dict(zip(NAMES, made, strict=True))


@pytest.fixture
def failing(accounts):
    return accounts[FAILS]


@pytest.fixture
def throttling(accounts):
    return accounts[THROTTLES]


@pytest.fixture
def seconds(monkeypatch):
    """The monotonic clock of the outside; a list of one moment."""
    now = [1000.0]
    monkeypatch.setattr(demo_outside.time, "monotonic", lambda: now[0])
    return now


def make_outside(simulator: str, **fields: object) -> Outside:
    usual = {"simulator": simulator, "web": WEB, "seed": 1, "fails_at": 10, "throttles_at": 1_000}
    return Outside(**{**usual, **fields})


def called(account: ProviderAccount) -> str:
    """What its provider calls it."""
    return invented_accounts.known(account.kind, account.access().secrets).name


class TestBegin:
    def test_the_simulator_is_told_each_accounts_secret_and_where_its_texts_go(
        self, simulator, accounts
    ):
        make_outside(simulator).begin()
        told = {one["name"]: one for one in state_of(simulator)["callbacks"]["accounts"]}
        for account in accounts.values():
            introduced = invented_accounts.introduction(account, WEB)
            token = "set" if introduced.pop("token", "") else "none"
            assert told[called(account)] == {**introduced, "token": token}

    def test_an_address_that_nothing_but_its_key_guards_has_one(self, accounts):
        account = accounts["SimpleTexting"]
        introduced = invented_accounts.introduction(account, WEB)
        path = f"/webhooks/simpletexting/{account.pk}/{account.webhook_key}/inbound"
        assert introduced["inbound_url"] == f"{WEB}{path}"

    def test_from_then_on_it_reports_and_people_answer(self, simulator, accounts):
        before = state_of(simulator)["callbacks"]
        make_outside(simulator, seed=7).begin()
        callbacks = state_of(simulator)["callbacks"]
        assert (before["reports"], before["replies"]) == (None, None)
        assert callbacks["reports"]["seed"] == callbacks["replies"]["seed"] == 7
        assert callbacks["reports"]["undelivered"] == REPORTS["undelivered"]
        assert dict(callbacks["replies"]["words"])["STOP"] == REPLIES["STOP"]

    def test_a_callback_that_is_not_taken_comes_again_within_the_hearing_out(
        self, simulator, accounts
    ):
        make_outside(simulator).begin()
        retries = state_of(simulator)["callbacks"]["retries"]
        assert retries
        assert sum(retries) < 1000 * demo_outside.HEAR_OUT

    def test_an_account_that_an_earlier_demo_left_refused_is_resumed(self, simulator, failing):
        pause(failing, fault="401")
        make_outside(simulator).begin()
        failing.refresh_from_db()
        assert (failing.paused_at, failing.fault) == (None, "")
        assert failing.resumed_at - clock.now() < timedelta(seconds=1)

    def test_an_account_that_a_person_paused_stays_paused(self, simulator, failing):
        pause(failing, fault="")
        make_outside(simulator).begin()
        failing.refresh_from_db()
        assert failing.paused_at is not None

    def test_what_the_simulator_does_not_understand_is_told_in_its_words(self, simulator):
        with pytest.raises(OSError, match=r"refused an order: .*mode must be normal"):
            make_outside(simulator).order(mode="sulk")


def test_the_share_of_stops_is_that_of_their_words():
    assert sum(REPLIES[word] for word in ("STOP", "Stop please")) == STOPS


def pause(account: ProviderAccount, *, fault: str = "401") -> None:
    """As a worker does for a fault, or a person without one."""
    ProviderAccount.objects.filter(pk=account.pk).update(paused_at=clock.now(), fault=fault)


class TestFailAndMend:
    @pytest.fixture
    def outside(self, simulator, accounts):
        outside = make_outside(simulator, fails_at=10)
        outside.begin()
        return outside

    def test_nobody_fails_before_half_is_sent(self, outside):
        outside.tend(9)
        assert state_of(outside.simulator)["rules"] == []
        assert outside.told == []

    def test_half_way_one_provider_refuses_our_credentials(self, outside, failing):
        outside.tend(10)
        (rule,) = state_of(outside.simulator)["rules"]
        assert (rule["mode"], rule["account"]) == ("refuse_401", called(failing))
        (told,) = outside.told
        assert told.startswith(f"{FAILS} refuses our credentials from now on")

    def test_it_fails_once(self, outside):
        outside.tend(10)
        outside.tend(11)
        assert len(state_of(outside.simulator)["rules"]) == 1

    @pytest.fixture
    def mended(self, outside, failing, seconds):
        outside.tend(10)
        pause(failing)
        outside.tend(11)
        seconds[0] += demo_outside.PAUSED_FOR + 1
        outside.tend(12)
        failing.refresh_from_db()
        return failing

    def test_it_is_mended_and_resumed_some_seconds_after_it_was_paused(self, outside, mended):
        assert state_of(outside.simulator)["rules"] == []
        assert (mended.paused_at, mended.fault) == (None, "")
        assert mended.resumed_at is not None
        assert outside.told[1:] == [f"{FAILS} takes them again, and was resumed."]

    def test_it_does_not_fail_again_after_that(self, outside, mended):
        outside.tend(999)
        assert state_of(outside.simulator)["rules"] == []
        assert len(outside.told) == 2

    def test_it_is_not_mended_while_refusals_may_be_on_the_wire(self, outside, failing, seconds):
        outside.tend(10)
        seconds[0] += demo_outside.PAUSED_FOR + 1  # nothing was sent by it in these
        pause(failing)
        outside.tend(11)
        failing.refresh_from_db()
        assert failing.paused_at is not None
        assert not outside.is_mended

    def test_it_is_not_mended_before_anybody_noticed(self, outside, seconds):
        outside.tend(10)
        outside.tend(11)
        seconds[0] += 100 * demo_outside.PAUSED_FOR
        outside.tend(12)
        assert len(state_of(outside.simulator)["rules"]) == 1

    def test_it_fails_again_when_it_is_told_to(self, outside, mended):
        outside.fail_again(20, 30)
        outside.tend(49)
        assert state_of(outside.simulator)["rules"] == []
        outside.tend(50)
        assert len(state_of(outside.simulator)["rules"]) == 1


class TestThrottling:
    @pytest.fixture
    def outside(self, simulator, accounts):
        outside = make_outside(simulator, fails_at=1_000, throttles_at=5)
        outside.begin()
        return outside

    def turn_one_away(self, throttling, code: str = "429"):
        lane = make_number(throttling)
        (message,) = fill_queue(make_open_slot(lane), lane, 1, now=NOON)
        make_attempt(message, lane, outcome="not_sent", is_not_sent=True, code=code)

    def test_it_begins_when_so_many_attempts_were_made(self, outside, throttling):
        outside.tend(4)
        assert state_of(outside.simulator)["rules"] == []
        outside.tend(5)
        (rule,) = state_of(outside.simulator)["rules"]
        assert (rule["mode"], rule["account"]) == ("429", called(throttling))
        assert outside.told == [f"{THROTTLES} throttles us from now on: its messages wait."]

    def test_it_is_over_some_seconds_after_a_message_was_turned_away(
        self, outside, throttling, seconds
    ):
        outside.tend(5)
        self.turn_one_away(throttling)
        seconds[0] += demo_outside.THROTTLED_FOR - 1
        outside.tend(6)
        assert len(state_of(outside.simulator)["rules"]) == 1
        seconds[0] += 2
        outside.tend(7)
        assert state_of(outside.simulator)["rules"] == []
        assert outside.told[1:] == [f"{THROTTLES} lets messages through again."]

    def test_it_goes_on_while_nothing_was_turned_away(self, outside, throttling, seconds):
        self.turn_one_away(throttling)  # before it began
        outside.tend(5)
        self.turn_one_away(throttling, code="401")
        seconds[0] += 100 * demo_outside.THROTTLED_FOR
        outside.tend(6)
        assert len(state_of(outside.simulator)["rules"]) == 1

    def test_it_happens_once_until_it_is_told_to_happen_again(self, outside, throttling, seconds):
        outside.tend(5)
        self.turn_one_away(throttling)
        seconds[0] += demo_outside.THROTTLED_FOR + 1
        outside.tend(6)
        outside.tend(100)
        assert state_of(outside.simulator)["rules"] == []
        outside.fail_again(100, 30)
        outside.tend(114)
        assert state_of(outside.simulator)["rules"] == []
        outside.tend(115)
        assert len(state_of(outside.simulator)["rules"]) == 1


@contextmanager
def fake_control(*states: dict[str, int]):
    """A control door that tells these counts of callbacks, one a look, and the last for good."""
    left = list(states)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            counts = left.pop(0) if len(left) > 1 else left[0]
            body = json.dumps({"callbacks": counts}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def impatient(monkeypatch, sandbox):
    monkeypatch.setattr(demo_outside, "HEAR_OUT", 0.0)
    monkeypatch.setattr(demo_outside, "POLL", 0.0)


def heard_out(*states: dict[str, int]) -> int:
    """How often it was tended until all was heard out."""
    tended = []
    with fake_control(*states) as address:
        make_outside(address).hear_out(lambda: tended.append(1))
    return len(tended)


class TestHearOut:
    def test_it_ends_when_nothing_is_left_twice_in_a_row(self, impatient):
        assert heard_out(QUIET) == 2

    @pytest.mark.parametrize("place", QUIET)
    def test_it_waits_for_callbacks_wherever_they_are(self, impatient, monkeypatch, place):
        monkeypatch.setattr(demo_outside, "HEAR_OUT", 60.0)
        busy = {**QUIET, place: 1}
        assert heard_out(busy, QUIET, busy, QUIET, QUIET) == 5

    def test_it_says_what_is_left_when_it_takes_too_long(self, impatient):
        words = r"^After 0 s there are still 1,002 callbacks not answered, 0 not applied, 0 answers"
        with pytest.raises(Unheard, match=words):
            heard_out({"waiting": 1_000, "retrying": 2, "in_flight": 0})

    def test_a_simulator_that_runs_tells_all_that_is_asked_of_it(self, impatient, simulator):
        assert make_outside(simulator).left() == ""


def report_in_inbox():
    WebhookEvent.objects.create(account=make_account(), dedupe_key="1", raw={})


def text_not_applied():
    Inbound.objects.create(account=make_account(), provider_ref="SM1")


def answer_waiting():
    make_reply(make_person(), make_brand(), make_number(), ReplyKind.HELP)


def message_on_the_wire():
    lane = make_number()
    (message,) = fill_queue(make_open_slot(lane), lane, 1, now=NOON)
    Due.objects.all().delete()
    make_attempt(message, lane)


def make_attempt(message, lane, **fields: object) -> Attempt:
    return Attempt.objects.create(
        message=message,
        account=lane.account,
        number=lane,
        sender="00000000-0000-0000-0000-000000000001",
        ref=f"r{Attempt.objects.count()}",
        text="Hi",
        segments=1,
        brand_day=NOON.date(),
        intent_at=NOON,
        **fields,
    )


def look_up_due():
    message_on_the_wire()
    attempt = Attempt.objects.get()
    Attempt.objects.update(outcome="unknown")
    Lookup.objects.create(attempt=attempt, since=NOON, next_at=NOON - timedelta(seconds=1))


class TestWhatIsLeft:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            pytest.param(report_in_inbox, "1 not applied", id="a report in the inbox"),
            pytest.param(text_not_applied, "1 not applied", id="a text that is stored only"),
            pytest.param(look_up_due, "1 not applied", id="a look-up that is due"),
            pytest.param(answer_waiting, "1 answers to people not sent", id="an answer that waits"),
            pytest.param(message_on_the_wire, "1 answers", id="a message on the wire"),
        ],
    )
    def test_what_is_still_on_its_way_is_counted(self, impatient, make, words):
        make()
        with fake_control(QUIET) as address:
            assert words in make_outside(address).left()

    def test_what_only_waits_for_its_hour_is_not(self, impatient):
        lane = make_number()
        fill_queue(make_open_slot(lane), lane, 1, now=NOON)
        with fake_control(QUIET) as address:
            assert make_outside(address).left() == ""

from __future__ import annotations

import json
import threading
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from brands import clock
from config import demo_outside, demo_processes
from config import demo_stage as stage
from config.demo_outside import REPLIES, REPORTS, STOPS, Outside, Unheard, credentials
from config.demo_processes import HOST, Children
from delivery.models import Attempt, Due, Inbound, WebhookEvent
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
    """The demo's two, in their order."""
    return [
        stage.make_account(name, kind, 1, WEB)
        for name, kind in zip(stage.ACCOUNTS, stage.KINDS, strict=True)
    ]


def make_outside(simulator: str, **fields: object) -> Outside:
    return Outside(**{"simulator": simulator, "web": WEB, "seed": 1, "fails_at": 10, **fields})


class TestBegin:
    def test_the_simulator_is_told_each_accounts_secret_and_where_its_texts_go(
        self, simulator, accounts
    ):
        make_outside(simulator).begin()
        told = {one["name"]: one for one in state_of(simulator)["callbacks"]["accounts"]}
        for account in accounts:
            name, _ = credentials(account)
            assert told[name] == {
                "name": name,
                "provider": account.kind,
                "token": "set",
                "inbound_url": f"{WEB}/webhooks/{account.kind}/{account.pk}/inbound",
            }

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

    def test_an_account_that_an_earlier_demo_left_refused_is_resumed(self, simulator, accounts):
        pause(accounts[1], fault="401")
        make_outside(simulator).begin()
        accounts[1].refresh_from_db()
        assert (accounts[1].paused_at, accounts[1].fault) == (None, "")
        assert accounts[1].resumed_at - clock.now() < timedelta(seconds=1)

    def test_an_account_that_a_person_paused_stays_paused(self, simulator, accounts):
        pause(accounts[1], fault="")
        make_outside(simulator).begin()
        accounts[1].refresh_from_db()
        assert accounts[1].paused_at is not None

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

    @pytest.fixture
    def seconds(self, monkeypatch):
        """The monotonic clock of the outside; a list of one moment."""
        now = [1000.0]
        monkeypatch.setattr(demo_outside.time, "monotonic", lambda: now[0])
        return now

    def test_nobody_fails_before_half_is_sent(self, outside):
        outside.tend(9)
        assert state_of(outside.simulator)["rules"] == []
        assert outside.told == []

    def test_half_way_the_second_provider_refuses_our_credentials(self, outside, accounts):
        outside.tend(10)
        (rule,) = state_of(outside.simulator)["rules"]
        assert (rule["mode"], rule["account"]) == ("refuse_401", credentials(accounts[1])[0])
        assert outside.told == ["Demo provider two refuses our credentials from now on."]

    def test_it_fails_once(self, outside):
        outside.tend(10)
        outside.tend(11)
        assert len(state_of(outside.simulator)["rules"]) == 1

    @pytest.fixture
    def mended(self, outside, accounts, seconds):
        outside.tend(10)
        pause(accounts[1])
        outside.tend(11)
        seconds[0] += demo_outside.PAUSED_FOR + 1
        outside.tend(12)
        accounts[1].refresh_from_db()
        return accounts[1]

    def test_it_is_mended_and_resumed_some_seconds_after_it_was_paused(self, outside, mended):
        assert state_of(outside.simulator)["rules"] == []
        assert (mended.paused_at, mended.fault) == (None, "")
        assert mended.resumed_at is not None
        assert outside.told[1:] == ["Demo provider two takes them again, and was resumed."]

    def test_it_does_not_fail_again_after_that(self, outside, mended):
        outside.tend(1_000)
        assert state_of(outside.simulator)["rules"] == []
        assert len(outside.told) == 2

    def test_it_is_not_mended_while_refusals_may_be_on_the_wire(self, outside, accounts, seconds):
        outside.tend(10)
        seconds[0] += demo_outside.PAUSED_FOR + 1  # nothing was sent by it in these
        pause(accounts[1])
        outside.tend(11)
        accounts[1].refresh_from_db()
        assert accounts[1].paused_at is not None
        assert not outside.is_mended

    def test_it_is_not_mended_before_anybody_noticed(self, outside, seconds):
        outside.tend(10)
        outside.tend(11)
        seconds[0] += 100 * demo_outside.PAUSED_FOR
        outside.tend(12)
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
    Attempt.objects.create(
        message=message,
        account=lane.account,
        number=lane,
        sender="00000000-0000-0000-0000-000000000001",
        ref="1",
        text="Hi",
        segments=1,
        brand_day=NOON.date(),
        intent_at=NOON,
    )


class TestWhatIsLeft:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            pytest.param(report_in_inbox, "1 not applied", id="a report in the inbox"),
            pytest.param(text_not_applied, "1 not applied", id="a text that is stored only"),
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

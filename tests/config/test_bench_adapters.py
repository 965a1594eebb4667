from __future__ import annotations

import json
from collections import Counter

import pytest

from compliance import phones
from config import bench_adapters, bench_stage, bench_words
from config import bench_adapters_stage as stage
from config.bench_adapters import Options, missing
from config.invented_accounts import INVENTIONS
from delivery import inbox, planning
from delivery.models import Due, Message, WebhookEvent
from leads.models import Lead
from providers.base import Callback
from providers.models import ProviderAccount, RouteNumber
from providers.registry import ADAPTERS
from providers.simulator import WIRES
from tests.config.test_bench import measured

SIMULATOR = "http://127.0.0.1:9"
MAIL_SERVER = "smtp://127.0.0.1:9"
KINDS = ("twilio", "sinch", "smtp")
WELL = {
    "is_clean": True,
    "is_complete": True,
    "reports_never_posted": "",
    "reports_never_applied": "",
}


@pytest.mark.django_db
class TestStage:
    @pytest.fixture(autouse=True)
    def made(self, django_db_setup):
        stage.make(KINDS, 30, simulator=SIMULATOR, mail_server=MAIL_SERVER)

    def test_each_kind_has_a_brand_with_as_many_plain_and_odd_people(self):
        found = Lead.objects.values_list("brand__name", "listentry__lead_list__name")
        assert Counter(found) == {
            (f"Bench {kind}", name): many
            for kind in KINDS
            for name, many in ((stage.PLAIN, 30), (stage.ODD, stage.odd_messages()))
        }

    def test_each_kind_has_all_the_odd_endings(self):
        odd = Lead.objects.filter(listentry__lead_list__name=stage.ODD)
        for kind in KINDS:
            mine = odd.filter(brand__name=f"Bench {kind}").values_list("person__phone", flat=True)
            assert Counter(phone[-4:] for phone in mine) == {
                ending: stage.each(ending) for ending in stage.ENDINGS
            }
            assert {phones.parse(phone).e164 for phone in mine} == set(mine)

    def test_each_kind_has_an_account_and_one_that_stands_in_for_it(self):
        for kind in KINDS:
            lanes = RouteNumber.objects.filter(number__account__kind=kind)
            orders = dict(lanes.values_list("number__account", "order"))
            assert sorted(orders.values()) == [0, 1]
            first = next(one for one in stage.first_accounts() if one.kind == kind)
            assert orders[first.pk] == 0

    def test_what_one_kind_is_to_get_is_let_go_alone_and_the_odd_ones_last(self):
        planning.plan_open_slots()
        stage.hold()
        assert self.free() == set()
        stage.release("sinch")
        assert self.free() == {("Bench sinch", stage.PLAIN)}
        stage.release_odd()
        assert self.free() == {("Bench sinch", stage.PLAIN), ("Bench sinch", stage.ODD)}

    def free(self) -> set[tuple[str, str]]:
        free = Message.objects.filter(brand__paused_at=None, campaign__paused_at=None)
        assert Due.objects.count() == Message.objects.count()
        return set(free.values_list("brand__name", "campaign__name"))


class TestWords:
    def test_what_is_missing_is_told_by_kind(self):
        wanted = {"twilio": {"sent", "failed"}, "sinch": {"delivered"}}
        assert missing(wanted, {"twilio": {"sent"}, "sinch": {"delivered"}}) == "twilio: failed"
        assert missing(wanted, {}) == "twilio: failed, sent; sinch: delivered"
        assert missing({}, wanted) == ""

    def test_those_of_the_simulator_are_all_that_it_can_say(self):
        found = bench_adapters.words_of_wires(["simpletexting", "slooce"])
        assert found == {
            "simpletexting": {"outgoing_message", "delivery_report", "non_delivered_report"},
            "slooce": set(),
        }

    def test_those_that_were_posted_and_taken_are_read_from_the_ledger(self, tmp_path):
        ledger = tmp_path / "ledger.jsonl"
        posts = [
            post(1, "Delivered", 200),
            post(2, "Failed", 503),
            post(3, "Aborted", 200, genuine=False),
        ]
        ledger.write_text("".join(posts))
        assert bench_adapters.posted_words(ledger) == {"sinch": {"delivered"}}

    @pytest.mark.django_db
    def test_those_that_moved_a_message_are_read_from_the_inbox(self):
        bench_stage.found(simulator=SIMULATOR, daily_cap=9)
        account = ProviderAccount.objects.earliest("id")
        for number, (word, result) in enumerate([("sent", "applied"), ("failed", "no_news")]):
            form = {"MessageSid": f"SM{number}", "MessageStatus": word, "To": "+12125550100"}
            callback = Callback(method="POST", url="", headers={}, query={}, form=form, body=b"")
            raw = inbox.to_raw(callback)
            WebhookEvent.objects.create(
                account=account, dedupe_key=str(number), raw=raw, result=result
            )
        assert bench_adapters.applied_words() == {"twilio": {"sent"}}


def post(number: int, word: str, answer: int, *, genuine: bool = True) -> str:
    posted = {"callback": number, "posted_at": 1.0, "kind": "report", "provider": "sinch"}
    posted |= {"account": "plan-1", "genuine": genuine, "copy": 1, "provider_ref": "b", "to": "1"}
    posted |= {"ref": "r", "word": word, "code": ""}
    answered = {"callback": number, "answered_at": 2.0, "answer": answer}
    return f"{json.dumps(posted)}\n{json.dumps(answered)}\n"


@pytest.mark.parametrize(
    ("trouble", "is_well"),
    [
        pytest.param({}, True, id="none"),
        pytest.param({"is_clean": False}, False, id="the oracle found something"),
        pytest.param({"is_complete": False}, False, id="something was left"),
        pytest.param({"reports_never_posted": "sinch: expired"}, False, id="a word never came"),
        pytest.param({"reports_never_applied": "sinch: expired"}, False, id="one moved nothing"),
    ],
)
def test_what_makes_a_run_fail(trouble: dict[str, object], is_well: bool):
    assert bench_adapters.is_well({**WELL, **trouble}) is is_well


def test_every_kind_is_in_the_whole_run():
    assert set(INVENTIONS) == set(ADAPTERS) == {wire.name for wire in WIRES}
    options = Options(messages=10, workers=1, latency_ms=0, kinds=KINDS)
    assert options.all_messages == 3 * (10 + stage.odd_messages())


def test_the_kinds_stand_below_each_other_in_a_table():
    rows = {"twilio": {"sent": 10_000, "no_end": 4}, "vonage_sms": {"sent": 9, "no_end": 0}}
    assert list(bench_words.lines({"adapters": rows}))[1:] == [
        "adapters      sent  no end",
        "twilio      10,000       4",
        "vonage sms       9       0",
    ]


def test_a_small_run_through_two_kinds_is_clean(tmp_path):
    words = ("adapters", "--messages", "100", "--kinds", "sinch", "simpletexting")
    found = measured(tmp_path / "figures.json", *words, "--latency-ms", "0")
    assert list(found["adapters"]) == ["sinch", "simpletexting"]
    for kind in found["adapters"].values():
        assert kind["sent"] == 100
        assert min(kind[name] for name in ("accepted", "rejected", "not_sent")) > 0
        assert min(kind[name] for name in ("delivered", "undelivered")) > 0
    assert found["adapters"]["sinch"]["a_request"] > 1

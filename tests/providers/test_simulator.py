from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from providers.base import (
    Accepted,
    ErrorClass,
    Fault,
    Found,
    NotListed,
    NotSent,
    Rejected,
    Status,
    Unknown,
)
from providers.simulator import HOST, WIRES, Simulator
from providers.simulator_ledger import LedgerBroken, read_ledger
from providers.transport import Transport
from tests.providers.benches import Bench, in_bench
from tests.providers.hooks import in_scene
from tests.providers.peers import ACCOUNT, an_access, run

THROTTLED = NotSent("429", throttled=True)
RECIPIENT = ErrorClass.PERMANENT_RECIPIENT
IN_VAIN = Unknown("TimeoutError")  # waited for


class TestTwilioOnTheWire:
    def test_a_message_is_accepted_with_the_id_that_the_ledger_has(self, tmp_path):
        outcome = in_bench(tmp_path, lambda on: on.send())
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        assert outcome == Accepted(entry.provider_ref, segments=1)

    def test_the_ledger_has_what_was_sent(self, tmp_path):
        in_bench(tmp_path, lambda on: on.send("r7", text='é "quoted"\n& more'))
        (entry,) = read_ledger(tmp_path / "ledger.jsonl")
        sent = entry.submission
        assert (sent.provider, sent.account, sent.from_value, sent.to, sent.text, sent.ref) == (
            "twilio",
            ACCOUNT,
            "+15005550001",
            "+12025550143",
            'é "quoted"\n& more',
            "r7",
        )

    def test_a_long_text_is_counted_in_segments(self, tmp_path):
        assert in_bench(tmp_path, lambda on: on.send(text="é😀" * 60)).segments == 3

    @pytest.mark.parametrize(
        ("changes", "outcome"),
        [
            ({"text": ""}, Rejected(ErrorClass.PERMANENT_CONTENT, "21602")),
            ({"text": "a" * 1601}, Rejected(ErrorClass.PERMANENT_CONTENT, "21617")),
            ({"to_e164": ""}, Rejected(RECIPIENT, "21604")),
            ({"from_value": ""}, NotSent("21603", fault=Fault.SENDER)),
        ],
        ids=["no text", "too long", "no recipient", "no sender"],
    )
    def test_a_request_with_a_mistake_is_refused_and_in_the_ledger(
        self, tmp_path, changes, outcome
    ):
        async def scenario(on):
            return await on.send(**changes), on.verdicts()

        assert in_bench(tmp_path, scenario) == (outcome, [("refused_request", False)])

    def test_another_accounts_password_is_refused(self, tmp_path):
        async def scenario(on):
            on.access = an_access(
                on.port, secrets={**on.access.secrets, "api_key_sid": "AC9", "api_key_secret": "x"}
            )
            return await on.send()

        assert in_bench(tmp_path, scenario) == NotSent("20003", fault=Fault.ACCOUNT)

    def test_connections_are_kept(self, tmp_path):
        async def scenario(on):
            for n in range(5):
                await on.send(f"r{n}")
            return (await on.state())["connections"]

        assert in_bench(tmp_path, scenario) == 2  # the transport's and ours to ask

    def test_every_provider_has_paths_of_its_own(self):
        prefixes = Counter(wire.prefix for wire in WIRES)
        assert set(prefixes.values()) == {1}


class TestMagicNumbers:
    @pytest.mark.parametrize(
        ("digits", "outcome", "verdict"),
        [
            ("0001", Rejected(RECIPIENT, "21211"), ("refused_invalid", False)),
            ("0002", Rejected(RECIPIENT, "21614"), ("refused_landline", False)),
            ("0003", Rejected(RECIPIENT, "21610", opted_out=True), ("refused_opted_out", False)),
            ("0005", THROTTLED, ("throttled", False)),
            ("0006", Unknown("500"), ("accepted_500", True)),
            ("0007", Unknown("Disconnected"), ("accepted_closed", True)),
            ("0008", IN_VAIN, ("accepted_hung", True)),
            ("0009", Unknown("200 JSONDecodeError"), ("accepted_garbage", True)),
            ("0013", NotSent("20003", fault=Fault.ACCOUNT), ("refused_401", False)),
        ],
    )
    def test_the_last_four_digits_decide(self, tmp_path, digits, outcome, verdict):
        async def scenario(on):
            return await on.send(to_e164=f"+1202555{digits}"), on.verdicts()

        limits = {"request_seconds": 1} if outcome == IN_VAIN else {}
        assert in_bench(tmp_path, scenario, **limits) == (outcome, [verdict])

    def test_0005_is_throttled_once_only(self, tmp_path):
        async def scenario(on):
            first = await on.send(to_e164="+12025550005")
            second = await on.send("r2", to_e164="+12025550005")
            return first, type(second)

        assert in_bench(tmp_path, scenario) == (THROTTLED, Accepted)

    def test_0015_answers_after_two_seconds(self, tmp_path):
        async def scenario(on):
            await on.control({"latency_ms": 0})
            return await on.send(to_e164="+12025550015"), on.verdicts()

        late = in_bench(tmp_path, scenario, request_seconds=1)
        assert late == (IN_VAIN, [("accepted", True)])


class TestControl:
    @pytest.mark.parametrize(
        ("mode", "outcome", "verdict"),
        [
            ("invalid", Rejected(RECIPIENT, "21211"), ("refused_invalid", False)),
            ("landline", Rejected(RECIPIENT, "21614"), ("refused_landline", False)),
            (
                "opted_out",
                Rejected(RECIPIENT, "21610", opted_out=True),
                ("refused_opted_out", False),
            ),
            ("refuse_401", NotSent("20003", fault=Fault.ACCOUNT), ("refused_401", False)),
            ("429", THROTTLED, ("throttled", False)),
            ("500", Unknown("500"), ("accepted_500", True)),
            ("503", Unknown("503"), ("refused_503", False)),
            ("hang", IN_VAIN, ("accepted_hung", True)),
            ("slow", IN_VAIN, ("accepted", True)),
            ("close_after_read", Unknown("Disconnected"), ("accepted_closed", True)),
            ("close_not_taken", Unknown("Disconnected"), ("dropped_closed", False)),
            ("half_answer", Unknown("BrokenOff"), ("accepted_half_answered", True)),
            ("garbage", Unknown("200 JSONDecodeError"), ("accepted_garbage", True)),
            ("huge", Unknown("AnswerTooLarge"), ("accepted_huge", True)),
            ("drip", IN_VAIN, ("accepted_dripped", True)),
            ("307", Unknown("307"), ("accepted_307", True)),
            (
                "429_retry_after",
                NotSent("429", throttled=True, retry_after=2.0),
                ("throttled", False),
            ),
        ],
    )
    def test_a_mode_holds_for_everybody(self, tmp_path, mode, outcome, verdict):
        async def scenario(on):
            await on.control({"mode": mode})
            return await on.send(), on.verdicts()

        limits = {"request_seconds": 1} if outcome == IN_VAIN else {}
        assert in_bench(tmp_path, scenario, **limits) == (outcome, [verdict])

    def test_another_id_is_the_answer_to_the_message_before(self, tmp_path):
        async def scenario(on):
            await on.send()
            await on.control({"mode": "another_id"})
            outcomes = [await on.send("r2"), await on.send("r3", to_e164="+12025550144")]
            return outcomes, on.ledger()

        (to_the_same, to_another), (first, *others) = in_bench(tmp_path, scenario)
        assert to_the_same == Accepted(first.provider_ref, segments=1)
        assert to_another == Unknown("the answer names another recipient")
        assert [(one.verdict, one.took) for one in others] == [("accepted_another_id", True)] * 2

    @pytest.mark.parametrize(
        ("command", "kinds"),
        [
            ({"account": ACCOUNT}, [Unknown, Unknown, Unknown]),
            ({"account": "AC9"}, [Accepted, Accepted, Accepted]),
            ({"number": "+15005550001"}, [Unknown, Unknown, Unknown]),
            ({"number": "+15005550002"}, [Accepted, Accepted, Accepted]),
            ({"count": 2}, [Unknown, Unknown, Accepted]),
            ({"every": 2}, [Accepted, Unknown, Accepted]),
        ],
        ids=["account", "another account", "number", "another number", "count", "every"],
    )
    def test_a_mode_may_be_for_some_only(self, tmp_path, command, kinds):
        async def scenario(on):
            await on.control({"mode": "500", **command})
            return [type(await on.send(f"r{n}")) for n in range(3)]

        assert in_bench(tmp_path, scenario) == kinds

    @pytest.mark.parametrize(
        ("command", "left"),
        [({}, []), ({"account": "AC1"}, ["AC2"]), ({"number": "+1"}, ["AC1", "AC2"])],
    )
    def test_normal_ends_what_it_names(self, tmp_path, command, left):
        async def scenario(on):
            await on.control({"mode": "500", "account": "AC1"})
            await on.control({"mode": "500", "account": "AC2"})
            _, state = await on.control({"mode": "normal", **command})
            return [rule["account"] for rule in state["rules"]]

        assert in_bench(tmp_path, scenario) == left

    @pytest.mark.parametrize(
        ("scope", "name", "kinds"),
        [
            ("account", None, [Accepted, Accepted, NotSent, NotSent]),
            ("number", None, [Accepted, Accepted, NotSent, Accepted]),
            ("number", "+15005550009", [Accepted, Accepted, Accepted, Accepted]),
            ("account", ACCOUNT, [Accepted, Accepted, NotSent, NotSent]),
        ],
    )
    def test_a_throttle_lets_its_burst_through(self, tmp_path, scope, name, kinds):
        async def scenario(on):
            await on.control({"throttle": scope, "name": name, "per_second": 0, "burst": 2})
            senders = ["+15005550001"] * 3 + ["+15005550002"]
            return [
                type(await on.send(f"r{n}", from_value=sender)) for n, sender in enumerate(senders)
            ]

        assert in_bench(tmp_path, scenario) == kinds

    def test_a_throttle_counts_segments(self, tmp_path):
        async def scenario(on):
            await on.control({"throttle": "account", "per_second": 0, "burst": 3})
            return [type(await on.send(f"r{n}", text="a" * 200)) for n in range(2)]

        assert in_bench(tmp_path, scenario) == [Accepted, NotSent]

    def test_a_throttle_can_be_taken_off(self, tmp_path):
        async def scenario(on):
            await on.control({"throttle": "account", "per_second": 0, "burst": 1})
            await on.control({"throttle": "account", "per_second": None})
            return [type(await on.send(f"r{n}")) for n in range(3)]

        assert in_bench(tmp_path, scenario) == [Accepted] * 3

    def test_latency_holds_answers_back(self, tmp_path):
        async def scenario(on):
            await on.control({"latency_ms": 60_000})
            return await on.send()

        assert in_bench(tmp_path, scenario, request_seconds=0.2) == IN_VAIN

    def test_reset_brings_back_the_start_and_keeps_the_ledger(self, tmp_path):
        async def scenario(on):
            await on.send()
            await on.control({"mode": "500"})
            await on.control({"latency_ms": 5})
            await on.control({"throttle": "account", "per_second": 1})
            _, state = await on.control({}, "/control/reset")
            return state

        state = in_bench(tmp_path, scenario)
        assert (state["rules"], state["throttles"], state["latency_ms"]) == ([], [], 0)
        assert (state["requests_in_ledger"], state["verdicts"]) == (1, {})

    def test_the_state_counts_verdicts(self, tmp_path):
        async def scenario(on):
            await on.send("r1")
            await on.send("r2", to_e164="+12025550001")
            return (await on.state())["verdicts"]

        assert in_bench(tmp_path, scenario) == {"accepted": 1, "refused_invalid": 1}

    @pytest.mark.parametrize(
        ("command", "word"),
        [
            (b"{", "JSON"),
            (b"\xff", "JSON"),
            ([], "object"),
            ({}, "exactly one"),
            ({"mode": "500", "latency_ms": 1}, "exactly one"),
            ({"mode": "explode"}, "mode"),
            ({"mode": 500}, "mode"),
            ({"mode": ["500"]}, "mode"),
            ({"mode": "500", "colour": "red"}, "colour"),
            ({"mode": "500", "count": 0}, "count"),
            ({"mode": "500", "count": 1.5}, "count"),
            ({"mode": "500", "every": "2"}, "every"),
            ({"mode": "500", "account": 7}, "account"),
            ({"latency_ms": -1}, "latency_ms"),
            ({"latency_ms": "fast"}, "latency_ms"),
            ({"latency_ms": True}, "latency_ms"),
            (b'{"latency_ms": NaN}', "latency_ms"),
            (b'{"latency_ms": Infinity}', "latency_ms"),
            ({"throttle": "city", "per_second": 1}, "throttle"),
            ({"throttle": ["account"], "per_second": 1}, "throttle"),
            ({"throttle": "account", "per_second": "x"}, "per_second"),
            ({"throttle": "account", "per_second": 1, "burst": 0}, "burst"),
        ],
    )
    def test_a_command_with_a_mistake_says_so_and_changes_nothing(self, tmp_path, command, word):
        async def scenario(on):
            before = await on.state()
            status, answer = await on.control(command)
            after = await on.state()
            ignored = {"connections": 0}
            return status, answer["error"], {**before, **ignored} == {**after, **ignored}

        status, error, is_unchanged = in_bench(tmp_path, scenario)
        assert (status, is_unchanged) == (400, True)
        assert word in error

    def test_a_path_that_is_nobodys_is_not_found(self, tmp_path):
        async def scenario(on):
            return [(await on.control({}, path))[0] for path in ("/control/x", "/v9/messages")]

        assert in_bench(tmp_path, scenario) == [404, 404]


class TestLookUps:
    @pytest.mark.parametrize("digits", ["0006", "0007", "0009", "0143"])
    def test_what_was_taken_is_found_whatever_was_answered(self, tmp_path, digits):
        async def scenario(on):
            to = f"+1202555{digits}"
            await on.send(to_e164=to)
            found = await on.look_up(to_e164=to)
            (entry,) = on.ledger()
            return found.report.provider_ref == entry.provider_ref, found.report.status

        assert in_bench(tmp_path, scenario) == (True, Status.SENT)

    @pytest.mark.parametrize("mode", ["503", "close_not_taken", "429"])
    def test_what_was_not_taken_is_not_listed(self, tmp_path, mode):
        async def scenario(on):
            await on.control({"mode": mode})
            await on.send()
            return await on.look_up()

        assert in_bench(tmp_path, scenario) == NotListed()

    def test_a_message_is_found_by_its_id(self, tmp_path):
        async def scenario(on):
            accepted = await on.send()
            return await on.look_up(provider_ref=accepted.provider_ref)

        assert isinstance(in_bench(tmp_path, scenario), Found)

    @pytest.mark.parametrize("ref", ["SM1", f"SM{1:032x}", "SM", "x" * 40])
    def test_an_id_that_was_never_given_is_not_listed(self, tmp_path, ref):
        async def scenario(on):
            await on.send()
            return await on.look_up(provider_ref=ref)

        assert in_bench(tmp_path, scenario) == NotListed()

    def test_another_accounts_messages_are_not_shown(self, tmp_path):
        async def scenario(on):
            await on.send()
            secrets = {"account_sid": "AC9", "auth_token": "x"}
            on.access = an_access(on.port, secrets=secrets)
            return await on.look_up()

        assert in_bench(tmp_path, scenario) == NotListed()

    def test_what_was_taken_before_a_restart_is_still_found(self, tmp_path):
        in_bench(tmp_path, lambda on: on.send())
        assert isinstance(in_bench(tmp_path, lambda on: on.look_up()), Found)


def test_the_ledger_is_written_when_the_answer_arrives(tmp_path):
    async def scenario(on):
        counts = []
        for n in range(20):
            await on.send(f"r{n}")
            counts.append(len(on.ledger()))
        return counts

    assert in_bench(tmp_path, scenario) == list(range(1, 21))


def test_many_at_once_are_each_in_the_ledger_once_and_answered_with_their_own_id(tmp_path):
    async def scenario(on):
        refs = [f"r{n}" for n in range(300)]
        outcomes = await asyncio.gather(*(on.send(ref) for ref in refs))
        return dict(zip(refs, (outcome.provider_ref for outcome in outcomes), strict=True))

    answered = in_bench(tmp_path, scenario)
    entries = read_ledger(tmp_path / "ledger.jsonl")
    assert answered == {entry.submission.ref: entry.provider_ref for entry in entries}


def test_a_ledger_that_cannot_be_written_ends_the_simulator_without_an_answer(tmp_path):
    async def scenario():
        simulator = Simulator(tmp_path / "ledger.jsonl")
        server = await asyncio.get_running_loop().create_server(simulator.connection, HOST, 0)
        async with Transport(request_seconds=1) as transport:
            simulator._ledger.flush = _disk_full
            on = Bench(server.sockets[0].getsockname()[1], None, transport)
            outcome = await on.send()
        server.close()
        del simulator._ledger.flush
        await simulator.close()
        return outcome, type(simulator.ended.exception())

    assert run(scenario()) == (IN_VAIN, LedgerBroken)


def _disk_full():
    raise LedgerBroken


def test_the_pretend_phone_is_served_and_its_answers_come_in(tmp_path):
    async def act(scene):
        await scene.send()
        await scene.told(account={"name": ACCOUNT, "inbound_url": scene.hooks.url("/in")})
        answer = {"from": "+12025550143", "to": "+15005550001", "text": "STOP"}
        status, told = await scene.on.control(answer, "/phone/answer")
        (call,) = await scene.hooks.wait_for(1)
        return status, told["provider_ref"] == call.form["MessageSid"], call.form["Body"]

    assert in_scene(tmp_path, act) == (200, True, "STOP")

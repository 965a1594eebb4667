from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.adapters.twilio import Twilio
from providers.base import (
    Accepted,
    Access,
    Callback,
    ErrorClass,
    Fault,
    NotSent,
    Rejected,
    Unknown,
    outcome_from_json,
    outcome_to_json,
)
from tests.providers.peers import a_send

NOON = datetime(2026, 7, 2, 12, tzinfo=UTC)

OUTCOMES = st.one_of(
    st.builds(
        Accepted,
        st.text(),
        segments=st.none() | st.integers(0, 20),
        part_refs=st.lists(st.text(), max_size=3).map(tuple),
    ),
    st.builds(
        Rejected,
        st.sampled_from(ErrorClass),
        st.text(),
        opted_out=st.booleans(),
        carrier_blocked=st.booleans(),
        only_here=st.booleans(),
    ),
    st.builds(
        NotSent,
        st.text(),
        fault=st.none() | st.sampled_from(Fault),
        throttled=st.booleans(),
        unreachable=st.booleans(),
        retry_after=st.none() | st.floats(0, 1e6),
    ),
    st.builds(Unknown, st.text()),
)


class TestOutcomesAsLines:
    @given(OUTCOMES)
    def test_every_outcome_comes_back_as_it_was(self, outcome):
        assert outcome_from_json(outcome_to_json(outcome)) == outcome

    @given(OUTCOMES)
    def test_the_line_is_printable_ascii_as_the_journal_wants_it(self, outcome):
        line = outcome_to_json(outcome)
        assert line.isascii()
        assert line.isprintable()

    @pytest.mark.parametrize("code", [*range(32), *range(0x7F, 0xA0), 0x2028, 0xD800])
    def test_a_character_that_cannot_be_printed_is_escaped_and_comes_back(self, code):
        outcome = Accepted(f"SM{chr(code)}1", part_refs=(chr(code),))
        line = outcome_to_json(outcome)
        assert line.isprintable()
        assert outcome_from_json(line) == outcome

    def test_what_is_at_its_default_is_left_out(self):
        assert outcome_to_json(Accepted("SM1")) == '{"outcome":"accepted","provider_ref":"SM1"}'

    @pytest.mark.parametrize(
        "line",
        ["", '{"outcome":"accep', "[]", "7", "{}", '{"outcome":"sent"}', '{"outcome":"accepted"}'],
    )
    def test_a_line_that_is_torn_or_not_ours_is_a_value_error(self, line):
        with pytest.raises(ValueError):
            outcome_from_json(line)

    def test_an_unknown_fault_is_a_value_error(self):
        with pytest.raises(ValueError):
            outcome_from_json('{"outcome":"not_sent","code":"1","fault":"nobody"}')


class TestValidSeconds:
    def test_leaves_out_the_time_that_our_request_may_be_under_way(self):
        send = a_send(decided_at=NOON, not_after=NOON + timedelta(minutes=10))
        assert send.valid_seconds() == 600 - 17

    def test_is_never_less_than_a_second(self):
        send = a_send(decided_at=NOON, not_after=NOON + timedelta(seconds=3))
        assert send.valid_seconds() == 1

    def test_is_unlimited_when_nothing_ends_it(self):
        assert a_send(decided_at=NOON).valid_seconds() is None


def test_a_callback_finds_a_header_whatever_the_case_of_its_name():
    callback = Callback(
        method="POST", url="", headers={"x-sIgned": "yes"}, query={}, form={}, body=b""
    )
    assert callback.header("X-Signed") == "yes"


def test_credentials_have_no_form_but_where_an_adapter_says_so():
    assert Twilio().problems(Access(kind="twilio", secrets={"account_sid": "?"})) == {}


def test_an_adapter_whose_signature_covers_all_has_no_replay_key():
    callback = Callback(method="POST", url="", headers={}, query={}, form={"a": "b"}, body=b"a=b")
    assert Twilio().replay_key(callback) == ""

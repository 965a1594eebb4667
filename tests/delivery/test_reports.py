from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.reports import Reported, Standing, is_undeliverable, moves
from delivery.states import MOVES, Status
from providers.base import DeliveryReport, ErrorClass, Rejected
from providers.base import Status as Word

# Where each word of a report takes a message; "-" where it says nothing new.
TABLE = """
              accepted  sent  delivered  undelivered  failed  rejected  expired      unknown
planned       accepted  sent  delivered  undelivered  failed  failed    undelivered  no_report
sending       accepted  sent  delivered  undelivered  failed  failed    undelivered  no_report
accepted      -         sent  delivered  undelivered  failed  failed    undelivered  no_report
sent          -         -     delivered  undelivered  failed  failed    undelivered  no_report
delivered     -         -     -          -            -       -         -            -
undelivered   -         -     -          -            -       -         -            -
failed        -         -     -          -            -       -         -            -
no_report     -         -     delivered  undelivered  failed  failed    undelivered  -
unknown       accepted  sent  delivered  undelivered  failed  failed    undelivered  no_report
not_found     accepted  sent  delivered  undelivered  failed  failed    undelivered  no_report
rejected      -         -     -          -            -       -         -            -
refused       accepted  sent  delivered  undelivered  failed  failed    undelivered  no_report
expired       accepted  sent  delivered  undelivered  failed  failed    undelivered  no_report
cancelled     accepted  sent  delivered  undelivered  failed  failed    undelivered  no_report
dead          accepted  sent  delivered  undelivered  failed  failed    undelivered  no_report
"""
HEAD, *LINES = [line.split() for line in TABLE.strip().splitlines()]
ENDS = {
    (Status(status), Word(word)): end
    for status, *ends in LINES
    for word, end in zip(HEAD, ends, strict=True)
}
FINAL = {Status.DELIVERED, Status.UNDELIVERED, Status.FAILED}
CLOSED = {*FINAL, Status.REJECTED}
FINAL_WORDS = {
    Word.DELIVERED: Status.DELIVERED,
    Word.UNDELIVERED: Status.UNDELIVERED,
    Word.EXPIRED: Status.UNDELIVERED,
    Word.FAILED: Status.FAILED,
    Word.REJECTED: Status.FAILED,
}

any_status = st.sampled_from(Status)
any_words = st.lists(st.sampled_from(Word), max_size=6)


def ends_of(status, words):
    """The statuses that a message passes through as these words are reported."""
    passed = [status]
    for word in words:
        passed += moves(passed[-1], word)
    return passed


def a_report(word=Word.DELIVERED, **fields):
    return DeliveryReport(**{"ref": "r1", "provider_ref": "SM1", "status": word, **fields})


def a_standing(status=Status.SENDING, **fields):
    values = {
        "attempt_id": 1,
        "message_id": 2,
        "account_id": 8,
        "provider_refs": ["SM1"],
        "is_not_sent": False,
        "report_status": "",
        "report_code": "",
        "phone": "+12125550143",
        "began": status,
        "status": status,
    }
    return Standing(**{**values, **fields})


class TestMoves:
    def test_the_table_has_every_state_and_every_word(self):
        assert set(ENDS) == set(product(Status, Word))

    @pytest.mark.parametrize(("status", "word"), sorted(ENDS))
    def test_ends_where_the_table_says(self, status, word):
        assert ends_of(status, [word])[-1] == (
            status if ENDS[status, word] == "-" else ENDS[status, word]
        )

    @pytest.mark.parametrize("status", [Status.SENDING, Status.NOT_FOUND, Status.EXPIRED])
    def test_that_nothing_is_known_shows_that_it_was_taken_first(self, status):
        assert moves(status, Word.UNKNOWN) == (Status.ACCEPTED, Status.NO_REPORT)

    @given(any_status, any_words)
    def test_are_those_of_the_table_of_moves(self, status, words):
        assert all(after in MOVES[before] for before, after in pairwise(ends_of(status, words)))

    @given(any_status, any_words)
    def test_end_where_one_move_leads_or_two_by_way_of_accepted(self, status, words):
        """Several reports in a row are written as one."""
        end = ends_of(status, words)[-1]
        reached = MOVES[status] | {status}
        assert end in reached or (Status.ACCEPTED in reached and end in MOVES[Status.ACCEPTED])

    @given(any_status.filter(lambda status: status not in CLOSED), any_words)
    def test_the_first_final_word_wins_in_any_order(self, status, words):
        finals = [FINAL_WORDS[word] for word in words if word in FINAL_WORDS]
        end = ends_of(status, words)[-1]
        assert end == finals[0] if finals else end not in CLOSED

    @given(st.sampled_from(sorted(CLOSED)), any_words)
    def test_nothing_leaves_a_final_state(self, status, words):
        assert ends_of(status, words) == [status]


class TestIsUndeliverable:
    @pytest.mark.parametrize("error_class", [*ErrorClass, None])
    def test_is_the_recipients_fault_alone(self, error_class):
        report = a_report(Word.UNDELIVERED, error_class=error_class)
        assert is_undeliverable(report) == (error_class == ErrorClass.PERMANENT_RECIPIENT)

    @pytest.mark.parametrize("reason", ["opted_out", "carrier_blocked"])
    def test_is_no_number_that_works_and_wants_no_texts(self, reason):
        blocked = {"error_class": ErrorClass.PERMANENT_RECIPIENT, reason: True}
        assert not is_undeliverable(a_report(Word.UNDELIVERED, **blocked))
        assert not is_undeliverable(Rejected(code="21610", **blocked))

    def test_is_what_a_refusal_of_the_number_says(self):
        assert is_undeliverable(Rejected(ErrorClass.PERMANENT_RECIPIENT, "21211"))


class TestNote:
    @pytest.mark.parametrize(
        ("first", "then", "kept"),
        [
            (Word.SENT, Word.DELIVERED, Word.DELIVERED),
            (Word.DELIVERED, Word.SENT, Word.DELIVERED),
            (Word.UNDELIVERED, Word.DELIVERED, Word.UNDELIVERED),
            (Word.UNKNOWN, Word.DELIVERED, Word.DELIVERED),
        ],
    )
    def test_the_first_end_stays_on_an_attempt_that_was_thought_not_sent(self, first, then, kept):
        standing = a_standing(is_not_sent=True)
        standing.note(a_report(first))
        standing.note(a_report(then, code="30003"))
        assert standing.report_status == kept
        assert (standing.report_code == "30003") == (kept == then)


class TestFits:
    def fits(self, standing, account_id=8, **fields):
        return standing.fits(Reported(1, account_id, a_report(**fields)))

    def test_what_is_about_this_attempt(self):
        assert self.fits(a_standing())

    @pytest.mark.parametrize(
        "told",
        [{"account_id": 9}, {"provider_ref": "SM2"}, {"recipient_e164": "+12125550144"}],
        ids=["another-account", "another-id", "another-recipient"],
    )
    def test_nothing_about_another(self, told):
        assert not self.fits(a_standing(), **told)

    def test_any_id_while_none_is_known(self):
        assert self.fits(a_standing(provider_refs=[]), provider_ref="SM2")

    def test_no_id_that_cannot_be_stored(self):
        assert self.fits(a_standing(provider_refs=[]), provider_ref="S" * 64)
        assert not self.fits(a_standing(provider_refs=[]), provider_ref="S" * 65)

    @pytest.mark.parametrize("recipient", ["+12125550143", "12125550143", "", "messenger:77"])
    def test_the_recipient_however_it_is_written(self, recipient):
        assert self.fits(a_standing(), recipient_e164=recipient)


class TestTake:
    def test_moves_the_message_and_keeps_the_providers_words(self):
        standing = a_standing(Status.ACCEPTED)
        assert standing.take(a_report(Word.EXPIRED, code="30036")) == "applied"
        assert (standing.status, standing.began) == (Status.UNDELIVERED, Status.ACCEPTED)
        assert (standing.report_status, standing.report_code) == ("expired", "30036")
        assert standing.is_news

    def test_of_nothing_new_changes_nothing(self):
        standing = a_standing(Status.DELIVERED, report_status="delivered")
        assert standing.take(a_report(Word.SENT, code="1")) == "no_news"
        assert standing == a_standing(Status.DELIVERED, report_status="delivered")

    def test_learns_the_providers_id_once(self):
        standing = a_standing(provider_refs=[])
        standing.take(a_report(Word.SENT, provider_ref="SM5"))
        assert standing.provider_refs == standing.new_refs == ["SM5"]
        assert not standing.fits(Reported(2, 8, a_report(provider_ref="SM6")))

    def test_learns_the_id_from_what_is_no_news_too(self):
        standing = a_standing(Status.DELIVERED, provider_refs=[], report_status="delivered")
        assert standing.take(a_report(Word.SENT)) == "no_news"
        assert (standing.new_refs, standing.is_news) == (["SM1"], True)
        assert standing.report_status == "delivered"

    def test_of_one_that_was_rejected_is_shown_and_moves_nothing(self):
        standing = a_standing(Status.REJECTED)
        assert standing.take(a_report(Word.DELIVERED)) == "was_rejected"
        assert (standing.status, standing.report_status) == (Status.REJECTED, "delivered")

    def test_cuts_a_code_to_its_column(self):
        standing = a_standing()
        standing.take(a_report(code="x" * 90))
        assert standing.report_code == "x" * 60


class TestParts:
    """Of a long text that is reported on piece by piece."""

    def told(self, *parts, segments=2, status=Status.SENDING):
        """Where a message ends after reports of its parts, each an id and a word."""
        standing = a_standing(status, provider_refs=[], segments=segments)
        for provider_ref, word in parts:
            standing.take(a_report(word, provider_ref=provider_ref, is_of_a_part=True))
        return standing

    def test_are_delivered_when_all_are(self):
        assert self.told(("a", Word.DELIVERED)).status == Status.SENT
        assert self.told(("a", Word.DELIVERED), ("b", Word.DELIVERED)).status == Status.DELIVERED

    def test_are_not_delivered_by_one_that_is_reported_twice(self):
        assert self.told(("a", Word.DELIVERED), ("a", Word.DELIVERED)).status == Status.SENT

    @pytest.mark.parametrize("order", [1, -1])
    @pytest.mark.parametrize(
        ("word", "end"),
        [
            (Word.UNDELIVERED, Status.UNDELIVERED),
            (Word.FAILED, Status.FAILED),
            (Word.REJECTED, Status.FAILED),
            (Word.EXPIRED, Status.UNDELIVERED),
        ],
    )
    def test_fail_with_one_of_them(self, word, end, order):
        parts = [("a", Word.DELIVERED), ("b", word)][::order]
        standing = self.told(*parts)
        assert (standing.status, standing.report_status) == (end, word)

    def test_keep_the_code_of_the_one_that_failed(self):
        standing = a_standing(provider_refs=[], segments=2)
        failed = a_report(Word.UNDELIVERED, provider_ref="a", code="9", is_of_a_part=True)
        standing.take(failed)
        standing.take(a_report(provider_ref="b", is_of_a_part=True))
        assert standing.report_code == "9"

    def test_end_unknown_when_one_of_them_does(self):
        parts = ("a", Word.DELIVERED), ("b", Word.UNKNOWN)
        assert self.told(*parts).status == Status.NO_REPORT

    def test_are_as_many_as_the_provider_says(self):
        standing = self.told(("a", Word.DELIVERED), ("b", Word.DELIVERED), segments=3)
        assert standing.status == Status.SENT

    def test_are_known_by_the_id_of_each(self):
        standing = self.told(("a", Word.SENT), ("b", Word.SENT), ("a", Word.DELIVERED))
        assert standing.new_refs == standing.provider_refs == ["a", "b"]

    def test_that_are_known_already_are_no_new_ones(self):
        standing = a_standing(provider_refs=["a", "b"], segments=2)
        standing.take(a_report(provider_ref="b", is_of_a_part=True))
        assert (standing.new_refs, standing.status) == ([], Status.SENT)

    @given(st.permutations([("a", Word.SENT), ("a", Word.DELIVERED), ("b", Word.DELIVERED)]))
    def test_end_the_same_in_any_order(self, parts):
        assert self.told(*parts).status == Status.DELIVERED
